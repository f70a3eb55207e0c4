"""A classifier in its file, with the names of its classes, and one way to load all that is saved.

A `.keras` file is a zip archive: the names are one member more, which Keras leaves alone.
"""

import json
import os
import tempfile
import zipfile
from pathlib import Path

from tlhelpers.models.ends import end_of
from tlhelpers.reading.classifiers import Classifier
from tlhelpers.reading.evaluation import names_of
from tlhelpers.reading.tasks import task_of_end
from tlhelpers.reading.text_models import load_text_model
from tlhelpers.sources.bert import import_keras_hub
from tlhelpers.tuning.freezing import flags_of, restore_flags

import keras

_ABOUT = "tlhelpers.json"


def save_classifier(path: str | os.PathLike, model: keras.Model, class_names=None) -> Classifier:
    """Write a model and the names of its classes into one `.keras` file; return the two.

    It is a file of Keras: `keras.models.load_model` reads it as well, without the names. Where a
    layer of this package is in it, as behind `calibrate`, this package must be imported.
    It is written beside its place, then moved there. For a model of texts `save_text_model` keeps
    the tokenizer too.

    Args:
        path: a file that ends in `.keras`; an earlier one is replaced.
        model: with one output, of any task; compiled or not, trained or not.
        class_names: one for each class, label or target, in their order; None for their numbers.

    Raises:
        ValueError: another ending; names that do not fit the model.

    Example:
        >>> tl.save_classifier("cats.keras", model, ["cat", "dog", "hen"]).task
        'multiclass'
        >>> tl.load_classifier("cats.keras").classify(x)[0] in ("cat", "dog", "hen")
        True
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise ValueError(
            f"`path` must end in .keras. Received: path={str(path)!r}. Use "
            f"{path.stem + '.keras'!r}; for servers and phones there is tl.export."
        )
    task = task_of_end(model)
    names = _names(model, class_names, task)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as beside:
        new = Path(beside) / path.name
        model.save(new)
        with zipfile.ZipFile(new, "a") as archive:
            about = {"class_names": names, "trainable": flags_of(model), "task": task}
            archive.writestr(_ABOUT, json.dumps(about))
        os.replace(new, path)
    return Classifier(model, None, names, task)


def load_classifier(path: str | os.PathLike) -> Classifier:
    """Read what `save_classifier`, `save_text_model` or `model.save` of Keras wrote.

    `import tlhelpers as tl` is all that a fresh process needs. The model is for predictions: it
    comes without the optimizer and loss of its training.

    Returns:
        A `Classifier`: `.predict(x)`, `.probabilities(x)`, `.classify(x)`, where x are strings for
        a text model with its tokenizer; `.class_names` (numbers where the file has none), `.task`,
        `.model`. Print it to see what it is.

    Raises:
        ValueError: no such file or folder, or one that isn't whole.

    Example:
        >>> saved = tl.save_text_model("reviews", text_model, bert.preprocessor(6), ["bad", "good"])
        >>> print(tl.load_classifier("reviews"))
        bert_backbone...: texts to multiclass, 2 names (bad, good)
        takes TextPreprocessor(6 tokens), gives logits (None, 2), ... weights
        >>> tl.load_classifier("reviews").predict(["a fine film"]).shape
        (1, 2)
    """
    path = Path(path)
    if path.is_dir():
        return load_text_model(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            about = json.loads(archive.read(_ABOUT)) if _ABOUT in members else {}
            if b"keras_hub" in archive.read("config.json"):
                import_keras_hub()
        model = keras.models.load_model(path, compile=False, safe_mode=True)
        if about:
            restore_flags(model, about["trainable"])
        task = about.get("task") or task_of_end(model)
        return Classifier(model, None, _names(model, about.get("class_names"), task), task)
    except Exception as error:  # a damaged file makes Keras raise all kinds
        raise ValueError(
            "`path` must be a .keras file, or a folder of save_text_model, whole. Received: "
            f"path={str(path)!r}: {type(error).__name__}: {error}. Save it again with "
            "save_classifier, or copy it again as a whole."
        ) from error


def _names(model: keras.Model, class_names, task: str) -> tuple[str, ...]:
    end = end_of(model)
    return names_of(class_names, end.classes if task == "binary" else end.width)
