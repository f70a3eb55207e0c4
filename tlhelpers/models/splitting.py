"""Cut a model in two at a layer; both parts share their weights with it."""

from dataclasses import dataclass

from tlhelpers.checks.devices import scope_of
from tlhelpers.models.graph import Graph, Step, find_layer, inputs_of, operations

import keras


def split_at(model: keras.Model, layer: str | keras.Operation) -> tuple[keras.Model, keras.Model]:
    """Cut a model behind a layer, into a prefix and a tail.

    Both parts are made of the model's own layers. So you can run the frozen prefix over the data
    once and train the tail on what came out: it is the model itself that has been trained.

    Args:
        model: a functional or built Sequential model; the layer may lie inside a nested base.
        layer: the last layer of the prefix, or its name. All that follows must depend on its output
            and on the model's inputs alone: not a place inside a residual block, beside the
            shortcut, nor inside a base of which the model reads several outputs.

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
        >>> prefix, tail = tl.split_at(model, "conv1")
        >>> features = tl.extract_features(prefix, x_train)
        >>> tail.compile("adam", loss)
        >>> history = tail.fit(features, y_train, verbose=0)  # trains the layers of `model`
    """
    return split(Graph(model), find_layer(model, layer) if isinstance(layer, str) else layer)


def split(graph: Graph, target: keras.Operation) -> tuple[keras.Model, keras.Model]:
    """Cut a model whose graph is read already; see `split_at`."""
    model = graph.model
    if len(model.outputs) != 1:
        raise ValueError(
            f"`model` must have one output. Received: {model.name!r} with {len(model.outputs)}. "
            "Choose one: keras.Model(model.input, model.output[...])."
        )
    cut = _cut(graph, target)
    if cut is None:
        raise ValueError(
            f"`layer` must be one on which the output of {model.name!r} depends. Received: "
            f"layer={target.name!r}. Choose another one of model.summary(expand_nested=True)."
        )
    with scope_of(model):
        return _parts(model, target.name, cut)


def _parts(model: keras.Model, place: str, cut: "_Cut") -> tuple[keras.Model, keras.Model]:
    names = {"prefix": f"{model.name}_prefix", "tail": f"{model.name}_tail"}
    if not cut.needed:
        prefix = keras.Model(inputs_of(model), cut.features, name=names["prefix"])
        return prefix, keras.Model(cut.tail.input, cut.tail.output, name=names["tail"])
    between = {place: cut.features, **{tensor.name: tensor for tensor in cut.needed}}
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


@dataclass(frozen=True)
class _Cut:
    """Where a model is cut: `features`, and a tail from these and the inputs it still needs."""

    features: keras.KerasTensor
    needed: list[keras.KerasTensor]
    tail: keras.Model


def _cut(graph: Graph, target: keras.Operation) -> _Cut | None:
    for position, step in enumerate(graph.steps):
        if _ends_in(step.tensor, target):
            _check_place(graph, position)
            needed = _still_needed(graph, position)
            tail = _model_from([step.tensor, *needed], graph.model.outputs[0])
            return _Cut(step.tensor, needed, tail)
        if isinstance(step.layer, keras.Model) and target in operations(step.layer):
            if not graph.is_the_only_way(position):
                raise _not_the_only_way(graph, step)
            if inner := _cut(graph.inside(position), target):
                return _cut_nested(graph, position, inner)
    return None


def _ends_in(tensor: keras.KerasTensor, target: keras.Operation) -> bool:
    """Whether a tensor comes from the target, or from a nested model that has it from there."""
    layer, _, index = tensor._keras_history
    outputs = getattr(layer, "outputs", None) if isinstance(layer, keras.Model) else None
    return layer is target or (outputs and _ends_in(outputs[index], target)) or False


def _cut_nested(graph: Graph, position: int, inner: _Cut) -> _Cut:
    """Extend the cut of a nested model by what lies before and behind it.

    inputs -> [before] -> ( start | inner.tail ) -> [rest] -> output      | is the cut,
                             the nested model                             ( ) what is nested
    """
    step = graph.steps[position]
    read = _inputs_read_behind(graph, step, inner)
    later = _still_needed(graph, position)
    needed = list({id(tensor): tensor for tensor in [*read, *later]}.values())
    features = _start_of(step, inner)(*step.arguments.args, **step.arguments.kwargs)
    fresh = {id(tensor): _fresh(tensor) for tensor in needed}
    inputs = [_fresh(inner.features), *fresh.values()]
    outputs = inner.tail(_one_or_all([inputs[0], *(fresh[id(tensor)] for tensor in read)]))
    if position < len(graph.steps) - 1:
        rest = _model_from([step.tensor, *later], graph.model.outputs[0])
        outputs = rest(_one_or_all([outputs, *(fresh[id(tensor)] for tensor in later)]))
    return _Cut(features, needed, keras.Model(_one_or_all(inputs), outputs))


def _inputs_read_behind(graph: Graph, step: Step, inner: _Cut) -> list[keras.KerasTensor]:
    """Return the model's inputs that a nested model still reads behind the cut inside it."""
    given = keras.tree.flatten(step.arguments.args[0])
    outer = dict(zip(map(id, step.layer.inputs), given, strict=True))
    read = [outer[id(tensor)] for tensor in inner.needed]
    if not {id(tensor) for tensor in read} <= {id(tensor) for tensor in graph.model.inputs}:
        raise _not_the_only_way(graph, step)
    return read


def _start_of(step: Step, inner: _Cut) -> keras.Model:
    """Return the first part of a nested model; a mask that it is called with ends there."""
    settings = keras.tree.flatten(step.arguments.kwargs)
    if not any(isinstance(value, keras.KerasTensor) for value in settings):
        return keras.Model(inputs_of(step.layer), inner.features)
    if len(inner.features.shape) > 2:
        raise ValueError(
            f"A cut inside {step.layer.name!r}, which is called with a mask, must come where the "
            f"mask has ended. Received: features of shape {inner.features.shape}. Cut behind its "
            "pooling, or before it."
        )
    return _EndsMask(inputs_of(step.layer), inner.features)


def _not_the_only_way(graph: Graph, step: Step) -> ValueError:
    return ValueError(
        f"{step.layer.name!r} must be the only way from the inputs to the outputs of "
        f"{graph.model.name!r}, by one of its outputs, for a cut inside it. Received: a model with "
        f"side branches, or one that reads several outputs of {step.layer.name!r}. Cut before it, "
        "or where all is one tensor again."
    )


def _still_needed(graph: Graph, position: int) -> list[keras.KerasTensor]:
    return [graph.steps[i].tensor for i in sorted(graph.steps[position].crossing - {position})]


def _model_from(tensors: list[keras.KerasTensor], output: keras.KerasTensor) -> keras.Model:
    """Return the model from tensors inside a graph to its output.

        [images -> conv] -> pool -> dense     becomes     conv's output -> pool -> dense

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


def _one_or_all(tensors: list):
    return tensors[0] if len(tensors) == 1 else tensors


def _check_place(graph: Graph, position: int) -> None:
    if position in graph.places:
        return
    before = [graph.steps[i].layer.name for i in graph.places if i < position][-2:]
    after = [graph.steps[i].layer.name for i in graph.places if i > position][:2]
    raise ValueError(
        "A cut must leave one tensor to carry everything on, and something for the tail. "
        f"Received: layer={graph.steps[position].layer.name!r}, which is inside a block with a "
        f"shortcut, has several outputs, or is the end of {graph.model.name!r}. Near places to "
        f"cut: {', '.join(map(repr, before + after)) or 'none'}."
    )
