"""Cut a model in two at a layer; both parts share their weights with it."""

from __future__ import annotations

from tlhelpers.blocks import Step, cuts, find_layer, learns, split_head, walk

import keras


def split_at(model: keras.Model, layer: str | keras.Operation) -> tuple[keras.Model, keras.Model]:
    """Cut a model behind a layer, into a prefix and a tail.

    Both parts are made of the model's own layers. So the frozen prefix can be run over the data
    once, the tail trained on what came out, and it is the model itself that has been trained.

    Args:
        model: a functional or built Sequential model; the layer may lie inside of a nested base.
        layer: the last layer of the prefix, or its name. All that follows must depend on its output
            alone: not a place inside of a residual block, beside the shortcut.

    Returns:
        `(prefix, tail)` with `tail(prefix(x)) == model(x)`. Neither is compiled.

    Raises:
        ValueError: an unknown layer (near matches are listed); a cut through a residual block, or
            one that would leave the tail empty (the nearest places to cut are listed).

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
    parts = _split(model, target)
    if parts is None:
        name = getattr(layer, "name", layer)
        raise ValueError(f"A layer of {model.name!r} is required. Received: layer={name!r}.")
    return parts


def _split(model: keras.Model, target: keras.Operation) -> tuple[keras.Model, keras.Model] | None:
    steps = walk(model)
    for position, step in enumerate(steps):
        if step.layer is target:
            _check_cut(model, steps, position)
            prefix = keras.Model(_inputs(model), step.tensor, name=f"{model.name}_prefix")
            return prefix, keras.Model(step.tensor, model.outputs[0], name=f"{model.name}_tail")
        if isinstance(step.layer, keras.Model) and (inner := _split(step.layer, target)):
            return _join(model, steps, position, *inner)
    return None


def _join(
    model: keras.Model,
    steps: list[Step],
    position: int,
    inner_prefix: keras.Model,
    inner_tail: keras.Model,
) -> tuple[keras.Model, keras.Model]:
    """Extend the two parts of a nested model by what lies before and behind it."""
    step = steps[position]
    if len(step.inputs) != 1 or step.crossing - {position}:
        raise ValueError(
            f"{step.layer.name!r} must be the only way from the inputs to the outputs of "
            f"{model.name!r} for a cut inside of it. Received: a model with side inputs."
        )
    fed = steps[step.inputs[0]].tensor
    prefix = keras.Model(_inputs(model), inner_prefix(fed), name=f"{model.name}_prefix")
    features = keras.Input(inner_tail.input_shape[1:], dtype=inner_tail.input.dtype)
    outputs = inner_tail(features)
    if position < len(steps) - 1:
        outputs = keras.Model(step.tensor, model.outputs[0], name="rest")(outputs)
    return prefix, keras.Model(features, outputs, name=f"{model.name}_tail")


def _inputs(model: keras.Model):
    return model.inputs[0] if len(model.inputs) == 1 else model.inputs


def _check_cut(model: keras.Model, steps: list[Step], position: int) -> None:
    allowed = _places(steps)
    if position in allowed:
        return
    before = [steps[i].layer.name for i in allowed if i < position][-2:]
    after = [steps[i].layer.name for i in allowed if i > position][:2]
    raise ValueError(
        "A cut must leave one tensor to carry everything on, and something for the tail. "
        f"Received: layer={steps[position].layer.name!r}, which is inside of a block with a "
        f"shortcut, or the end of {model.name!r}. Near places to cut: "
        f"{', '.join(map(repr, before + after)) or 'none'}."
    )


def _places(steps: list[Step]) -> list[int]:
    return [
        i
        for i in cuts(steps)
        if steps[i].crossing == {i} and steps[i].inputs and i < len(steps) - 1
    ]


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
    except ValueError:  # a part without a graph (subclassed), or with several inputs
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
    allowed = set(_places(steps))
    last = None
    for position, step in enumerate(steps):
        layer = step.layer
        trains = any(id(v) in trained for v in getattr(layer, "variables", ()))
        begun = learns(layer) or any(learns(before.layer) for before in steps[:position])
        if trains or _is_random(layer, base_layers if begun else set()):
            single = len(step.inputs) == 1 and step.crossing <= {position}
            inner = isinstance(layer, keras.Model) and single
            return (_last_frozen(layer, base_layers, trained) if inner else None) or last
        if position in allowed:
            last = layer
    return last


def _is_random(layer: keras.Operation, base_layers: set[int]) -> bool:
    """Whether a layer, or one inside of it, draws random numbers, outside of the base."""
    parts = layer._flatten_layers() if isinstance(layer, keras.Layer) else ()
    return any(part._seed_generators and id(part) not in base_layers for part in parts)
