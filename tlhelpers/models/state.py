"""The state of a model outside of the model: kept for a moment, or in one file."""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
from keras.src.backend.common import global_state

_GENERATOR = "global_seed_generator"  # Keras' own, behind every random function without a seed


def variables_of(model: keras.Model) -> list[keras.Variable]:
    """Return all that a training changes, each once: weights, seeds, metrics, optimizer."""
    optimizer = getattr(model, "optimizer", None)
    every = [
        *model.variables,
        *model.metrics_variables,
        *(optimizer.variables if optimizer else ()),
    ]
    return list({id(v): v for v in every}.values())


def read(variables: Iterable[keras.Variable]) -> list[np.ndarray]:
    """Return copies of the values, in numpy's own types (bfloat16 becomes float32)."""
    values = [np.array(keras.ops.convert_to_numpy(v)) for v in variables]
    return [
        v.astype("float32") if v.dtype.kind == "V" or v.dtype == "bfloat16" else v for v in values
    ]


def write(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    """Give the variables these values; nothing is written unless all shapes fit."""
    shapes = [(tuple(v.shape), a.shape) for v, a in zip(variables, values, strict=True)]
    if any(mine != theirs for mine, theirs in shapes):
        raise ValueError(f"Values of the same shapes are required. Received: {shapes}.")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@contextlib.contextmanager
def preserved(model: keras.Model) -> Iterator[None]:
    """Put the model and all random states back afterwards, whatever happened in between."""
    variables = variables_of(model)
    values = read(variables)
    python, legacy = random.getstate(), np.random.get_state()
    generator = global_state.get_global_attribute(_GENERATOR)
    seed = None if generator is None else read([generator.state])
    try:
        yield
    finally:
        model.reset_metrics()
        write(variables, values)
        random.setstate(python)
        np.random.set_state(legacy)
        global_state.set_global_attribute(_GENERATOR, generator)
        if generator is not None:
            write([generator.state], seed)


def save(path: str | os.PathLike, values: Sequence[np.ndarray], about: dict) -> None:
    """Write arrays and a dict for JSON into one `.npz`, which is either complete or not there."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    arrays = {f"{i:05d}": value for i, value in enumerate(values)}
    with part.open("wb") as file:
        np.savez(file, about=np.array(json.dumps(about)), **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def load(path: str | os.PathLike) -> tuple[list[np.ndarray], dict]:
    """Return the arrays and the dict of a file made by `save`."""
    with np.load(path, allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        return [file[name] for name in sorted(file.files) if name != "about"], about
