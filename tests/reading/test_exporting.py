"""What is exported predicts what the model does, carries no optimizer, or isn't there at all."""

import importlib.util
import json
import logging

from tlhelpers.models.heads import build_classifier, build_text_classifier
from tlhelpers.reading import exporting
from tlhelpers.reading.classifiers import Classifier
from tlhelpers.reading.exporting import export

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import TinyBert, base_named, tokens

X = np.random.default_rng(0).integers(0, 256, (6, 12, 12, 3)).astype("float32")
NAMES = ["cat", "dog", "hen"]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    model = build_classifier(base_named(), 3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(), loss)
    model.fit(X, np.arange(6) % 3, verbose=0)
    return model


def stored_numbers(folder):
    stored = tf.train.list_variables(str(folder / "variables/variables"))
    return sum(int(np.prod(shape)) for name, shape in stored if "VARIABLE_VALUE" in name)


def test_a_saved_model_predicts_the_same_and_holds_no_optimizer(model, tmp_path):
    folder = export(model, tmp_path / "served", class_names=NAMES, sample=X)
    served = tf.saved_model.load(str(folder))
    np.testing.assert_allclose(served.serve(X), model.predict(X, verbose=0), atol=1e-5)
    assert json.loads((folder / "class_names.json").read_text()) == NAMES
    fresh = keras.models.clone_model(model)  # never compiled
    assert stored_numbers(folder) == stored_numbers(export(fresh, tmp_path / "fresh"))
    assert model.optimizer is not None and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("format", ["saved_model", "tflite"])
def test_nothing_is_said_where_tensorflow_would_in_a_notebook(model, tmp_path, format):
    told, logger = [], logging.getLogger("tensorflow")
    handler, level = logging.Handler(), logger.level
    handler.emit = lambda record: told.append(record.getMessage())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)  # as it is in an interactive shell
    try:
        export(model, tmp_path / f"it{'.tflite' * (format == 'tflite')}", format=format)
        assert logger.level == logging.INFO
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert told == []


def test_a_phones_file_predicts_the_same(model, tmp_path):
    path = export(Classifier(model, None, tuple(NAMES)), tmp_path / "m.tflite", "tflite")
    runner = tf.lite.Interpreter(str(path)).get_signature_runner()
    (found,) = runner(**{next(iter(runner.get_input_details())): X}).values()
    np.testing.assert_allclose(found, model.predict(X, verbose=0), atol=1e-4)
    assert json.loads((tmp_path / "m.tflite.json").read_text()) == NAMES
    assert path.stat().st_size < 8 * model.count_params() + 60_000


def test_a_sequential_model_with_one_logit_is_exported_with_two_names(tmp_path):
    layers = [keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)]
    folder = export(keras.Sequential(layers), tmp_path / "m", class_names=np.array(["no", "yes"]))
    assert json.loads((folder / "class_names.json").read_text()) == ["no", "yes"]


def test_names_of_an_earlier_file_do_not_stay(tmp_path):
    path = tmp_path / "m.tflite"
    for names in (["a", "b"], None):
        layers = [keras.Input((4,)), keras.layers.Dense(2)]
        export(keras.Sequential(layers), path, "tflite", class_names=names)
        assert (tmp_path / "m.tflite.json").exists() == (names is not None)


@pytest.mark.parametrize("format", ["saved_model", "tflite"])
def test_a_text_model_is_exported_by_its_tokens(format, tmp_path):
    pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
    model = build_text_classifier(TinyBert(), 2, sequence_length=6)
    assert export(model, tmp_path / f"m{exporting._ENDINGS[format]}", format, sample=tokens(3))


@pytest.mark.parametrize("format", ["saved_model", "tflite"])
def test_predictions_that_differ_leave_nothing(model, tmp_path, monkeypatch, format):
    run = exporting._RUN[format]
    monkeypatch.setitem(exporting._RUN, format, lambda path, x: np.asarray(run(path, x)) + 1)
    path = tmp_path / f"m{exporting._ENDINGS[format]}"
    with pytest.raises(ValueError, match=r"must predict the same.*Received: predictions up to 1 a"):
        export(model, path, format, class_names=NAMES)
    assert not list(tmp_path.iterdir())


def test_what_a_format_cannot_do_is_one_sentence(model, tmp_path, monkeypatch):
    def broken(path, x):
        raise RuntimeError("no such operation")

    monkeypatch.setitem(exporting._RUN, "tflite", broken)
    with pytest.raises(ValueError, match=r"operations that 'tflite' knows.*Received.*no such op"):
        export(model, tmp_path / "m.tflite", "tflite")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"Received: format='onnx', without.*pip install tf2onnx"):
        export(model, tmp_path / "m.onnx", "onnx")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"must be TensorFlow for `export`\. Received.*'jax'"):
        export(model, tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_bad_requests(model, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("years of work")
    for path, format, message in [
        ("full", "saved_model", "`path` must be new.*Received"),
        ("m.onnx", "tflite", r"`path` must end in \.tflite.*Received"),
        ("m.tflite", "saved_model", r"`path` must end in no.*Received"),
        ("m", "pickle", "`format` must be one of.*Received"),
    ]:
        with pytest.raises(ValueError, match=message):
            export(model, tmp_path / path, format)
    with pytest.raises(ValueError, match="list of 3 names"):
        export(model, tmp_path / "m", class_names=["cat"])
    assert (tmp_path / "full/thesis.txt").is_file() and len(list(tmp_path.iterdir())) == 1
