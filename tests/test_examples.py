"""Every `Example:` of a docstring is run, in order, with the names that `namespace` gives it.

Models are tiny and untrained, arrays are random: an example shows how a thing is called, and what
it prints where that does not depend on luck (`...` stands for the rest of a line).
"""

import doctest
import importlib
import inspect
import pkgutil

import tlhelpers as tl

import keras
import numpy as np
import pytest
from gguf_files import write_language_model
from PIL import Image
from scipy.io import wavfile
from toys import TinyBert, base_named, make_preprocessor, write_pictures
from whisper_files import write_recognizer

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
MODULES = [
    importlib.import_module(info.name)
    for info in pkgutil.walk_packages(tl.__path__, "tlhelpers.")
    if not info.name.startswith(("tlhelpers.data", "tlhelpers.recipes", "tlhelpers.__main__"))
]
EXAMPLES = {
    test.name: test
    for module in MODULES
    for test in doctest.DocTestFinder(exclude_empty=True).find(module)
    if test.examples
}


class Bert(TinyBert):
    """What `load_bert` returns, with random weights and a dozen words."""

    def __init__(self):
        super().__init__(layers=2)

    def preprocessor(self, sequence_length):
        return make_preprocessor(sequence_length)


def namespace() -> dict:
    """Return the names that an example may use, made anew for each."""
    tl.set_seed(0)
    rng = np.random.default_rng(0)
    y = np.arange(24) % 3
    x = rng.integers(0, 256, (24, 12, 12, 3)).astype("uint8")
    base = base_named()
    layers = keras.layers
    names = {
        "keras": keras, "np": np, "tl": tl,
        "base": base,  # two convolutions and a BatchNormalization, called "vgg16"
        "model": tl.build_classifier(base, 3, dropout=0.0, normalize=False),
        "x": x, "y": y, "x_train": x[:12], "y_train": y[:12],
        "x_val": x[12:18], "y_val": y[12:18], "x_test": x[18:], "y_test": y[18:],
        "class_names": ["a", "b", "c"],
        "features": rng.normal(size=(24, 4)), "labels": y,
        "encoder": keras.Sequential([layers.Conv2D(2, 3), layers.Flatten()]),
        "classifier": keras.Sequential([layers.Dense(3)]),
        "x_source": x[:12].astype("float32"), "y_source": y[:12],
        "x_target": x[12:].astype("float32"), "y_target": y[12:],
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    }  # fmt: skip
    return names


def text_names() -> dict:
    """Return what examples about texts use besides."""
    pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
    bert = Bert()
    model = tl.build_text_classifier(bert, 2, sequence_length=6)
    texts = ["a fine film", "a dull film !"] * 4
    tokens = bert.preprocessor(6)(texts)
    return {"bert": bert, "text_model": model, "texts": texts, "tokens": tokens,
            "sentiments": np.arange(8) % 2}  # fmt: skip


def write_sounds(folder) -> None:
    """Write beeps of two pitches, as `load_sounds` reads them."""
    for number in range(8):
        place = folder / "sounds" / ("high", "low")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        wave = np.sin(np.arange(4_000 + number) * (0.4, 0.1)[number % 2]).astype("float32")
        wavfile.write(place / f"{number}.wav", 8_000, wave)
    wavfile.write(folder / "beep.wav", 8_000, wave)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_does_what_it_says(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    test = EXAMPLES[name]
    names = namespace()
    if any(word in test.docstring for word in ("bert", "text_model", "tokens")):
        names |= text_names()
    if "(language" in test.docstring or "language.e" in test.docstring:
        pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
        names["language"] = tl.load_language_model(write_language_model("tiny.gguf"))
    if "recognizer" in test.docstring:
        pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
        names["recognizer"] = tl.load_speech_recognizer(write_recognizer("tiny"))
    if "pets" in test.docstring or "cat.jpg" in test.docstring:
        write_pictures(tmp_path / "pets", {"cat": 12, "dog": 12})
        Image.open(tmp_path / "pets" / "cat" / "0.png").save(tmp_path / "cat.jpg")
    if 'sounds"' in test.docstring or "beep.wav" in test.docstring:
        write_sounds(tmp_path)
    if "reviews.csv" in test.docstring:
        rows = [f"film {n},{('bad', 'good')[n % 2]}" for n in range(24)]
        (tmp_path / "reviews.csv").write_text("\n".join(["review,opinion", *rows]))
    test.globs = {**vars(importlib.import_module(module_of(name))), **names}
    said = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=said.append, clear_globs=False)
    assert not said, "".join(said)


def module_of(name: str) -> str:
    return max((m.__name__ for m in MODULES if name.startswith(m.__name__)), key=len)


def test_every_public_function_has_an_example():
    lacking = []
    for name in tl.__all__:
        thing = getattr(tl, name)
        if inspect.isfunction(thing) or inspect.isclass(thing):
            lacking += [name] if ">>>" not in (inspect.getdoc(thing) or "") else []
    assert not lacking
