"""A base as a pyramid: one feature map for each step in size, from fine to coarse.

image 128 -> [ 64 x 64 ] -> [ 32 x 32 ] -> [ 16 x 16 ] -> [ 8 x 8 ] -> [ 4 x 4 ]
stride            2              4              8            16           32
"""

from collections.abc import Sequence

from tlhelpers.models.graph import Step, cuts, learns, walk

import keras
from keras import layers


def feature_maps(base: keras.Model) -> dict[int, keras.KerasTensor]:
    """Return the last feature map of each stride of a base, from fine to coarse.

    The stride counts image pixels for one step on the map. It is read off the graph, so that
    zeros which a base pads around its maps, and an input without a fixed size, change nothing.
    The last map is the one behind which a single tensor carries everything on. Where a stage has
    none (NASNet), it is the last that is computed.

    Args:
        base: a backbone of `load_backbone` or `keras.applications`, without a top, or another
            model that makes one tensor of maps from one tensor of images.

    Returns:
        Stride -> tensor `(batch, height, width, channels)`; the coarsest is the base's output.
        `keras.Model(base.input, list(maps.values()))` computes them all.

    Raises:
        ValueError: no graph, several inputs or outputs, an output that is no map, or maps of one
            stride only (a vision transformer).

    Example:
        >>> vgg16 = keras.applications.VGG16(weights=None, include_top=False)
        >>> {stride: tensor.shape[-1] for stride, tensor in feature_maps(vgg16).items()}
        {1: 64, 2: 128, 4: 256, 8: 512, 16: 512, 32: 512}

    Reference:
        Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017 (arXiv 1612.03144),
        section 3: the last layer of each stage, which has its strongest features.
    """
    inputs, outputs = (list(getattr(base, name, None) or []) for name in ("inputs", "outputs"))
    name = getattr(base, "name", base)
    if len(inputs) != 1 or len(outputs) != 1 or len(outputs[0].shape) != 4:
        shapes = [tuple(tensor.shape) for tensor in outputs]
        raise ValueError(
            "`base` must make one tensor of feature maps (batch, height, width, channels) from one "
            f"tensor of images. Received: base={name!r} with {len(inputs)} inputs and outputs of "
            f"shape {shapes}. Load it with include_top=False, pooling=None."
        )
    steps = walk(base)
    first = next((i for i, step in enumerate(steps) if learns(step.layer)), len(steps))
    narrow = set(cuts(steps)) | {len(steps) - 1}
    found: dict[int, tuple[bool, int]] = {}  # of each stride: whether it is narrow, and where
    for position, step in enumerate(steps):
        if position >= first and _is_map(step, steps):
            here = position in narrow, position
            found[step.stride or 1] = max(here, found.get(step.stride or 1, here))
    maps = {stride: steps[position].tensor for stride, (_, position) in sorted(found.items())}
    if len(maps) < 2:
        raise ValueError(
            "`base` must make its maps smaller in steps, with something learned at two sizes or "
            f"more. Received: base={name!r} with strides {sorted(maps)}. Take a convolutional one, "
            "such as load_backbone('efficientnet-lite0'), not inside another model."
        )
    return maps


def check_sides(base: keras.Model, coarsest: int) -> None:
    """Refuse an input on which the maps of a base would not lie on each other."""
    sides = tuple(base.inputs[0].shape[1:3])
    if any(side is not None and side % coarsest for side in sides):
        near = tuple(side and max(1, round(side / coarsest)) * coarsest for side in sides)
        raise ValueError(
            f"`base` must have an input whose sides are multiples of {coarsest}, its coarsest "
            f"stride. Received: base={base.name!r} with {sides[0]} x {sides[1]} pixels. Load it "
            f"for {near[0]} x {near[1]}, and cut or pad the pictures."
        )


def convolved(x: keras.KerasTensor, filters: int, size: int, name: str) -> keras.KerasTensor:
    """Convolve, normalize and rectify; a momentum of .9, as a few pictures make few steps."""
    x = layers.Conv2D(
        filters, size, padding="same", use_bias=False, kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)  # fmt: skip
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _is_map(step: Step, steps: Sequence[Step]) -> bool:
    """Whether a tensor has places all over the image, and none that were added around it.

    What squeeze-and-excitation computes of a whole map has one place.
    """
    images, shape, kind = steps[0].tensor.shape, step.tensor.shape, type(step.layer).__name__
    if len(shape) != 4 or step.stride is None or "Padding" in kind or "Cropping" in kind:
        return False
    sides = zip(images[1:3], shape[1:3], strict=True)
    return all(
        places is None or (side is not None and 3 * places >= side / step.stride)
        for side, places in sides
    )
