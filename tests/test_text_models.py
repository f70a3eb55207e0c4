"""A text model in its folder: the same predictions in a fresh process, tokenizer included."""

import subprocess
import sys

from tlhelpers.heads import build_text_classifier
from tlhelpers.lora import add_lora, merge_lora
from tlhelpers.text_models import TextModel, load_text_model, save_text_model

import keras
import numpy as np
import pytest

keras_hub = pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")

NAMES = ("bad", "good")
TEXTS = ["a fine film", "Films!", "", "  ", "\x00", "日本", "dull " * 100, b"fine", "🎬"]


@pytest.fixture(scope="module")
def parts():
    from test_heads import TinyBert
    from test_texts import make

    keras.utils.set_random_seed(0)
    bert = TinyBert(layers=2)
    return build_text_classifier(bert, 2, sequence_length=6), make(6)


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


def test_one_logit_gives_two_probabilities(parts):
    from test_heads import TinyBert

    model = build_text_classifier(TinyBert(), 2, sequence_length=6, task="binary")
    found = TextModel(model, parts[1], NAMES).probabilities(["a film", "dull"])
    logits = model.predict(parts[1](["a film", "dull"]), verbose=0)[:, 0]
    assert np.allclose(found[:, 1], 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_adapters_are_merged_before_they_are_saved(parts, tmp_path):
    from test_heads import TinyBert

    model = build_text_classifier(TinyBert(), 2, sequence_length=6)
    add_lora(model, 2, ["query", "value"])
    with pytest.raises(ValueError, match=r"without LoRA.*merge_lora"):
        save_text_model(tmp_path / "m", model, parts[1], NAMES)
    merge_lora(model)
    saved = save_text_model(tmp_path / "m", model, parts[1], NAMES).probabilities(TEXTS)
    assert np.array_equal(load_text_model(tmp_path / "m").probabilities(TEXTS), saved)


def test_bad_input(parts, tmp_path):
    with pytest.raises(ValueError, match=r"One name for each of the 2 classes.*Received"):
        save_text_model(tmp_path / "m", *parts, ("a", "b", "c"))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter1.txt").write_text("years of work")
    with pytest.raises(ValueError, match="holds something else"):
        save_text_model(tmp_path / "thesis", *parts, NAMES)
    assert (tmp_path / "thesis/chapter1.txt").read_text() == "years of work"
    for folder in ("thesis", "nowhere"):
        with pytest.raises(ValueError, match=r"folder of save_text_model is required\. Received"):
            load_text_model(tmp_path / folder)
    save_text_model(tmp_path / "m", *parts, NAMES)
    (tmp_path / "m/model.keras").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"folder of save_text_model is required\. Received"):
        load_text_model(tmp_path / "m")
