"""What is saved here predicts and trains the same in a new process that imports tlhelpers only."""

import pickle
import subprocess
import sys

from tlhelpers.models.heads import build_classifier, build_text_classifier
from tlhelpers.models.preprocessing import preprocessing
from tlhelpers.tuning.layerwise import layerwise
from tlhelpers.tuning.lora import add_lora, merge_lora
from tlhelpers.tuning.lora_files import save_adapters
from tlhelpers.tuning.schedules import one_cycle

import keras
import numpy as np
import pytest
from toys import TinyBert
from toys import base_named as base

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (4, 12, 12, 3)).astype("uint8")
IDS = RNG.integers(1, 50, (4, 6))
TOKENS = {"token_ids": IDS, "segment_ids": 0 * IDS, "padding_mask": np.ones_like(IDS)}
LABELS = np.arange(4) % 2


def text():
    return build_text_classifier(TinyBert(), 2, sequence_length=6)


def compiled(fitted):
    model = build_classifier(base(), 2, dropout=0.0)
    for layer in model._flatten_layers():
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    optimizer = keras.optimizers.AdamW(one_cycle(0.01, 8), weight_decay=0.1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(layerwise(optimizer, model, multipliers={"conv1": 0.1, "conv2": 0.5}), loss=loss)
    if fitted:
        model.fit(IMAGES, LABELS, epochs=2, verbose=0)
    return model


def merged():
    model = adapted()
    merge_lora(model)
    return model


def adapted():
    model = build_classifier(base(), 3)
    add_lora(model, 2, "conv*")
    for variable in model.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    return model


MODELS = {
    "multiclass": lambda: build_classifier(
        base(), 3, hidden=(4,), pooling="avgmax", normalize=True
    ),
    "binary": lambda: build_classifier(base("mobilenetv2"), 2, task="binary", normalize=True),
    "multilabel": lambda: build_classifier(base("densenet121"), 3, task="multilabel"),
    "regression": lambda: build_classifier(base("efficientnetb0"), 1, task="regression"),
    "preprocess": lambda: keras.Sequential([keras.Input((12, 12, 3)), preprocessing(base())]),
    "text": text,
    "merged LoRA": merged,
    "rates per layer, fitted": lambda: compiled(True),
    "rates per layer, before the first fit": lambda: compiled(False),
}

THERE = """
import pathlib, pickle, traceback
import tlhelpers as tl
import keras, numpy as np

def run(name, x, y):
    if name == "adapters":
        base = keras.models.load_model("base.keras", safe_mode=True)
        model = tl.build_classifier(base, 3)
        tl.load_adapters(model, "adapters.npz")
    else:
        model = keras.models.load_model(f"{name}.keras", safe_mode=True)
    if model.compiled:
        model.fit(x, y, epochs=2, verbose=0)
    return model.predict(x, verbose=0)

there = {}
for name, (x, y) in pickle.loads(pathlib.Path("data.pickle").read_bytes()).items():
    try:
        there[name] = run(name, x, y)
    except Exception:
        there[name] = traceback.format_exc()
pathlib.Path("there.pickle").write_bytes(pickle.dumps(there))
"""


@pytest.fixture(scope="module")
def here_and_there(tmp_path_factory):
    """Return the predictions of each model in this process and in the other."""
    folder, data, here = tmp_path_factory.mktemp("there"), {}, {}
    for name, make in MODELS.items():
        model = make()
        data[name] = (TOKENS if name == "text" else IMAGES), LABELS
        model.save(folder / f"{name}.keras")
        if model.compiled:
            model.fit(*data[name], epochs=2, verbose=0)
        here[name] = model.predict(data[name][0], verbose=0)
    model = adapted()
    base().save(folder / "base.keras")
    save_adapters(model, folder / "adapters.npz")
    data["adapters"], here["adapters"] = (IMAGES, LABELS), model.predict(IMAGES, verbose=0)
    (folder / "data.pickle").write_bytes(pickle.dumps(data))
    subprocess.run([sys.executable, "-c", THERE], cwd=folder, check=True, timeout=300)
    return here, pickle.loads((folder / "there.pickle").read_bytes())


@pytest.mark.parametrize("name", [*MODELS, "adapters"])
def test_the_same_in_a_fresh_process(name, here_and_there):
    here, there = here_and_there
    assert not isinstance(there[name], str), there[name]
    assert np.ptp(here[name]) > 0
    np.testing.assert_allclose(there[name], here[name], rtol=1e-5, atol=1e-6)
