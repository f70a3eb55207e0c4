"""The frozen part of a model, run over the data once, or once for each augmented copy.

data -> [ prefix: frozen ] -> features, kept -> [ tail: trains, epoch after epoch ]
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlhelpers.checks.data import count_samples
from tlhelpers.checks.words import check_whole
from tlhelpers.models.anatomy import Anatomy
from tlhelpers.models.graph import Graph, learns, leaves
from tlhelpers.models.splitting import split, split_at
from tlhelpers.tuning.batches import Batches, Shuffled, count_steps, for_keras
from tlhelpers.tuning.features import run_arrays, run_batches
from tlhelpers.tuning.freezing import Choice
from tlhelpers.tuning.history import Phase

import keras
import numpy as np
from keras.src.utils.summary_utils import readable_memory_size


@dataclass(frozen=True)
class FrozenPrefix:
    """The longest part of a model whose outputs stay the same in every epoch, and the rest."""

    layer: keras.Operation
    prefix: keras.Model
    tail: keras.Model

    def bytes_of(self, x, samples: int) -> int | None:
        """Return what its outputs for so many samples like `x` take; None where lengths vary."""
        outputs = self.prefix.outputs
        if any(None in tensor.shape[1:] for tensor in outputs) and x is not None:
            pairs = zip(self.prefix.inputs, keras.tree.flatten(x), strict=True)
            given = [keras.KerasTensor((None, *x.shape[1:]), t.dtype) for t, x in pairs]
            form = keras.tree.pack_sequence_as(self.prefix.input, given)
            outputs = self.prefix.compute_output_spec(form)
        total = 0
        for tensor in keras.tree.flatten(outputs):
            if None in tensor.shape[1:]:
                return None
            kind = "float32" if tensor.dtype == "bfloat16" else tensor.dtype
            total += samples * math.prod(tensor.shape[1:]) * np.dtype(kind).itemsize
        return total


def frozen_prefix(
    graph: Graph, trained: set[int], base: set[int], augmentation: list[keras.Layer] | None = None
) -> FrozenPrefix | None:
    """Cut a model behind the last layer up to which nothing trains and nothing is random.

    Dropout inside the frozen base does not count: it is off in the prefix, as at prediction.

    Args:
        graph: of a model, or of the tail of one.
        trained: the `id` of every variable that trains.
        base: the `id` of every layer of the base, nested layers included.
        augmentation: random layers that do not count either.

    Returns:
        The cut, or None if no prefix with weights can be cut off: everything learns, the model
        augments its images, or a part has no graph.
    """
    free = ids_of_layers(augmentation or [])
    try:
        layer = _last_frozen(graph, trained, base | free, free)
        if layer is None:
            return None
        found = FrozenPrefix(layer, *split(graph, layer))
    except ValueError:  # a part without a graph (subclassed), or beside other branches
        return None
    return found if found.prefix.weights else None


def augmentation_of(graph: Graph) -> list[keras.Layer]:
    """Return the layers in front of all that learns that draw random numbers, in order."""
    found: list[keras.Layer] = []
    for position, step in enumerate(graph.steps):
        if learns(step.layer):
            nested = isinstance(step.layer, keras.Model)
            return found + (augmentation_of(graph.inside(position)) if nested else [])
        if _draws(step.layer, set()):
            found.append(step.layer)
    return found


def ids_of_layers(layers: list[keras.Layer]) -> set[int]:
    """Return the `id` of every layer, those nested inside included."""
    return {id(part) for layer in layers for part in layer._flatten_layers()}


def _last_frozen(
    graph: Graph, trained: set[int], base: set[int], free: set[int]
) -> keras.Operation | None:
    last, begun = None, False
    for position, step in enumerate(graph.steps):
        begun = begun or learns(step.layer)
        variables = getattr(step.layer, "variables", ())
        trains = any(id(variable) in trained for variable in variables)
        if trains or _draws(step.layer, base if begun else free):
            if not isinstance(step.layer, keras.Model) or not graph.is_the_only_way(position):
                return last
            return _last_frozen(graph.inside(position), trained, base, free) or last
        if position in graph.places:
            last = step.layer
    return last


def _draws(layer: keras.Operation, exempt: set[int]) -> bool:
    """Whether a layer, or one inside it, draws random numbers; those exempt do not count."""
    parts = layer._flatten_layers() if isinstance(layer, keras.Layer) else ()
    return any(part._seed_generators and id(part) not in exempt for part in parts)


@dataclass
class Part:
    """A model, or the tail of it, with the data that goes into it.

    `copies` are the training data, as one pass over them gives them: one for each augmented pass.
    Each is `Batches`, or arrays `(x, y)` or `(x, y, weights)`; so are the validation data. With a
    seed, it and the epoch alone decide the order of arrays; without one, Keras does.
    """

    model: keras.Model
    copies: list
    validation: Any
    layer: str | None = None  # behind which the whole model was cut
    seed: tuple[int, ...] | None = None

    @property
    def size(self) -> int | None:
        """Samples in a batch, where the data come in batches."""
        data = self.copies[0]
        return count_samples(data.first[0]) if isinstance(data, Batches) else None

    def steps(self, batch_size: int) -> int:
        """Return the batches of an epoch; some data must be gone through to count them."""
        return count_steps(self.copies[0], batch_size)

    def score(self, monitor: str | None) -> float | None:
        """Return the metric of the validation data, such as "val_loss", as it is now."""
        if self.validation is None or monitor is None:
            return None
        logs = self.model.evaluate(**_by_name(self.validation), verbose=0, return_dict=True)
        return logs[monitor.removeprefix("val_")]

    def fit(self, callbacks, span: range, batch_size: int, **settings) -> None:
        """Train for some epochs, each with the copy whose turn it is; `settings` as in Keras."""
        data = _by_name(self.copies[0])
        if isinstance(self.copies[0], Batches):
            data["shuffle"] = False
        elif self.seed is None:
            data["batch_size"] = batch_size
        else:
            data = Shuffled(self.copies, batch_size, self.seed, span).fit_arguments
        settings = {"epochs": len(span), "verbose": 0, **settings}
        settings |= {"validation_data": for_keras(self.validation), "callbacks": callbacks}
        try:
            self.model.fit(**data, **settings)
        except Exception:  # Keras' own, around what was wrong with a batch
            for batches in (self.copies[0], self.validation):
                if isinstance(batches, Batches) and batches.error:
                    raise batches.error from None
            raise


def _count(data) -> int | None:
    """Return the samples of a pass; of batches at most, None where their source does not know."""
    if isinstance(data, Batches):
        return data.known and data.known * count_samples(data.first[0])
    return count_samples(data[0])


def _by_name(data) -> dict:
    """Return data as arguments of `fit` and `evaluate`."""
    if isinstance(data, Batches):
        return {"x": data.for_keras}
    return dict(zip(("x", "y", "sample_weight"), data, strict=False))


class PrefixCache:
    """Finds what of a model can be run once, and runs it.

    Args:
        anatomy: of the model.
        setting: True keeps outputs in memory, a folder keeps them on disk, False keeps none.
        passes: how often augmented data are run, each time with another draw.
        dataset: whether the data come in batches, which may be augmented already.

    Raises:
        ValueError: several passes that would all be the same, or that could not be kept.
    """

    def __init__(self, anatomy: Anatomy, setting: bool | str | Path, passes: int, dataset: bool):
        self.passes = check_whole("passes", passes, 1)
        if passes > 1 and setting is not True:
            raise ValueError(
                "`passes` needs cache_prefix=True: the copies are drawn each time and kept in "
                f"memory. Received: passes={passes}, cache_prefix={setting!r}."
            )
        if passes > 1 and not dataset and not augmentation_of(anatomy.graph):
            raise ValueError(
                f"`passes` needs augmentation, or all are the same. Received: passes={passes}, "
                f"model={anatomy.model.name!r} without a random layer in front of its base, and "
                "arrays. Put keras.layers.RandomFlip() in front, or use passes=1."
            )
        self.anatomy, self.setting = anatomy, setting
        self.folder = None if setting is True else setting
        self.base = ids_of_layers(anatomy.body)

    def find(self, choice: Choice, graph: Graph | None = None) -> FrozenPrefix | None:
        """Return the cut behind what is frozen under a choice, in the model or in a tail of it."""
        if not self.setting or own_methods(self.anatomy.model):
            return None
        trained = {id(variable) for variable in choice.variables}
        drawn = augmentation_of(self.anatomy.graph) if self.passes > 1 and graph is None else []
        return frozen_prefix(graph or self.anatomy.graph, trained, self.base, drawn)

    def look_ahead(self, phase: Phase, choice: Choice, whole: Part) -> FrozenPrefix | None:
        """Note in a phase what will be kept and what that takes, or why nothing; return the cut."""
        found = self.find(choice)
        phase.cached_behind = found.layer.name if found else None
        phase.uncached = "" if found else self._why_not(choice)
        phase.kept = self._room_for(whole, found) if found else ""
        return found

    def _why_not(self, choice: Choice) -> str:
        """Return the reason why nothing can be run once for all epochs."""
        if not self.setting:
            return f"cache_prefix={self.setting}"
        if own := own_methods(self.anatomy.model):
            return f"its own {', '.join(own)} must see whole inputs"
        try:
            drawn = augmentation_of(self.anatomy.graph)
        except ValueError:
            return "the model has no graph to cut"
        if drawn and self.passes == 1:
            return (
                f"{drawn[-1].name} draws again in every epoch; passes=k would cache k such copies"
            )
        trained = {id(variable) for variable in choice.variables}
        first = next(layer for layer in leaves(self.anatomy.model) if learns(layer))
        if any(id(variable) in trained for variable in first.variables):
            return f"everything from {first.name} on learns"
        return "no place in its frozen part carries everything in one tensor"

    def check_passes(self, phases: list[Phase]) -> None:
        """Refuse several passes over data of which nothing is cached in any phase."""
        reasons = [f"{phase.name}: {phase.uncached}" for phase in phases if phase.epochs]
        if self.passes > 1 and not any(p.cached_behind for p in phases if p.epochs):
            raise ValueError(
                "`passes` above 1 needs a frozen part that can be cached. Received: "
                f"passes={self.passes}, {'; '.join(reasons)}. Use passes=1, or unfreeze less."
            )

    def _room_for(self, part: Part, found: FrozenPrefix) -> str:
        """Say what the outputs of a prefix will take; "" where the data or shapes do not tell."""
        given = [
            *part.copies * self.passes,
            *([] if part.validation is None else [part.validation]),
        ]
        counts, first = [_count(data) for data in given], given[0]
        x = None if isinstance(first, Batches) else first[0]
        size = None if None in counts else found.bytes_of(x, sum(n or 0 for n in counts))
        where = "on disk" if self.folder else "in memory"
        return "" if size is None else f"{readable_memory_size(size)} {where}"

    def run(self, part: Part, found: FrozenPrefix | None) -> Part:
        """Run the prefix over a part's data, and return the tail with what came out."""
        if found is None:
            return part
        if self.passes == 1 or part.layer:
            copies, seed = [self._run(found.prefix, data) for data in part.copies], part.seed
        else:
            copies = _draw(self._augmenting(found), part.copies[0], self.passes)
            seed = part.seed or (np.random.randint(2**31),)
        validation = None
        if part.validation is not None:
            validation = self._run(found.prefix, part.validation)
        return Part(found.tail, copies, validation, found.layer.name, seed)

    def _run(self, prefix: keras.Model, data) -> tuple:
        if isinstance(data, Batches):
            return run_batches(prefix, data, self.folder)
        x, *beside = data
        return (run_arrays(prefix, x, cache=self.folder), *beside)

    def _augmenting(self, found: FrozenPrefix) -> keras.Model:
        """Return the prefix with the augmentation in front of it at work.

        images -> ( front: augmentation, in training mode ) -> rest of the prefix
        """
        drawn = augmentation_of(self.anatomy.graph)
        if not drawn:  # the dataset draws
            return found.prefix
        model = self.anatomy.model
        front, rest = split(self.anatomy.graph, drawn[-1])
        inputs = keras.tree.map_structure(
            lambda tensor: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name),
            model.input,
        )
        outputs = split_at(rest, found.layer)[0](_Drawing(front)(inputs))
        return keras.Model(inputs, outputs, name=model.name)


class _Drawing(keras.layers.Layer):
    """A model in training mode, wherever it is called: its augmentation draws."""

    def __init__(self, model: keras.Model):
        super().__init__(name=f"{model.name}_drawing")
        self.model = model

    def call(self, x):
        return self.model(x, training=True)


def own_methods(model: keras.Model) -> list[str]:
    """Return the methods of a training that a model's class has in place of Keras' own."""
    names = ("train_step", "test_step", "compute_loss", "compute_metrics", "fit", "evaluate")
    return [name for name in names if not _is_of_keras(model, name)]


def _is_of_keras(model: keras.Model, name: str) -> bool:
    owner = next((kind for kind in type(model).__mro__ if name in vars(kind)), None)
    of_keras = owner is None or owner.__module__.split(".")[0] == "keras"
    return of_keras and name not in vars(model)


def _draw(prefix: keras.Model, data, passes: int) -> list:
    """Return the outputs and labels of each pass, which all must differ."""
    if not isinstance(data, Batches):
        x, *beside = data
        copies = [(run_arrays(prefix, x), *beside) for _ in range(passes)]
    else:  # one iterator: a new one would draw the same numbers again after tl.set_seed
        all_passes = run_batches(prefix, data.repeated(passes))
        count = count_samples(all_passes[1]) // passes
        copies = [
            keras.tree.map_structure(
                lambda part, n=n: part[n * count : (n + 1) * count], all_passes
            )
            for n in range(passes)
        ]
    first, second = (np.sort(_sums(copy[0])) for copy in copies[:2])
    if np.allclose(first, second, rtol=1e-5):
        raise ValueError(
            f"`passes` needs an augmentation that draws again. Received: passes={passes} with "
            "equal outputs. Augment behind dataset.cache(), or use passes=1."
        )
    return copies


def _sums(features) -> np.ndarray:
    parts = [np.asarray(part, "float64") for part in keras.tree.flatten(features)]
    return sum(part.reshape(len(part), -1).sum(axis=1) for part in parts)
