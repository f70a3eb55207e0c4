"""Weights from one model into another, by the names of the layers, with a full account."""

from dataclasses import dataclass

from tlhelpers.models.graph import leaves
from tlhelpers.models.state import check_built

import keras


@dataclass(frozen=True)
class Transfer:
    """What `transfer_weights` did, as names of layers of the target.

    Attributes:
        loaded: layers whose weights are now the source's.
        mismatched: layers of the same name whose weights have other shapes, with a reason.
        skipped: layers with weights that the source does not have.
        unused: layers with weights that only the source has.
        count: how many weights (numbers) were loaded, and out of how many in the target.
    """

    loaded: tuple[str, ...]
    mismatched: dict[str, str]
    skipped: tuple[str, ...]
    unused: tuple[str, ...]
    count: tuple[int, int]

    def __str__(self) -> str:
        """Return one line for the sum and one for each kind that is not empty."""
        number, total = self.count
        lines = [f"loaded {len(self.loaded)} layers, {number:,} of {total:,} weights"]
        if self.mismatched:
            reasons = "; ".join(f"{name} ({why})" for name, why in self.mismatched.items())
            lines.append(f"mismatched {len(self.mismatched)}: {reasons}")
        for kind, names in (("skipped", self.skipped), ("unused", self.unused)):
            if names:
                lines.append(f"{kind} {len(names)}: {', '.join(names)}")
        return "\n".join(lines)


def transfer_weights(source: keras.Model, target: keras.Model) -> Transfer:
    """Load the weights that fit from one model into another, in place; return a `Transfer`.

    Layers are matched by name, in nested models too; a layer is loaded whole, when all of its
    weights have equal shapes, or not at all. Statistics of BatchNormalization and of adapted
    Normalization count as weights. Whether a layer is trainable does not matter or change.

    Args:
        source: a built model; it stays as it is.
        target: a built model. It need not be compiled again.

    Raises:
        ValueError: nothing fits (the message has the report); a model without weights; a name that
            two layers of one model share. The target is as before then.

    Example:
        >>> pretrained = tl.build_classifier(base, 5, normalize=False)
        >>> model = tl.build_classifier(keras.models.clone_model(base), 3, normalize=False)
        >>> print(tl.transfer_weights(pretrained, model))
        loaded 3 layers, 313 of 331 weights
        mismatched 1: logits (source 5x5 5, target 5x3 3)
    """
    theirs, mine = _layers_by_name(source, "source"), _layers_by_name(target, "target")
    skipped = tuple(name for name in mine if name not in theirs)
    unused = tuple(name for name in theirs if name not in mine)
    shapes = {n: (_shapes(theirs[n]), _shapes(mine[n])) for n in mine if n in theirs}
    mismatched = {n: f"source {a}, target {b}" for n, (a, b) in shapes.items() if a != b}
    loaded = tuple(name for name in shapes if name not in mismatched)
    count = sum(mine[name].count_params() for name in loaded), target.count_params()
    report = Transfer(loaded, mismatched, skipped, unused, count)
    if not loaded:
        raise ValueError(
            f"Layers of the same name and shape in both models are required. Received: "
            f"source={source.name!r}, target={target.name!r}:\n{report}\n"
            "Give the layers equal names, layer(name=...), in both models."
        )
    values = {name: theirs[name].get_weights() for name in loaded}
    for name in loaded:
        mine[name].set_weights(values[name])
    return report


def _shapes(layer: keras.Layer) -> str:
    return " ".join("x".join(map(str, w.shape)) or "scalar" for w in layer.weights)


def _layers_by_name(model: keras.Model, role: str) -> dict[str, keras.Layer]:
    check_built(model, role)
    named: dict[str, keras.Layer] = {}
    for layer in leaves(model):
        if layer.weights and named.setdefault(layer.name, layer) is not layer:
            raise ValueError(
                f"`{role}` must have one layer of each name. Received: {role}={model.name!r} with "
                f"two layers {layer.name!r}. Transfer its nested models one by one."
            )
    return named
