"""Low-rank adapters and the head of a model in one small file."""

from __future__ import annotations

import hashlib
import os

from tlhelpers.models import state
from tlhelpers.models.anatomy import split_head
from tlhelpers.tuning.describing import Trainability, describe
from tlhelpers.tuning.lora import Place, enable, places_of

import keras

_FORMAT = "tlhelpers adapters 1"


def save_adapters(model: keras.Model, path: str | os.PathLike) -> None:
    """Write the adapters and the head of a model into one small file.

    Args:
        model: a model after `add_lora`; it stays as it is.
        path: a file, such as "cats.lora.npz"; it is replaced as a whole or not at all.

    Raises:
        ValueError: a model without LoRA, or one whose base learns beside the adapters, which the
            file would lose.

    Example:
        >>> table = tl.add_lora(model, rank=2, targets="conv*")
        >>> tl.save_adapters(model, "cats.lora.npz")
    """
    places = places_of(model)
    adapted = [i for i, place in enumerate(places) if place.adapter]
    inside = {id(v) for place in places for v in place.adapter}
    base = {id(v) for layer in split_head(model)[0] for v in layer.weights}
    other = [v.path for v in model.trainable_variables if id(v) in base - inside]
    if not adapted or other:
        raise ValueError(
            "`model` must have a base that learns through LoRA only. Received: "
            f"model={model.name!r} with {len(adapted)} adapters and {len(other)} other trainable "
            f"weights {other[:3]}. Use add_lora, or model.save for the whole model."
        )
    about = {
        "format": _FORMAT,
        "keras": keras.__version__,
        "model": model.name,
        "base": _digest(model),
        "head": [list(v.shape) for v in _head_weights(model)],
        "adapters": [
            {
                "place": i,
                "layer": places[i].names[1],
                "matrix": list(places[i].matrix.shape),
                "rank": places[i].layer.lora_rank,
                "alpha": places[i].layer.lora_alpha,
            }
            for i in adapted
        ],
    }
    variables = [v for i in adapted for v in places[i].adapter] + _head_weights(model)
    state.save(path, state.read(variables), about)


def load_adapters(model: keras.Model, path: str | os.PathLike) -> Trainability:
    """Give a model the adapters and the head of a file, so that it predicts as the saved one did.

    Args:
        model: a model built as the saved one was, with the same base weights; in place. It may have
            the same adapters already.
        path: a file of `save_adapters`.

    Returns:
        The table of `describe(model)`.

    Raises:
        ValueError: no file, one of another kind or a damaged one; a model with other layers,
            another head, other base weights or other adapters. The model is unchanged then.

    Note:
        A model that has been fitted must be compiled again before it is fitted again.

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
        adapters = about["adapters"]
    except Exception as error:  # numpy raises a dozen kinds for files that it cannot read
        raise ValueError(
            f"`path` must be a file of save_adapters. Received: path={str(path)!r}: "
            f"{type(error).__name__}: {error}. Save the adapters again, or copy the file again "
            "as a whole."
        ) from error
    places = places_of(model)
    saved = [(item["place"], item["rank"], item["alpha"]) for item in adapters]
    adapted = [(i, place.layer) for i, place in enumerate(places) if place.adapter]
    present = [(i, layer.lora_rank, layer.lora_alpha) for i, layer in adapted]
    wrong = _difference(model, places, about, bool(present) and present != saved)
    if wrong:
        raise ValueError(
            f"`model` must be like the one that the adapters were saved from ({about['model']!r}, "
            f"keras {about['keras']}). Received: model={model.name!r} with {wrong}. "
            "Build it as for the training, with the same base weights."
        )
    if not present:
        enable(model, [(places[i], rank, alpha) for i, rank, alpha in saved])
    variables = [v for i, _, _ in saved for v in places[i].adapter] + _head_weights(model)
    state.write(variables, values)
    return describe(model)


def _difference(model, places: list[Place], about: dict, other_adapters: bool) -> str:
    for item in about["adapters"]:
        here = places[item["place"]] if item["place"] < len(places) else None
        if here is None or list(here.matrix.shape) != item["matrix"]:
            return f"no layer like {item['layer']!r} of shape {tuple(item['matrix'])}"
    if other_adapters:
        return "other adapters"
    if [list(v.shape) for v in _head_weights(model)] != about["head"]:
        return "another head"
    return "other weights in its base" if _digest(model) != about["base"] else ""


def _head_weights(model: keras.Model) -> list[keras.Variable]:
    every = [v for layer in split_head(model)[1] for v in layer.weights]
    return list({id(v): v for v in every}.values())


def _digest(model: keras.Model) -> str:
    """Return the checksum of all weights that are neither adapter nor head."""
    outside = {id(v) for place in places_of(model) for v in place.adapter}
    outside |= {id(v) for v in _head_weights(model)}
    digest = hashlib.sha256()
    for variable in model.weights:
        if id(variable) not in outside:
            digest.update(state.read([variable])[0].tobytes())
    return digest.hexdigest()
