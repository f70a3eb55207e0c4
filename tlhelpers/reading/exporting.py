"""A model for servers and phones: written, compared with the model, then put in its place."""

import importlib.util
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tlhelpers.checks.backend import check_tensorflow
from tlhelpers.checks.words import check_choice
from tlhelpers.models.ends import end_of
from tlhelpers.models.graph import inputs_of
from tlhelpers.models.inputs import read_inputs
from tlhelpers.models.preprocessing import images_of
from tlhelpers.reading.classifiers import Classifier
from tlhelpers.reading.evaluation import names_of
from tlhelpers.reading.tasks import task_of_end

import keras
import numpy as np

_ENDINGS = {"saved_model": "", "tflite": ".tflite", "onnx": ".onnx"}
_KERAS = {"saved_model": "tf_saved_model", "tflite": "litert", "onnx": "onnx"}  # Keras' names
_TOLERANCE = 1e-3  # of the largest prediction


def export(
    model: keras.Model | Classifier, path: str | os.PathLike, format: str = "saved_model",
    class_names=None, sample=None,
) -> Path:  # fmt: skip
    """Write a model for where Keras is not installed, checked against its own predictions.

    The preprocessing of `build_classifier` is in it; a tokenizer is not. No optimizer is in it. The
    names of the classes lie beside it: `class_names.json` in a folder, `<file>.json` beside a file.
    All is written beside its place, its predictions are compared, and then it is moved there.

    Args:
        model: with a graph and one output, or a `Classifier`, which knows its names.
        path: a new or empty folder for "saved_model", a file that ends in `.tflite` or `.onnx`.
        format: "saved_model" (TensorFlow Serving), "tflite" (LiteRT, phones) or "onnx", for which
            the package tf2onnx must be installed.
        class_names: one for each class, label or target; None writes none.
        sample: inputs as the model takes them, on which both must agree; None draws four at random.

    Returns:
        The path.

    Raises:
        ValueError: another backend than TensorFlow; a path that is taken or has another ending; no
            tf2onnx; a model that the format has no operations for; predictions that differ by more
            than a thousandth of the largest. Nothing is left at `path` then.

    Example:
        >>> folder = tl.export(model, "served", class_names=class_names)
        >>> sorted(path.name for path in folder.iterdir())[:2]
        ['assets', 'class_names.json']
        >>> import tensorflow as tf
        >>> served = tf.saved_model.load("served")
        >>> served.serve(x[:2].astype("float32")).shape
        TensorShape([2, 3])
    """
    check_tensorflow("export")
    check_choice("format", format, _ENDINGS)
    if isinstance(model, Classifier):
        class_names = model.class_names if class_names is None else class_names
        task, model = model.task, model.model
    else:
        task = task_of_end(model)
    target = _check_place(Path(path), format)
    if format == "onnx" and importlib.util.find_spec("tf2onnx") is None:
        raise ValueError(
            "`format` must be one that this installation can write. Received: format='onnx', "
            "without the package tf2onnx. Install it: pip install tf2onnx; or use 'saved_model'."
        )
    end = end_of(model)
    width = end.classes if task == "binary" else end.width
    names = None if class_names is None else names_of(class_names, width)
    bare = keras.Model(inputs_of(model), model.outputs[0], name=model.name)  # no optimizer
    sample = _draw(bare) if sample is None else read_inputs(bare, sample, "sample")
    sample = keras.tree.map_structure(
        lambda tensor, part: np.asarray(part).astype(tensor.dtype), bare.input, sample
    )
    expected = bare.predict(sample, verbose=0)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
        new = Path(beside) / target.name
        try:
            with _quiet():
                bare.export(str(new), format=_KERAS[format], verbose=False)
                found = _RUN[format](new, sample)
        except Exception as error:  # converters fail in many ways
            raise ValueError(
                f"`model` must have operations that {format!r} knows. Received: "
                f"model={model.name!r}: {type(error).__name__}: {str(error)[:300]}. Use another "
                "format, or replace the layer that it names."
            ) from error
        _compare(found, expected, format)
        if names is not None:
            place = new / "class_names.json" if new.is_dir() else Path(f"{new}.json")
            place.write_text(json.dumps(names), encoding="utf8")
        elif not new.is_dir():  # names of an earlier file are not this model's
            Path(f"{target}.json").unlink(missing_ok=True)
        if new.is_dir() and target.exists():
            target.rmdir()  # it is empty
        for part in sorted(Path(beside).iterdir(), reverse=True):  # the names before the model
            os.replace(part, target.parent / part.name)
    return target


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back warnings, and what TensorFlow tells only notebooks: where it wrote meanwhile."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _check_place(target: Path, format: str) -> Path:
    ending = _ENDINGS[format]
    taken = target.is_file() if not ending else target.is_dir()
    taken = taken or (target.is_dir() and any(target.iterdir()))
    if target.suffix != ending and (ending or target.suffix in _ENDINGS.values()):
        raise ValueError(
            f"`path` must end in {ending or 'no .tflite or .onnx'} for format={format!r}. "
            f"Received: path={str(target)!r}. Use {target.stem + ending!r}."
        )
    if taken:
        raise ValueError(
            "`path` must be new, an empty folder, or an earlier file. Received: "
            f"path={str(target)!r}, which is taken. Move it away, or name another."
        )
    return target.resolve()


def _draw(model: keras.Model):
    """Return four random inputs, 0..255 for images that the model prepares; ones for tokens."""
    rng, most = np.random.default_rng(0), 255 if images_of(model) else 1

    def one(tensor):
        shape = (4, *(64 if size is None else size for size in tensor.shape[1:]))
        if "int" in tensor.dtype or tensor.dtype == "bool":
            return np.ones(shape, tensor.dtype)
        return rng.uniform(0, most, shape)

    return keras.tree.map_structure(one, model.input)


def _compare(found, expected: np.ndarray, format: str) -> None:
    apart = float(np.abs(np.asarray(found) - expected).max())
    if not apart <= _TOLERANCE * max(float(np.abs(expected).max()), 1e-3):
        raise ValueError(
            f"`model` must predict the same as {format!r}. Received: predictions up to {apart:.3g} "
            "apart. Use another format, or a model in float32."
        )


def _run_saved_model(path: Path, sample):
    import tensorflow as tf

    served = tf.saved_model.load(str(path))  # its variables live as long as it does
    return served.serve(sample)


def _run_tflite(path: Path, sample):
    import tensorflow as tf

    runner = tf.lite.Interpreter(str(path)).get_signature_runner()
    names = sorted(runner.get_input_details())
    values = (
        sample
        if isinstance(sample, dict)
        else dict(zip(names, keras.tree.flatten(sample), strict=True))
    )
    return next(iter(runner(**values).values()))


def _run_onnx(path: Path, sample):
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(str(path))
    values = (
        sample
        if isinstance(sample, dict)
        else dict(zip(session.input_names, keras.tree.flatten(sample), strict=True))
    )
    (found,) = session.run(None, values)
    return found


_RUN: dict[str, Callable] = {
    "saved_model": _run_saved_model, "tflite": _run_tflite, "onnx": _run_onnx
}  # fmt: skip
