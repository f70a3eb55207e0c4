"""Choose what learns: freeze and unfreeze."""

import contextlib
import gc
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral

from tlhelpers.checks.words import check_choice, check_number, check_whole, did_you_mean
from tlhelpers.models.anatomy import Anatomy
from tlhelpers.models.graph import learns
from tlhelpers.tuning.describing import Trainability, batchnorms_of, table_of

import keras

BATCHNORM = ("frozen", "train")


def freeze(model: keras.Model, head: str | None = None) -> Trainability:
    """Freeze the pretrained base of a model, in place; a head stays as it is.

    Every layer inside is frozen itself, BatchNormalization too, so that its moving statistics stand
    still: `base(x, training=False)` does not achieve that in Keras 3.15, where the training flag of
    `fit` wins over the one of a nested call.

    Args:
        model: a model with a nested or inlined base, or a base alone (then all of it is frozen).
        head: name of the layer where the head of an inlined base begins. None finds it: where the
            maps become one vector, or behind what came along if you have put a new end in place of
            an old one, as your logits behind fc1 and fc2 of VGG16. Where nothing tells, as in such
            a model from a file, or in a U-Net, say it: `freeze(model, head="my_logits")`.
            Say it, too, where the last layer was built twice on one hidden layer, as by running a
            cell again: the first one then counts as an old end.

    Returns:
        The table of `describe(model)`.

    Raises:
        ValueError: not a Keras model, or one without weights; a head that is no such layer.

    Note:
        A model that has been fitted must be compiled again before it is fitted again; its next
        `fit` says so. The same goes for other models on the same base.

    Example:
        >>> tl.freeze(model).trainable, tl.freeze(base).trainable  # the head's weights, none
        (18, 0)
    """
    return Choice(Anatomy(model, head), []).apply()


def unfreeze(
    model: keras.Model,
    blocks: int | Sequence[str] | None = None,
    layers: int | Sequence[str] | None = None,
    from_layer: str | None = None,
    fraction: float | None = None,
    batchnorm: str = "frozen",
    head: str | None = None,
) -> Trainability:
    """Let the top part of a model's base learn, in place, and freeze the rest of the base.

    What you ask for is what learns afterwards, no matter what was frozen before. The head is not
    touched. Exactly one of `blocks`, `layers`, `from_layer`, `fraction` says how much.

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
            statistics (what fine-tuning on few images wants); "train" lets those in the unfrozen
            part learn and update.
        head: as in `freeze`.

    Returns:
        The table of `describe(model)`.

    Raises:
        ValueError: no way or two ways of saying how much; an amount below 1 or above what there
            is; an unknown name (near matches are listed); nothing that learns among the chosen.

    Note:
        A model that has been fitted must be compiled again, with a fresh optimizer, before it is
        fitted again: Keras would go on training the old weights without a word. After this
        function such a model's `fit` raises instead, and that of every other model on the same
        base: `unfreeze(base)` is enough. For changes made by hand see `FitGuard`.

    Example:
        >>> table = tl.unfreeze(model, blocks=1)
        >>> model.compile(keras.optimizers.Adam(1e-5), loss)
        >>> history = model.fit(x_train, y_train, verbose=0)
    """
    amount = {"blocks": blocks, "layers": layers, "from_layer": from_layer, "fraction": fraction}
    return top_of_the_base(Anatomy(model, head), **amount, batchnorm=batchnorm).apply()


@dataclass(frozen=True)
class Choice:
    """What shall learn in a model: layers of its base (none: it is frozen), and the head as it is.

    `variables` and `learning` look ahead and change nothing; `apply` sets the flags.
    """

    anatomy: Anatomy
    layers: list[keras.Layer]
    batchnorm: str = "frozen"

    @property
    def variables(self) -> list[keras.Variable]:
        """The variables that train once this choice is applied."""
        parts = [part for layer in self.layers for part in layer._flatten_layers()]
        still = {id(norm) for norm in self._frozen_norms(self.layers)}
        opened = [v for part in parts if id(part) not in still for v in part._trainable_variables]
        head = [v for layer in self.anatomy.head for v in layer.trainable_variables]
        return list({id(v): v for v in [*opened, *head]}.values())

    @property
    def learning(self) -> tuple[list[str], int]:
        """The names of the parts that learn (blocks, head), and how many weights that is."""
        table = table_of(self.anatomy, self.variables)
        return [row.name for row in table.rows if row.trainable], table.trainable

    def apply(self) -> Trainability:
        """Set the flags, and return the table of `describe(model)`."""
        with asking_for_compile():
            self._set_flags()
        return table_of(self.anatomy, self.anatomy.model.trainable_variables)

    def _set_flags(self) -> None:
        model, base = self.anatomy.model, self.anatomy.base
        if self.anatomy.is_nested:
            set_trainable(base, bool(self.layers))  # the loop closes what was not chosen
        for parent in _parents(model, base) if self.layers else ():
            parent._trainable = True
        chosen = {id(layer) for layer in self.layers}
        for layer in self.anatomy.body:
            set_trainable(layer, id(layer) in chosen)
        for norm in self._frozen_norms(self.anatomy.body):
            set_trainable(norm, False)
        if (encoder := self.anatomy.encoder) is not None:  # its flag alone; its parts have theirs
            encoder._trainable = any(id(part) in chosen for part in self.anatomy.parts_of(encoder))

    def _frozen_norms(self, layers: Sequence[keras.Layer]) -> list[keras.Layer]:
        return batchnorms_of(layers) if self.batchnorm == "frozen" else []


def top_of_the_base(anatomy: Anatomy, batchnorm: str = "frozen", **amount) -> Choice:
    """Return the choice that `unfreeze` applies, for its arguments. Nothing is changed."""
    given = {name: value for name, value in amount.items() if value is not None}
    if len(given) != 1:
        raise ValueError(
            "Exactly one of blocks, layers, from_layer, fraction is required. Received: "
            + (", ".join(f"{n}={v!r}" for n, v in given.items()) or "none of them")
            + ". Use blocks=1 for the last block, fraction=1.0 for the whole base."
        )
    check_choice("batchnorm", batchnorm, BATCHNORM, "Keep 'frozen' unless you have many images.")
    (way, value), with_norms = *given.items(), batchnorm == "train"
    weighted = [layer for layer in anatomy.body if _counts(layer, with_norms)]
    layers = _layers_chosen(anatomy, way, value, weighted)
    if not any(_counts(layer, with_norms) for layer in layers):
        raise ValueError(
            "Something that learns must be among what is unfrozen. Received: "
            f"{', '.join(repr(layer.name) for layer in layers)}, without weights or "
            "BatchNormalization only. Name a layer before it, or use batchnorm='train'."
        )
    return Choice(anatomy, layers, batchnorm)


def _counts(layer: keras.Layer, with_norms: bool) -> bool:
    return learns(layer) and (with_norms or not isinstance(layer, keras.layers.BatchNormalization))


def _layers_chosen(anatomy: Anatomy, way: str, value, weighted: list) -> list[keras.Layer]:
    body, cure = anatomy.body, "Use tl.freeze(model) for none of the base, fraction=1.0 for all."
    counted = isinstance(value, Integral)
    if way == "blocks":
        if counted:
            blocks = anatomy.blocks[-check_whole(way, value, 1, len(anatomy.blocks), cure) :]
        else:
            blocks = _named(way, value, anatomy.blocks)
        return [layer for block in blocks for layer in block.layers]
    if way == "layers" and not counted:
        named = _named(way, value, [*body, *anatomy.top])
        return [part for layer in named for part in anatomy.parts_of(layer)]
    if way == "layers":
        first = weighted[-check_whole(way, value, 1, len(weighted), cure)]
    elif way == "fraction":
        share = check_number(way, value, "(0, 1]", cure)
        first = weighted[-math.ceil(share * len(weighted) - 1e-9)]
    else:
        (named,) = _named(way, [value], [*body, *anatomy.top])
        first = anatomy.parts_of(named)[0]
    return body[body.index(first) :]


def _named(way: str, names, parts: Sequence) -> list:
    """Return the blocks or layers of these names, in the order of the names."""
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        raise ValueError(
            f"`{way}` must be a whole number or a list of names. Received: {way}={names!r}."
        )
    known = {part.name: part for part in parts}
    for name in names:
        if name not in known:
            raise ValueError(
                f"`{way}` must name parts of the base. Received: {name!r}."
                + did_you_mean(name, known)
            )
    return [known[name] for name in names]


def set_trainable(layer: keras.Layer, value: bool) -> None:
    """Set the flag of a layer, of all layers inside and of their weights, whichever each was.

    In Keras 3.15 `layer.trainable = value` goes no further than the first flag that is `value`
    already. In a model from a file such flags can be wrong: `load_model` sets them before the
    layers inside a layer exist, so that under a frozen transformer layer all weights learn.
    """
    for part in layer._flatten_layers():
        part._trainable = value
        for variable in part._trainable_variables:
            variable.trainable = value


def flags_of(model: keras.Model) -> str:
    """Return what is frozen, "0" or "1" for every layer, to be kept beside a saved model."""
    return "".join(str(int(layer.trainable)) for layer in model._flatten_layers())


def restore_flags(model: keras.Model, flags: str) -> None:
    """Freeze in a model from a file what was frozen; Keras forgets it inside layers.

    Raises:
        ValueError: flags of another number of layers.
    """
    for layer, flag in zip(model._flatten_layers(), flags, strict=True):
        if flag == "0" or not layer.trainable:  # or leave its variables: LoRA freezes some
            layer._trainable = flag == "1"
            for variable in layer._trainable_variables:
                variable.trainable = layer.trainable


def _parents(model: keras.Model, base: keras.Model) -> list[keras.Layer]:
    """Return the models and layers around a base, whose closed flags would hide its weights."""
    every = model._flatten_layers(include_self=False)
    return [model, *(part for part in every if base in part._flatten_layers(include_self=False))]


def ids_of_trained(model: keras.Model) -> set[int]:
    """Return the `id` of every variable that trains now."""
    return {id(v) for v in model.trainable_variables}


@contextlib.contextmanager
def asking_for_compile() -> Iterator[None]:
    """Let the next fit of every model raise that would train other weights than are chosen inside.

    An old trace, or an optimizer from a file, holds the weights of before. That is so in the model
    that is given, and in every other one that was made of the same layers: after
    `unfreeze(base)` the classifier on this base must be compiled again. Keras' layers don't know
    which models they are part of, so all living models are looked at (about 0.1 s).
    """
    before = [(model, ids_of_trained(model)) for model in living_models() if _has_trained(model)]
    try:
        yield
    finally:
        for model, ids in before:
            if ids != ids_of_trained(model):
                model.compiled = False


def living_models() -> list[keras.Model]:
    """Return every Keras model of this process, those that failed while they were made aside."""
    kinds = {keras.Model}
    while more := {sub for kind in kinds for sub in type.__subclasses__(kind)} - kinds:
        kinds |= more
    known = set(map(id, kinds))  # a look into a set for each of a million objects, no issubclass
    models = [thing for thing in gc.get_objects() if id(type(thing)) in known]
    return [model for model in models if "_layers" in vars(model)]


def _has_trained(model: keras.Model) -> bool:
    optimizer = getattr(model, "optimizer", None)
    traced = getattr(model, "train_function", None) is not None
    return traced or (optimizer is not None and optimizer.built)  # loaded, for these weights
