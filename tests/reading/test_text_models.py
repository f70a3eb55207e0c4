"""A text model in its folder: the same predictions in a fresh process, tokenizer included."""

import copy
import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings

from tlhelpers.models.anatomy import find_base
from tlhelpers.models.heads import build_text_classifier
from tlhelpers.reading.calibration import Temperature
from tlhelpers.reading.classifiers import Classifier
from tlhelpers.reading.text_models import load_text_model, save_text_model
from tlhelpers.tuning.describing import describe
from tlhelpers.tuning.freezing import freeze, unfreeze
from tlhelpers.tuning.layerwise import layerwise
from tlhelpers.tuning.lora import add_lora, merge_lora

import keras
import numpy as np
import pytest
from toys import TinyBert, make_preprocessor

keras_hub = pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")

NAMES = ("bad", "good")
TEXTS = ["a fine film", "Films!", "", "  ", "\x00", "日本", "dull " * 100, b"fine", "🎬"]


@pytest.fixture(scope="module")
def parts():
    keras.utils.set_random_seed(0)
    bert = TinyBert(layers=2)
    return build_text_classifier(bert, 2, sequence_length=6), make_preprocessor(6)


@pytest.fixture(scope="module")
def saved(parts, tmp_path_factory):
    """A whole folder, to be copied and damaged."""
    folder = tmp_path_factory.mktemp("models") / "m"
    save_text_model(folder, *parts, NAMES)
    return folder


FRESH = """
import numpy as np
import tlhelpers as tl
model = tl.load_text_model("reviews")
texts = np.load("texts.npy", allow_pickle=True).tolist()
np.save("fresh.npy", model.probabilities(texts))
print(model.classify(texts), model.preprocessor)
"""


def test_a_fresh_process_predicts_the_same(parts, tmp_path):
    here = save_text_model(tmp_path / "reviews", *parts, NAMES)
    np.save(tmp_path / "texts.npy", np.array(TEXTS, object))
    done = subprocess.run([sys.executable, "-c", FRESH], cwd=tmp_path, capture_output=True,
                          text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{here.classify(TEXTS)} TextPreprocessor(6 tokens)\n"
    expected = here.probabilities(TEXTS)
    assert np.array_equal(np.load(tmp_path / "fresh.npy"), expected)
    assert np.isfinite(expected).all() and np.allclose(expected.sum(axis=1), 1)


def test_a_save_replaces_an_earlier_one_whole(parts, tmp_path):
    model, preprocessor = parts
    save_text_model(tmp_path / "m", model, preprocessor, NAMES)
    before = load_text_model(tmp_path / "m").probabilities(TEXTS)
    weight = model.get_layer("head").weights[-1]
    bias = weight.numpy()
    weight.assign(bias + np.array([0.0, 3.0]))
    try:
        save_text_model(tmp_path / "m", model, preprocessor, ("no", "yes"))
    finally:
        weight.assign(bias)
    after = load_text_model(tmp_path / "m")
    assert after.class_names == ("no", "yes")
    assert (after.probabilities(TEXTS)[:, 1] > before[:, 1]).all()
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_failed_save_leaves_the_earlier_one(parts, tmp_path, monkeypatch):
    save_text_model(tmp_path / "m", *parts, NAMES)
    before = load_text_model(tmp_path / "m").probabilities(TEXTS)

    def broken(path):
        raise OSError("disk full")

    monkeypatch.setattr(parts[1].layer, "save_to_preset", broken)
    with pytest.raises(OSError, match="disk full"):
        save_text_model(tmp_path / "m", *parts, NAMES)
    assert np.array_equal(load_text_model(tmp_path / "m").probabilities(TEXTS), before)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def fail_at(monkeypatch, numbers, error):
    """Let `os.replace` fail at these calls, the first being 1."""
    calls, replace = [], os.replace

    def broken(source, target):
        calls.append(source)
        if len(calls) in numbers:
            raise error
        return replace(source, target)

    monkeypatch.setattr(os, "replace", broken)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), PermissionError("in use")])
def test_a_move_that_fails_puts_the_earlier_one_back(parts, saved, tmp_path, monkeypatch, error):
    shutil.copytree(saved, tmp_path / "m")
    before = content(tmp_path)
    fail_at(monkeypatch, [2], error)
    with pytest.raises(type(error)):
        save_text_model(tmp_path / "m", *parts, ("no", "yes"))
    assert content(tmp_path) == before


def test_a_save_killed_between_its_moves_leaves_both_to_be_found(
    parts, saved, tmp_path, monkeypatch
):
    shutil.copytree(saved, tmp_path / "m")
    before = content(tmp_path / "m")
    with monkeypatch.context() as patch:
        fail_at(patch, range(2, 9), KeyboardInterrupt())  # nothing can be put back any more
        with pytest.raises(KeyboardInterrupt):
            save_text_model(tmp_path / "m", *parts, NAMES)
    (left,) = tmp_path.iterdir()
    assert content(left) == before
    with pytest.raises(ValueError, match=f"left the earlier model in '{left}': rename it to 'm'"):
        load_text_model(tmp_path / "m")
    save_text_model(tmp_path / "m", *parts, ("no", "yes"))
    assert load_text_model(tmp_path / "m").class_names == ("no", "yes")
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_what_a_save_killed_at_its_end_leaves_is_cleared(parts, saved, tmp_path):
    shutil.copytree(saved, tmp_path / "m")
    shutil.copytree(saved, tmp_path / ".m.replaced")
    load_text_model(tmp_path / "m")
    save_text_model(tmp_path / "m", *parts, NAMES)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def content(folder):
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_the_users_own_files_are_never_lost(parts, saved, tmp_path):
    (tmp_path / "empty").mkdir()
    save_text_model(tmp_path / "empty", *parts, NAMES)
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    save_text_model(tmp_path / "link", *parts, NAMES)
    assert load_text_model(tmp_path / "empty").class_names == NAMES and not any(
        p.name.startswith(".") for p in tmp_path.iterdir()
    )
    for name in ("notes.txt", "preprocessor/notes.txt", "deep/er/notes.txt"):
        folder = tmp_path / name.replace("/", "-")
        shutil.copytree(saved, folder)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("years of work")
        before = content(folder)
        with pytest.raises(ValueError, match=f"holds something else: {name}. Move it away"):
            save_text_model(folder, *parts, NAMES)
        assert content(folder) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/model.keras").write_bytes(b"another")
    (tmp_path / "file").write_bytes(b"another")
    for name, what in {"mine": "model.keras", "file": "a file"}.items():
        with pytest.raises(ValueError, match=f"holds something else: {what}. Move it away"):
            save_text_model(tmp_path / name, *parts, NAMES)


def test_an_earlier_format_can_be_replaced_but_not_read(parts, saved, tmp_path):
    shutil.copytree(saved, tmp_path / "m")
    about = {"format": "tlhelpers text model 1", "class_names": NAMES}
    (tmp_path / "m/text_model.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=r"format is 'tlhelpers text model 1'.*Save the model aga"):
        load_text_model(tmp_path / "m")
    save_text_model(tmp_path / "m", *parts, NAMES)
    assert load_text_model(tmp_path / "m").class_names == NAMES


CHOICES = {
    "head": freeze,
    "one block": lambda model: unfreeze(model, blocks=1),
    "all": lambda model: unfreeze(model, fraction=1.0),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_a_trained_model_comes_back_with_its_frozen_part(parts, choice, tmp_path):

    keras.utils.set_random_seed(0)
    model = build_text_classifier(TinyBert(layers=2), 2, sequence_length=6)
    CHOICES[choice](model)
    find_base(model).get_layer("transformer_layer_1")._feedforward_layer_norm.trainable = False
    y = np.array([0, 1] * 4)

    def train(model):
        optimizer = layerwise(keras.optimizers.AdamW(0.01), model, decay=0.5)
        model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
        model.fit(parts[1](["a fine film", "dull"] * 4), y, batch_size=8, verbose=0)
        model.run_eagerly = False  # predictions are rounded otherwise

    train(model)
    save_text_model(tmp_path / "m", model, parts[1], NAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # Keras warns of an optimizer that does not fit
        again = load_text_model(tmp_path / "m")
    same = Classifier(model, parts[1], NAMES).probabilities(TEXTS)
    assert np.array_equal(again.probabilities(TEXTS), same)
    assert [v.trainable for v in again.model.weights] == [v.trainable for v in model.weights]
    assert str(describe(again.model)) == str(describe(model))
    before = [v.numpy() for v in again.model.weights]
    train(again.model)
    for variable, value in zip(again.model.weights, before, strict=True):
        assert variable.trainable != np.array_equal(variable.numpy(), value), variable.path


def test_one_logit_gives_two_probabilities(parts):

    model = build_text_classifier(TinyBert(), 2, sequence_length=6, task="binary")
    found = Classifier(model, parts[1], NAMES).probabilities(["a film", "dull"])
    logits = model.predict(parts[1](["a film", "dull"]), verbose=0)[:, 0]
    assert np.allclose(found[:, 1], 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_adapters_are_merged_before_they_are_saved(parts, tmp_path):

    model = build_text_classifier(TinyBert(), 2, sequence_length=6)
    add_lora(model, 2, ["query", "value"])
    with pytest.raises(ValueError, match=r"`model` must be without LoRA.*Received.*merge_lora"):
        save_text_model(tmp_path / "m", model, parts[1], NAMES)
    merge_lora(model)
    saved = save_text_model(tmp_path / "m", model, parts[1], NAMES).probabilities(TEXTS)
    assert np.array_equal(load_text_model(tmp_path / "m").probabilities(TEXTS), saved)


def end_in(model, *layers):
    outputs = model.output
    for layer in layers:
        outputs = layer(outputs)
    return keras.Model(model.input, outputs, name="other")


def test_only_class_logits_are_kept(parts, tmp_path):
    endings = [keras.layers.Dense(2, "softmax"), keras.layers.Dense(2, "sigmoid"),
               keras.layers.Softmax(), keras.layers.Reshape((2, 1))]  # fmt: skip
    for model in (end_in(parts[0], layer) for layer in endings):
        with pytest.raises(ValueError, match=r"end in logits.*Received: model='other'.*Leave out"):
            save_text_model(tmp_path / "m", model, parts[1], NAMES)
    model = end_in(parts[0])
    bce, mse = keras.losses.BinaryCrossentropy(from_logits=True), keras.losses.MeanSquaredError()
    for loss, task in {bce: "multilabel", "binary_crossentropy": "multilabel",
                       mse: "regression", "mse": "regression"}.items():  # fmt: skip
        model.compile("adam", loss)
        with pytest.raises(ValueError, match=rf"each text one class.*Received.*\({task}\)"):
            save_text_model(tmp_path / "m", model, parts[1], NAMES)
    assert not list(tmp_path.iterdir())
    binary = build_text_classifier(TinyBert(), 2, sequence_length=6, task="binary")
    binary.compile("adam", bce)
    calibrated = end_in(parts[0], Temperature(2.0))
    for number, model in enumerate((binary, calibrated)):
        model = save_text_model(tmp_path / str(number), model, parts[1], NAMES)
        again = load_text_model(tmp_path / str(number))
        assert np.array_equal(again.probabilities(TEXTS), model.probabilities(TEXTS))


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_a_head_for_another_task_is_refused_uncompiled(parts, task, tmp_path):
    """As it comes from a file, for predictions: no loss tells what its outputs are."""
    built = build_text_classifier(TinyBert(), 3, sequence_length=6, task=task)
    built.save(tmp_path / "built.keras")
    read = keras.models.load_model(tmp_path / "built.keras", compile=False, safe_mode=True)
    for model in (built, read, end_in(built, Temperature(2.0))):
        with pytest.raises(ValueError, match=rf"each text one class.*Received.*\({task}\)"):
            save_text_model(tmp_path / "m", model, parts[1], ("a", "b", "c"))
    assert [path.name for path in tmp_path.iterdir()] == ["built.keras"]


@pytest.mark.parametrize("way", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_predicts_the_same_and_is_frozen_where_it_was(parts, way):
    model = build_text_classifier(TinyBert(layers=2), 2, sequence_length=6)
    unfreeze(model, blocks=1)
    find_base(model).get_layer("transformer_layer_1")._feedforward_layer_norm.trainable = False
    one = Classifier(model, parts[1], NAMES)
    before = one.probabilities(TEXTS)
    again = way(one)
    assert np.array_equal(again.probabilities(TEXTS), before)
    assert again.classify(TEXTS) == one.classify(TEXTS) and again.class_names == NAMES
    assert [v.trainable for v in again.model.weights] == [v.trainable for v in model.weights]


def test_pairs_are_classified(parts, tmp_path):
    save_text_model(tmp_path / "m", *parts, NAMES)
    pairs = (["a film", "dull"], ["fine", ""])
    found = load_text_model(tmp_path / "m").probabilities(pairs)
    logits = parts[0].predict(parts[1](pairs), verbose=0)
    assert np.allclose(found, keras.ops.softmax(logits), atol=1e-6) and found.shape == (2, 2)


def test_the_preprocessor_must_be_the_models(parts, tmp_path):

    with pytest.raises(ValueError, match=r"\(n, 6\).*Received: .*\(1, 8\)"):
        save_text_model(tmp_path / "m", parts[0], make_preprocessor(8), NAMES)
    with pytest.raises(
        ValueError, match=r"be a TextPreprocessor.*Received: preprocessor=.*bert.preprocessor\("
    ):
        save_text_model(tmp_path / "m", parts[0], parts[1].layer, NAMES)
    assert not list(tmp_path.iterdir())
    anything = build_text_classifier(TinyBert(), 2, sequence_length=None)
    for length in (6, 8):
        save_text_model(tmp_path / "m", anything, make_preprocessor(length), NAMES)
        assert load_text_model(tmp_path / "m").preprocessor.sequence_length == length


def rewrite(folder, **changes):
    path = folder / "text_model.json"
    about = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in about.items() if v is not None}))


def zero(path):
    whole, half = path.read_bytes(), path.stat().st_size // 2
    path.write_bytes(whole[:half] + bytes(100) + whole[half + 100 :])


def shorten(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


WORDS, SETTINGS = "preprocessor/assets/tokenizer/vocabulary.txt", "preprocessor/preprocessor.json"
DAMAGES = {
    "word lost": (lambda f: shorten(f / WORDS), "vocabulary.txt is missing or not as it was"),
    "no words": (lambda f: (f / WORDS).unlink(), "vocabulary.txt is missing"),
    "zeros": (lambda f: zero(f / "model.keras"), "model.keras is missing or not as it was saved"),
    "no model": (lambda f: (f / "model.keras").unlink(), "model.keras is missing"),
    "empty settings": (lambda f: (f / SETTINGS).write_text("{}"), "preprocessor.json is missing"),
    "other format": (lambda f: rewrite(f, format="other 7"), "its format is 'other 7'"),
    "no format": (lambda f: rewrite(f, format=None), "KeyError: 'format'"),
    "one name": (lambda f: rewrite(f, class_names=["bad"]), "class_names"),
    "twice": (lambda f: rewrite(f, class_names=["a", "a"]), "class_names"),
    "no names": (lambda f: rewrite(f, class_names=[]), "class_names"),
    "a word": (lambda f: rewrite(f, class_names="ab"), "class_names"),
    "a list": (lambda f: (f / "text_model.json").write_text("[]"), "TypeError"),
    "half": (lambda f: (f / "text_model.json").write_text('{"format'), "JSONDecodeError"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused(saved, tmp_path, damage):
    shutil.copytree(saved, tmp_path / "m")
    change, reason = DAMAGES[damage]
    change(tmp_path / "m")
    required = (
        rf"`folder` must be one of save_text_model, whole\. Received: folder=.*{reason}.*again"
    )
    with pytest.raises(ValueError, match=required):
        load_text_model(tmp_path / "m")


@pytest.mark.parametrize("settings", ["{}", "[]", json.dumps(keras.saving.serialize_keras_object(
    keras.layers.Dense(2)))])  # fmt: skip
def test_another_preprocessor_is_refused_with_any_checksum(saved, tmp_path, settings):
    shutil.copytree(saved, tmp_path / "m")
    (tmp_path / "m" / SETTINGS).write_text(settings)
    rewrite(tmp_path / "m", files={})
    with pytest.raises(
        ValueError, match=r"`folder` must be one of save_text_model, whole\. Received"
    ):
        load_text_model(tmp_path / "m")


def test_bad_input(parts, tmp_path):
    with pytest.raises(ValueError, match=r"Received: class_names=\('a', 'b', 'c'\)"):
        save_text_model(tmp_path / "m", *parts, ("a", "b", "c"))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter1.txt").write_text("years of work")
    with pytest.raises(ValueError, match="holds something else"):
        save_text_model(tmp_path / "thesis", *parts, NAMES)
    assert (tmp_path / "thesis/chapter1.txt").read_text() == "years of work"
    for folder in ("thesis", "nowhere"):
        with pytest.raises(
            ValueError, match=r"`folder` must be one of save_text_model, whole\. Received"
        ):
            load_text_model(tmp_path / folder)
    save_text_model(tmp_path / "m", *parts, NAMES)
    (tmp_path / "m/model.keras").write_bytes(b"half")
    with pytest.raises(
        ValueError, match=r"`folder` must be one of save_text_model, whole\. Received"
    ):
        load_text_model(tmp_path / "m")
