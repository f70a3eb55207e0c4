"""The loss of masks against closed forms, finite differences and a computation of its own."""

from tlhelpers.tuning.segmentation_loss import SegmentationLoss

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

RNG = np.random.default_rng(0)


def by_hand(masks, logits, dice, ignore=None):
    """One picture after the other, one class after the other."""
    losses = []
    for mask, scores in zip(masks, logits.astype("float64"), strict=True):
        counts = np.ones(mask.shape, bool) if ignore is None else mask != ignore
        mask, scores = mask[counts], scores[counts]
        p = np.exp(scores - scores.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        entropy = -np.log(p[np.arange(len(mask)), mask]).mean()
        overlaps = [
            2 * p[mask == c, c].sum() / (p[:, c].sum() + (mask == c).sum()) for c in np.unique(mask)
        ]
        losses.append(entropy + dice * (1 - np.mean(overlaps)))
    return np.mean(losses)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 99), classes=st.integers(2, 5), dice=st.sampled_from([0, 0.5, 1.0]),
    ignored=st.booleans(), spread=st.sampled_from([0.1, 3, 60]),
)  # fmt: skip
def test_against_a_computation_by_hand(seed, classes, dice, ignored, spread):
    rng = np.random.default_rng(seed)
    masks = rng.integers(0, classes, (2, 5, 4))
    masks[0] = 0  # a picture of background alone
    logits = rng.normal(0, spread, (2, 5, 4, classes)).astype("float32")
    if ignored:
        masks[:, 0] = 255
    loss = SegmentationLoss(dice, 255 if ignored else None)(masks.astype("uint8"), logits)
    expected = by_hand(masks, logits, dice, 255 if ignored else None)
    assert np.isclose(loss, expected, rtol=1e-4, atol=1e-5)


def test_closed_forms():
    masks = RNG.integers(0, 3, (2, 8, 8))
    sure = 50 * np.eye(3, dtype="float32")[masks]
    assert np.isclose(SegmentationLoss()(masks, sure), 0, atol=1e-5)
    wrong = 50 * np.eye(3, dtype="float32")[(masks + 1) % 3]
    assert np.isclose(SegmentationLoss()(masks, wrong), 50 + 1, atol=1e-4)  # no overlap at all
    nothing = np.full((1, 8, 8), 255)
    assert SegmentationLoss(ignore=255)(nothing, sure[:1]) == 0
    assert SegmentationLoss()(masks[..., None], sure) == SegmentationLoss()(masks, sure)


def test_gradient_against_finite_differences():
    import tensorflow as tf

    masks = RNG.integers(0, 3, (1, 3, 3))
    logits = tf.Variable(RNG.normal(size=(1, 3, 3, 3)), dtype="float64")
    loss = SegmentationLoss(dtype="float64")
    with tf.GradientTape() as tape:
        value = loss(masks, logits)
    gradient, step = tape.gradient(value, logits).numpy(), 1e-6
    for place in [(0, 0, 0, 0), (0, 1, 2, 1), (0, 2, 1, 2)]:
        ahead, behind = logits.numpy(), logits.numpy()
        ahead[place] += step
        behind[place] -= step
        slope = (float(loss(masks, ahead)) - float(loss(masks, behind))) / (2 * step)
        assert np.isclose(gradient[place], slope, rtol=1e-4, atol=1e-8)


def test_a_small_class_weighs_more_with_dice():
    """Half of a class of four pixels is missed: cross-entropy hardly sees it."""
    masks = np.zeros((1, 16, 16), int)
    masks[0, :2, :2] = 1
    found, missed = (4 * np.eye(2, dtype="float32")[m] for m in (masks, 0 * masks))
    entropy = [float(SegmentationLoss(0)(masks, x)) for x in (found, missed)]
    both = [float(SegmentationLoss(1)(masks, x)) for x in (found, missed)]
    assert both[1] - both[0] > 5 * (entropy[1] - entropy[0]) > 0


def test_it_is_saved_with_its_settings():
    loss = SegmentationLoss(0.5, ignore=255)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert (again.dice, again.ignore) == (0.5, 255)


def test_bad_arguments():
    with pytest.raises(ValueError, match="`dice` must be a finite number, 0 or above"):
        SegmentationLoss(-1)
