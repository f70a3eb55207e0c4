"""The state of a model, kept for a moment or in one file."""

import contextlib
import json
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tlhelpers.checks.files import write_atomically

import keras
import numpy as np
from keras.src.backend.common import global_state

_GENERATOR = "global_seed_generator"  # Keras' own, behind every random function without a seed


def check_built(model: keras.Model, name: str = "model") -> None:
    """Refuse a model without weights, such as a Sequential that has seen no input yet."""
    if not model.variables:
        raise ValueError(
            f"`{name}` must be built and have weights. Received: {name}={model.name!r} without "
            "any. Call it once on data, or model.build(input_shape)."
        )


def variables_of(model: keras.Model) -> list[keras.Variable]:
    """Return all that a training changes, each once: weights, seeds, metrics, optimizer."""
    of_optimizer = getattr(getattr(model, "optimizer", None), "variables", ())
    every = [*model.variables, *model.metrics_variables, *of_optimizer]
    return list({id(v): v for v in every}.values())


def read(variables: Iterable[keras.Variable]) -> list[np.ndarray]:
    """Return copies of the values in numpy's own types; bfloat16, kind "V", becomes float32."""
    values = [np.array(keras.ops.convert_to_numpy(v)) for v in variables]
    return [v.astype("float32") if v.dtype.kind == "V" else v for v in values]


def write(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    """Give the variables these values; nothing is written unless all shapes fit."""
    shapes = [(tuple(v.shape), a.shape) for v, a in zip(variables, values, strict=True)]
    if any(mine != theirs for mine, theirs in shapes):
        raise ValueError(
            f"`values` must have the shapes of the variables. Received: {shapes}, variable and "
            "value. Take the values of the same model."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@contextlib.contextmanager
def preserved(model: keras.Model) -> Iterator[None]:
    """Put the model and all random states back afterwards, after an error too."""
    variables = variables_of(model)
    values = read(variables)
    python, legacy = random.getstate(), np.random.get_state()
    generator = global_state.get_global_attribute(_GENERATOR)
    drawn = [] if generator is None else [generator.state]
    seeds = read(drawn)
    try:
        yield
    finally:
        model.reset_metrics()
        write(variables, values)
        random.setstate(python)
        np.random.set_state(legacy)
        global_state.set_global_attribute(_GENERATOR, generator)
        write(drawn, seeds)


def save(path: str | os.PathLike, values: Sequence[np.ndarray], about: dict) -> None:
    """Write arrays and a dict for JSON into one `.npz`, which is either complete or not there."""
    arrays: dict[str, Any] = {f"{i:05d}": value for i, value in enumerate(values)}
    write_atomically(path, lambda file: np.savez(file, about=json.dumps(about), **arrays))


def load(path: str | os.PathLike) -> tuple[list[np.ndarray], dict]:
    """Return the arrays and the dict of a file made by `save`."""
    with np.load(path, allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        return [file[name] for name in sorted(file.files) if name != "about"], about
