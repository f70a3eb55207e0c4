"""Files that version 0.1 saved, when its modules lay elsewhere, load and predict as they did.

`fixtures/version_0_1.zip` holds one model of each kind that is registered with Keras, the arrays
that went in and the predictions that came out.
"""

import zipfile
from pathlib import Path

from tlhelpers.models.heads import build_classifier
from tlhelpers.tuning.lora_files import load_adapters

import keras
import numpy as np
import pytest

ARCHIVE = Path(__file__).parent / "fixtures/version_0_1.zip"
INPUTS = {  # which array went in; all others took the images
    **dict.fromkeys(("layerwise_sgd", "layerwise_adam", "layerwise_rmsprop", "reversal"), "eye"),
    **dict.fromkeys(
        ("dann", "cdan", "coral", "mmd", "mcc", "sourceonly", "consistentdann"), "small"
    ),
    "first_token": "sequence",
}
LATER = {
    "tlhelpers>CentreLoss",
    "tlhelpers>SegmentationLoss",
    "tlhelpers>QuantileLoss",
}  # version 0.1 had no such kind
NAMES = sorted(
    Path(name).stem
    for name in zipfile.ZipFile(ARCHIVE).namelist()
    if name.endswith(".keras") and name != "adapter_base.keras"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    there = tmp_path_factory.mktemp("before")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(there)
    return there


@pytest.fixture(scope="module")
def arrays(folder):
    with np.load(folder / "predictions.npz") as file:
        return dict(file)


def test_every_kind_is_there():
    registered = keras.saving.get_custom_objects().items()
    kinds = {name for name, thing in registered if thing.__module__.startswith("tlhelpers.")}
    with zipfile.ZipFile(ARCHIVE) as archive:
        files = [zipfile.ZipFile(archive.open(f"{name}.keras")) for name in NAMES]
        text = "".join(file.read("config.json").decode() for file in files)
    assert len(kinds) > 15 and {kind for kind in kinds if kind not in text} == LATER


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_model_predicts_as_before(name, folder, arrays):
    model = keras.models.load_model(folder / f"{name}.keras", safe_mode=True)
    x = arrays[INPUTS.get(name, "images")]
    if name == "text":
        ids = arrays["tokens"]
        x = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": np.ones_like(ids)}
    np.testing.assert_allclose(model.predict(x, verbose=0), arrays[name], rtol=1e-5, atol=1e-6)


def test_saved_adapters_load_as_before(folder, arrays):
    base = keras.models.load_model(folder / "adapter_base.keras", safe_mode=True)
    model = build_classifier(base, 3, normalize=False)
    load_adapters(model, folder / "adapters.npz")
    predictions = model.predict(arrays["images"], verbose=0)
    np.testing.assert_allclose(predictions, arrays["adapters"], rtol=1e-5, atol=1e-6)
