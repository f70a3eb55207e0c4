"""How a model ends: the task of its head, and whether it gives logits or probabilities."""

from collections.abc import Iterator
from dataclasses import dataclass

from tlhelpers.models.graph import learns
from tlhelpers.models.heads import TASK_MARK, TASKS, Head

import keras

# What comes behind logits, or behind probabilities, and leaves them what they are.
_KEEPS_KIND = {"cast", "dropout", "flatten", "globalaveragepooling1d", "globalaveragepooling2d",
               "identity", "inputlayer", "linear", "reshape", "squeeze", "temperature"}  # fmt: skip


@dataclass(frozen=True)
class End:
    """What is known of a model's one output: its task, kind ("logits", "probabilities") and width.

    Without a `Head` the task is what the end is mostly meant for: one unit is "binary", a sigmoid
    over several is "multilabel", anything else "multiclass". A kind of None cannot be read off.
    """

    task: str
    kind: str | None
    width: int

    @property
    def classes(self) -> int:
        """The classes that labels may name."""
        return 2 if self.width == 1 else self.width


def end_of(model: keras.Model) -> End:
    """Return how a model with one output ends.

    Raises:
        ValueError: a softmax over one unit, which is always 1.
    """
    outputs = list(getattr(model, "outputs", None) or [])
    shape: tuple | None = (
        outputs[0].shape if len(outputs) == 1 else getattr(model, "output_shape", None)
    )
    if not isinstance(shape, tuple):  # several, or unknown
        raise ValueError(
            f"`model` must have a graph and one output. Received: model={model.name!r}. Build it "
            "with keras.Model(inputs, output)."
        )
    width = int(shape[-1] or 1) if len(shape) > 1 else 1
    activation, kind = _activation_of(model)
    if activation == "softmax" and width == 1:
        raise ValueError(
            "`model` must not end in a softmax over one unit, which is always 1. Received: "
            f"model={model.name!r}. End it in Dense(1) for two classes, or in Dense(2)."
        )
    several = "multilabel" if activation == "sigmoid" else "multiclass"
    return End(task_of(model) or ("binary" if width == 1 else several), kind, width)


def task_of(model: keras.Model) -> str | None:
    """The task that the model's head was built for; None where it is not known."""
    marks = {f"{TASK_MARK}{task}": task for task in TASKS}
    known = [
        layer.task if isinstance(layer, Head) else marks[layer.name]
        for layer in model._flatten_layers()
        if isinstance(layer, Head) or layer.name in marks
    ]
    return known[-1] if known else None


def kind_of_outputs(model: keras.Model) -> str | None:
    """Return what the end of a model's graph tells: "logits" or "probabilities".

    None for a subclassed model, or another operation behind the last layer that learns.
    """
    return _activation_of(model)[1]


def activation_of(model: keras.Model) -> str | None:
    """Return the name of the last activation, None where it cannot be read off."""
    return _activation_of(model)[0]


def _activation_of(model: keras.Model) -> tuple[str | None, str | None]:
    """Return the name of the last activation, and the kind of outputs that it makes."""
    for part in _backwards(model.outputs[0]) if getattr(model, "outputs", None) else ():
        activation = getattr(part, "activation", None)
        name = getattr(activation, "__name__", type(part).__name__).lower()
        if name in ("softmax", "sigmoid"):  # a layer's activation, a layer, or an operation
            return name, "probabilities"
        if learns(part):
            return name, "logits" if activation is keras.activations.linear else None
        if name not in _KEEPS_KIND:
            return name, None
    return None, None


def _backwards(tensor: keras.KerasTensor) -> Iterator[keras.Operation]:
    """Yield what made a tensor, last first, nested models opened, up to where several meet."""
    layer, call, index = tensor._keras_history
    if isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
        yield from _backwards(layer.outputs[index])
    else:
        yield layer
    before = layer._inbound_nodes[call].input_tensors
    if len(before) == 1:
        yield from _backwards(before[0])
