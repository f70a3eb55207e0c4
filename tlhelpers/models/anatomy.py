"""What a model is made of: its base, its head and its blocks, read once from its graph.

    images -> [ block1 | block2 | ... | block5 ] -> [ pooling | dropout | logits ]
                          base                                head

Nothing is looked up in a table of layer names. So the answers are the same for all of
`keras.applications`, for nested and inlined bases, and for nets of your own.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from tlhelpers.models.graph import (
    Graph,
    Step,
    cuts,
    find_layer,
    inputs_among,
    layers_before,
    learns,
    leaves,
    walk,
)

import keras

_RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)  # GRU, LSTM, ... are of the first


@dataclass(frozen=True)
class Block:
    """Consecutive layers that are frozen and unfrozen together, from input to output."""

    name: str
    layers: tuple[keras.Layer, ...]

    @property
    def weighted(self) -> tuple[keras.Layer, ...]:
        """Its layers that have something to learn, in order."""
        return tuple(layer for layer in self.layers if learns(layer))


class Anatomy:
    """A model, read once: the verbs that freeze, cut and train share one reading.

    Nothing here depends on what is frozen, and reading changes nothing.

    Args:
        model: any built Keras model, with a nested or inlined base, or a base alone.
        head: name of the layer where the head of an inlined base begins. None finds it, see
            `head_start`.

    Attributes:
        base: the model in which the pretrained layers live; `model` itself where they are inlined.
        body, head: the layers of the base and those of the head, each in order. A base alone (a
            backbone without a top) has no head. A layer that both use belongs to the base. Instead
            of an encoder that holds all transformer layers in itself, `body` has its parts.
        top: the layers of the base as Keras lists them, such an encoder among them.
        encoder: this encoder, or None.

    Raises:
        ValueError: not a Keras model; a head that no layer behind an inlined base is.
    """

    def __init__(self, model: keras.Model, head: str | None = None):
        self.model, self.base = model, find_base(model)
        self.is_nested = self.base is not model
        self._graphs: dict = {}
        self._start = None if head is None else self._start_of(head)
        if self.is_nested:
            self.top = list(self.base.layers)
            self.head = list(_beside(model, self.base))
        else:
            steps = self._base_steps or ()
            used = {id(step.layer) for step in steps}
            rest = self.graph.steps[len(steps) :] if steps else ()
            behind = {id(step.layer): step.layer for step in rest if id(step.layer) not in used}
            self.top = [layer for layer in model.layers if id(layer) not in behind]
            self.head = list(behind.values())
        self.encoder = _encoder_among(self.top)
        self.body = [part for layer in self.top for part in self.parts_of(layer)]

    def _start_of(self, name: str) -> int:
        """Return the position of the first call of a layer, which is to begin the head."""
        layer = find_layer(self.model, name)
        steps = () if self.is_nested else self.graph.steps
        found = [position for position, step in enumerate(steps) if step.layer is layer]
        if not found or not _learns(steps[: found[0]]):
            raise ValueError(
                "`head` must name a layer behind something that learns, in a model without a "
                f"nested base. Received: head={name!r}, model={self.model.name!r}. Leave it out: "
                "head=None."
            )
        return found[0]

    def parts_of(self, layer: keras.Layer) -> list[keras.Layer]:
        """Return the layers of the body that stand for a layer: itself, or those of the encoder."""
        is_encoder = self.encoder is not None and layer is self.encoder
        return list(layer._layers) if is_encoder else [layer]

    @cached_property
    def graph(self) -> Graph:
        """The graph of the whole model. ValueError where it has none."""
        return Graph(self.model, self._graphs)

    @cached_property
    def _base_steps(self) -> tuple[Step, ...] | None:
        """The calls of the base, up to the head; None for a subclassed base, which has no graph."""
        try:
            if not self.is_nested:
                steps = self.graph.steps
                return steps[: head_start(steps) if self._start is None else self._start]
            if len(getattr(self.base, "outputs", None) or ()) > 1:
                return walk(self.base)
            graph = self._graphs[id(self.base), 0] = Graph(self.base, self._graphs)
            return graph.steps
        except ValueError:
            return None

    @cached_property
    def blocks(self) -> list[Block]:
        """The blocks of the base, see `find_blocks`."""
        if self._base_steps is None:
            blocks = [Block(layer.name, (layer,)) for layer in self.top if learns(layer)]
            return self._opened(blocks, repeated_in(self.encoder))
        units = _join_embeddings(_units(self._base_steps), self._base_steps)
        strides = [max((step.stride or 1 for step in unit), default=1) for unit in units]
        learning = {stride for unit, stride in zip(units, strides, strict=True) if _learns(unit)}
        if len(learning) > 1:
            return self._opened(_name_blocks(_group(units, strides), True, self.top), [])
        units = _units(self._base_steps, _layers_in_a_row(self._base_steps))
        units = _join_embeddings(units, self._base_steps)
        blocks = _name_blocks(_group(units, list(range(len(units)))), False, self.top)
        return _join_norms(self._opened(blocks, repeated_in(self.encoder)))

    def _opened(self, blocks: list[Block], repeated: list[keras.Layer]) -> list[Block]:
        """Put the parts of the encoder in its place; each repeated one begins a block."""
        result = []
        for block in blocks:
            groups: list[list[keras.Layer]] = [[]]
            for part in (part for layer in block.layers for part in self.parts_of(layer)):
                if part in repeated and any(map(learns, groups[-1])):
                    groups.append([])
                groups[-1].append(part)
            opened = self.encoder in block.layers and repeated
            names = [_heaviest(group).name if opened else block.name for group in groups]
            result += [Block(*pair) for pair in zip(names, map(tuple, groups), strict=True)]
        return result


def find_base(model: keras.Model) -> keras.Model:
    """Return the model in which the pretrained layers live.

    That is the nested model which comes first of all that learns, if it has more such layers than
    lie beside it un-nested. A layer around it, such as `TimeDistributed`, is looked into. The
    search goes on inside what was found. A model without one is its own base (inlined).

    Raises:
        ValueError: not a Keras model.

    Example:
        >>> tl.find_base(model) is base
        True
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a Keras model. Received: {model!r} of type {type(model).__name__}. "
            "Wrap layers in keras.Sequential([...])."
        )
    base = _base_inside(model)
    return model if base is None else find_base(base)


def _base_inside(layer: keras.Layer) -> keras.Model | None:
    """Return the model that comes first in a layer, if most of what learns lies in it."""
    learning = [part for part in _parts(layer) if learns(part)]
    beside = sum(not isinstance(part, keras.Model) for part in learning[1:])
    if not learning or (not isinstance(layer, keras.Model) and _has_own_weights(layer)):
        return None
    first = learning[0] if isinstance(learning[0], keras.Model) else _base_inside(learning[0])
    return first if first is not None and sum(map(learns, leaves(first))) > beside else None


def _parts(layer: keras.Layer) -> list[keras.Layer]:
    return layer.layers if isinstance(layer, keras.Model) else layer._layers


def _has_own_weights(layer: keras.Layer) -> bool:
    return bool(layer._trainable_variables or layer._non_trainable_variables)


def _beside(layer: keras.Layer, base: keras.Model) -> Iterator[keras.Layer]:
    """Yield what lies beside a base, in nested models and in layers around it too, in order."""
    inside = {id(part) for part in base._flatten_layers()}
    for part in _parts(layer):
        around = base in part._flatten_layers(include_self=False)
        if around or (isinstance(part, keras.Model) and part is not base):
            yield from _beside(part, base)
        elif id(part) not in inside:
            yield part


def find_blocks(model: keras.Model, head: str | None = None) -> list[Block]:
    """Return the blocks of a model's base, from the input to the output.

    In a convolutional net a block is a stage: all layers that work at one resolution of the feature
    maps, as block1 to block5 of VGG16 and conv1 to conv5 of the ResNet paper. A residual unit is
    never divided. In a net without down-sampling (a transformer, a multi-layer perceptron) a block
    is the part between two places where the graph narrows to one tensor, such as one transformer
    layer, and carries that layer's name. Where one layer, the encoder, holds a list of transformer
    layers in itself (KerasHub's ViT, DINOv2), each of them is a block. A normalization at the end,
    or behind such a layer, belongs to the block before it.

    Args:
        model: a base, or a model with a nested or inlined base.
        head: name of the layer where the head of an inlined base begins, as in `freeze`.

    Returns:
        Blocks named "block1", "block2", ... (or after their layer), each with its layers. Layers
        without weights belong to the block they follow, and a layer that is used several times to
        the block where it is used first.

    Raises:
        ValueError: not a Keras model; a head that is no such layer.

    Example:
        >>> vgg16 = keras.applications.VGG16(weights=None, include_top=False)
        >>> [block.name for block in tl.find_blocks(vgg16)]
        ['block1', 'block2', 'block3', 'block4', 'block5']
    """
    return Anatomy(model, head).blocks


def head_start(steps: Sequence[Step]) -> int:
    r"""Return where the head of a model with an inlined base begins; its length if there is none.

    images -> conv -> flatten -> fc1 -> fc2 -> mine         a new end: the head is "mine"
                                           \__ predictions   the old end, not in this model

    The head begins where the features stop having places: at the first cut where maps or sequences
    have become one vector per sample. A recurrent layer that makes this vector has read the
    sequence: it's the base's. In a net of vectors only, the head is the last layer that learns.
    What comes behind but has had another end before, in the model that this one was made from, is
    the base's; and where nothing behind learns, the head is what is new. A model with several
    outputs is a backbone and has no head.
    """
    if len(steps[-1].crossing) > 1:
        return len(steps)
    ranks = [len(step.tensor.shape) for step in steps]
    if max(ranks) > 2:
        valid = [i for i in cuts(steps) if _is_vector(steps[i]) and max(ranks[: i + 1]) > 2]
        first = min(valid, default=len(steps))
        reads = first < len(steps) and isinstance(steps[first].layer, _RECURRENT)
        return _behind_old_end(steps, first + reads)
    learning = [i for i, step in enumerate(steps) if learns(step.layer)]
    return learning[-1] if len(learning) > 1 else len(steps)


def _is_vector(step: Step) -> bool:
    """Whether a tensor has no places; a global pooling may keep axes of length one for them."""
    shape = step.tensor.shape
    return len(shape) <= 2 or (step.stride is None and set(shape[1:-1]) == {1})


def _behind_old_end(steps: Sequence[Step], start: int) -> int:
    """Return where a head that would begin at `start` begins, if the model was given a new end.

    So it is where all that learns up to a call leads to a layer that this model left out, and that
    was there first. The graph of a model from a file does not tell. A layer with a name of Keras'
    own, behind a base in which all names are given, did not come with the base.
    """
    own = {id(step.layer) for step in steps}
    learning = [i for i, step in enumerate(steps) if learns(step.layer)]
    for end in range(1, len(steps)):
        readers = steps[end - 1].layer._outbound_nodes
        if not readers or _parts_of(readers[0]) & own:
            continue
        old = {i: steps[i].layer for i in learning if i < end}
        all_lead_there = set(map(id, old.values())) <= layers_before(readers[0].input_tensors)
        if all_lead_there and 0 < len(old) < len(learning):
            base = [layer for i, layer in old.items() if i < start]
            kept = [layer for i, layer in old.items() if i >= start]
            came_along = any(map(_is_unnamed, base)) or not any(map(_is_unnamed, kept))
            return end if (kept and came_along) or learning[-1] < start else start
    return start


def _parts_of(node) -> set[int]:
    layer = node.operation
    return {id(part) for part in getattr(layer, "_flatten_layers", lambda: [layer])()}


def _is_unnamed(layer: keras.Layer) -> bool:
    """Whether Keras has made up a layer's name, such as "dense_3"."""
    return layer.name.replace("_", "").rstrip("0123456789") == type(layer).__name__.lower()


def _learns(steps: Sequence[Step]) -> bool:
    return any(learns(step.layer) for step in steps)


def _units(steps: Sequence[Step], starts: Iterable[int] = ()) -> list[list[Step]]:
    """Divide the steps where the graph narrows to one tensor, and at the starts that are given."""
    outputs = steps[-1].crossing if len(steps[-1].crossing) > 1 else frozenset()
    ends = {i for i in cuts(steps) if steps[i].inputs and i not in outputs}  # no side branches
    ends |= {start - 1 for start in starts} | {len(steps) - 1}
    units: list[list[Step]] = []
    for last, end in pairwise([-1, *sorted(ends)]):
        unit = list(steps[last + 1 : end + 1])
        strides = {step.stride for step in unit if step.stride}
        if len(strides) > 2:  # no narrow place over several stages (NASNet): by stride alone
            units += [[s for s in unit if (s.stride or 1) == n] for n in sorted(strides)]
        else:
            units.append(unit)
    return units


def _join_embeddings(units: list[list[Step]], steps: Sequence[Step]) -> list[list[Step]]:
    """Make one unit of what comes before the first layer that is made of layers (transformers).

    Such a layer that reads the inputs themselves, as an embedding of words and places, is not it.
    """
    inputs = inputs_among(steps)
    first = next((n for n, unit in enumerate(units) if any(_is_block(s, inputs) for s in unit)), 0)
    return [[step for unit in units[:first] for step in unit], *units[first:]] if first else units


def _layers_in_a_row(steps: Sequence[Step]) -> set[int]:
    """Return the positions of layers made of layers that follow each other.

    relative positions ----+--------+--------+       What else is alive between them is for such
    words -> embedding -> layer -> layer -> layer    layers alone, and no shortcut around one.
    """
    inputs = inputs_among(steps)
    places = [position for position, step in enumerate(steps) if _is_block(step, inputs)]
    pairs = [pair for pair in pairwise(places) if _follows(steps, *pair, inputs)]
    return {place for pair in pairs for place in pair}


def _follows(steps: Sequence[Step], before: int, after: int, inputs: set[int]) -> bool:
    """Whether one tensor leads from one layer to another, and none of those beside goes around."""
    alive = steps[after - 1].crossing - inputs
    beside = {i for i in alive if i < before}
    readers = [step for step in steps[after:] if beside & set(step.inputs)]
    return len(alive - beside) == 1 and all(_is_composite(step.layer) for step in readers)


def _is_composite(layer: keras.Operation) -> bool:
    if not isinstance(layer, keras.Layer) or isinstance(layer, keras.Model):
        return False
    return sum(map(learns, layer._flatten_layers(include_self=False))) > 1


def _is_block(step: Step, inputs: set[int]) -> bool:
    return _is_composite(step.layer) and bool(set(step.inputs) - inputs)


def repeated_in(layer: keras.Operation | None) -> list[keras.Layer]:
    """Return the layers of one kind that a layer keeps in a list of its own; none in a model."""
    if not isinstance(layer, keras.Layer) or isinstance(layer, keras.Model):
        return []
    if _has_own_weights(layer):
        return []
    for name, value in vars(layer).items():
        parts = list(value) if isinstance(value, list | tuple) and name != "_layers" else []
        kinds = {type(part) for part in parts}
        if len(parts) > 1 and len(kinds) == 1 and all(learns(part) for part in parts):
            return parts
    return []


def _encoder_among(layers: Sequence[keras.Layer]) -> keras.Layer | None:
    """Return the one layer that repeats others in itself; None where several do (stages)."""
    found = [layer for layer in layers if repeated_in(layer)]
    return found[0] if len(found) == 1 else None


def _join_norms(blocks: list[Block]) -> list[Block]:
    """Add a normalization at the end, or behind a layer made of layers, to the block before it."""
    joined = blocks[:1]
    for block in blocks[1:]:
        norm = all("norm" in type(layer).__name__.lower() for layer in block.weighted)
        if norm and (block is blocks[-1] or _is_composite(joined[-1].weighted[-1])):
            joined[-1] = Block(joined[-1].name, joined[-1].layers + block.layers)
        else:
            joined.append(block)
    return joined


def _heaviest(layers: Sequence[keras.Layer]) -> keras.Layer:
    return max(layers, key=lambda layer: layer.count_params())


def _group(units: list[list[Step]], keys: list[int]) -> list[list[Step]]:
    """Join neighbours of one key; what has no weights goes to the group it follows."""
    groups: list[tuple[int, list[Step]]] = []
    for unit, key in zip(units, keys, strict=True):
        if groups and (key == groups[-1][0] or not _learns(unit)):
            groups[-1][1].extend(unit)
        elif groups and not _learns(groups[-1][1]):  # nothing learns so far: begin with it
            groups[-1] = key, groups[-1][1] + unit
        else:
            groups.append((key, list(unit)))
    return [group for _, group in groups]


def _name_blocks(groups: list[list[Step]], by_stage: bool, body: list[keras.Layer]) -> list[Block]:
    order = {id(layer): position for position, layer in enumerate(body)}
    seen: set[int] = set()
    members: list[list[keras.Layer]] = []
    for group in groups:
        called = {id(s.layer): s.layer for s in group if isinstance(s.layer, keras.Layer)}
        new = [layer for key, layer in called.items() if key not in seen]
        composites = {id(s.layer) for s in group if _is_composite(s.layer)}
        again = bool(composites) and composites <= seen
        seen |= set(called)
        if members and (again or not any(map(learns, new))):  # a block that was used before
            members[-1] += new
        else:
            members.append(new)
    blocks = []
    for number, layers in enumerate(members, start=1):
        layers.sort(key=lambda layer: order.get(id(layer), 0))
        name = f"block{number}" if by_stage else _heaviest(layers).name
        blocks.append(Block(name, tuple(layers)))
    return blocks
