"""What stands around the training: importing the package, saving and loading a model."""

import subprocess
import sys
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

        faster = take_turns(ours, peer, 3 if quick else 15)
        facts = {"megabytes": round(file.stat().st_size / 1e6)}
    return Measured([1 / ratio for ratio in faster], facts)


def importing(quick: bool) -> Measured:
    """In fresh processes."""

    def start(statement: str):
        command = [sys.executable, "-c", statement]
        return lambda: subprocess.run(command, check=True, stderr=subprocess.DEVNULL)

    faster = take_turns(start("import tlhelpers"), start("import keras"), 3 if quick else 9, 0)
    return Measured([1 / ratio for ratio in faster])


ROWS = (
    Row(
        "save-load",
        "`save_classifier` and `load_classifier`: time over Keras' `save` and `load_model`",
        save_and_load,
        Promise(1.1, least=False),
    ),
    Row(
        "import",
        "`import tlhelpers`: time over `import keras` with TensorFlow",
        importing,
        Promise(1.1, least=False),
        why="Of 4.0 s Keras and TensorFlow take 3.7; the package's own files take 0.3.",
    ),
)
