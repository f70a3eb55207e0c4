"""A text classifier with its tokenizer: used on texts, saved and loaded as one folder."""

import os
from collections.abc import Sequence

from tlhelpers.models.ends import kind_of_outputs
from tlhelpers.reading.classifiers import Classifier
from tlhelpers.reading.evaluation import names_of
from tlhelpers.reading.tasks import task_trained
from tlhelpers.reading.text_folders import TextFolder
from tlhelpers.sources.text_preprocessing import TextPreprocessor

import keras

_FOLDER = TextFolder("tlhelpers text model 2", "text_model.json", "save_text_model")


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
    _FOLDER.write(folder, model, preprocessor, preprocessor([""]), class_names=names)
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
    return _FOLDER.read(folder, _make)


def _make(model: keras.Model, preprocessor: TextPreprocessor, about: dict) -> Classifier:
    return Classifier(
        model, preprocessor, names_of(about["class_names"] or [], _count_classes(model))
    )


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
    """Refuse a model for another task."""
    tasks = {"multilabel": "several labels for a text (multilabel)",
             "regression": "numbers (regression)"}  # fmt: skip
    if task := tasks.get(str(task_trained(model))):
        raise ValueError(
            f"`model` must give each text one class. Received: model={model.name!r}, which gives "
            f"{task}. Use model.save and preprocessor.layer.save_to_preset."
        )
