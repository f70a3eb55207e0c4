"""The word error rate against an alignment of our own, and what is refused."""

import tlhelpers as tl

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("jiwer")
WORDS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=5)


def distance(one, two):
    """Return the edit distance of two lists of words (Levenshtein)."""
    row = list(range(len(two) + 1))
    for i, x in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(two, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(WORDS.filter(len), WORDS), min_size=1, max_size=4))
def test_it_is_the_edit_distance_for_each_word(pairs):
    references, found = ([" ".join(part) for part in parts] for parts in zip(*pairs, strict=True))
    report = tl.evaluate_transcripts(found, references, resamples=20)
    wrong = [distance(said, heard) for said, heard in pairs]
    words = sum(len(said) for said, _ in pairs)
    assert report.by_text == wrong and report.words == words and report.texts == len(pairs)
    assert report.error_rate == pytest.approx(sum(wrong) / words)
    assert report.substituted + report.deleted + report.inserted == sum(wrong)


def test_each_kind_of_error_is_counted_and_case_and_points_are_not():
    report = tl.evaluate_transcripts(
        ["The cat sat", "a big dog", "No.", ""], ["the cat sat down", "a dog", "yes", "hm"]
    )
    assert (report.substituted, report.deleted, report.inserted) == (1, 2, 1)
    assert report.by_text == [1, 1, 1, 1] and report.error_rate == 4 / 8
    assert tl.evaluate_transcripts([" HELLO,  world! "], ["Hello world."]).error_rate == 0
    assert tl.evaluate_transcripts(["a b c"], ["d"]).error_rate == 3  # above 1: inventions
    assert tl.evaluate_transcripts(["4"], ["four"]).error_rate == 1  # nothing else is repaired


def test_the_interval_holds_the_rate_shrinks_and_is_the_seed_s():
    rng = np.random.default_rng(0)
    said = ["one two three four"] * 200
    heard = [("one two three four", "one two")[one] for one in rng.integers(0, 2, 200)]
    few, many = (tl.evaluate_transcripts(heard[:n], said[:n]) for n in (20, 200))
    assert few.interval[0] <= few.error_rate <= few.interval[1]
    assert np.ptp(many.interval) < np.ptp(few.interval)
    error = np.sqrt(0.25 * 0.25 / 200)  # of the mean of 200 values 0 or 0.5
    assert np.ptp(many.interval) == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert many == tl.evaluate_transcripts(heard, said) and "200 sounds" in str(many)
    assert many.to_markdown().startswith("| word error rate |")
    assert '"by_text"' in many.to_json()


@pytest.mark.parametrize(
    ("found", "references", "says"),
    [("a", ["a"], "`found` must be a list"), (["a"], "a", "`references` must be a list"),
     (b"ab", ["a"], "found=b'ab'"), (["a"], None, "`references` must.*NoneType"),
     ([None], ["a"], "`found` must be a list of texts.*None"), ([], [], "one or more.*0 and 0"),
     (["a"], ["a", "b"], "1 and 2"), (["a", "b"], ["a", " ... "], r"references\[1\] without")],
)  # fmt: skip
def test_bad_texts_are_refused(found, references, says):
    with pytest.raises(ValueError, match=says):
        tl.evaluate_transcripts(found, references)
    with pytest.raises(ValueError, match="`resamples`"):
        tl.evaluate_transcripts(["a"], ["a"], resamples=3)
