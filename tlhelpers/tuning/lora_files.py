"""Low-rank adapters and the head of a model in one small file."""

import hashlib
import os

from tlhelpers.models import state
from tlhelpers.models.anatomy import Anatomy
from tlhelpers.tuning.describing import Trainability, table_of
from tlhelpers.tuning.lora import Place, enable, places_of

import keras

_FORMAT = "tlhelpers adapters 1"


def save_adapters(model: keras.Model, path: str | os.PathLike, head: str | None = None) -> None:
    """Write the adapters and the head of a model into one small file.

    Args:
        model: a model after `add_lora`; it stays as it is.
        path: a file, such as "cats.lora.npz"; it is replaced as a whole or not at all.
        head: name of the layer where the head of an inlined base begins, if `add_lora` was given
            it. The file keeps it.

    Raises:
        ValueError: a model without LoRA, or one whose base learns beside the adapters, which the
            file would lose.

    Example:
        >>> table = tl.add_lora(model, rank=2, targets="conv*")
        >>> tl.save_adapters(model, "cats.lora.npz")
    """
    anatomy = Anatomy(model, head)
    places, own = places_of(anatomy), _weights_of(anatomy.head)
    adapted = [(i, place) for i, place in enumerate(places) if place.adapter]
    adapters = [v for _, place in adapted for v in place.adapter]
    base = {id(v) for v in _weights_of(anatomy.body)} - {id(v) for v in adapters}
    other = [v.path for v in model.trainable_variables if id(v) in base]
    if not adapted or other:
        raise ValueError(
            "`model` must have a base that learns through LoRA only. Received: "
            f"model={model.name!r} with {len(adapted)} adapters and {len(other)} other trainable "
            f"weights {other[:3]}. Use add_lora, or model.save for the whole model."
        )
    about: dict = {"format": _FORMAT, "keras": keras.__version__, "model": model.name}
    about |= {"base": _digest(model, places, own), "head": [list(v.shape) for v in own]}
    about["head_begins"] = head
    about["adapters"] = [
        {"place": i, "layer": place.names[1], "matrix": list(place.matrix.shape)}
        | {"rank": place.layer.lora_rank, "alpha": place.layer.lora_alpha}
        for i, place in adapted
    ]
    state.save(path, state.read(adapters + own), about)


def load_adapters(model: keras.Model, path: str | os.PathLike) -> Trainability:
    """Give a model the adapters and the head of a file, and return `describe(model)`.

    It predicts as the saved one did. Once fitted, it must be compiled again before the next fit.

    Args:
        model: a model built as the saved one was, with the same base weights; in place. It may have
            the same adapters already.
        path: a file of `save_adapters`.

    Raises:
        ValueError: no file, one of another kind or a damaged one; a model with other layers,
            another head, other base weights or other adapters. The model is unchanged then.

    Example:
        >>> table = tl.add_lora(model, rank=2, targets="conv*")
        >>> tl.save_adapters(model, "cats.lora.npz")
        >>> tl.load_adapters(model, "cats.lora.npz").trainable == table.trainable
        True
    """
    try:
        values, about = state.load(path)
        if about["format"] != _FORMAT:
            raise ValueError(f"its format is {about['format']!r} and not {_FORMAT!r}")
        saved = [(item["place"], item["rank"], item["alpha"]) for item in about["adapters"]]
        if [list(value.shape) for value in values] != _shapes(about):
            raise ValueError("its arrays are not those that it lists")
    except Exception as error:  # numpy raises a dozen kinds for files that it cannot read
        raise ValueError(
            f"`path` must be a file of save_adapters. Received: path={str(path)!r}: "
            f"{type(error).__name__}: {error}. Save or copy it again, as a whole."
        ) from error
    anatomy = Anatomy(model, about.get("head_begins"))
    places, head = places_of(anatomy), _weights_of(anatomy.head)
    adapted = [(i, place.layer) for i, place in enumerate(places) if place.adapter]
    present = [(i, layer.lora_rank, layer.lora_alpha) for i, layer in adapted]
    if wrong := _difference(model, places, head, about, present not in ([], saved)):
        raise ValueError(
            f"`model` must be like the one that the adapters were saved from ({about['model']!r}, "
            f"keras {about['keras']}). Received: model={model.name!r} with {wrong}. "
            "Build it as for the training, with the same base weights."
        )
    if not present:
        enable(anatomy, [(places[i], rank, alpha) for i, rank, alpha in saved])
    state.write([v for i, _, _ in saved for v in places[i].adapter] + head, values)
    return table_of(anatomy, model.trainable_variables)


def _shapes(about: dict) -> list[list[int]]:
    """Return the shapes of A and B of every place, then those of the head."""
    adapters: list[list[int]] = []
    for item in about["adapters"]:
        *rows, columns = item["matrix"]
        adapters += [[*rows, item["rank"]], [item["rank"], columns]]
    return adapters + about["head"]


def _difference(model, places: list[Place], head: list, about: dict, other_adapters: bool) -> str:
    for item in about["adapters"]:
        here = places[item["place"]] if item["place"] < len(places) else None
        if here is None or list(here.matrix.shape) != item["matrix"]:
            return f"no layer like {item['layer']!r} of shape {tuple(item['matrix'])}"
    if other_adapters:
        return "other adapters"
    if [list(v.shape) for v in head] != about["head"]:
        return "another head"
    return "other weights in its base" if _digest(model, places, head) != about["base"] else ""


def _weights_of(layers: list[keras.Layer]) -> list[keras.Variable]:
    return list({id(v): v for layer in layers for v in layer.weights}.values())


def _digest(model: keras.Model, places: list[Place], head: list[keras.Variable]) -> str:
    """Return the checksum of all weights that are neither adapter nor head."""
    outside = {id(v) for v in [*head, *(v for place in places for v in place.adapter)]}
    digest = hashlib.sha256()
    for variable in model.weights:
        if id(variable) not in outside:
            digest.update(state.read([variable])[0].tobytes())
    return digest.hexdigest()
