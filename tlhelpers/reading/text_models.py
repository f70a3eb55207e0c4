"""A text classifier with its tokenizer: used on texts, saved and loaded as one folder."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tlhelpers.checks.data import check_tokens
from tlhelpers.checks.files import is_intact, sha256
from tlhelpers.checks.vocabulary import check_vocabulary, remember_vocabulary
from tlhelpers.models.ends import kind_of_outputs
from tlhelpers.reading.classifiers import Classifier
from tlhelpers.reading.evaluation import names_of
from tlhelpers.reading.tasks import task_trained
from tlhelpers.sources.bert import import_keras_hub
from tlhelpers.sources.text_preprocessing import TextPreprocessor
from tlhelpers.tuning.freezing import flags_of, restore_flags

import keras

_FORMAT = "tlhelpers text model 2"
_ABOUT = "text_model.json"
_FILES = {"model.keras", "preprocessor/preprocessor.json", "preprocessor/tokenizer.json",
          "preprocessor/assets/tokenizer/vocabulary.txt"}  # fmt: skip


def save_text_model(
    folder: str | os.PathLike,
    model: keras.Model,
    preprocessor: TextPreprocessor,
    class_names: Sequence[str],
) -> Classifier:
    """Write a text classifier, its tokenizer and its class names into one folder; return the three.

    The folder holds `model.keras`, the tokenizer with its vocabulary, and `text_model.json` with
    the names and the size and SHA-256 of every other file. It is written beside its place, then
    moved there as a whole; an earlier save is replaced, and comes back if the move fails.

    Args:
        folder: where; a new or empty folder, or one of an earlier `save_text_model` to which
            nothing was added.
        model: a classifier that ends in logits, as `build_text_classifier` and `calibrate` return.
        preprocessor: `bert.preprocessor(sequence_length)`, as it was for the training.
        class_names: one for each class, in order of the labels.

    Raises:
        ValueError: names, or a preprocessor's length, inputs or words, that don't fit the model;
            a model that has adapters, doesn't end in class logits, or was built or compiled for
            several labels per text or for numbers; a folder that holds something else.

    Example:
        >>> saved = tl.save_text_model("reviews", text_model, bert.preprocessor(6), ["bad", "good"])
        >>> again = tl.load_text_model("reviews")
        >>> again.classify(["a fine film"]) == saved.classify(["a fine film"])
        True
    """
    names = names_of(class_names, _count_classes(model))
    _check_model(model)
    if not isinstance(preprocessor, TextPreprocessor):
        raise ValueError(
            f"`preprocessor` must be a TextPreprocessor. Received: preprocessor={preprocessor!r}. "
            "Make one with bert.preprocessor(sequence_length)."
        )
    check_tokens(model, preprocessor([""]))
    check_vocabulary(model, preprocessor.tokenizer)
    target = Path(folder).resolve()
    _check_place(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
        new = Path(beside) / "new"
        new.mkdir()
        model.save(new / "model.keras")
        preprocessor.layer.save_to_preset(str(new / "preprocessor"))
        files = {
            name: {"size": (new / name).stat().st_size, "sha256": sha256(new / name)}
            for name in sorted(_inside(new))
        }
        about = {"format": _FORMAT, "keras": keras.__version__, "class_names": names,
                 "trainable": flags_of(model), "files": files}  # fmt: skip
        (new / _ABOUT).write_text(json.dumps(about, indent=1), encoding="utf8")
        _put_in_place(new, target)
    return Classifier(model, preprocessor, names)


def load_text_model(folder: str | os.PathLike) -> Classifier:
    """Read a folder of `save_text_model`; you need nothing else, and no network.

    The model is for predictions: it comes without the optimizer and loss of its training. What was
    frozen is frozen again; compile it to train it on.

    Returns:
        A `Classifier`: `.classify(texts)`, `.probabilities(texts)`, `.predict(texts)`, `.model`,
        `.preprocessor`, `.class_names`. It predicts what the saved one did.

    Raises:
        ValueError: another folder, or one of another format; a file in it that is missing or is not
            as it was saved; KerasHub is missing.

    Example:
        >>> saved = tl.save_text_model("reviews", text_model, bert.preprocessor(6), ["bad", "good"])
        >>> tl.load_text_model("reviews").probabilities(["a fine film", "", "???"]).shape
        (3, 2)
    """
    import_keras_hub()  # its layers must be known before a model with them is read
    folder = Path(folder)
    try:
        return _read(folder)
    except Exception as error:  # a damaged file makes Keras and KerasHub raise all kinds
        cure = "Save the model again with save_text_model, or copy its folder again as a whole."
        left = _replaced(folder.resolve())
        if left.exists() and not folder.exists():
            cure = f"A halted save left the earlier model in {str(left)!r}: rename it to "
            cure += f"{folder.name!r}."
        raise ValueError(
            "`folder` must be one of save_text_model, whole. "
            f"Received: folder={str(folder)!r}: {type(error).__name__}: {error}. {cure}"
        ) from error


def _read(folder: Path) -> Classifier:
    about = json.loads((folder / _ABOUT).read_text(encoding="utf8"))
    if about["format"] != _FORMAT:
        raise ValueError(f"its format is {about['format']!r} and not {_FORMAT!r}")
    for name, file in about["files"].items():
        if not is_intact(folder / name, file):
            raise ValueError(f"{name} is missing or not as it was saved")
    settings = json.loads((folder / "preprocessor/preprocessor.json").read_text("utf8"))
    layer = keras.saving.deserialize_keras_object(settings, safe_mode=True)
    layer.tokenizer.load_assets(str(folder / "preprocessor/assets/tokenizer"))
    model = keras.models.load_model(folder / "model.keras", compile=False, safe_mode=True)
    restore_flags(model, about["trainable"])
    names = names_of(about["class_names"] or [], _count_classes(model))
    remember_vocabulary(model, layer.tokenizer)
    return Classifier(model, TextPreprocessor(layer), names)


def _count_classes(model: keras.Model) -> int:
    """Return how many classes a model tells apart, or refuse one that doesn't end in logits."""
    shapes = [tuple(tensor.shape) for tensor in getattr(model, "outputs", None) or ()]
    if len(shapes) != 1 or len(shapes[0]) != 2 or kind_of_outputs(model) != "logits":
        raise ValueError(
            f"`model` must end in logits, (n, classes). Received: model={model.name!r} with other "
            f"outputs, {shapes}. Leave out a softmax or sigmoid, as build_text_classifier does."
        )
    return max(shapes[0][1], 2)


def _check_model(model: keras.Model) -> None:
    """Refuse a model for another task, or one that has adapters."""
    tasks = {"multilabel": "several labels for a text (multilabel)",
             "regression": "numbers (regression)"}  # fmt: skip
    if task := tasks.get(str(task_trained(model))):
        raise ValueError(
            f"`model` must give each text one class. Received: model={model.name!r}, which gives "
            f"{task}. Use model.save and preprocessor.layer.save_to_preset."
        )
    if any(getattr(layer, "lora_enabled", False) for layer in model._flatten_layers()):
        raise ValueError(
            f"`model` must be without LoRA. Received: model={model.name!r} with adapters. Call "
            "merge_lora(model) first, or keep the adapters alone with save_adapters."
        )


def _check_place(target: Path) -> None:
    """Refuse a place where anything but an earlier model would be lost."""
    others = {"a file"} if target.is_file() else _inside(target)
    if (target / _ABOUT).is_file():
        others -= {_ABOUT, *_FILES}
        with contextlib.suppress(ValueError, KeyError, TypeError):  # damaged, or of another format
            others -= set(json.loads((target / _ABOUT).read_text(encoding="utf8"))["files"])
    if others:
        raise ValueError(
            "`folder` must be new, empty, or one of save_text_model with nothing added. Received: "
            f"folder={str(target)!r}, which holds something else: {', '.join(sorted(others)[:5])}. "
            "Move it away, or name another folder."
        )


def _inside(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}


def _replaced(target: Path) -> Path:
    """Return where the earlier model is while a new one takes its place."""
    return target.with_name(f".{target.name}.replaced")


def _put_in_place(new: Path, target: Path) -> None:
    old = _replaced(target)
    try:
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)  # of a save that was killed at its end
            os.replace(target, old)
        os.replace(new, target)
    except BaseException:
        if old.exists() and not target.exists():
            os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)
