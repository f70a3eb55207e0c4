"""The report against scikit-learn, closed forms and `model.evaluate`."""

import json

from tlhelpers.models.ends import kind_of_outputs
from tlhelpers.models.heads import build_classifier
from tlhelpers.reading.calibration import Temperature
from tlhelpers.reading.evaluation import (
    evaluate,
    names_of,
    report_on,
)
from tlhelpers.scores.classification import to_probabilities

import hypothesis.strategies as st
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from sklearn.metrics import accuracy_score, classification_report
from toys import base_named

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(60, 3)) * 3
LABELS = RNG.integers(0, 3, 60)


def test_scores_against_scikit_learn():
    report = report_on(LOGITS, LABELS, ["a", "b", "c"])
    expected = classification_report(
        LABELS, LOGITS.argmax(1), target_names=["a", "b", "c"], output_dict=True
    )
    assert report.accuracy == pytest.approx(accuracy_score(LABELS, LOGITS.argmax(1)))
    for name in "abc":
        assert report.per_class[name]["precision"] == pytest.approx(expected[name]["precision"])
        assert report.per_class[name]["f1"] == pytest.approx(expected[name]["f1-score"])
    assert report.recall == pytest.approx(expected["macro avg"]["recall"])
    assert report.confusion.sum() == 60 and np.trace(report.confusion) == report.accuracy * 60


def test_logits_and_their_probabilities_give_one_report():
    probabilities, were = to_probabilities(LOGITS)
    assert were == "logits"
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(LOGITS))
    assert np.allclose(probabilities, expected, atol=1e-6)
    again = report_on(probabilities, LABELS)
    assert again.outputs_were == "probabilities"
    assert again.to_json().replace("probabilities", "logits") == report_on(LOGITS, LABELS).to_json()


def test_one_column_is_a_binary_task():
    logits = np.array([-2.0, 3.0, 0.5, -0.1])
    labels = np.array([0, 1, 0, 0])
    report = report_on(logits[:, None], labels)
    assert report.accuracy == 0.75 and report.confusion.tolist() == [[2, 1], [0, 1]]
    sigmoid = 1 / (1 + np.exp(-logits))
    assert np.allclose(report.probabilities[:, 1], sigmoid)
    assert np.allclose(report_on(sigmoid, labels).probabilities, report.probabilities)


def test_a_missing_class_is_said_and_not_counted():
    report = report_on(LOGITS[LABELS < 2], LABELS[LABELS < 2], ["a", "b", "c"])
    assert report.missing_classes == ("c",) and "no sample of: c" in str(report)
    assert report.recall == pytest.approx(np.mean([report.per_class[n]["recall"] for n in "ab"]))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(2, 5), st.integers(1, 30), st.integers(0, 1000))
def test_every_report_is_consistent(classes, samples, seed):
    rng = np.random.default_rng(seed)
    report = report_on(rng.normal(size=(samples, classes)), rng.integers(0, classes, samples))
    low, high = report.accuracy_interval
    assert 0 <= low <= high <= 1 and 0 <= report.calibration_error <= 1
    assert report.confusion.sum() == report.samples == samples
    parsed = json.loads(report.to_json())
    assert parsed["accuracy"] == report.accuracy
    assert len(report.to_markdown().splitlines()) >= classes + 4


def model_and_data():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(True), metrics=["accuracy"])
    return model, LOGITS.astype("float32"), LABELS


def test_agrees_with_keras():
    model, x, y = model_and_data()
    assert evaluate(model, x, y).accuracy == pytest.approx(model.evaluate(x, y, verbose=0)[1])


def test_a_shuffling_dataset_is_evaluated_in_one_pass():
    model, x, y = model_and_data()
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(60).batch(7)
    assert evaluate(model, dataset).accuracy == evaluate(model, x, y).accuracy


def test_the_logits_of_a_model_are_known_from_its_last_layer():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    x = np.array([[0.1], [0.2], [0.3]], "float32")  # logits that look like probabilities
    report = evaluate(model, x, np.array([1, 1, 1]))
    assert report.outputs_were == "logits" and report.accuracy == 1


def behind_logits(*layers):
    """A classifier with one logit, and more behind it, inside the nested model and outside."""
    dense = keras.layers.Dense(1, kernel_initializer="ones")
    inner = keras.Sequential([keras.Input((1,)), dense, *layers[:1]])
    inputs = x = keras.Input((1,))
    for part in (inner, *layers[1:]):
        x = part(x)
    return keras.Model(inputs, x)


KEPT = [
    (),
    (keras.layers.Identity(), keras.layers.Dropout(0.5)),
    (keras.layers.Activation("linear"), keras.layers.Reshape((1,))),
    (Temperature(2.0),),
    (keras.layers.Identity(), Temperature(2.0), lambda z: keras.ops.cast(z, "float32")),
]


@pytest.mark.parametrize("layers", KEPT)
def test_logits_stay_logits_behind_what_keeps_their_kind(layers):
    model, x = behind_logits(*layers), np.array([[0.1], [0.2], [0.3]], "float32")
    report = evaluate(model, x, np.array([1, 1, 1]))
    assert kind_of_outputs(model) == report.outputs_were == "logits"


@pytest.mark.parametrize(
    ("layers", "kind"),
    [
        ((keras.layers.Softmax(), keras.layers.Dropout(0.1)), "probabilities"),
        ((keras.layers.Activation("sigmoid"), keras.layers.Identity()), "probabilities"),
        ((keras.layers.Identity(), lambda z: keras.ops.sigmoid(z)), "probabilities"),
        ((keras.layers.ReLU(),), None),
        ((keras.layers.Identity(), lambda z: keras.ops.exp(z)), None),
        ((keras.layers.Identity(), lambda z: keras.ops.add(z, z)), None),
    ],
)
def test_what_follows_the_last_layer_that_learns_decides(layers, kind):
    assert kind_of_outputs(behind_logits(*layers)) == kind


def test_an_image_model_behind_a_softmax_gives_probabilities():
    inner = build_classifier(base_named(), 3)
    images = keras.Input((12, 12, 3))
    model = keras.Model(images, keras.layers.Softmax()(inner(images)))
    x = np.random.default_rng(0).integers(0, 256, (4, 12, 12, 3)).astype("uint8")
    report = evaluate(model, x, np.array([0, 1, 2, 0]))
    assert kind_of_outputs(inner) == "logits" and report.outputs_were == "probabilities"
    assert np.allclose(report.probabilities, model.predict(x, verbose=0), atol=1e-6)


def test_a_softmax_in_half_precision_is_not_taken_twice():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Softmax(dtype="bfloat16")])
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3), model])
    x = LOGITS.astype("float32")
    report = evaluate(model, x, LABELS)
    halves = np.asarray(keras.ops.cast(model(x), "float32"))
    assert np.abs(halves.sum(axis=1) - 1).max() > 1e-3  # what hid them
    assert report.outputs_were == "probabilities"
    assert np.allclose(report.probabilities, halves, atol=0.01)


def test_the_values_decide_for_a_model_without_a_graph():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return keras.ops.softmax(self.dense(x))

    report = evaluate(Subclassed(), LOGITS.astype("float32"), LABELS)
    assert report.outputs_were == "probabilities"


def test_batches_of_another_length_are_refused():
    tokens = keras.Input((4,), name="tokens")
    model = keras.Model({"tokens": tokens}, keras.layers.Dense(2)(tokens))
    x, y = {"tokens": np.ones((3, 6), "float32")}, np.array([0, 1, 0])
    for data in ((x, y), (tf.data.Dataset.from_tensor_slices((x, y)).batch(2),)):
        with pytest.raises(ValueError, match=r"tokens of shape \(n, 4\) is required.*Received"):
            evaluate(model, *data)


@pytest.mark.parametrize(
    "names",
    [{"a", "b"}, frozenset("ab"), "ab", b"ab", {0: "a", 1: "b"}, 2, iter(["a", "b"]),
     np.array("ab"), np.array([["a", "b"]])],
)  # fmt: skip
def test_what_is_no_list_of_names_is_refused(names):
    with pytest.raises(
        ValueError, match=r"must be a list of 2 names.*Received: class_names=.*List"
    ):
        names_of(names, 2)


def test_names_are_compared_as_they_are_shown():
    with pytest.raises(
        ValueError, match=r"different as text\. Received: class_names=\[1, '1'\]\. L"
    ):
        names_of([1, "1"], 2)
    for names in (["a", "b"], ("a", "b"), np.array(["a", "b"])):
        assert names_of(names, 2) == ("a", "b")
    assert names_of(range(2), 2) == names_of(None, 2) == ("0", "1")


BAD = [
    ((LOGITS, np.eye(3)[LABELS]), "one-hot"),
    ((LOGITS, LABELS + 1), "0..2"),
    ((LOGITS, LABELS[:-1]), "One label"),
    ((LOGITS * np.nan, LABELS), "`outputs` must be finite. Received"),
    ((LOGITS[:0], LABELS[:0]), "Received"),
    ((LOGITS, LABELS, ["a", "b"]), "list of 3 names.*Received: class_names="),
    ((LOGITS, LABELS, ["a", "b", "a"]), "different"),
    ((LOGITS, LABELS.astype(str)), "dtype"),
    (
        (LOGITS, np.ones((60, 3), int)),
        "`y` must be one class for each sample.*Received.*multilabel",
    ),
    ((LOGITS[:, :1], LABELS + 0.5), "`y` must be one class for each sample.*Received.*regression"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        report_on(*arguments)


def test_labels_beside_a_dataset_are_refused():
    model, x, y = model_and_data()
    with pytest.raises(ValueError, match=r"`y` must be left out.*own labels\. Received: y.*pairs"):
        evaluate(model, tf.data.Dataset.from_tensor_slices((x, y)).batch(7), y)


def test_an_endless_and_an_empty_dataset_are_called_so():
    model, x, y = model_and_data()
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(7)
    with pytest.raises(ValueError, match=r"Received: an endless dataset\. Use x\.take"):
        evaluate(model, dataset.repeat())
    with pytest.raises(ValueError, match="Received: an empty dataset"):
        evaluate(model, dataset.take(0))


def test_a_batch_size_may_be_a_number_of_numpy():
    model, x, y = model_and_data()
    assert evaluate(model, x, y, batch_size=np.int64(7)).accuracy == evaluate(model, x, y).accuracy
    with pytest.raises(ValueError, match=r"`batch_size` must be a whole number.*Received"):
        evaluate(model, x, y, batch_size=0)
