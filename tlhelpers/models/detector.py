r"""Where is it? A pretrained base as the encoder of a detector that looks for centres.

image -> map -> map -> map -> map      the base, its maps half as large each time
                 |      |      |
                1x1    1x1    1x1
                 |      |      |
                 + <--- + <----+       the pyramid: what is there (coarse) joins where (fine)
                 |
                3x3 -> is here a centre? of what size?
"""

from collections.abc import Callable
from itertools import pairwise

from tlhelpers.checks.words import check_choice, check_number, check_whole
from tlhelpers.models.anatomy import find_base
from tlhelpers.models.centres import BESIDE
from tlhelpers.models.heads import images_for
from tlhelpers.models.pyramid import check_sides, convolved, feature_maps

import keras
from keras import layers

_RARE = -2.2  # the logit of a centre at the beginning, a probability of .1: most cells are none


def build_detector(
    base: keras.Model,
    classes: int,
    filters: int = 64,
    stride: int = 4,
    dropout: float = 0.2,
    preprocess: str | Callable | None = None,
) -> keras.Model:
    """Build one functional model that finds boxes: preprocessing, base, feature pyramid, head.

    The base's maps become one map of the given stride. There the head says for each cell whether
    the centre of an object of a class lies in it, how wide and high that object is, and where in
    the cell the centre lies. `CentreLoss` trains it on maps of `draw_centres`; `detect` makes
    boxes of its answer.

    Args:
        base: a backbone of `load_backbone` or `keras.applications`, without a top, or another base
            that makes its maps smaller in steps (see `feature_maps`). It is used, not copied.
        classes: of objects, at least 1; the background is none of them.
        filters: of the pyramid.
        stride: pixels for one cell of the output: that of one of the base's maps. An object should
            be several cells large.
        dropout: rate in [0, 1) of whole channels, in front of the pyramid and of the head: a page
            of boxes is soon learned by heart.
        preprocess: as in `build_classifier`.

    Returns:
        A functional `keras.Model`, images `(n, height, width, 3)` to float32
        `(n, height / stride, width / stride, classes + 4)`: logits of the centres, then log width,
        log height and place (see `draw_centres`). Height and width are multiples of the base's
        coarsest stride, mostly 32, also where the base leaves them open. The model is made of two
        models, the base with its maps (`find_base`) and the "detector", and of Keras' own layers.
        So its file `.keras` loads with `safe_mode=True`, and, where it was not compiled or with
        `compile=False`, where this package isn't installed. New normalizations have a momentum of
        .9: a few crops make few steps.

    Raises:
        ValueError: a stride that is not one of the base's maps, sides that are no multiples of its
            coarsest stride, a base without such maps or one that cuts off their borders
            (Inception), or what `build_classifier` refuses.

    Example:
        >>> vgg16 = tl.load_backbone("vgg16", (64, 96, 3), weights=None)
        vgg16: random weights
        >>> tl.build_detector(vgg16, 2).output_shape
        (None, 16, 24, 6)

    Reference:
        Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017 (arXiv 1612.03144),
        section 3; Zhou, Wang, Krähenbühl, "Objects as Points", 2019 (arXiv 1904.07850).
    """
    maps = feature_maps(base)
    classes = check_whole("classes", classes, 1)
    filters = check_whole("filters", filters, 1)
    dropout = check_number("dropout", dropout, "[0, 1)")
    known = ", ".join(map(str, maps))
    check_choice("stride", str(stride), map(str, maps), f"The maps of {base.name!r}: {known}.")
    check_sides(base, max(maps))
    maps = {size: tensor for size, tensor in maps.items() if size >= stride}
    inputs, images = images_for(base, preprocess)
    encoder = keras.Model(base.inputs[0], list(maps.values()), name=base.name)
    _check_borders(encoder, list(maps))
    shapes = {size: tuple(tensor.shape[1:]) for size, tensor in maps.items()}
    detector = _detector(shapes, classes, filters, dropout)
    return keras.Model(inputs, detector(encoder(images)), name=f"{base.name}_detector")


def stride_of(model: keras.Model, side: int, name: str) -> int:
    """Return the pixels of a cell of a detector's output, for squares that fit into it.

    Args:
        model: of `build_detector`.
        side: of the squares.
        name: of the argument that gave it.

    Raises:
        ValueError: a side that is no multiple of the base's coarsest stride.

    Example:
        >>> own = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
        >>> stride_of(build_detector(own, 1), 32, "tile")
        4
    """
    shape = (1, side, side, model.input_shape[-1])
    maps = find_base(model).compute_output_shape(shape)
    sides = [side, *(each[1] for each in (maps if isinstance(maps, list) else [maps]))]
    if 0 in sides or any(fine % coarse for fine, coarse in pairwise(sides)):
        raise ValueError(
            f"`{name}` must be a multiple of the base's coarsest stride, mostly 32. Received: "
            f"{name}={side}. Try {max(side // 32, 1) * 32}."
        )
    return side // model.compute_output_shape(shape)[1]


def _check_borders(encoder: keras.Model, strides: list[int]) -> None:
    """Refuse a base that cuts off borders: its maps would not lie on each other."""
    side = 4 * max(strides)
    tried = [given or side for given in encoder.inputs[0].shape[1:3]]
    shapes = encoder.compute_output_shape((1, *tried, encoder.inputs[0].shape[-1]))
    for stride, shape in zip(strides, shapes, strict=True):
        if tuple(shape[1:3]) != (tried[0] // stride, tried[1] // stride):
            raise ValueError(
                "`base` must keep the borders of its maps. Received: "
                f"base={encoder.name!r}, which makes {shape[1]} x {shape[2]} places at stride "
                f"{stride} of {tried[0]} x {tried[1]} pixels. Take another one, such as "
                "'efficientnet-lite0'."
            )


def _detector(shapes: dict, classes: int, filters: int, dropout: float) -> keras.Model:
    """Return the model from the maps, fine to coarse, to what is said of each cell."""
    inputs = {
        stride: keras.Input(shape, name=f"stride{stride}") for stride, shape in shapes.items()
    }
    x, before = None, 1
    for stride, tensor in sorted(inputs.items(), reverse=True):
        name = f"pyramid{stride}"
        y = layers.SpatialDropout2D(dropout, name=f"{name}_dropout")(tensor)
        y = convolved(y, filters, 1, f"{name}_in")
        if x is not None:
            up = layers.UpSampling2D(before // stride, interpolation="bilinear", name=f"{name}_up")
            y = layers.Add(name=f"{name}_join")([y, up(x)])
        x, before = convolved(y, filters, 3, f"{name}_out"), stride
    x = layers.SpatialDropout2D(dropout, name="head_dropout")(x)
    rare = keras.initializers.Constant(_RARE)
    centres = layers.Conv2D(classes, 1, bias_initializer=rare, dtype="float32", name="centres")(x)
    sizes = layers.Conv2D(BESIDE, 1, dtype="float32", name="sizes")(x)
    said = layers.Concatenate(name="said", dtype="float32")([centres, sizes])
    return keras.Model(list(inputs.values()), said, name="detector")
