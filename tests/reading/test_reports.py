"""Reports on several labels and on numbers, against formulas written out here."""

import json

from tlhelpers.models.heads import build_classifier
from tlhelpers.reading.calibration import calibrate
from tlhelpers.reading.evaluation import Report, evaluate
from tlhelpers.reading.multilabel import LabelsReport
from tlhelpers.reading.regression import NumbersReport

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import base_named

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3)).astype("float32")
TAGS = (X + RNG.normal(size=X.shape) > 0).astype("int64")
NUMBERS = (X[:, :2] * [2, 30] + RNG.normal(size=(50, 2))).astype("float32")
NAMES = ["sun", "sea", "sand"]


def passing(width=3, activation=None):
    """A model whose outputs are its first inputs, as they are or behind an activation."""
    layer = keras.layers.Dense(width, activation, kernel_initializer="identity")
    return keras.Sequential([keras.Input((3,)), layer])


def auc_by_hand(y, score):
    pairs = [(a > b) + (a == b) / 2 for a in score[y == 1] for b in score[y == 0]]
    return np.mean(pairs)


def average_precision_by_hand(y, score):
    order = np.argsort(-score)
    hits = np.cumsum(y[order])
    return (hits / np.arange(1, len(y) + 1))[y[order] == 1].mean()


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_labels_against_their_formulas(activation):
    report = evaluate(passing(3, activation), X, TAGS, NAMES, task="multilabel")
    assert isinstance(report, LabelsReport)
    assert report.outputs_were == ("probabilities" if activation else "logits")
    said = X > 0
    np.testing.assert_array_equal(report.predictions, said)
    assert report.exact_match == (said == TAGS).all(axis=1).mean()
    assert report.hamming_loss == pytest.approx((said != TAGS).mean())
    rows = [tuple(row) for row in TAGS]
    assert report.majority_match == max(rows.count(row) for row in rows) / 50
    for i, name in enumerate(NAMES):
        scores, both = report.per_class[name], (said[:, i] & (TAGS[:, i] == 1)).sum()
        precision, recall = both / said[:, i].sum(), both / TAGS[:, i].sum()
        assert scores["precision"] == pytest.approx(precision)
        assert scores["recall"] == pytest.approx(recall)
        assert scores["f1"] == pytest.approx(2 * precision * recall / (precision + recall))
        assert scores["auc"] == pytest.approx(auc_by_hand(TAGS[:, i], X[:, i]))
        by_hand = average_precision_by_hand(TAGS[:, i], X[:, i])
        assert scores["average_precision"] == pytest.approx(by_hand)
        assert scores["support"] == TAGS[:, i].sum()
    assert report.auc == pytest.approx(np.mean([s["auc"] for s in report.per_class.values()]))
    right, all_said = (said & (TAGS == 1)).sum(), said.sum()
    assert report.micro["precision"] == pytest.approx(right / all_said)
    assert report.micro["recall"] == pytest.approx(right / TAGS.sum())


def test_a_label_without_samples_has_no_rank_and_does_not_count():
    tags = TAGS * [1, 1, 0]
    report = evaluate(passing(), X, tags, NAMES, task="multilabel")
    assert np.isnan(report.per_class["sand"]["auc"]) and "| - |" in report.to_markdown()
    assert json.loads(report.to_json())["per_class"]["sand"]["auc"] is None
    assert report.recall == np.mean([report.per_class[n]["recall"] for n in NAMES[:2]])
    always = evaluate(passing(1), X, np.ones((50, 1), int), task="multilabel")
    assert np.isnan(always.auc) and always.average_precision == 1


@pytest.mark.parametrize("width", [1, 2])
def test_numbers_against_their_formulas(width):
    y = NUMBERS[:, :width]
    report = evaluate(passing(width), X, y, task="regression")
    assert isinstance(report, NumbersReport)
    wrong = X[:, :width].astype("float64") - y
    r2 = 1 - (wrong**2).sum(axis=0) / ((y - y.mean(axis=0, dtype="float64")) ** 2).sum(axis=0)
    assert report.mae == pytest.approx(np.abs(wrong).mean())
    assert report.rmse == pytest.approx(np.sqrt((wrong**2).mean(axis=0)).mean())
    assert report.r2 == pytest.approx(r2.mean()) and len(report.per_target) == width
    assert report.mean["rmse"] == pytest.approx(y.std(axis=0, dtype="float64").mean())
    for name in ("mae", "rmse", "r2"):
        low, high = report.intervals[name]
        assert low < getattr(report, name) < high


def test_the_interval_of_an_error_is_as_wide_as_theory_says():
    n = 4000
    noise = np.random.default_rng(1).normal(size=(n, 1)).astype("float32")
    report = evaluate(passing(1), np.zeros((n, 3), "float32"), noise, task="regression")
    low, high = report.intervals["mae"]  # the mean of n values, of this deviation
    assert high - low == pytest.approx(2 * 1.96 * np.abs(noise).std() / np.sqrt(n), rel=0.15)
    assert report.r2 == pytest.approx(0, abs=2e-3)


def test_what_never_varies_has_no_r2():
    report = evaluate(passing(1), X, np.ones(50), task="regression")
    assert np.isnan(report.r2) and json.loads(report.to_json())["r2"] is None
    assert report.mean == {"mae": 0, "rmse": 0}


def head_of(task):
    return build_classifier(base_named(), 3, task=task)


IMAGES = RNG.integers(0, 256, (10, 12, 12, 3)).astype("uint8")
FOUND = {  # how the task is known, without a word: model, inputs, labels, kind of report
    "head, labels": (lambda: head_of("multilabel"), IMAGES, TAGS[:10], LabelsReport),
    "head, numbers": (lambda: head_of("regression"), IMAGES, X[:10], NumbersReport),
    "head, classes": (lambda: head_of("multiclass"), IMAGES, np.arange(10) % 3, Report),
    "sigmoids, labels": (lambda: passing(3, "sigmoid"), X, TAGS, LabelsReport),
    "sigmoids, classes": (lambda: passing(3, "sigmoid"), X, np.arange(50) % 3, Report),
    "loss of numbers": (lambda: compiled(passing(1), "mse"), X, NUMBERS[:, 0], NumbersReport),
    "loss of labels": (lambda: compiled(passing(3), "binary_crossentropy"), X, TAGS, LabelsReport),
    "mse on a sigmoid": (lambda: compiled(passing(1, "sigmoid"), "mse"), X, TAGS[:, 0], Report),
}  # fmt: skip


def compiled(model, loss):
    model.compile("sgd", loss)
    return model


@pytest.mark.parametrize("case", FOUND)
def test_the_task_is_found(case):
    make, x, y, kind = FOUND[case]
    report = evaluate(make(), x, y)
    assert isinstance(report, kind)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    again = evaluate(make(), dataset)
    assert type(again) is kind and str(again) == str(report)


def test_a_model_without_a_graph_is_told_its_task():
    class Own(keras.Model):
        def call(self, x):
            return x

    assert evaluate(Own(), X, TAGS, task="multilabel").outputs_were == "logits"
    assert evaluate(Own(), X, X, task="regression").r2 == 1


def test_reports_read_alike(tmp_path):
    for report in (
        evaluate(passing(), X, TAGS, NAMES, task="multilabel"),
        evaluate(passing(2), X, NUMBERS, ["age", "size"], task="regression"),
        evaluate(passing(), X, np.arange(50) % 3, NAMES),
    ):
        lines = report.to_markdown().splitlines()
        assert len({line.count("|") for line in lines[:5]}) == 1 and "---|" in lines[1]
        assert report._repr_markdown_() == report.to_markdown() and repr(report) == str(report)
        report.to_json(tmp_path / "r.json")
        parsed = json.loads((tmp_path / "r.json").read_text())
        assert not {"labels", "probabilities", "predicted"} & set(parsed)
        assert parsed["samples"] == 50


BAD = [
    (passing(), TAGS[:, :2], "multilabel", r"`y` must be numbers of shape \(50, 3\).*Received"),
    (passing(), TAGS * 2, "multilabel", r"`y` must be 0 or 1.*Received"),
    (passing(2), NUMBERS * np.nan, "regression", r"`y` must be finite.*Received"),
    (passing(), TAGS, "tags", r"`task` must be one of.*Received: task='tags'"),
    (passing(), TAGS, None, r"one class for each sample.*Received.*multilabel.*task="),
]


@pytest.mark.parametrize(("model", "y", "task", "message"), BAD)
def test_bad_input(model, y, task, message):
    with pytest.raises(ValueError, match=message):
        evaluate(model, X, y, task=task)
    with pytest.raises(ValueError, match=r"`x` must be finite. Received: NaN .* in sample 0"):
        evaluate(passing(2), X * np.nan, NUMBERS, task="regression")


def test_one_temperature_is_for_classes():
    model = compiled(passing(), "binary_crossentropy")
    with pytest.raises(ValueError, match=r"`model` must give each sample one class\. Received"):
        calibrate(model, X, TAGS)
