"""One temperature: the right one, changing no decision, part of the model that is saved."""

import subprocess
import sys

from tlhelpers.reading.calibration import Temperature, calibrate, fit_temperature
from tlhelpers.reading.evaluation import evaluate, report_on

import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from hypothesis import given, settings


def softmax(logits):
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def drawn(n=4000, classes=3, seed=0):
    """Labels that are drawn from the probabilities themselves: these are calibrated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes)) * 1.5
    return logits, np.array([rng.choice(classes, p=p) for p in softmax(logits)])


LOGITS, LABELS = drawn()


@settings(max_examples=15)
@given(st.floats(0.2, 8))
def test_the_factor_by_which_a_model_is_too_sure_is_found(factor):
    right = fit_temperature(softmax(LOGITS), LABELS)
    assert right == pytest.approx(1, abs=0.06)
    assert fit_temperature(softmax(LOGITS * factor), LABELS) == pytest.approx(factor * right, 1e-3)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("right", [0.6, 0.75, 0.95])
def test_the_temperature_of_one_confidence_makes_it_the_accuracy(classes, right):
    """Logits of z and else 0 are right so often: softmax(z / T) = right where T is the best."""
    labels = np.arange(100) % classes
    z = 3 * np.eye(classes)[np.where(np.arange(100) < 100 * right, labels, (labels + 1) % classes)]
    best = 3 / np.log(right * (classes - 1) / (1 - right))
    assert fit_temperature(softmax(z), labels) == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize("temperature", [0, -1.0, np.nan, np.inf, "1", True])
def test_a_temperature_is_above_0(temperature):
    with pytest.raises(ValueError, match=r"`temperature` must be .* above 0\. Received: temp"):
        Temperature(temperature)


def test_it_is_the_minimum_of_the_cross_entropy():
    def loss(temperature):
        p = softmax(LOGITS * 3 / temperature)
        return -np.log(p[np.arange(len(LABELS)), LABELS]).mean()

    best = fit_temperature(softmax(LOGITS * 3), LABELS)
    assert loss(best) < min(loss(best * 1.02), loss(best / 1.02), loss(1))


def passes_on(outputs, activation=None):
    model = keras.Sequential([keras.Input((outputs,)),
                              keras.layers.Dense(outputs, activation=activation)])  # fmt: skip
    model.layers[0].set_weights([4 * np.eye(outputs), np.zeros(outputs)])
    return model


def test_a_calibrated_model_is_a_model(tmp_path):
    model, x = passes_on(3), LOGITS.astype("float32")
    before = evaluate(model, x, LABELS)
    calibrated = calibrate(model, x[:2000], LABELS[:2000])
    after = evaluate(calibrated, x[2000:], LABELS[2000:])
    assert calibrated.get_layer("temperature").temperature == pytest.approx(4, rel=0.1)
    assert after.outputs_were == "logits"
    assert after.calibration_error < 0.05 < 0.15 < before.calibration_error
    assert np.array_equal(after.predictions, before.predictions[2000:])
    calibrated.save(tmp_path / "calibrated.keras")
    np.save(tmp_path / "expected.npy", calibrated.predict(x[:8], verbose=0))
    np.save(tmp_path / "x.npy", x[:8])
    code = (
        "import tlhelpers, keras, numpy as np; m = keras.models.load_model('calibrated.keras');"
        "assert np.array_equal(m.predict(np.load('x.npy'), verbose=0), np.load('expected.npy'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_calibrated_model_is_calibrated_again(tmp_path):
    x = LOGITS.astype("float32")
    once = calibrate(passes_on(3), x[:500], LABELS[:500])
    once.save(tmp_path / "once.keras")
    expected = calibrate(passes_on(3), x[500:], LABELS[500:])
    wanted = expected.get_layer("temperature").temperature
    assert wanted != once.get_layer("temperature").temperature
    for model in (once, keras.models.load_model(tmp_path / "once.keras")):
        twice = calibrate(model, x[500:], LABELS[500:])
        assert twice.name == once.name
        assert twice.get_layer("temperature").temperature == pytest.approx(wanted, rel=1e-4)
        assert np.allclose(twice.predict(x, verbose=0), expected.predict(x, verbose=0), rtol=1e-4)


def test_one_logit_is_scaled_as_two_are():
    two = np.stack([np.zeros(len(LOGITS)), LOGITS[:, 0]], axis=1)
    labels = (np.random.default_rng(1).random(len(two)) < softmax(two)[:, 1]).astype(int)
    single = calibrate(passes_on(1), LOGITS[:, :1].astype("float32"), labels)
    expected = fit_temperature(report_on(two * 4, labels, kind="logits").probabilities, labels)
    assert single.get_layer("temperature").temperature == pytest.approx(expected, rel=1e-4)


def test_probabilities_and_samples_without_mistakes_are_refused():
    x = LOGITS.astype("float32")
    with pytest.raises(ValueError, match=r"`model` must end in logits\. Received: probabilities"):
        calibrate(passes_on(3, "softmax"), x, LABELS)
    sure = np.eye(3, dtype="float32")[LABELS]
    with pytest.raises(ValueError, match=r"Received: 0 mistakes in 4000.*more validation samples"):
        calibrate(passes_on(3), sure, LABELS)
    with pytest.raises(ValueError, match="Received: 4000 mistakes"):
        calibrate(passes_on(3), -sure, LABELS)


def test_confidence_that_says_nothing_is_not_taken_for_too_few_mistakes():
    rng = np.random.default_rng(0)
    x, y = 4 * rng.normal(size=(32, 3)).astype("float32"), rng.integers(0, 3, 32)
    x[np.arange(32), y] -= 1  # as sure, and a little more often wrong than by chance
    with pytest.raises(ValueError, match=r"mistakes in 32 .* is unrelated to its correctness.*20"):
        calibrate(passes_on(3), x, y)
    with pytest.raises(ValueError, match=r"mistakes in 4000 .* is next to none.*0\.05"):
        calibrate(passes_on(3), LOGITS.astype("float32") / 1000, LABELS)


def test_a_model_without_a_graph_is_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return 4 * x

    with pytest.raises(ValueError, match="functional or a built Sequential"):
        calibrate(Subclassed(), LOGITS.astype("float32"), LABELS)


ENDS = {
    "layer": lambda z: keras.layers.Softmax()(z),
    "activation": lambda z: keras.layers.Activation("softmax")(z),
    "operation": lambda z: keras.ops.softmax(z),
    "nested": lambda z: keras.Sequential([keras.Input((3,)), keras.layers.Softmax()])(z),
    "sigmoid": lambda z: keras.ops.sigmoid(z),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_softmax_behind_the_last_layer_is_seen(end):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, ENDS[end](passes_on(3)(inputs)))
    x = LOGITS.astype("float32") / 4
    report = evaluate(model, x, LABELS)
    expected = model.predict(x, verbose=0)
    assert report.outputs_were == "probabilities"
    expected /= expected.sum(axis=1, keepdims=True)
    assert np.allclose(report.probabilities, expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"`model` must end in logits\. Received: probabilities"):
        calibrate(model, x, LABELS)
