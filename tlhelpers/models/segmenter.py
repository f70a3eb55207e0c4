r"""A class for each pixel: a pretrained base as the encoder of a U-Net.

image ------------------------------------------------------------> logits   stride 1
  \__ map __________________________ 1x1, joined __________________/            2
        \__ map ____________________ 1x1, joined ____________/                  4
              \__ ...  the base       ...  the decoder  ____/                  ...
"""

from collections.abc import Callable, Sequence

from tlhelpers.checks.words import check_whole
from tlhelpers.models.heads import images_for
from tlhelpers.models.pyramid import check_sides, convolved, feature_maps

import keras
import numpy as np
from keras import layers

FILTERS = (96, 64, 32, 24, 16)


def build_segmenter(
    base: keras.Model,
    classes: int,
    filters: Sequence[int] = FILTERS,
    preprocess: str | Callable | None = None,
) -> keras.Model:
    """Build one functional model that gives a class to each pixel: preprocessing, base, decoder.

    The base sees what is there, but its last map is coarse. The decoder enlarges that map step by
    step. At each step it is joined with the base's own map of that size (a skip), which still
    knows where the edges are.

    Args:
        base: a backbone of `load_backbone` or `keras.applications`, without a top, or another base
            that makes its maps smaller in steps (see `feature_maps`). It is used, not copied.
        classes: of a pixel, at least 2; the background is one of them.
        filters: of the decoder's steps, from coarse to fine; of a base with fewer steps, the last
            ones count.
        preprocess: as in `build_classifier`.

    Returns:
        A functional `keras.Model`, images `(n, height, width, 3)` to float32 logits
        `(n, height, width, classes)`. Height and width are multiples of the base's coarsest stride,
        mostly 32, also where the base leaves them open. The model is made of two models, the base
        with all its maps and the "decoder", and of Keras' own layers. So its file `.keras` loads
        with `safe_mode=True`, and where this package isn't installed. New normalizations have a
        momentum of .9: few tiles make few steps, and with .99 their averages would still be those
        of the beginning.

    Raises:
        ValueError: sides that are no such multiples, a base without such maps, or what
            `build_classifier` refuses.

    Example:
        >>> vgg16 = tl.load_backbone("vgg16", (64, 96, 3), weights=None)
        vgg16: random weights
        >>> tl.build_segmenter(vgg16, 4).output_shape
        (None, 64, 96, 4)

    Reference:
        Ronneberger, Fischer, Brox, "U-Net", MICCAI 2015 (arXiv 1505.04597), figure 1.
    """
    maps = feature_maps(base)
    classes = check_whole("classes", classes, 2)
    if np.ndim(filters) != 1 or len(filters) < _steps(maps):
        raise ValueError(
            f"`filters` must be numbers for the {_steps(maps)} steps of the decoder, from coarse "
            f"to fine. Received: filters={filters!r}. Try {FILTERS}."
        )
    filters = [check_whole("filters", number, 1) for number in filters]
    check_sides(base, max(maps))
    inputs, images = images_for(base, preprocess)
    encoder = keras.Model(base.inputs[0], list(maps.values()), name=base.name)
    shapes = {stride: tuple(tensor.shape[1:]) for stride, tensor in maps.items()}
    decoder = _decoder(shapes, _sizes(encoder, list(maps)), classes, filters[-_steps(maps) :])
    logits = decoder(encoder(images))
    return keras.Model(inputs, logits, name=f"{base.name}_segmenter")


def _steps(maps: dict) -> int:
    """Return how often the decoder enlarges: up to each finer map, and to the image itself."""
    return len(maps) - (min(maps) == 1)


def _sizes(encoder: keras.Model, strides: list[int]) -> dict[int, tuple[int, int] | None]:
    """Return the size that each map must get to lie on the others; None where it has it.

    A base that cuts off borders (Inception, Xception) has maps that are some places too small.
    """
    sides, least = encoder.inputs[0].shape[1:3], 4 * max(strides)
    tried = [least if side is None else side for side in sides]
    shapes = encoder.compute_output_shape((1, *tried, encoder.inputs[0].shape[-1]))
    wanted = [(tried[0] // stride, tried[1] // stride) for stride in strides]
    unfit = [tuple(s[1:3]) != size for s, size in zip(shapes, wanted, strict=True)]
    if any(unfit) and None in sides:
        raise ValueError(
            "`base` must have a fixed size of its input, as it cuts off borders of its maps. "
            f"Received: base={encoder.name!r} with sides {tuple(sides)}. Load it for a size, such "
            f"as {least} x {least} pixels."
        )
    return {
        stride: size if resize else None
        for stride, size, resize in zip(strides, wanted, unfit, strict=True)
    }


def _decoder(shapes: dict, sizes: dict, classes: int, filters: list[int]) -> keras.Model:
    """Return the model from the maps, fine to coarse, to the logits."""
    inputs = {
        stride: keras.Input(shape, name=f"stride{stride}") for stride, shape in shapes.items()
    }
    maps = {stride: _resized(x, sizes[stride], stride) for stride, x in inputs.items()}
    targets = sorted({1, *maps} - {max(maps)}, reverse=True)
    before, x = max(maps), maps[max(maps)]
    for stride, width in zip(targets, filters, strict=True):
        name = f"to{stride}"
        x = layers.UpSampling2D(before // stride, interpolation="bilinear", name=f"{name}_up")(x)
        if stride in maps:
            skip = convolved(maps[stride], width, 1, f"{name}_skip")
            x = layers.Concatenate(name=f"{name}_join")([x, skip])
        x, before = convolved(x, width, 3, name), stride
    logits = layers.Conv2D(classes, 1, dtype="float32", name="logits")(x)
    return keras.Model(list(inputs.values()), logits, name="decoder")


def _resized(x: keras.KerasTensor, size: tuple[int, int] | None, stride: int):
    return x if size is None else layers.Resizing(*size, name=f"stride{stride}_resized")(x)
