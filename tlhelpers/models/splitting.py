"""Cut a model in two at a layer; both parts share their weights with it."""

from __future__ import annotations

from dataclasses import dataclass

from tlhelpers.models.anatomy import Step, _operations, cuts, find_layer, learns, split_head, walk

import keras


def split_at(model: keras.Model, layer: str | keras.Operation) -> tuple[keras.Model, keras.Model]:
    """Cut a model behind a layer, into a prefix and a tail.

    Both parts are made of the model's own layers. So the frozen prefix can be run over the data
    once, the tail trained on what came out, and it is the model itself that has been trained.

    Args:
        model: a functional or built Sequential model; the layer may lie inside of a nested base.
        layer: the last layer of the prefix, or its name. All that follows must depend on its output
            and on the model's inputs alone: not a place inside of a residual block, beside the
            shortcut, nor inside of a base of which the model reads several outputs.

    Returns:
        `(prefix, tail)` with `tail(prefix(x)) == model(x)`. Neither is compiled. Where the tail
        still reads inputs of the model, as every layer of a text encoder reads the padding mask,
        a dictionary goes from one to the other: the features under the layer's name, and these
        inputs under theirs.

    Raises:
        ValueError: an unknown layer (near matches are listed), or one on which the output does not
            depend; a cut through a residual block, behind a layer of which several outputs are
            read, or one that would leave the tail empty (the nearest places to cut are listed).

    Example:
        >>> prefix, tail = tl.split_at(model, "block4_pool")
        >>> features = tl.extract_features(prefix, x_train)
        >>> tail.compile(...); tail.fit(features, y_train)
    """
    target = find_layer(model, layer) if isinstance(layer, str) else layer
    if len(model.outputs or ()) != 1:
        raise ValueError(
            f"A model with one output is required. Received: {model.name!r} with "
            f"{len(model.outputs or ())}. Choose one: keras.Model(model.input, model.output[...])."
        )
    cut = _cut(model, target)
    if cut is None:
        name = getattr(layer, "name", layer)
        raise ValueError(
            f"A layer on which the output of {model.name!r} depends is required. "
            f"Received: layer={name!r}. Choose another one of model.summary(expand_nested=True)."
        )
    names = {"prefix": f"{model.name}_prefix", "tail": f"{model.name}_tail"}
    if not cut.needed:
        prefix = keras.Model(inputs_of(model), cut.features, name=names["prefix"])
        return prefix, keras.Model(cut.tail.input, cut.tail.output, name=names["tail"])
    between = {target.name: cut.features, **{tensor.name: tensor for tensor in cut.needed}}
    fresh = {name: _fresh(tensor, name) for name, tensor in between.items()}
    prefix = keras.Model(inputs_of(model), between, name=names["prefix"])
    return prefix, keras.Model(fresh, cut.tail(list(fresh.values())), name=names["tail"])


class _EndsMask(keras.Model):
    """The first part of a model that is called with a mask, up to where the mask has ended."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs, mask=None):
        return None


@dataclass
class _Cut:
    """Where a model is cut: `features`, and a tail from these and the inputs it still needs."""

    features: keras.KerasTensor
    needed: list[keras.KerasTensor]
    tail: keras.Model


def _cut(model: keras.Model, target: keras.Operation) -> _Cut | None:
    steps = walk(model)
    for position, step in enumerate(steps):
        if _ends_in(step.tensor, target):
            _check_cut(model, steps, position)
            needed = _still_needed(steps, position)
            return _Cut(step.tensor, needed, _from([step.tensor, *needed], model.outputs[0]))
        if isinstance(step.layer, keras.Model) and target in _operations(step.layer):
            if not _joinable(model, steps, position):
                raise _not_the_only_way(model, step)
            if inner := _cut(_towards(step.tensor), target):
                return _join(model, steps, position, inner)
    return None


def _ends_in(tensor: keras.KerasTensor, target: keras.Operation) -> bool:
    """Whether a tensor comes from the target, or from a nested model that has it from there."""
    layer, _, index = tensor._keras_history
    outputs = getattr(layer, "outputs", None) if isinstance(layer, keras.Model) else None
    return layer is target or (bool(outputs) and _ends_in(outputs[index], target))


def _towards(tensor: keras.KerasTensor) -> keras.Model:
    """Return the nested model that a tensor comes from, with the output that the tensor is alone.

    A base may have several, as BERT has "sequence_output" and "pooled_output".
    """
    layer, _, index = tensor._keras_history
    if len(getattr(layer, "outputs", None) or ()) < 2:
        return layer
    return keras.Model(inputs_of(layer), layer.outputs[index], name=layer.name)


def _forks(model: keras.Model, steps: list[Step]) -> set[int]:
    """Return the positions of the calls of which the model reads several outputs."""
    read: dict[tuple[int, int], set[int]] = {}
    for tensor in [*model.outputs, *(t for s in steps for t in s.arguments.keras_tensors)]:
        layer, call, index = tensor._keras_history
        read.setdefault((id(layer), call), set()).add(index)
    calls = [(id(step.layer), step.tensor._keras_history[1]) for step in steps]
    return {position for position, call in enumerate(calls) if len(read.get(call, ())) > 1}


def _join(model: keras.Model, steps: list[Step], position: int, inner: _Cut) -> _Cut:
    """Extend the cut of a nested model by what lies before and behind it."""
    step = steps[position]
    arguments, settings = step.arguments.args, step.arguments.kwargs
    outer = dict(zip(map(id, step.layer.inputs), keras.tree.flatten(arguments[0]), strict=True))
    read = [outer[id(tensor)] for tensor in inner.needed]
    later = _still_needed(steps, position)
    inputs = {id(tensor) for tensor in model.inputs}
    masked = any(isinstance(v, keras.KerasTensor) for v in keras.tree.flatten(settings))
    if not {id(t) for t in read} <= inputs:
        raise _not_the_only_way(model, step)
    if masked and len(inner.features.shape) > 2:
        raise ValueError(
            f"A cut inside of {step.layer.name!r}, which is called with a mask, must come where "
            f"the mask has ended. Received: features of shape {inner.features.shape}. Cut behind "
            "its pooling, or before it."
        )
    start = (_EndsMask if masked else keras.Model)(inputs_of(step.layer), inner.features)
    needed = list({id(tensor): tensor for tensor in [*read, *later]}.values())
    fresh = {id(tensor): _fresh(tensor) for tensor in needed}
    inputs = [_fresh(inner.features), *fresh.values()]
    outputs = inner.tail(_one_or_all([inputs[0], *(fresh[id(tensor)] for tensor in read)]))
    if position < len(steps) - 1:
        rest = _from([step.tensor, *later], model.outputs[0])
        outputs = rest(_one_or_all([outputs, *(fresh[id(tensor)] for tensor in later)]))
    tail = keras.Model(_one_or_all(inputs), outputs)
    return _Cut(start(*arguments, **settings), needed, tail)


def _not_the_only_way(model: keras.Model, step: Step) -> ValueError:
    return ValueError(
        f"{step.layer.name!r} must be the only way from the inputs to the outputs of "
        f"{model.name!r}, by one of its outputs, for a cut inside of it. Received: a model with "
        f"side branches, or one that reads several outputs of {step.layer.name!r}. Cut before it, "
        "or where all is one tensor again."
    )


def _still_needed(steps: list[Step], position: int) -> list[keras.KerasTensor]:
    return [steps[i].tensor for i in sorted(steps[position].crossing - {position})]


def _joinable(model: keras.Model, steps: list[Step], position: int) -> bool:
    """Whether a nested model takes and leaves one computed tensor, inputs of the model aside."""
    inputs = {i for i, step in enumerate(steps) if not step.inputs}
    step = steps[position]
    narrow = len(set(step.inputs) - inputs) <= 1 and step.crossing - inputs <= {position}
    return narrow and position not in _forks(model, steps)


def _from(tensors: list[keras.KerasTensor], output: keras.KerasTensor) -> keras.Model:
    """Return the model from tensors inside of a graph to its output.

    Keras 3.15 gives those that are inputs of the graph a second history, after which the model that
    they come from could not be saved any more; theirs is put back.
    """
    histories = [tensor._keras_history for tensor in tensors]
    model = keras.Model(_one_or_all(tensors), output)
    for tensor, history in zip(tensors, histories, strict=True):
        tensor._keras_history = history
    return model


def _fresh(tensor: keras.KerasTensor, name: str | None = None) -> keras.KerasTensor:
    return keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name)


def inputs_of(model: keras.Model):
    """Return a model's inputs in the form that it takes: one, a list or a dictionary."""
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _one_or_all(tensors: list):
    return tensors[0] if len(tensors) == 1 else tensors


def _check_cut(model: keras.Model, steps: list[Step], position: int) -> None:
    allowed = _places(model, steps)
    if position in allowed:
        return
    before = [steps[i].layer.name for i in allowed if i < position][-2:]
    after = [steps[i].layer.name for i in allowed if i > position][:2]
    raise ValueError(
        "A cut must leave one tensor to carry everything on, and something for the tail. "
        f"Received: layer={steps[position].layer.name!r}, which is inside of a block with a "
        f"shortcut, has several outputs, or is the end of {model.name!r}. Near places to cut: "
        f"{', '.join(map(repr, before + after)) or 'none'}."
    )


def _places(model: keras.Model, steps: list[Step]) -> list[int]:
    narrow = set(cuts(steps)) - _forks(model, steps)
    return [i for i in sorted(narrow) if steps[i].inputs and i < len(steps) - 1]


def last_frozen_layer(
    model: keras.Model, base_layers: set[int] | None = None
) -> keras.Operation | None:
    """Return the last layer behind which `split_at` leaves a prefix that is worth keeping.

    Such a prefix holds weights but nothing that trains, and nothing random outside of the base
    (augmentation, dropout): its outputs are the same in every epoch. Dropout inside of a frozen
    base does not count; it is off in the prefix, as it is at prediction.

    Args:
        model: a model with a nested or inlined base.
        base_layers: the `id` of every layer of the base, when `model` is a part of a whole.

    Returns:
        The layer, or None if there is no such place.
    """
    trained = {id(variable) for variable in model.trainable_variables}
    try:
        layer = _last_frozen(model, base_layers or layers_of_base(model), trained)
        if layer is None or len(model.outputs) != 1:
            return None
        prefix, _ = split_at(model, layer)
    except ValueError:  # a part without a graph (subclassed), or beside other branches
        return None
    return layer if prefix.weights else None


def layers_of_base(model: keras.Model) -> set[int]:
    """Return the `id` of every layer of a model's base, nested layers included."""
    body, _ = split_head(model)
    return {id(part) for layer in body for part in layer._flatten_layers()}


def _last_frozen(
    model: keras.Model, base_layers: set[int], trained: set[int]
) -> keras.Operation | None:
    steps = walk(model)
    allowed = set(_places(model, steps))
    last = None
    for position, step in enumerate(steps):
        layer = step.layer
        trains = any(id(v) in trained for v in getattr(layer, "variables", ()))
        begun = learns(layer) or any(learns(before.layer) for before in steps[:position])
        if trains or _is_random(layer, base_layers if begun else set()):
            if not isinstance(layer, keras.Model) or not _joinable(model, steps, position):
                return last
            return _last_frozen(_towards(step.tensor), base_layers, trained) or last
        if position in allowed:
            last = layer
    return last


def _is_random(layer: keras.Operation, base_layers: set[int]) -> bool:
    """Whether a layer, or one inside of it, draws random numbers, outside of the base."""
    parts = layer._flatten_layers() if isinstance(layer, keras.Layer) else ()
    return any(part._seed_generators and id(part) not in base_layers for part in parts)
