"""ResNet-20, the residual network that its paper made for CIFAR-10's 32 x 32 pixels."""

import keras
from keras import layers

NAME = "resnet20_cifar10"
FILTERS = (16, 32, 64)  # one stage each; a stage halves the map and doubles the filters
UNITS = 3  # residual units of a stage, two convolutions each: 1 + 3 * 3 * 2 + 1 = 20 layers


def ResNet20(
    include_top: bool = True,
    weights: None = None,
    input_shape: tuple | None = (32, 32, 3),
    input_tensor: keras.KerasTensor | None = None,
    classes: int = 10,
) -> keras.Model:
    """Return an untrained ResNet-20 that rescales 0..255 images itself.

    A unit whose map gets smaller brings its shortcut along by a 1 x 1 convolution (option B).

    Args:
        include_top: end in mean pooling and `classes` logits, not in the map of 64 features.
        weights: only None, for the call of keras.applications; `load_backbone` fills them in.

    Reference:
        He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016
        (arXiv 1512.03385), section 4.2.
    """
    images = keras.Input(input_shape) if input_tensor is None else input_tensor
    x = layers.Rescaling(1 / 64, offset=-2.0, name="rescaling")(images)
    x = _convolved(x, FILTERS[0], 3, 1, "stem")
    x = layers.ReLU(name="stem_relu")(x)
    for stage, filters in enumerate(FILTERS, start=1):
        for unit in range(1, UNITS + 1):
            halved = stage > 1 and unit == 1
            x = _unit(x, filters, 2 if halved else 1, f"stage{stage}_unit{unit}")
    if include_top:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(classes, dtype="float32", name="logits")(x)
    if input_tensor is not None:
        (images,) = keras.utils.get_source_inputs(input_tensor)
    return keras.Model(images, x, name=NAME)


def preprocess_input(x):
    """Return images as they are: the network rescales them itself."""
    return x


def _unit(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    """Add what two convolutions find to what came in."""
    found = _convolved(x, filters, 3, stride, f"{name}_1")
    found = layers.ReLU(name=f"{name}_1_relu")(found)
    found = _convolved(found, filters, 3, 1, f"{name}_2")
    if stride > 1:
        x = _convolved(x, filters, 1, stride, f"{name}_shortcut")
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, found]))


def _convolved(x: keras.KerasTensor, filters: int, size: int, stride: int, name: str):
    x = layers.Conv2D(
        filters, size, stride, "same", use_bias=False, kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)  # fmt: skip
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
