"""A text classifier with its tokenizer: used on texts, saved and loaded as one folder."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.bert import import_keras_hub
from tlhelpers.evaluation import names_of, to_probabilities
from tlhelpers.texts import TextPreprocessor

import keras
import numpy as np

_FORMAT = "tlhelpers text model 1"


@dataclass(frozen=True, eq=False)
class TextModel:
    """A model, what turns texts into its inputs, and the names of its classes."""

    model: keras.Model
    preprocessor: TextPreprocessor
    class_names: tuple[str, ...]

    def probabilities(self, texts: Iterable[str | bytes], batch_size: int = 64) -> np.ndarray:
        """Return the probability of every class for n texts, `(n, classes)`.

        Raises:
            ValueError: what is no list of texts; see `TextPreprocessor`.
        """
        inputs = self.preprocessor(texts)
        outputs = self.model.predict(inputs, batch_size=batch_size, verbose=0)
        return to_probabilities(outputs, "logits")[0]  # what text models here end in

    def classify(self, texts: Iterable[str | bytes], batch_size: int = 64) -> list[str]:
        """Return the name of the most probable class for each text."""
        best = self.probabilities(texts, batch_size).argmax(axis=1)
        return [self.class_names[number] for number in best]


def save_text_model(
    folder: str | os.PathLike,
    model: keras.Model,
    preprocessor: TextPreprocessor,
    class_names: Sequence[str],
) -> TextModel:
    """Write a text classifier, its tokenizer and its class names into one folder.

    The folder holds `model.keras`, the tokenizer with its vocabulary, and the names. It is written
    beside the place and moved there as a whole: a folder of an earlier save is replaced then.

    Args:
        folder: where; a new folder, or one of an earlier `save_text_model`.
        model: a classifier that ends in logits, as `build_text_classifier` and `calibrate` return.
        preprocessor: `bert.preprocessor(sequence_length)`, as it was for the training.
        class_names: one for each class, in order of the labels.

    Returns:
        The `TextModel`, ready for texts.

    Raises:
        ValueError: names that do not fit the model; adapters that are not merged; a folder that
            holds something else.

    Example:
        >>> tl.save_text_model("reviews", model, bert.preprocessor(48), data.class_names)
        >>> tl.load_text_model("reviews").classify(["a fine film"])
        ['positive']
    """
    columns = model.output_shape[-1]
    names = names_of(class_names, 2 if columns == 1 else columns)
    if any(getattr(layer, "lora_enabled", False) for layer in model._flatten_layers()):
        raise ValueError(
            f"A model without LoRA is required. Received: model={model.name!r} with adapters. Call "
            "merge_lora(model) first, or keep the adapters alone with save_adapters."
        )
    target = Path(folder)
    if target.exists() and not (target / "text_model.json").exists():
        raise ValueError(
            "A new folder, or one of an earlier save_text_model, is required. "
            f"Received: folder={str(folder)!r}, which holds something else. Name another."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
        new, old = Path(beside) / "new", Path(beside) / "old"
        new.mkdir()
        model.save(new / "model.keras")
        preprocessor.layer.save_to_preset(str(new / "preprocessor"))
        about = {"format": _FORMAT, "keras": keras.__version__, "class_names": names}
        (new / "text_model.json").write_text(json.dumps(about, indent=1), encoding="utf8")
        if target.exists():
            os.replace(target, old)
        os.replace(new, target)
        shutil.rmtree(old, ignore_errors=True)
    return TextModel(model, preprocessor, names)


def load_text_model(folder: str | os.PathLike) -> TextModel:
    """Read a folder of `save_text_model`; nothing else is needed, and no network.

    Args:
        folder: the folder.

    Returns:
        A `TextModel`: `.classify(texts)`, `.probabilities(texts)`, `.model`, `.preprocessor`,
        `.class_names`. It predicts what the saved one did.

    Raises:
        ValueError: another folder, or one that is not whole; KerasHub is missing.

    Example:
        >>> tl.load_text_model("reviews").probabilities(["a fine film", "", "???"])
    """
    import_keras_hub()  # its layers must be known before a model with them is read
    folder = Path(folder)
    try:
        about = json.loads((folder / "text_model.json").read_text(encoding="utf8"))
        settings = json.loads((folder / "preprocessor/preprocessor.json").read_text("utf8"))
        layer = keras.saving.deserialize_keras_object(settings, safe_mode=True)
        layer.tokenizer.load_assets(str(folder / "preprocessor/assets/tokenizer"))
        model = keras.models.load_model(folder / "model.keras", safe_mode=True)
        names = tuple(about["class_names"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "A folder of save_text_model is required. "
            f"Received: folder={str(folder)!r}: {type(error).__name__}: {error}."
        ) from error
    return TextModel(model, TextPreprocessor(layer), names)
