"""What is saved loads by one import in a fresh process, with its names and its task."""

import subprocess
import sys

from tlhelpers.models.heads import build_classifier, build_text_classifier
from tlhelpers.reading.saved_models import load_classifier, save_classifier
from tlhelpers.reading.text_models import save_text_model
from tlhelpers.sources.text_preprocessing import TextPreprocessor

import keras
import numpy as np
import pytest
from toys import WORDS, TinyBert, base_named, make_preprocessor

X = np.random.default_rng(0).integers(0, 256, (6, 12, 12, 3)).astype("uint8")
NAMES = ("cat", "dog", "hen")

FRESH = """
import numpy as np
import tlhelpers as tl
images, texts = tl.load_classifier("images.keras"), tl.load_classifier("texts")
np.savez("fresh.npz", images=images.predict(np.load("x.npy")), texts=texts.predict(["a film"]))
print(images.task, images.class_names, texts.task, texts.classify(["a film"]))
"""


def test_a_fresh_process_needs_one_import(tmp_path):
    pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
    images = build_classifier(base_named(), 3)
    texts = build_text_classifier(TinyBert(), 2, sequence_length=6)
    save_classifier(tmp_path / "images.keras", images, NAMES)
    saved = save_text_model(tmp_path / "texts", texts, make_preprocessor(6), ("bad", "good"))
    np.save(tmp_path / "x.npy", X)
    done = subprocess.run([sys.executable, "-c", FRESH], cwd=tmp_path, capture_output=True,
                          text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"multiclass {NAMES} multiclass {saved.classify(['a film'])}\n"
    fresh = np.load(tmp_path / "fresh.npz")
    np.testing.assert_allclose(fresh["images"], images.predict(X, verbose=0), atol=1e-6)
    np.testing.assert_allclose(fresh["texts"], saved.predict(["a film"]), atol=1e-6)


@pytest.mark.parametrize(
    ("width", "loss", "task"), [(1, "mse", "regression"), (3, "binary", "multilabel")]
)
def test_a_task_that_the_loss_told_is_kept(width, loss, task, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(width)])
    binary = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile("adam", binary if loss == "binary" else loss)
    saved = save_classifier(tmp_path / "m.keras", model, NAMES[:width])
    again = load_classifier(tmp_path / "m.keras")
    assert saved.task == again.task == task and again.class_names == NAMES[:width]


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "regression"])
def test_names_and_task_are_kept(task, tmp_path):
    names = NAMES[:2] if task == "binary" else NAMES
    model = build_classifier(base_named(), len(names), task=task)
    save_classifier(tmp_path / "m.keras", model, names)
    again = load_classifier(tmp_path / "m.keras")
    assert again.class_names == names and again.task == task and f"images to {task}" in str(again)
    assert [path.name for path in tmp_path.iterdir()] == ["m.keras"]
    logits = model.predict(X, verbose=0)
    np.testing.assert_allclose(again.predict(X), logits, atol=1e-6)
    if task == "regression":
        with pytest.raises(ValueError, match=r"must tell classes apart\. Received.*predict"):
            again.classify(X)
    elif task == "multilabel":
        np.testing.assert_allclose(again.probabilities(X), 1 / (1 + np.exp(-logits)), atol=1e-6)
        expected = [[n for n, z in zip(names, row, strict=True) if z >= 0] for row in logits]
        assert again.classify(X) == expected
    else:
        best = logits.argmax(axis=1) if task == "multiclass" else (logits[:, 0] > 0).astype(int)
        assert again.classify(X) == [names[i] for i in best]


def test_it_stays_a_file_of_keras_and_a_file_of_keras_loads(tmp_path):
    model = build_classifier(base_named(), 3)
    model.get_layer("vgg16").trainable = False
    save_classifier(tmp_path / "ours.keras", model, NAMES)
    model.save(tmp_path / "theirs.keras")
    for again in (
        keras.models.load_model(tmp_path / "ours.keras", safe_mode=True),
        load_classifier(tmp_path / "theirs.keras"),
    ):
        np.testing.assert_allclose(again.predict(X), model.predict(X, verbose=0), atol=1e-6)
    assert load_classifier(tmp_path / "theirs.keras").class_names == ("0", "1", "2")
    kept = load_classifier(tmp_path / "ours.keras").model
    assert [w.trainable for w in kept.weights] == [w.trainable for w in model.weights]


def test_bad_files_and_names(tmp_path):
    model = build_classifier(base_named(), 3)
    with pytest.raises(ValueError, match=r"`path` must end in \.keras\. Received"):
        save_classifier(tmp_path / "m.h5", model, NAMES)
    with pytest.raises(ValueError, match=r"list of 3 names.*Received"):
        save_classifier(tmp_path / "m.keras", model, NAMES[:2])
    (tmp_path / "half.keras").write_bytes(b"half")
    for name in ("half.keras", "nowhere.keras"):
        with pytest.raises(ValueError, match=r"`path` must be a \.keras file.*Received.*whole"):
            load_classifier(tmp_path / name)


def test_images_are_checked_before_they_are_classified(tmp_path):
    kept = save_classifier(tmp_path / "m.keras", build_classifier(base_named(), 3), NAMES)
    with pytest.raises(ValueError, match=r"0\.\.255"):
        kept.predict(X / 255.0)


def test_another_tokenizer_of_the_same_length_is_refused(tmp_path):
    hub = pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")

    def preprocessor(words, **settings):
        tokenizer = hub.models.BertTokenizer(words, **{"lowercase": True, **settings})
        layer = hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=6)
        return TextPreprocessor(layer)

    bert = TinyBert()
    bert.tokenizer = preprocessor(WORDS).tokenizer
    model = build_text_classifier(bert, 2, sequence_length=6)
    swapped = [*WORDS[:-2], *WORDS[:-3:-1]]
    assert len(swapped) == len(WORDS) and set(swapped) == set(WORDS)
    for other in (preprocessor(swapped), preprocessor(WORDS, lowercase=False)):
        with pytest.raises(ValueError, match=r"`preprocessor` must have the tokenizer.*Received"):
            save_text_model(tmp_path / "m", model, other, ("bad", "good"))
    assert not list(tmp_path.iterdir())
    save_text_model(tmp_path / "m", model, preprocessor(WORDS), ("bad", "good"))
    again = load_classifier(tmp_path / "m")
    with pytest.raises(ValueError, match="must have the tokenizer"):
        save_text_model(tmp_path / "n", again.model, preprocessor(swapped), ("bad", "good"))
