"""Low-rank adapters (LoRA) on the layers you name: add them, merge them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tlhelpers.checks.devices import scope_of
from tlhelpers.checks.words import check_number, check_whole, did_you_mean
from tlhelpers.models.anatomy import Anatomy
from tlhelpers.tuning.describing import Trainability, table_of
from tlhelpers.tuning.freezing import Choice, asking_for_compile, living_models

import keras


@dataclass(frozen=True)
class Place:
    """A layer that LoRA can stand in, and its frozen matrix."""

    layer: keras.Layer
    matrix: keras.Variable

    @property
    def names(self) -> tuple[str, str]:
        return self.layer.name, self.layer.path or self.layer.name

    @property
    def adapter(self) -> list[keras.Variable]:
        """Its A and B; empty before LoRA."""
        names = ("lora_kernel_a", "lora_kernel_b", "lora_embeddings_a", "lora_embeddings_b")
        return [v for n in names if (v := getattr(self.layer, n, None)) is not None]


def add_lora(
    model: keras.Model,
    rank: int,
    targets: str | Sequence[str],
    alpha: float | None = None,
    head: str | None = None,
) -> Trainability:
    r"""Freeze a model's base, put low-rank adapters beside some layers, return `describe(model)`.

    A layer that computed $x W$ computes $x (W + \frac{\alpha}{r} A B)$, where $A$ is random, $B$
    begins at zero, so that nothing changes at first, and only $A$ and $B$ learn. All else in the
    base, biases included, is frozen; the head stays as it is.

    Args:
        model: a built model with a nested or inlined base, or a base alone; changed in place.
        rank: $r$, from 1 to the width of the layers (the smaller side of $W$).
        targets: shell patterns (as in `fnmatch`) for the names, or whole paths, of Dense,
            EinsumDense, Embedding and convolution layers of the base: `["query", "value"]` in a
            transformer, `"block5_conv*"`, `"*layer_1/*"`.
        alpha: scale of the adapter. Defaults to `rank`, a factor of 1.
        head: name of the layer where the head of an inlined base begins, as in `freeze`.

    Raises:
        ValueError: a rank below 1 or above a layer's width; a pattern that matches nothing (near
            matches are listed); LoRA twice; a kernel with a constraint. The model is unchanged.

    Note:
        Compile a fitted model again: its next `fit` says so. Another model on the same base has the
        adapters too, and its next `fit` says the same. Saving the model itself merges them, and it
        cannot be trained on after loading: use `save_adapters`, or `merge_lora` first.

    Example:
        >>> print(tl.add_lora(text_model, rank=2, targets=["query", "value"]))
        block                trainable  all  layers
        token_embedding              0  528  token_embedding .. embeddings_layer_norm
        transformer_layer_0         80  680  transformer_layer_0
        transformer_layer_1         80  680  transformer_layer_1
        head                        18   18  logits
        trainable 178 | all 1,906 | 9.34 %
        >>> text_model.compile(keras.optimizers.AdamW(1e-3), loss)

    Reference:
        Hu et al. 2021, LoRA: Low-Rank Adaptation (arXiv 2106.09685), eq. 3.
    """
    anatomy = Anatomy(model, head)
    chosen = _choose(places_of(anatomy), targets)
    check_no_adapters(anatomy, "Name all targets in one call")
    for place in chosen:
        cure = f"The width of {place.layer.name!r} is the border. Common ranks are 4 to 16."
        *rows, columns = place.matrix.shape
        rank = check_whole("rank", rank, 1, min(math.prod(rows), columns), cure)
        if place.matrix.constraint is not None:
            raise ValueError(
                "`targets` must be layers without a constraint, which LoRA would break. "
                f"Received: {place.layer.name!r}. Leave it out of targets."
            )
    if alpha is not None:
        alpha = check_number("alpha", alpha, "(0, inf)", "Leave it out for a factor of 1.")
    return enable(anatomy, [(place, rank, alpha) for place in chosen])


def merge_lora(model: keras.Model, head: str | None = None) -> Trainability:
    """Add the adapters to the weights they stand beside, in place, and return `describe(model)`.

    Afterwards the model is made of plain layers, predicts the same up to rounding, and its base is
    frozen; the head stays as it is. A model that has been fitted must be compiled again.
    `head` as in `add_lora`.

    Raises:
        ValueError: a model without LoRA.

    Example:
        >>> table = tl.add_lora(model, rank=2, targets="conv*")
        >>> table = tl.merge_lora(model)
        >>> model.save("merged.keras")
    """
    anatomy = Anatomy(model, head)
    adapted = [place for place in places_of(anatomy) if place.adapter]
    if not adapted:
        raise ValueError(
            f"`model` must have LoRA. Received: model={model.name!r} without adapters. "
            "Call add_lora(model, rank, targets) first."
        )
    with asking_for_compile():
        for place, merged in [(place, _merged(place)) for place in adapted]:
            layer, (a, b) = place.layer, place.adapter
            place.matrix.assign(merged)
            b.assign(keras.ops.zeros(b.shape, b.dtype))  # what was traced with it stays right
            layer.lora_enabled, layer.lora_rank, layer.lora_alpha = False, None, None
            for variable in (a, b):
                _forget(layer, variable)
        return Choice(anatomy, []).apply()


def _forget(layer: keras.Layer, variable: keras.Variable) -> None:
    """Delete a layer's variable as `delattr` does, but for Keras' search of all memory each time.

    That search is a second where a million objects live, and LoRA has two dozen variables.
    """
    layer._untrack_variable(variable)
    super(keras.Layer, layer).__delattr__(variable.name)


def _merged(place: Place):
    """Return the value of a matrix with its adapter added; nothing is written yet."""
    a, b = place.adapter
    update = keras.ops.matmul(a, b) * (place.layer.lora_alpha / place.layer.lora_rank)
    matrix = keras.ops.convert_to_tensor(place.matrix)
    return matrix + keras.ops.cast(update, place.matrix.dtype)


def check_no_adapters(anatomy: Anatomy, instead: str = "Compile and fit it") -> None:
    """Refuse a model with adapters, which freezing and unfreezing would put out of use."""
    for place in places_of(anatomy):
        if place.adapter:
            raise ValueError(
                f"`model` must be without LoRA. Received: model={anatomy.model.name!r} with an "
                f"adapter on {place.layer.name!r}. {instead}, or merge_lora(model) first."
            )


def places_of(anatomy: Anatomy) -> list[Place]:
    """Return where LoRA can stand in the base of a model, in order."""
    layers = {id(part): part for layer in anatomy.top for part in layer._flatten_layers()}
    places = []
    for layer in layers.values():
        matrix = getattr(layer, "_kernel", getattr(layer, "_embeddings", None))
        quantized = getattr(layer, "quantization_mode", None) is not None
        if matrix is not None and hasattr(layer, "enable_lora") and not quantized:
            places.append(Place(layer, matrix))
    return places


def _choose(places: list[Place], targets: str | Sequence[str]) -> list[Place]:
    patterns = [targets] if isinstance(targets, str) else targets
    if not isinstance(patterns, Sequence) or not all(isinstance(p, str) for p in patterns):
        raise ValueError(
            f"`targets` must be a pattern or a list of patterns. Received: targets={targets!r}. "
            "Use ['query', 'value'] in a transformer, 'conv*' in many convolutional nets."
        )
    known = {name for place in places for name in place.names}
    for pattern in patterns or [""]:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise ValueError(
                "`targets` must match Dense, EinsumDense, Embedding or convolution layers of the "
                f"base. Received: {pattern!r}, which matches none."
                + did_you_mean(pattern, sorted(known))
            )
    return [p for p in places if any(fnmatchcase(n, t) for t in patterns for n in p.names)]


def enable(anatomy: Anatomy, chosen: list[tuple[Place, int, float | None]]) -> Trainability:
    """Freeze the base and put an adapter of a rank and alpha on each place."""
    adapted = {id(place.layer) for place, _, _ in chosen}
    with asking_for_compile(), scope_of(anatomy.model):
        Choice(anatomy, []).apply()
        for part in anatomy.model._flatten_layers():
            if any(id(layer) in adapted for layer in part._flatten_layers()):
                part._trainable = True  # the flag alone: the setter would open every weight inside
        for place, rank, alpha in chosen:
            place.layer.enable_lora(rank, lora_alpha=alpha)
    for other in living_models():
        if any(id(layer) in adapted for layer in other._flatten_layers()):
            other.test_function = other.predict_function = None  # traced without the adapters
    return table_of(anatomy, anatomy.model.trainable_variables)
