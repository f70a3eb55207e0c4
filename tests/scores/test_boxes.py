"""Overlap, suppression and average precision: hand-made cases, and a slow second implementation."""

import math

from tlhelpers.scores.boxes import (
    average_precision,
    box_grid,
    box_iou,
    match_boxes,
    resampled_ap,
    suppress,
)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

CORNERS = st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 8)] * 2)
BOXES = st.lists(CORNERS, max_size=6).map(
    lambda rows: np.array([[x, y, x + w, y + h] for x, y, w, h in rows], float).reshape(-1, 4)
)


def pixels(box) -> set:
    left, top, right, bottom = map(int, box)
    return {(x, y) for x in range(left, right) for y in range(top, bottom)}


@given(BOXES, BOXES)
def test_the_overlap_is_that_of_the_pixels(a, b):
    overlap = box_iou(a, b)
    assert overlap.shape == (len(a), len(b))
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            shared, joined = pixels(one) & pixels(other), pixels(one) | pixels(other)
            assert overlap[i, j] == pytest.approx(len(shared) / len(joined))


def test_boxes_without_an_area_overlap_nothing():
    assert box_iou([[1, 1, 1, 5]], [[1, 1, 1, 5], [0, 0, 9, 9]]).tolist() == [[0, 0]]


@given(BOXES, st.integers(0, 2**16), st.sampled_from([0.0, 0.3, 0.7]))
def test_what_stays_overlaps_nothing_better_and_the_rest_something(boxes, seed, limit):
    rng = np.random.default_rng(seed)
    scores, labels = rng.permutation(len(boxes)) / 10, rng.integers(0, 2, len(boxes))
    kept = suppress(boxes, scores, limit, labels)
    assert scores[kept].tolist() == sorted(scores[kept], reverse=True)
    for n in range(len(boxes)):
        better = [k for k in kept if scores[k] > scores[n] and labels[k] == labels[n]]
        covered = any(box_iou(boxes[n], boxes[k])[0, 0] > limit for k in better)
        assert (n in kept) != covered


def test_the_second_box_on_one_object_is_wrong():
    true = [[[0, 0, 10, 10], [20, 0, 30, 10]]]
    found = [
        ([[0, 0, 10, 9], [0, 0, 10, 10], [20, 1, 30, 10], [50, 50, 60, 60]], [0.9, 0.8, 0.7, 0.95])
    ]
    matches = match_boxes(found, true, iou=0.5)
    assert matches.scores.tolist() == [0.95, 0.9, 0.8, 0.7]
    assert matches.right.tolist() == [False, True, False, True] and matches.there == 2
    # precision 0, 1/2, 1/3, 1/2 at recall 0, 1/2, 1/2, 1: the best from there on is 1/2, twice
    assert average_precision(matches) == 0.5
    assert matches.at(0.75) == (1 / 3, 1 / 2) and matches.at(0.0) == (0.5, 1.0)
    assert math.isnan(matches.at(0.99)[0]) and matches.at(0.99)[1] == 0


@pytest.mark.parametrize(
    ("right", "there", "score"),
    [
        ([1, 1, 1, 1], 4, 1.0),
        ([1, 1, 0, 0], 4, 0.5),
        ([0, 0, 0], 2, 0.0),
        ([1, 0, 1, 0, 0, 1], 3, (1 + 2 / 3 + 1 / 2) / 3),
        ([0, 1, 1], 2, 2 / 3),  # the dip at the beginning does not count twice
        ([], 3, 0.0),
    ],
)
def test_average_precision_by_hand(right, there, score):
    true = [[[20 * n, 0, 20 * n + 10, 10] for n in range(there)]]
    hits = iter(true[0])
    boxes = [next(hits) if hit else [0, 90, 10, 99] for hit in right]
    found = [(boxes, np.linspace(1, 0.1, len(right)))]
    assert average_precision(match_boxes(found, true, 0.5)) == pytest.approx(score)


def test_without_a_true_box_there_is_no_score():
    assert math.isnan(average_precision(match_boxes([([[0, 0, 1, 1]], [0.5])], [[]], 0.5)))


def slow_average_precision(found, true, iou):
    """Every threshold by itself: match anew, and take the area under the envelope."""
    points = []
    for threshold in sorted({s for _, scores in found for s in scores}, reverse=True):
        hits = claims = 0
        for (boxes, scores), there in zip(found, true, strict=True):
            free = list(range(len(there)))
            rows = sorted(
                zip(scores, range(len(boxes)), strict=True), key=lambda row: (-row[0], row[1])
            )
            for score, n in rows:
                if score < threshold:
                    continue
                claims += 1
                overlaps = [box_iou(boxes[n], t)[0, 0] for t in there]
                best = int(np.argmax(overlaps)) if overlaps else -1
                if best in free and overlaps[best] >= iou:
                    free.remove(best)
                    hits += 1
        points.append((hits / sum(map(len, true)), hits / claims))
    area, before = 0.0, 0.0
    for recall in sorted({r for r, _ in points}):
        area += (recall - before) * max(p for r, p in points if r >= recall)
        before = recall
    return area


@given(st.lists(st.tuples(BOXES, BOXES), min_size=1, max_size=3), st.integers(0, 999))
def test_average_precision_is_that_of_a_slow_second_way(pairs, seed):
    rng = np.random.default_rng(seed)
    total = sum(len(f) for f, _ in pairs)
    scores = iter(rng.permutation(total + 1)[:total] / (total + 1))
    found = [(f, [next(scores) for _ in f]) for f, _ in pairs]
    true = [t for _, t in pairs]
    if sum(map(len, true)):
        fast = average_precision(match_boxes(found, true, 0.3))
        assert fast == pytest.approx(slow_average_precision(found, true, 0.3))


def test_the_interval_holds_the_score_and_narrows_with_more_blocks():
    rng = np.random.default_rng(0)

    def spread(blocks):
        true = [[[100 * n, 0, 100 * n + 10, 10] for n in range(blocks)]]
        boxes = [b if rng.random() < 0.6 else [b[0], 50, b[2], 60] for b in true[0]]
        matches = match_boxes([(boxes, rng.random(blocks))], true, 0.5)
        low, high = np.percentile(resampled_ap([matches], block=100), [2.5, 97.5])
        assert low < average_precision(matches) < high
        return high - low

    assert spread(400) < spread(40) / 2


def test_one_block_leaves_nothing_to_draw():
    matches = match_boxes([([[0, 0, 9, 9], [50, 50, 60, 60]], [0.9, 0.95])], [[[0, 0, 9, 9]]], 0.5)
    assert set(resampled_ap([matches], block=1000)) == {average_precision(matches)}


def test_a_grid_covers_the_picture_with_equal_boxes():
    boxes = box_grid((50, 100), (20, 10), step=1.0)
    assert len(boxes) == 25 and set(map(tuple, boxes[:, 2:] - boxes[:, :2])) == {(20, 10)}
    assert boxes.min() == 0 and boxes[:, 2].max() == 100 and boxes[:, 3].max() == 50
