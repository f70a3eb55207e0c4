r"""The graph of a model: its calls in order, and the places where one tensor carries everything.

images -> conv -> add -> pool -> dense       a cut may lie behind conv, add and pool,
             \__conv__/                      not inside the branch
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tlhelpers.checks.words import did_you_mean

import keras


@dataclass(frozen=True)
class Step:
    """One call of a layer; `inputs` are the positions of the calls that it reads.

    `crossing` are the calls whose outputs are still needed once this one is done. `stride` counts
    input pixels for one step on its feature map; None once the places are pooled away.
    """

    layer: keras.Operation
    inputs: tuple[int, ...]
    tensor: keras.KerasTensor
    arguments: Any  # of the call, tensors included; None for an input
    stride: int | None
    crossing: frozenset[int]


def walk(model: keras.Model) -> tuple[Step, ...]:
    """Return the calls that lead from a functional model's inputs to its outputs, in order.

    Raises:
        ValueError: the model has no graph (a subclassed model, or one that is not built yet).
    """
    if isinstance(model, keras.Sequential) and model.built:
        model = model._functional
    if not getattr(model, "outputs", None):
        raise ValueError(
            f"`model` must be functional or a built Sequential. Received: model={model.name!r} "
            f"of type {type(model).__name__}. Call it once on data, or build it with keras.Model."
        )
    calls, where = _calls(model.outputs, model.inputs)
    inputs = [tuple(where[_call_of(parent)] for parent in parents) for _, parents, _ in calls]
    outputs = [where[_call_of(tensor)] for tensor in model.outputs]
    rows = zip(calls, inputs, _strides(calls, inputs), _crossings(inputs, outputs), strict=True)
    return tuple(
        Step(tensor._keras_history[0], reads, tensor, arguments, stride, crossing)
        for (tensor, _, arguments), reads, stride, crossing in rows
    )


def _call_of(tensor: keras.KerasTensor) -> tuple[int, int]:
    layer, index, _ = tensor._keras_history
    return id(layer), index


def _calls(outputs: Sequence, inputs: Sequence = ()) -> tuple[list, dict[tuple[int, int], int]]:
    """Return (tensor, tensors it is made from, arguments) of each call, and where each stands."""
    calls: list[tuple] = []
    where: dict[tuple[int, int], int] = {}
    starts = {id(tensor) for tensor in inputs}
    todo = [(tensor, False) for tensor in [*reversed(outputs), *reversed(inputs)]]
    while todo:  # depth first without recursion: some nets are a thousand layers deep
        tensor, ready = todo.pop()
        layer, index, _ = tensor._keras_history
        if _call_of(tensor) in where:
            continue
        node = layer._inbound_nodes[index]
        parents = [] if id(tensor) in starts else node.input_tensors
        if ready:
            where[_call_of(tensor)] = len(calls)
            calls.append((tensor, parents, node.arguments))
        else:
            todo.append((tensor, True))
            todo.extend((parent, False) for parent in reversed(parents))
    return calls, where


def layers_before(tensors: Sequence[keras.KerasTensor]) -> set[int]:
    """Return the `id` of every layer on which tensors depend."""
    return {layer for layer, _ in _calls(tensors)[1]}


def _strides(calls: list, inputs: list[tuple[int, ...]]) -> list[int | None]:
    strides: list[int | None] = []
    for (tensor, parents, _), reads in zip(calls, inputs, strict=True):
        layer = tensor._keras_history[0]
        before = max((stride for i in reads if (stride := strides[i])), default=1)
        stride = _stride_inside(layer, parents, tensor) or _stride_of(layer)
        strides.append(None if "Global" in type(layer).__name__ else before * stride)
    return strides


def _stride_inside(layer: keras.Operation, parents: list, tensor: keras.KerasTensor) -> int | None:
    """Return how much smaller a layer made of layers makes its maps; None where that is open."""
    made_of_layers = not isinstance(layer, keras.Model) and getattr(layer, "_layers", None)
    if not made_of_layers or len(parents) != 1 or len(tensor.shape) != len(parents[0].shape):
        return None
    sides = [(a, b) for a, b in zip(parents[0].shape[1:-1], tensor.shape[1:-1], strict=True)]
    known = [a / b for a, b in sides if a and b and len(sides) > 1]
    return max(1, round(max(known))) if known else None


def _stride_of(layer: keras.Operation) -> int:
    if isinstance(layer, keras.Model):
        return math.prod(map(_stride_of, leaves(layer)))
    if "Transpose" in type(layer).__name__:
        return 1
    strides = getattr(layer, "strides", 1)
    return max(strides) if isinstance(strides, tuple | list) else int(strides)


def _crossings(inputs: list[tuple[int, ...]], outputs: list[int]) -> list[frozenset[int]]:
    last_use = {i: i for i in range(len(inputs))}
    for position, reads in enumerate(inputs):
        last_use |= dict.fromkeys(reads, position)
    last_use |= dict.fromkeys(outputs, len(inputs))
    alive: frozenset[int] = frozenset()
    crossings = []
    for position in range(len(inputs)):
        alive = frozenset(i for i in {*alive, position} if last_use[i] > position)
        crossings.append(alive)
    return crossings


def cuts(steps: Sequence[Step]) -> list[int]:
    """Return the positions after which one single tensor (inputs aside) carries everything on."""
    inputs = inputs_among(steps)
    return [i for i, step in enumerate(steps) if step.crossing - inputs == {i}]


def inputs_among(steps: Sequence[Step]) -> set[int]:
    """Return the positions of the inputs."""
    return {i for i, step in enumerate(steps) if not step.inputs}


class Graph:
    """A functional model's steps, and those of the models nested in it, each read once.

    Args:
        model: a functional or built Sequential model.

    Raises:
        ValueError: the model has no graph.
    """

    def __init__(self, model: keras.Model, known: dict | None = None):
        self.model, self.steps = model, walk(model)
        self._known = {} if known is None else known

    def inside(self, position: int) -> "Graph":
        """Return the graph of the nested model that is called at a position.

        A base may have several outputs, as BERT has "sequence_output" and "pooled_output". Its
        graph is then the one that leads to the output which the step stands for.
        """
        layer, _, index = self.steps[position].tensor._keras_history
        if (id(layer), index) not in self._known:
            way = layer
            if len(getattr(layer, "outputs", None) or ()) > 1:
                way = keras.Model(inputs_of(layer), layer.outputs[index], name=layer.name)
            self._known[id(layer), index] = Graph(way, self._known)
        return self._known[id(layer), index]

    @cached_property
    def forks(self) -> set[int]:
        """The positions of the calls of which the model reads several outputs."""
        arguments = [tensor for step in self.steps for tensor in step.arguments.keras_tensors]
        read: dict[tuple[int, int], set[int]] = {}
        for tensor in [*self.model.outputs, *arguments]:
            read.setdefault(_call_of(tensor), set()).add(tensor._keras_history[2])
        calls = [_call_of(step.tensor) for step in self.steps]
        return {position for position, call in enumerate(calls) if len(read.get(call, ())) > 1}

    @cached_property
    def places(self) -> list[int]:
        """The positions behind which the model may be cut in two."""
        narrow = set(cuts(self.steps)) - self.forks
        return [i for i in sorted(narrow) if self.steps[i].inputs and i < len(self.steps) - 1]

    def is_the_only_way(self, position: int) -> bool:
        """Whether a nested model takes and leaves one computed tensor, inputs of the model aside.

        Only then can the model be cut inside it.
        """
        inputs, step = inputs_among(self.steps), self.steps[position]
        narrow = len(set(step.inputs) - inputs) <= 1 and step.crossing - inputs <= {position}
        return narrow and position not in self.forks


def learns(layer: keras.Operation) -> bool:
    """Whether a layer owns weights that an optimizer could ever train."""
    weights = getattr(layer, "weights", ())  # a bare operation, such as `a + b`, is no layer
    return bool(weights) and not isinstance(layer, keras.layers.Normalization)


def leaves(layer: keras.Model) -> Iterator[keras.Layer]:
    """Yield the layers of a model, those of nested models in their place, in order."""
    for part in layer.layers:
        if isinstance(part, keras.Model):
            yield from leaves(part)
        else:
            yield part


def operations(model: keras.Model) -> Iterator[keras.Operation]:
    """Yield all that a model calls, nested models and what they call included."""
    for part in getattr(model, "operations", model.layers):
        if isinstance(part, keras.Model):
            yield from operations(part)
        yield part


def inputs_of(model: keras.Model):
    """Return a model's inputs in the form that it takes: one, a list or a dictionary."""
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def find_layer(model: keras.Model, name: str) -> keras.Operation:
    """Return the layer (or the operation, such as an `a + b`) of that name, nested ones included.

    Raises:
        ValueError: no such layer (near matches are listed), or several.
    """
    found = list({id(part): part for part in operations(model) if part.name == name}.values())
    if not found:
        near = did_you_mean(name, dict.fromkeys(part.name for part in operations(model)))
        raise ValueError(f"`layer` must name a layer of {model.name!r}. Received: {name!r}.{near}")
    if len(found) > 1:
        raise ValueError(
            f"`layer` must be a name that one layer of {model.name!r} has. Received: {name!r}, "
            f"which {len(found)} layers have. Pass the layer itself: model.get_layer(...)."
        )
    return found[0]
