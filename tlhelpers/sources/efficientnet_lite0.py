"""EfficientNet-Lite0: EfficientNet-B0 for small devices, without squeeze-excitation and swish."""

import keras
from keras import layers

NAME = "efficientnet-lite0"
STAGES = (  # repeats, side of the kernel, stride of the first, expansion, filters
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def EfficientNetLite0(
    include_top: bool = True,
    weights: None = None,
    input_shape: tuple | None = (224, 224, 3),
    input_tensor: keras.KerasTensor | None = None,
    classes: int = 1000,
) -> keras.Model:
    """Return an untrained EfficientNet-Lite0 that rescales 0..255 images itself.

    A block widens its input by a 1 x 1 convolution, filters every channel by itself, and narrows
    again (MobileNetV2's inverted residual); where it keeps the shape, its input is added.

    Args:
        include_top: end in mean pooling and `classes` logits, not in the map of 1,280 features.
        weights: only None, for the call of keras.applications; `load_backbone` fills them in.

    Reference:
        Tan, Le, "EfficientNet", ICML 2019 (arXiv 1905.11946); Liu, "Higher accuracy on vision
        models with EfficientNet-Lite", TensorFlow blog, March 2020; Sandler et al., "MobileNetV2",
        CVPR 2018 (arXiv 1801.04381), section 3.
    """
    images = keras.Input(input_shape) if input_tensor is None else input_tensor
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(images)
    x = _finished(_conv(x, 32, 3, 2, "stem"), "stem")
    block = 0
    for repeats, size, stride, expansion, filters in STAGES:
        for repeat in range(repeats):
            first = repeat == 0
            x = _block(x, size, stride if first else 1, expansion, filters, f"block{block}")
            block += 1
    x = _finished(_conv(x, 1280, 1, 1, "head"), "head")
    if include_top:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(classes, dtype="float32", name="logits")(x)
    if input_tensor is not None:
        (images,) = keras.utils.get_source_inputs(input_tensor)
    return keras.Model(images, x, name=NAME)


def preprocess_input(x):
    """Return images as they are: the network rescales them itself."""
    return x


def _block(x, size: int, stride: int, expansion: int, filters: int, name: str):
    wide = x
    if expansion > 1:
        channels = expansion * x.shape[-1]
        wide = _finished(_conv(x, channels, 1, 1, f"{name}_expand"), f"{name}_expand")
    wide = layers.DepthwiseConv2D(
        size, stride, "same", use_bias=False, name=f"{name}_depthwise_conv"
    )(wide)
    wide = _finished(wide, f"{name}_depthwise")
    narrow = _normalized(_conv(wide, filters, 1, 1, f"{name}_project"), f"{name}_project")
    if stride > 1 or x.shape[-1] != filters:
        return narrow
    return layers.Add(name=f"{name}_add")([x, narrow])


def _conv(x, filters: int, size: int, stride: int, name: str):
    return layers.Conv2D(
        filters, size, stride, "same", use_bias=False, kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)  # fmt: skip


def _normalized(x, name: str):
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_bn")(x)


def _finished(x, name: str):
    return layers.ReLU(6.0, name=f"{name}_relu")(_normalized(x, name))
