"""Groups: never torn, balanced, repeatable; what is refused is named."""

from pathlib import Path

import tlhelpers as tl
from tlhelpers.sources.parts import split_groups

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

kinds = st.sampled_from([
    lambda number: number,
    lambda number: f"patient {number}",
    lambda number: number / 4 + 0.1,
    lambda number: bool(number % 2) if number < 2 else number,
])  # fmt: skip


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2)), min_size=9, max_size=30),
    kinds, st.integers(0, 50),
)  # fmt: skip
def test_whole_groups_each_sample_once_and_every_class_in_every_part(sizes, kind, seed):
    numbers = np.repeat(np.arange(len(sizes)), [size for size, _ in sizes])
    groups = np.array([kind(number) for number in numbers])
    y = np.repeat([label for _, label in sizes], [size for size, _ in sizes])
    possible = all(np.sum(np.array([c for _, c in sizes]) == label) >= 3 for label in set(y))
    if not possible:
        return
    parts = tl.group_split(groups, y, seed=seed)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(y)))
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        assert not set(numbers[parts[one]]) & set(numbers[parts[other]])
    assert all(set(y[rows]) == set(y) for rows in parts)
    again = tl.group_split(groups, y, seed=seed)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


def test_the_draw_that_is_kept_is_nearer_to_the_shares_than_a_draw():
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.random(40) < rate for rate in rng.random(25)]).astype(int)
    groups = np.arange(25).repeat(40)
    farthest = []
    for seed in range(5):
        parts = tl.group_split(groups, y, 0.2, 0.2, seed)
        test = split_groups(y, groups, (0.6, 0.2, 0.2), seed) == 2
        farthest.append([abs(np.mean(y[rows]) - y.mean()) for rows in (parts.test, test)])
    kept, drawn = np.mean(farthest, axis=0)
    assert kept < 0.02 and kept < drawn
    first, second = (tl.group_split(groups, y, 0.2, 0.2, seed).test for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_another_seed_is_another_split_even_where_no_two_groups_have_one_size():
    groups = np.repeat(np.arange(20), np.arange(10, 30))
    y = np.arange(len(groups)) % 2
    drawn = {tuple(np.unique(groups[tl.group_split(groups, y, seed=s).test])) for s in range(8)}
    assert len(drawn) >= 6


def test_a_part_without_a_share_is_empty_and_samples_alone_are_groups():
    parts = tl.group_split(np.arange(40), np.arange(40) % 2, validation=0, test=0.25)
    assert [len(rows) for rows in parts] == [30, 0, 10]
    assert all(rows.dtype == np.int64 for rows in parts)


SIX = np.repeat(["ann", "bob", "eve"], 2)


@pytest.mark.parametrize(
    ("groups", "y", "says"),
    [
        (["ann"] * 6, [0, 1] * 3, r"at least as many as the parts, 3. Received: 1 .*'ann'"),
        ([], [], r"of shape \(n,\). Received: shape=\(0,\)"),
        (np.zeros((6, 2)), [0, 1] * 3, r"Received: shape=\(6, 2\)"),
        (["ann", None, "bob", "eve", "", "joe"], [0, 1] * 3, "2 of 6 without one, first in row 1"),
        ([1.0, float("nan"), 2.0], [0, 1, 0], "1 of 3 without one, first in row 1"),
        (["a", float("nan"), "b"], [0, 1, 0], "1 of 3 without one, first in row 1"),
        (SIX, [0, 1] * 2, "Received: 6 samples, 4 labels"),
        (SIX, [0.5] * 6, "dtype=float64"),
        (SIX, [0, 0, 1, 1, 1, 1], r"2 samples of '0', 1 if what stays together counts once"),
    ],
)
def test_what_cannot_be_split_is_refused(groups, y, says):
    with pytest.raises(ValueError, match=says):
        tl.group_split(groups, y)


def test_groups_of_one_class_each_are_split_and_other_numbers_of_classes_too():
    parts = tl.group_split(np.repeat(np.arange(9), 4), np.repeat(np.arange(9) % 3 * 5, 4))
    assert all(len(rows) == 12 for rows in parts)


def test_bad_shares():
    with pytest.raises(ValueError, match="leave something to train on"):
        tl.group_split(SIX, [0, 1] * 3, 0.5, 0.5)


@given(st.lists(st.integers(0, 30)), st.lists(st.integers(0, 30)), st.lists(st.integers(0, 30)))
def test_check_groups_raises_if_and_only_if_a_group_is_on_two_sides(one, two, three):
    torn = set(one) & set(two) | set(one) & set(three) | set(two) & set(three)
    if not torn:
        assert tl.check_groups(train=one, validation=two, test=three) is None
        return
    with pytest.raises(ValueError, match=r"No group may be in two parts") as raised:
        tl.check_groups(train=one, validation=two, test=three)
    assert any(str(group) in str(raised.value) for group in torn)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"train": ["a", "b"], "test": ["b"]}, "Received: 'b' in train and in test"),
        ({"train": range(9), "test": range(9)}, "0, 1, 2, 3, 4 and 4 more in train and in test"),
        ({"train": ["a"]}, r"two or more. Received: \['train'\]"),
        ({"train": ["a"], "test": [None]}, "`test` must name a group.*1 of 1"),
    ],
)
def test_what_check_groups_says(parts, says):
    with pytest.raises(ValueError, match=says):
        tl.check_groups(**parts)


def test_a_group_is_read_from_the_path():
    find = tl.group_by(r"_(p\d+)_")
    assert find(Path("ill/left_p07_2.png")) == find(Path("well/right_p07_1.png")) == "p07"
    assert tl.group_by(r"p\d+")(Path("ill/p1.png")) == "p1"
    for nothing in (r"q\d+", r"_(x?)"):
        with pytest.raises(ValueError, match=r"Received: .* which finds nothing in ill/left_p07"):
            tl.group_by(nothing)(Path("ill/left_p07_2.png"))


@pytest.mark.parametrize("pattern", [None, "", 7])
def test_an_expression_is_asked_for(pattern):
    with pytest.raises(ValueError, match=r"finds whose each picture is. Received: group=.*patient"):
        tl.group_by(pattern)
