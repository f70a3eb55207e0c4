"""What stands behind the training: saving and loading a model."""

import tempfile
from pathlib import Path

import tlhelpers as tl
from benchmarks.frame import Measured, Promise, Row, take_turns
from benchmarks.pictures import CLASSES, make_base

import keras


def save_and_load(quick: bool) -> Measured:
    model = tl.build_classifier(make_base("MobileNetV2"), CLASSES)
    names = [f"class {number}" for number in range(CLASSES)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"

        def ours():
            tl.save_classifier(file, model, names)
            tl.load_classifier(file)

        def peer():
            model.save(file)
            keras.models.load_model(file)

        faster = take_turns(ours, peer, 2 if quick else 7)
        facts = {"megabytes": round(file.stat().st_size / 1e6)}
    return Measured([1 / ratio for ratio in faster], facts)


ROWS = (
    Row(
        "save-load",
        "`save_classifier` and `load_classifier`: time over Keras' `save` and `load_model`",
        save_and_load,
        Promise(1.1, least=False),
    ),
)
