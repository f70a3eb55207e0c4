"""Choose what learns: freeze, unfreeze, describe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

from tlhelpers.checks.words import did_you_mean
from tlhelpers.models.anatomy import find_base, find_blocks, learns, split_head

import keras


@dataclass(frozen=True)
class Row:
    """One line of the table: a block of the base, or the head."""

    name: str
    layers: str
    trainable: int
    total: int
    batchnorm: str = ""


@dataclass(frozen=True)
class Trainability:
    """What `describe` returns: `.trainable` and `.total` count weights, `.rows` has the blocks."""

    rows: tuple[Row, ...]
    trainable: int
    total: int

    @property
    def fraction(self) -> float:
        """Trainable share of all weights, 0..1."""
        return self.trainable / self.total if self.total else 0.0

    def __str__(self) -> str:
        """Return the table; its last line is "trainable | all | %"."""
        with_bn = any(row.batchnorm for row in self.rows)
        cells = [("block", "trainable", "all", "layers", "BatchNorm")]
        for r in self.rows:
            cells.append((r.name, f"{r.trainable:,}", f"{r.total:,}", r.layers, r.batchnorm))
        widths = [max(len(row[i]) for row in cells) for i in range(5)]
        lines = []
        for name, trainable, total, layers, batchnorm in cells:
            line = f"{name:<{widths[0]}}  {trainable:>{widths[1]}}  {total:>{widths[2]}}  {layers}"
            pad = " " * (widths[3] - len(layers) + 2)
            lines.append(line + (pad + batchnorm if with_bn else ""))
        last = f"trainable {self.trainable:,} | all {self.total:,} | {100 * self.fraction:.2f} %"
        return "\n".join([*(line.rstrip() for line in lines), last])

    __repr__ = __str__


def describe(model: keras.Model) -> Trainability:
    """Count, block by block, the weights that the next fit would train.

    The count is taken from `model.trainable_variables`, which is what an optimizer is handed, and
    not from the flags of the layers: in Keras 3 a parent and its children can disagree.

    Args:
        model: any built Keras model, with a nested or an inlined base, or a base alone.

    Returns:
        A table whose `str()` ends in "trainable | all | %". For a block with BatchNormalization
        it says whether these layers are frozen (their statistics stand still) or train.

    Raises:
        ValueError: the model has no weights yet.

    Example:
        >>> table = tl.unfreeze(model, blocks=1)
        >>> print(tl.describe(model))
    """
    find_base(model)  # a model, or an error
    total = _count(model.weights)
    if not total:
        raise ValueError(
            f"A built model with weights is required. Received: model={model.name!r} without any. "
            "Call it once on data, or model.build(input_shape)."
        )
    trained = {id(v) for v in model.trainable_variables}
    body, head = split_head(model)
    groups = [(block.name, list(block.layers)) for block in find_blocks(model)]
    grouped = {id(layer) for _, layers in groups for layer in layers}
    rest = [layer for layer in body if id(layer) not in grouped]
    groups += [("other", rest), ("head", head)]
    rows = [_row(name, layers, trained) for name, layers in groups if any(map(learns, layers))]
    return Trainability(tuple(rows), _count(model.trainable_variables), total)


def _count(variables: Sequence[keras.Variable]) -> int:
    return sum(math.prod(v.shape) for v in {id(v): v for v in variables}.values())


def _row(name: str, layers: list[keras.Layer], trained: set[int]) -> Row:
    weighted = [layer for layer in layers if layer.weights]
    weights = [w for layer in weighted for w in layer.weights]
    first, last = weighted[0].name, weighted[-1].name
    norms = _batchnorms(layers)
    training = sum(bool(norm.trainable) for norm in norms)
    state = "frozen" if not training else "trains" if training == len(norms) else "mixed"
    return Row(
        name,
        first if first == last else f"{first} .. {last}",
        _count([w for w in weights if id(w) in trained]),
        _count(weights),
        state if norms else "",
    )


def _batchnorms(layers: Sequence[keras.Layer]) -> list[keras.layers.BatchNormalization]:
    every = [part for layer in layers for part in layer._flatten_layers()]
    return [part for part in every if isinstance(part, keras.layers.BatchNormalization)]


def set_trainable(layer: keras.Layer, value: bool) -> None:
    """Set the flag of a layer, of all layers inside and of their weights, whatever each was before.

    In Keras 3.15 `layer.trainable = value` goes no further than the first flag that is `value`
    already. In a model from a file such flags can be wrong: `load_model` sets them before the
    layers inside of a layer exist, so that under a frozen transformer layer all weights learn.
    """
    for part in layer._flatten_layers():
        part._trainable = value
        for variable in part._trainable_variables:
            variable.trainable = value


def flags_of(model: keras.Model) -> str:
    """Return what is frozen, "0" or "1" for every layer, to be kept beside a saved model."""
    return "".join(str(int(layer.trainable)) for layer in model._flatten_layers())


def restore_flags(model: keras.Model, flags: str) -> None:
    """Freeze in a model from a file what was frozen; Keras forgets it inside of layers.

    Raises:
        ValueError: flags of another number of layers.
    """
    for layer, flag in zip(model._flatten_layers(), flags, strict=True):
        if flag == "0" or not layer.trainable:  # or leave its variables: LoRA freezes some
            layer._trainable = flag == "1"
            for variable in layer._trainable_variables:
                variable.trainable = layer.trainable


def freeze(model: keras.Model) -> Trainability:
    """Freeze the pre-trained base of a model, in place; a head stays as it is.

    Every layer inside is frozen itself, BatchNormalization too, so that its moving statistics stand
    still: `base(x, training=False)` does not achieve that in Keras 3.15, where the training flag of
    `fit` wins over the one of a nested call.

    Args:
        model: a model with a nested or inlined base, or a base alone (then all of it is frozen).

    Returns:
        The table of `describe(model)`.

    Note:
        A model that has been fitted must be compiled again before it is fitted again; its next
        `fit` says so.
    """
    base = find_base(model)
    before = _trained(model)
    body, _ = split_head(model)
    for layer in body if base is model else [base]:
        set_trainable(layer, False)
    _ask_for_compile(model, before)
    return describe(model)


def unfreeze(
    model: keras.Model,
    blocks: int | Sequence[str] | None = None,
    layers: int | Sequence[str] | None = None,
    from_layer: str | None = None,
    fraction: float | None = None,
    batchnorm: str = "frozen",
) -> Trainability:
    """Let the top part of a model's base learn, in place, and freeze the rest of the base.

    What you ask for is what learns afterwards, whatever was frozen before; the head is not touched.
    Exactly one of `blocks`, `layers`, `from_layer`, `fraction` says how much.

    Args:
        model: a model with a nested or inlined base, or a base alone.
        blocks: the last so many blocks of `find_blocks`, or a list of block names. One block is
            the deepest stage of any convolutional net, or the last layer of a transformer.
        layers: the last so many layers that have weights (BatchNormalization counts only where
            it is to train), or a list of layer names.
        from_layer: this layer and all that come after it.
        fraction: share of the layers with weights, counted from the top, in (0, 1]; 1.0 is the
            whole base.
        batchnorm: "frozen" keeps every BatchNormalization of the base frozen, weights and
            statistics (what fine-tuning on few images wants); "train" lets those inside of the
            unfrozen part learn and update.

    Returns:
        The table of `describe(model)`.

    Raises:
        ValueError: no way or two ways of saying how much; an amount below 1 or above what there
            is; an unknown name (near matches are listed); nothing that learns among the chosen.

    Note:
        A model that has been fitted must be compiled again, with a fresh optimizer, before it is
        fitted again: Keras would go on training the old weights without a word. After this
        function such a model's `fit` raises instead. For changes made by hand see `FitGuard`.

    Example:
        >>> tl.unfreeze(model, blocks=1)
        >>> model.compile(keras.optimizers.Adam(1e-5), loss=...)
    """
    ways = {"blocks": blocks, "layers": layers, "from_layer": from_layer, "fraction": fraction}
    given = {name: value for name, value in ways.items() if value is not None}
    if len(given) != 1:
        raise ValueError(
            "Exactly one of blocks, layers, from_layer, fraction is required. Received: "
            + (", ".join(f"{n}={v!r}" for n, v in given.items()) or "none of them")
            + ". Use blocks=1 for the last block, fraction=1.0 for the whole base."
        )
    if batchnorm not in ("frozen", "train"):
        raise ValueError(
            f"batchnorm must be 'frozen' or 'train'. Received: batchnorm={batchnorm!r}. "
            "Keep 'frozen' unless you have many images."
        )
    layers_chosen = _choose(model, batchnorm == "train", *given.popitem())
    if not any(_counts(layer, batchnorm == "train") for layer in layers_chosen):
        raise ValueError(
            "Something that learns must be among what is unfrozen. Received: "
            f"{', '.join(repr(layer.name) for layer in layers_chosen)}, without weights or "
            "BatchNormalization only. Name a layer before it, or use batchnorm='train'."
        )
    chosen = {id(layer) for layer in layers_chosen}
    before = _trained(model)
    body, _ = split_head(model)
    base = find_base(model)
    if base is not model:
        set_trainable(base, True)  # and every layer inside; the loop closes what was not chosen
        for parent in _parents(model, base):
            parent._trainable = True
    for layer in body:
        set_trainable(layer, id(layer) in chosen)
        if batchnorm == "frozen":
            for norm in _batchnorms([layer]):
                set_trainable(norm, False)
    _ask_for_compile(model, before)
    return describe(model)


def _counts(layer: keras.Layer, with_batchnorm: bool) -> bool:
    norm = isinstance(layer, keras.layers.BatchNormalization)
    return learns(layer) and (with_batchnorm or not norm)


def _choose(model: keras.Model, with_batchnorm: bool, way: str, amount) -> list[keras.Layer]:
    blocks = find_blocks(model)
    body, _ = split_head(model)
    weighted = [layer for layer in body if _counts(layer, with_batchnorm)]
    names = {layer.name: layer for layer in body}
    if way == "blocks" and not isinstance(amount, Integral):
        named = {block.name: block for block in blocks}
        return [layer for n in _names(way, amount, named) for layer in named[n].layers]
    if way == "layers" and not isinstance(amount, Integral):
        return [names[n] for n in _names(way, amount, names)]
    if way == "blocks":
        count = _amount(way, amount, len(blocks), model)
        return [layer for block in blocks[-count:] for layer in block.layers]
    if way == "layers":
        first = weighted[-_amount(way, amount, len(weighted), model)]
        return body[body.index(first) :]
    if way == "fraction":
        if isinstance(amount, bool) or not isinstance(amount, Real) or not 0 < amount <= 1:
            raise ValueError(
                f"fraction must be above 0 and at most 1. Received: fraction={amount!r}. "
                "Use freeze(model) for nothing, fraction=1.0 for everything."
            )
        first = weighted[-math.ceil(amount * len(weighted) - 1e-9)]
        return body[body.index(first) :]
    (name,) = _names(way, [amount], names)
    return body[body.index(names[name]) :]


def _amount(way: str, amount: int, available: int, model: keras.Model) -> int:
    if isinstance(amount, bool) or not 1 <= amount <= available:
        raise ValueError(
            f"{way} must be between 1 and {available} for {find_base(model).name!r}. "
            f"Received: {way}={amount!r}. Use freeze(model) for none, fraction=1.0 for all."
        )
    return int(amount)


def _names(way: str, wanted, known: dict) -> list[str]:
    if isinstance(wanted, str) or not isinstance(wanted, Sequence) or not wanted:
        raise ValueError(
            f"{way} must be a whole number or a list of names. Received: {way}={wanted!r}."
        )
    for name in wanted:
        if name not in known:
            raise ValueError(
                f"{way} must name parts of the base. Received: {name!r}."
                + did_you_mean(name, known)
            )
    return list(wanted)


def _parents(model: keras.Model, base: keras.Model) -> list[keras.Model]:
    """Return the models around a nested base, whose closed flags would hide its weights."""
    around = [model]
    for part in model.layers:
        if part is not base and isinstance(part, keras.Model) and base in part._flatten_layers():
            around += _parents(part, base)
    return around


def _trained(model: keras.Model) -> set[int]:
    return {id(v) for v in model.trainable_variables}


def _ask_for_compile(model: keras.Model, before: set[int]) -> None:
    """Let the next fit raise, instead of training the weights that an old trace has captured."""
    optimizer = getattr(model, "optimizer", None)
    traced = getattr(model, "train_function", None) is not None
    reloaded = optimizer is not None and optimizer.built  # for the weights of before
    if (traced or reloaded) and _trained(model) != before:
        model.compiled = False
