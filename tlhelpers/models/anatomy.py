"""What a model is made of: its base, its head, its blocks, and where it can be cut.

Everything is read off the model's graph, never off a table of layer names, so that the answers are
the same for all of `keras.applications`, for nested and inlined bases, and for nets of your own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tlhelpers.checks.words import did_you_mean

import keras


@dataclass(frozen=True)
class Block:
    """Consecutive layers that are frozen and unfrozen together, from input to output."""

    name: str
    layers: tuple[keras.Layer, ...]

    @property
    def weighted(self) -> tuple[keras.Layer, ...]:
        """Its layers that have something to learn, in order."""
        return tuple(layer for layer in self.layers if learns(layer))


@dataclass
class Step:
    """One call of a layer in the graph; `inputs` are the positions of the steps it reads."""

    layer: keras.Layer
    inputs: list[int]
    tensor: keras.KerasTensor
    arguments: object = None  # of the call, tensors included
    stride: int | None = None
    crossing: set[int] = field(default_factory=set)  # steps still needed after this one


def learns(layer: keras.Layer) -> bool:
    """Whether a layer owns weights that an optimizer could ever train."""
    weights = getattr(layer, "weights", ())  # a bare operation, such as `a + b`, is no layer
    return bool(weights) and not isinstance(layer, keras.layers.Normalization)


def find_base(model: keras.Model) -> keras.Model:
    """Return the model in which the pre-trained layers live.

    That is the nested model which comes first of all that learns, if it has more such layers than
    lie beside it un-nested; searched again inside of what was found. A model without one is its own
    base (inlined).

    Raises:
        ValueError: not a Keras model.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"A Keras model is required. Received: {model!r} of type {type(model).__name__}. "
            "Wrap layers in keras.Sequential([...])."
        )
    learning = [part for part in model.layers if learns(part)]
    inlined = sum(not isinstance(part, keras.Model) for part in learning)
    if learning and isinstance(learning[0], keras.Model):
        first = learning[0]
        if sum(map(learns, leaves(first))) > inlined:
            return find_base(first)
    return model


def leaves(layer: keras.Layer) -> Iterator[keras.Layer]:
    """Yield the layers inside of models and Sequentials, opened recursively, in order."""
    for part in layer.layers:
        if isinstance(part, keras.Model):
            yield from leaves(part)
        else:
            yield part


def _operations(model: keras.Model) -> Iterator[keras.Operation]:
    for part in getattr(model, "operations", model.layers):
        if isinstance(part, keras.Model):
            yield from _operations(part)
        yield part


def walk(model: keras.Model) -> list[Step]:
    """Return the calls that lead from a functional model's inputs to its outputs, in order.

    Raises:
        ValueError: the model has no graph (a subclassed model, or one that is not built yet).
    """
    if isinstance(model, keras.Sequential) and model.built:
        model = model._functional
    if not getattr(model, "outputs", None):
        raise ValueError(
            f"A functional or built Sequential model is required. Received: model={model.name!r} "
            f"of type {type(model).__name__}. Call it once on data, or build it with keras.Model."
        )
    where: dict[tuple[int, int], int] = {}
    steps: list[Step] = []
    todo = [(tensor, False) for tensor in [*reversed(model.outputs), *reversed(model.inputs)]]
    starts = {id(tensor) for tensor in model.inputs}
    while todo:  # depth first without recursion: some nets are a thousand layers deep
        tensor, expanded = todo.pop()
        layer, index, _ = tensor._keras_history
        key = (id(layer), index)
        if key in where:
            continue
        node = layer._inbound_nodes[index]
        parents = [] if id(tensor) in starts else node.input_tensors
        if not expanded:
            todo.append((tensor, True))
            todo.extend((parent, False) for parent in reversed(parents))
            continue
        inputs = [where[id(p._keras_history[0]), p._keras_history[1]] for p in parents]
        where[key] = len(steps)
        steps.append(Step(layer, inputs, tensor, node.arguments))
    _mark_strides(steps)
    outputs = [where[id(t._keras_history[0]), t._keras_history[1]] for t in model.outputs]
    _mark_crossings(steps, outputs)
    return steps


def _mark_strides(steps: list[Step]) -> None:
    for step in steps:
        before = [steps[i].stride for i in step.inputs if steps[i].stride] or [1]
        pooled_away = "Global" in type(step.layer).__name__
        step.stride = None if pooled_away else max(before) * _stride_of(step.layer)


def _stride_of(layer: keras.Layer) -> int:
    if isinstance(layer, keras.Model):
        product = 1
        for part in leaves(layer):
            product *= _stride_of(part)
        return product
    strides = getattr(layer, "strides", 1)
    transposed = "Transpose" in type(layer).__name__
    return 1 if transposed else max(strides) if isinstance(strides, tuple | list) else int(strides)


def _mark_crossings(steps: list[Step], outputs: list[int]) -> None:
    last_use = {i: i for i in range(len(steps))}
    for position, step in enumerate(steps):
        for source in step.inputs:
            last_use[source] = position
    for output in outputs:
        last_use[output] = len(steps)
    alive: set[int] = set()
    for position, step in enumerate(steps):
        alive = {i for i in alive if last_use[i] > position}
        if last_use[position] > position:
            alive.add(position)
        step.crossing = set(alive)


def cuts(steps: list[Step]) -> list[int]:
    """Return the positions after which one single tensor (inputs aside) carries everything on."""
    inputs = {i for i, step in enumerate(steps) if not step.inputs}
    return [i for i, step in enumerate(steps) if step.crossing - inputs == {i}]


def head_start(steps: list[Step]) -> int:
    """Return where the head of a model with an inlined base begins; its length if there is none.

    The head begins where the features stop having places: at the first cut where maps or sequences
    have become one vector per sample. In a net of vectors only, it is the last layer that learns.
    A model with several outputs is a backbone and has no head.
    """
    ranks = [len(step.tensor.shape) for step in steps]
    if len(steps[-1].crossing) > 1:
        return len(steps)
    if max(ranks) > 2:
        valid = [i for i in cuts(steps) if ranks[i] <= 2 and max(ranks[: i + 1]) > 2]
        return min(valid, default=len(steps))
    learning = [i for i, step in enumerate(steps) if learns(step.layer)]
    return learning[-1] if len(learning) > 1 else len(steps)


def split_head(model: keras.Model) -> tuple[list[keras.Layer], list[keras.Layer]]:
    """Return the layers of the base and those of the head, each in order.

    A base alone (a backbone without a top, a nested base asked for directly) has no head. A layer
    that both use belongs to the base.
    """
    base = find_base(model)
    if base is not model:
        inside = {id(layer) for layer in base._flatten_layers()}
        head = [part for part in leaves(model) if id(part) not in inside]
        return list(base.layers), [part for part in head if part not in base.layers]
    try:
        steps = walk(model)
    except ValueError:
        return list(model.layers), []
    start = head_start(steps)
    used = {id(step.layer) for step in steps[:start]}
    head = {id(step.layer): step.layer for step in steps[start:] if id(step.layer) not in used}
    return [layer for layer in model.layers if id(layer) not in head], list(head.values())


def find_blocks(model: keras.Model) -> list[Block]:
    """Return the blocks of a model's base, from the input to the output.

    In a convolutional net a block is a stage: all layers that work at one resolution of the feature
    maps, as block1 to block5 of VGG16 and conv1 to conv5 of the ResNet paper. A residual unit is
    never divided. In a net without down-sampling (a transformer, a multi-layer perceptron) a block
    is the part between two places where the graph narrows to one tensor, such as one transformer
    layer, and carries that layer's name.

    Args:
        model: a base, or a model with a nested or inlined base.

    Returns:
        Blocks named "block1", "block2", ... (or after their layer), each with its layers. Layers
        without weights belong to the block they follow, and a layer that is used several times to
        the block where it is used first.
    """
    base = find_base(model)
    body = split_head(base)[0] if base is model else list(base.layers)
    try:
        steps = walk(base)
    except ValueError:  # a subclassed base: no graph to read
        return [Block(layer.name, (layer,)) for layer in body if learns(layer)]
    if base is model:
        steps = steps[: head_start(steps)]
    units = _join_embeddings(_units(steps))
    strides = [max((s.stride or 1 for s in unit), default=1) for unit in units]
    learning = [stride for unit, stride in zip(units, strides, strict=True) if _learns(unit)]
    by_stage = len(set(learning)) > 1
    groups: list[tuple[object, list[Step]]] = []
    for number, (unit, stride) in enumerate(zip(units, strides, strict=True)):
        key = stride if by_stage else number
        if groups and (key == groups[-1][0] or not _learns(unit)):
            groups[-1][1].extend(unit)
        elif groups and not _learns(groups[-1][1]):
            groups[-1] = (key, groups[-1][1] + unit)
        else:
            groups.append((key, list(unit)))
    return _name_blocks([group for _, group in groups], by_stage, body)


def _learns(steps: list[Step]) -> bool:
    return any(learns(step.layer) for step in steps)


def _units(steps: list[Step]) -> list[list[Step]]:
    """Divide the steps where the graph narrows to one tensor, so that no unit may be cut."""
    outputs = steps[-1].crossing if len(steps[-1].crossing) > 1 else set()
    ends = [i for i in cuts(steps) if steps[i].inputs and i not in outputs]  # no side branches
    units, start = [], 0
    for end in [*ends, len(steps) - 1]:
        if end < start:
            continue
        unit = steps[start : end + 1]
        strides = {step.stride for step in unit if step.stride}
        if len(strides) > 2:  # no narrow place over several stages (NASNet): by stride alone
            units += [[s for s in unit if (s.stride or 1) == n] for n in sorted(strides)]
        else:
            units.append(unit)
        start = end + 1
    return units


def _join_embeddings(units: list[list[Step]]) -> list[list[Step]]:
    """Make one unit of what comes before the first layer that is made of layers (transformers)."""
    first = next((n for n, unit in enumerate(units) if any(map(_is_composite, unit))), 0)
    return [[step for unit in units[:first] for step in unit], *units[first:]] if first else units


def _is_composite(step: Step) -> bool:
    layer = step.layer
    return (
        isinstance(layer, keras.Layer)
        and not isinstance(layer, keras.Model)
        and (sum(map(learns, layer._flatten_layers(include_self=False))) > 1)
    )


def _name_blocks(groups: list[list[Step]], by_stage: bool, body: list[keras.Layer]) -> list[Block]:
    order = {id(layer): position for position, layer in enumerate(body)}
    seen: set[int] = set()
    members: list[list[keras.Layer]] = []
    for group in groups:
        layers = {id(s.layer): s.layer for s in group if isinstance(s.layer, keras.Layer)}
        new = [layer for key, layer in layers.items() if key not in seen]
        seen |= set(layers)
        if members and not any(map(learns, new)):  # all that learns here was used before
            members[-1] += new
        else:
            members.append(new)
    blocks = []
    for number, layers in enumerate(members, start=1):
        layers.sort(key=lambda layer: order.get(id(layer), 0))
        heaviest = max(layers, key=lambda layer: layer.count_params())
        blocks.append(Block(f"block{number}" if by_stage else heaviest.name, tuple(layers)))
    return blocks


def find_layer(model: keras.Model, name: str) -> keras.Operation:
    """Return the layer (or the operation, such as an `a + b`) of that name, nested ones included.

    Raises:
        ValueError: no such layer (near matches are listed), or several.
    """
    known: dict[str, dict[int, keras.Operation]] = {}
    for part in _operations(model):
        known.setdefault(part.name, {})[id(part)] = part
    if name not in known:
        raise ValueError(
            f"The name of a layer of {model.name!r} is required. Received: {name!r}."
            + did_you_mean(name, known)
        )
    (found, *others) = known[name].values()
    if others:
        raise ValueError(
            f"A name that one layer of {model.name!r} has is required. Received: {name!r}, which "
            f"{len(others) + 1} layers have. Pass the layer itself: model.get_layer(...)."
        )
    return found
