"""Parts: groups are never torn, every class has its share, errors say of what."""

from tlhelpers.sources.parts import check_parts, connect, split_groups

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=60),
    st.sampled_from([(0.7, 0.15, 0.15), (1.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.8, 0.0, 0.2)]),
    st.integers(0, 5),
)
def test_groups_are_never_torn_and_no_part_of_share_zero_gets_any(rows, shares, seed):
    kinds, y = np.unique([row[0] for row in rows], return_inverse=True)[1], [r[1] for r in rows]
    parts = split_groups(np.array(y), kinds, shares, seed)
    assert all(len(set(parts[kinds == kind])) == 1 for kind in kinds)
    assert all(shares[part] > 0 for part in parts)


@given(st.integers(20, 200), st.integers(20, 200), st.integers(0, 9))
def test_without_groups_each_class_has_its_share(cats, dogs, seed):
    y = np.repeat([0, 1], [cats, dogs])
    parts = split_groups(y, np.arange(len(y)), (0.7, 0.15, 0.15), seed)
    for label, count in enumerate((cats, dogs)):
        found = np.bincount(parts[y == label], minlength=3)
        assert abs(found - np.multiply(count, (0.7, 0.15, 0.15))).max() <= 1


@given(st.integers(3, 12), st.integers(3, 12), st.integers(0, 9))
def test_a_class_of_three_groups_or_more_is_in_every_part(cats, dogs, seed):
    groups = np.arange(cats + dogs)
    sizes = np.random.default_rng(seed).integers(1, 30, len(groups))
    y = np.repeat(groups >= cats, sizes).astype(int)
    parts = split_groups(y, np.repeat(groups, sizes), (0.7, 0.15, 0.15), seed)
    for label in (0, 1):
        assert set(parts[y == label]) == {0, 1, 2}


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=80),
    st.sampled_from([(0.7, 0.15, 0.15), (1.0, 0.0, 0.0), (0.5, 0.5, 0.0), (1 / 3, 1 / 3, 1 / 3)]),
    st.integers(0, 5),
)
def test_samples_alone_go_where_one_by_one_they_would(y, shares, seed):
    """The rule, in six lines: each goes where most of its class is lacking, the last ones first."""
    y, had = np.array(y), np.zeros((3, 3))
    total, expected = np.bincount(y, minlength=3), np.empty(len(y), int)
    for number in np.random.default_rng(seed).permutation(len(y)):
        label = y[number]
        lack = np.array(shares) * total[label] - had[:, label]
        without = (np.array(shares) > 0) & (had[:, label] == 0)
        urgent = without & (total[label] - had[:, label].sum() <= without.sum())
        lack = np.where(np.array(shares) > 0, lack / total[label] + 9 * urgent, -np.inf)
        expected[number] = np.argmax(lack)
        had[expected[number], label] += 1
    assert split_groups(y, np.arange(len(y)), shares, seed).tolist() == expected.tolist()


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=12),
)
def test_pairs_and_equal_keys_are_connected_and_nothing_else(keys, pairs):
    count = len(keys)
    pairs = np.array([p for p in pairs if max(p) < count], int).reshape(-1, 2)
    groups = list(range(count))  # by the slow way: as long as something changes
    links = [(i, j) for i in range(count) for j in range(i) if keys[i] == keys[j] is not None]
    for _ in range(count):
        for one, other in [*links, *pairs.tolist()]:
            groups[one] = groups[other] = min(groups[one], groups[other])
    found = connect(count, pairs, keys)
    assert np.array_equal(np.equal.outer(found, found), np.equal.outer(groups, groups))


def test_the_error_says_what_the_samples_are():
    y, parts = np.array([0, 0, 1]), np.array([0, 1, 0])
    check_parts(y[:2], parts[:2], (0.5, 0.5, 0.0), ["cat"], np.arange(2), "texts")
    with pytest.raises(ValueError, match=r"1 texts of 'dog', 1 if .* left for validation. Add tex"):
        check_parts(y, parts, (0.5, 0.5, 0.0), ["cat", "dog"], np.arange(3), "texts")
