"""Scores of masks against scikit-learn's, and what happens where a class is not there."""

import json

from tlhelpers.reading.figures import describe_figure
from tlhelpers.reading.masks import compare_masks, evaluate_masks, plot_masks

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score

RNG = np.random.default_rng(0)
NAMES = ["tissue", "round", "long"]
X = RNG.integers(0, 256, (3, 8, 6, 3)).astype("uint8")
MASKS = RNG.integers(0, 3, (3, 8, 6))


def brightest():
    """A model whose class of a pixel is its brightest channel."""
    images = keras.Input((8, 6, 3))
    return keras.Model(images, keras.layers.Rescaling(1.0)(images))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), classes=st.integers(2, 6), ignored=st.booleans())
def test_scores_are_those_of_scikit_learn(seed, classes, ignored):
    rng = np.random.default_rng(seed)
    truth, guess = rng.integers(0, classes, (2, 2, 7, 5))
    counts = rng.random(truth.shape) > 0.2 if ignored else np.ones(truth.shape, bool)
    given_masks = np.where(counts, truth, 255)
    names = [str(number) for number in range(classes)]
    report = compare_masks(guess, given_masks, names, 255 if ignored else None)
    y, p = truth[counts], guess[counts]
    there = np.unique(y)
    options = {"labels": there, "average": None, "zero_division": 0.0}
    iou, dice = jaccard_score(y, p, **options), f1_score(y, p, **options)
    for number, a, b in zip(there, iou, dice, strict=True):
        scores = report.per_class[str(number)]
        assert np.isclose(scores["iou"], a) and np.isclose(scores["dice"], b)
        assert np.isclose(scores["share"], np.mean(y == number))
    assert np.isclose(report.mean_iou, iou.mean()) and np.isclose(report.mean_dice, dice.mean())
    assert np.isclose(report.pixel_accuracy, accuracy_score(y, p)) and report.pixels == len(y)
    assert np.array_equal(report.confusion, confusion_matrix(y, p, labels=range(classes)))
    largest = np.full(len(y), np.bincount(y).argmax())
    baseline = jaccard_score(y, largest, labels=there, average="macro")
    assert np.isclose(report.majority_iou, baseline)


def test_a_model_s_masks_are_those_of_its_largest_logit():
    report = evaluate_masks(brightest(), X, MASKS, NAMES, batch_size=2)
    assert np.array_equal(report.predicted, X.argmax(-1)) and report.pictures == 3
    assert report.mean_iou == compare_masks(X.argmax(-1), MASKS, NAMES).mean_iou


def test_pictures_without_any_object_have_finite_scores():
    empty = np.zeros_like(MASKS)
    report = compare_masks(empty, empty, NAMES)
    assert report.mean_iou == report.mean_dice == report.majority_iou == 1
    assert report.missing_classes == ("round", "long")
    assert np.isnan(report.per_class["long"]["iou"])
    seen = compare_masks(np.where(MASKS == 2, 2, 0), empty, NAMES)  # what isn't there, was seen
    assert seen.per_class["long"]["iou"] == 0 and seen.mean_iou == np.mean(MASKS != 2)
    kept = json.loads(report.to_json())
    assert kept["per_class"]["long"]["iou"] is None and "predicted" not in kept


def test_a_report_prints_as_the_others_do():
    report = evaluate_masks(brightest(), X, MASKS, NAMES)
    lines = report.to_markdown().splitlines()
    assert lines[0] == "| class | IoU | Dice | pixels |" and lines[2].startswith("| tissue | 0.")
    assert str(report).startswith(f"mean IoU {report.mean_iou:.3f} (always the largest class: 0.")


@pytest.mark.parametrize(
    ("masks", "says"),
    [
        (MASKS[:, :4], r"`masks` must have shape \(3, 8, 6\).*Received: shape=\(3, 4, 6\)"),
        (MASKS[:2], r"shape=\(2, 8, 6\)"),
        (X, r"shape=\(3, 8, 6, 3\). Turn colours into the number"),
        (MASKS + 1, r"whole numbers in 0..2. Received: \[3\] in mask 0.*ignore=255"),
        (np.where(np.arange(3)[:, None, None] == 2, 255, MASKS), r"\[255\] in mask 2"),
        (MASKS / 2, "Received: float64"),
        (MASKS - 1.0, r"\[-1.0\] in mask"),
    ],
)
def test_masks_that_do_not_fit_are_refused(masks, says):
    with pytest.raises(ValueError, match=says):
        evaluate_masks(brightest(), X, masks, NAMES)


def test_other_bad_arguments():
    with pytest.raises(ValueError, match="a list of 3 names"):
        evaluate_masks(brightest(), X, MASKS, NAMES[:2])
    vectors = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"one output \(n, height, width, classes\)"):
        evaluate_masks(vectors, X, MASKS, NAMES)
    with pytest.raises(ValueError, match="`predicted` must have shape"):
        compare_masks(MASKS[:1], MASKS, NAMES)
    with pytest.raises(ValueError, match=r"a pixel that counts. Received: 255 in all of 144"):
        compare_masks(MASKS, np.full_like(MASKS, 255), NAMES, ignore=255)


def test_a_figure_shows_each_mask_over_its_picture():
    figure = plot_masks(X[:2], {"true": MASKS[:2], "predicted": 0 * MASKS[:2]}, NAMES)
    assert len(figure.axes) == 6
    overlay = figure.axes[1].images[1].get_array()
    assert np.array_equal(overlay[..., 3] == 0, MASKS[0] == 0)  # the background has no colour
    said = describe_figure(figure)
    share = (MASKS[:2] == 1).mean()
    assert "2 pictures under masks" in said and f"round {share:.3f}" in said
    with pytest.raises(ValueError, match="`true` must have shape"):
        plot_masks(X[:2], {"true": MASKS}, NAMES)
