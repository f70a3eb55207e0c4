"""Say what learns: the weights of a model, block by block."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tlhelpers.models.anatomy import Anatomy
from tlhelpers.models.graph import learns
from tlhelpers.models.state import check_built

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
        norms = any(row.batchnorm for row in self.rows)
        cells = [("block", "trainable", "all", "layers", "BatchNorm" if norms else "")]
        for r in self.rows:
            cells.append((r.name, f"{r.trainable:,}", f"{r.total:,}", r.layers, r.batchnorm))
        a, b, c, d, _ = (max(map(len, column)) for column in zip(*cells, strict=True))
        lines = [f"{n:<{a}}  {t:>{b}}  {w:>{c}}  {x:<{d}}  {s}".rstrip() for n, t, w, x, s in cells]
        last = f"trainable {self.trainable:,} | all {self.total:,} | {100 * self.fraction:.2f} %"
        return "\n".join([*lines, last])

    __repr__ = __str__


def describe(model: keras.Model, head: str | None = None) -> Trainability:
    """Count, block by block, the weights that the next fit would train.

    The count is taken from `model.trainable_variables`, which is what an optimizer is handed, and
    not from the flags of the layers: in Keras 3 a parent and its children can disagree.

    Args:
        model: any built Keras model, with a nested or an inlined base, or a base alone.
        head: name of the layer where the head of an inlined base begins, as in `freeze`.

    Returns:
        A table whose `str()` ends in "trainable | all | %". For a block with BatchNormalization
        it says whether these layers are frozen (their statistics stand still) or train.

    Raises:
        ValueError: the model has no weights yet; a head that is no such layer.

    Example:
        >>> table = tl.unfreeze(model, blocks=1)
        >>> print(tl.describe(model))
        block                  trainable  all  layers                 BatchNorm
        conv1                          0  112  conv1
        batch_normalization...         0   16  batch_normalization...  frozen
        conv2                        185  185  conv2
        head                          18   18  logits
        trainable 203 | all 331 | 61.33 %
    """
    return table_of(Anatomy(model, head), model.trainable_variables)


def table_of(anatomy: Anatomy, trained: Iterable[keras.Variable]) -> Trainability:
    """Return the table of a model that is read already, if these variables train."""
    model = anatomy.model
    check_built(model)
    trained = list(trained)
    groups = [(block.name, list(block.layers)) for block in anatomy.blocks]
    grouped = {id(layer) for _, layers in groups for layer in layers}
    rest = [layer for layer in anatomy.body if id(layer) not in grouped]
    groups += [("other", rest), ("head", anatomy.head)]
    ids = {id(variable) for variable in trained}
    rows = [_row(name, layers, ids) for name, layers in groups if any(map(learns, layers))]
    return Trainability(tuple(rows), _count(trained), _count(model.weights))


def _count(variables: Iterable[keras.Variable]) -> int:
    return sum(math.prod(v.shape) for v in {id(v): v for v in variables}.values())


def _row(name: str, layers: list[keras.Layer], trained: set[int]) -> Row:
    weighted = [layer for layer in layers if layer.weights]
    weights = [w for layer in weighted for w in layer.weights]
    first, last = weighted[0].name, weighted[-1].name
    norms = batchnorms_of(layers)
    training = sum(bool(norm.trainable) for norm in norms)
    state = "frozen" if not training else "trains" if training == len(norms) else "mixed"
    return Row(
        name,
        first if first == last else f"{first} .. {last}",
        _count([w for w in weights if id(w) in trained]),
        _count(weights),
        state if norms else "",
    )


def batchnorms_of(layers: Sequence[keras.Layer]) -> list[keras.layers.BatchNormalization]:
    """Return every BatchNormalization among layers and what is nested inside them."""
    every = [part for layer in layers for part in layer._flatten_layers()]
    return [part for part in every if isinstance(part, keras.layers.BatchNormalization)]
