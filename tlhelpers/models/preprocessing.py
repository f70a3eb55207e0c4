"""What a pretrained base expects of its input, as a layer, and checks that it really gets it."""

import re

from tlhelpers.checks.data import check_images, check_tokens
from tlhelpers.checks.words import check_choice

import keras

MODES = ("caffe", "tf", "torch", "identity")

# The first pattern found in a base's name decides, so a V2 comes before what it continues.
_FAMILIES = (
    (r"inception_?resnet_?v2|inception_?v3|resnet\d+_?v2", "tf"),
    (r"resnet\d+|vgg1[69]", "caffe"),
    (r"densenet\d+", "torch"),
    (r"mobilenet_?v3|efficientnet|convnext", "identity"),
    (r"mobilenet|nasnet|xception", "tf"),
)
_CAFFE_MEAN = (103.939, 116.779, 123.68)  # blue, green, red
_TORCH_MEAN = (0.485, 0.456, 0.406)
_TORCH_STD = (0.229, 0.224, 0.225)


@keras.saving.register_keras_serializable(package="tlhelpers")
class Preprocess(keras.layers.Layer):
    """Turn 0..255 RGB images into what a keras.applications base was trained on.

    It computes what the base's own `preprocess_input` does, as part of the model: it travels with
    the saved file, never changes its argument, and cannot be forgotten or done twice.

    Args:
        mode: "caffe" (BGR minus the ImageNet mean; VGG, ResNet), "tf" (-1..1; MobileNet,
            MobileNetV2, ResNetV2, Inception, Xception, NASNet), "torch" (0..1, then the mean and
            deviation of ImageNet; DenseNet) or "identity" (EfficientNet, ConvNeXt and
            MobileNetV3, which rescale inside).

    Input: `(batch, height, width, 3)`, uint8 or float, 0..255 RGB.
    Output: the same shape, in the layer's compute dtype.

    Raises:
        ValueError: `mode` is none of the four, or the input has not three channels.

    Example:
        >>> layer = Preprocess("tf")
        >>> float(layer(np.full((1, 2, 2, 3), 255, "uint8"))[0, 0, 0, 0])
        1.0
    """

    def __init__(self, mode: str, **kwargs):
        super().__init__(trainable=kwargs.pop("trainable", False), **kwargs)
        self.mode = check_choice("mode", mode, MODES)

    def build(self, input_shape):
        if self.mode != "identity" and input_shape[-1] != 3:
            raise ValueError(
                "`x` must be RGB images, channels last: (batch, height, width, 3). Received: "
                f"shape={tuple(input_shape)}. Repeat a grey channel: np.repeat(x, 3, axis=-1)."
            )
        self.built = True

    def call(self, x):
        x = keras.ops.cast(x, self.compute_dtype)
        if self.mode == "caffe":
            return keras.ops.flip(x, axis=-1) - self._row(_CAFFE_MEAN)
        if self.mode == "tf":
            return x / 127.5 - 1.0
        if self.mode == "torch":
            return (x / 255.0 - self._row(_TORCH_MEAN)) / self._row(_TORCH_STD)
        return x

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}

    def _row(self, values):
        return keras.ops.convert_to_tensor(values, dtype=self.compute_dtype)


def preprocessing(base: keras.Model) -> Preprocess:
    """Return a new `Preprocess` layer that prepares 0..255 RGB images for `base`.

    The family is read from the base's name ("vgg16", "mobilenetv2_1.00_96"), so it is found for
    a base that was loaded from a file, or renamed by a prefix, as well.

    Args:
        base: a model of `load_backbone` or keras.applications.

    Raises:
        ValueError: a name of no known family, or no layer that rescales where its family has one.

    Example:
        >>> preprocessing(keras.applications.VGG16(weights=None, include_top=False)).mode
        'caffe'
    """
    name = getattr(base, "name", type(base).__name__)
    mode = next((mode for p, mode in _FAMILIES if re.search(p, name.lower())), None)
    if mode is None:
        raise ValueError(
            "`base` must be named after its keras.applications family, such as 'vgg16'. Received: "
            f"base={name!r}. Rename it, or use the layer itself: Preprocess('caffe' | 'tf' | "
            "'torch' | 'identity'), 'identity' for a base that rescales its input itself."
        )
    rescales = (keras.layers.Rescaling, keras.layers.Normalization)
    if mode == "identity" and not any(isinstance(x, rescales) for x in base._flatten_layers()):
        raise ValueError(
            f"`base` must rescale 0..255 images. Received: base={name!r} without a Rescaling or "
            "Normalization layer. Build it with include_preprocessing=True (the default)."
        )
    return Preprocess(mode, name=f"preprocess_{mode}")


def images_of(model: keras.Layer) -> tuple[int | None, ...] | None:
    """Return the shape of one image for a model with `Preprocess` inside, None for others.

    A subclassed model has no graph that says what comes in: its first part with `Preprocess` inside
    does.
    """
    if not any(isinstance(layer, Preprocess) for layer in model._flatten_layers()):
        return None
    if isinstance(model, Preprocess):
        return None, None, 3
    if inputs := getattr(model, "inputs", None):
        return tuple(inputs[0].shape[1:]) if len(inputs) == 1 else None
    shapes = map(images_of, model._flatten_layers(include_self=False, recursive=False))
    return next((shape for shape in shapes if shape is not None), None)


def check_inputs(model: keras.Layer, x) -> None:
    """Refuse tokens or images that the model would misread; see `check_tokens`, `check_images`."""
    encoder = getattr(model, "encoder", None)
    check_tokens(model if getattr(model, "inputs", None) or encoder is None else encoder, x)
    if (images := images_of(model)) is not None and not isinstance(x, dict):
        check_images(x, images)
