"""Centre maps against closed forms, there and back, and the loss against a second way."""

from tlhelpers.models.centres import CentreLoss, draw_centres, read_centres

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


def test_a_bump_is_the_gaussian_of_its_box():
    drawn = draw_centres(
        [[8, 16, 56, 40]], [1], (64, 64), classes=2
    )  # centre (32, 28): cell (8, 7)
    assert not drawn[..., 0].any() and drawn[7, 8, 1] == 1
    assert drawn[7, 10, 1] == pytest.approx(np.exp(-(2**2) / (2 * 2.0**2)))  # 48 / 4 / 6 = 2 cells
    assert drawn[9, 8, 1] == pytest.approx(np.exp(-(2**2) / (2 * 1.0**2)))  # 24 / 4 / 6 = 1 cell
    logs = np.log([48 / 32, 24 / 32])
    assert drawn[7, 8, 2:] == pytest.approx([*logs, -0.5, -0.5, 1])
    assert np.count_nonzero(drawn[..., 2:].any(axis=-1)) == 1


def test_of_two_bumps_the_higher_counts_and_of_two_centres_in_a_cell_the_smaller_box():
    boxes = [[0, 0, 16, 16], [4, 4, 12, 12], [16, 0, 32, 16]]
    drawn = draw_centres(boxes, [0, 0, 0], (32, 32), classes=1, weights=[1, 0.5, 1])
    assert drawn[2, 2, 1] == pytest.approx(np.log(8 / 32)) and drawn[2, 2, -1] == 0.5
    assert drawn[2, 6, -1] == 1 and drawn[2, 4, 0] == pytest.approx(
        np.exp(-(2**2) / (2 * (4 / 6) ** 2))
    )
    assert drawn[..., 0].max() == 1


def test_a_centre_outside_is_not_drawn():
    assert not draw_centres([[-30, 0, 10, 8], [30, 0, 50, 8]], [0, 0], (32, 32), classes=1).any()


@st.composite
def apart(draw):
    """Up to four boxes, each in a quarter of the picture."""
    boxes, labels = [], []
    for quarter in draw(st.sets(st.integers(0, 3))):
        x, y = (64 * part for part in divmod(quarter, 2))
        wide, high = draw(st.integers(6, 60)), draw(st.integers(6, 60))
        left, top = x + draw(st.integers(0, 63 - wide)), y + draw(st.integers(0, 63 - high))
        boxes.append([left, top, left + wide, top + high])
        labels.append(draw(st.integers(0, 2)))
    return np.array(boxes, float).reshape(-1, 4), np.array(labels, "int64")


@given(apart(), st.sampled_from([2, 4, 8]))
def test_there_and_back(case, stride):
    boxes, labels = case
    drawn = draw_centres(boxes, labels, (128, 128), classes=3, stride=stride)
    logits = np.where(drawn[..., :3] == 1, 2.0, -9.0)
    said = np.concatenate([logits, drawn[..., 3:-1]], axis=-1)
    found, scores, found_labels = read_centres(said, 3, stride)
    assert scores == pytest.approx(np.full(len(boxes), 1 / (1 + np.exp(-2))))
    order, found_order = (np.lexsort(b.T) if len(b) else [] for b in (boxes.round(), found.round()))
    assert found[found_order] == pytest.approx(boxes[order], abs=1e-4)
    assert found_labels[found_order].tolist() == labels[order].tolist()


def test_only_the_highest_of_nine_cells_is_a_centre():
    said = np.full((5, 5, 5), -5.0)
    said[2, 2, 0], said[2, 3, 0], said[0, 4, 0] = 2.0, 1.0, 0.0
    _, scores, _ = read_centres(said, 1, threshold=0.3)
    assert scores == pytest.approx([1 / (1 + np.exp(-2)), 0.5])


def test_the_loss_is_the_formula():
    rng = np.random.default_rng(0)
    true = np.stack([
        draw_centres([[0, 0, 16, 12], [12, 10, 30, 30]], [0, 1], (32, 32), 2, weights=[1, 0]),
        draw_centres([], [], (32, 32), 2),
    ])  # fmt: skip
    said = rng.normal(size=(2, 8, 8, 6)).astype("float32")
    total, centres = 0.0, 0
    for sample, row, column in np.ndindex(2, 8, 8):
        cell, given_ = true[sample, row, column], said[sample, row, column]
        for c in range(2):
            p, t = 1 / (1 + np.exp(-given_[c])), cell[c]
            if t == 1:
                centres += 1
                total -= (1 - p) ** 2 * np.log(p)
            else:
                total -= (1 - t) ** 4 * p**2 * np.log(1 - p)
        total += 3 * cell[-1] * np.sum(np.abs(cell[2:-1] - given_[2:]) * [1, 1, 0.5, 0.5])
    assert centres == 2
    assert float(CentreLoss(size_weight=3.0)(true, said)) == pytest.approx(
        total / centres, rel=1e-5
    )


def test_the_loss_has_a_finite_gradient_also_far_out_and_without_an_object():
    import tensorflow as tf

    true = draw_centres([], [], (32, 32), 1)[None]
    said = tf.Variable(np.linspace(-200, 200, 320).reshape(1, 8, 8, 5).astype("float32"))
    with tf.GradientTape() as tape:
        loss = CentreLoss()(true, said)
    assert np.isfinite(float(loss)) and np.isfinite(tape.gradient(loss, said)).all()


def test_the_loss_is_saved_with_its_weight():
    loss = keras.losses.deserialize(keras.losses.serialize(CentreLoss(size_weight=0.3)))
    assert isinstance(loss, CentreLoss) and loss.size_weight == 0.3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"boxes": [[0, 0, 5, 0]]}, r"top < bottom.*boxes\[0\]"),
        ({"boxes": [[9, 0, 5, 5]]}, "left < right"),
        ({"boxes": [[0, 0, np.nan, 5]]}, "finite"),
        ({"boxes": [0, 0, 5, 5]}, r"\(n, 4\)"),
        ({"labels": [2]}, "below the number"),
        ({"labels": [-1]}, "from 0 on"),
        ({"labels": [0.5]}, "class"),
        ({"labels": [0, 1]}, "for each of 1 boxes"),
        ({"size": (30, 32)}, "multiples of the stride"),
        ({"stride": 0}, "`stride` must be"),
    ],
)
def test_bad_input_is_refused(change, says):
    arguments = {"boxes": [[0, 0, 8, 8]], "labels": [0], "size": (32, 32), "classes": 2, **change}
    with pytest.raises(ValueError, match=f"(?s){says}"):
        draw_centres(**arguments)
