"""What a pretrained base expects of its input, as a layer, and checks that it really gets it."""

import inspect
import re
from collections.abc import Callable
from functools import cache

from tlhelpers.checks.data import check_images, check_tokens
from tlhelpers.checks.words import check_choice

import keras

MODES = ("caffe", "tf", "torch", "identity")
_MARK = "preprocess_"

_MODULES = {  # of keras.applications, each with a `preprocess_input` of its own
    **dict.fromkeys(("vgg16", "vgg19", "resnet"), "caffe"),
    **dict.fromkeys(("resnet_v2", "inception_v3", "inception_resnet_v2", "xception"), "tf"),
    **dict.fromkeys(("mobilenet", "mobilenet_v2", "nasnet"), "tf"),
    "densenet": "torch",
    **dict.fromkeys(("mobilenet_v3", "efficientnet", "efficientnet_v2", "convnext"), "identity"),
}
_OURS = ("efficientnet-lite0", "resnet20_cifar10")  # they rescale inside, too
_ROLES = ("source", "target", "teacher", "student", "base", "backbone", "encoder")
# What may stand around a name: a role before it; width and size of a MobileNet behind it, then
# Keras' own number ("vgg16_1"), a block of `cut_at_blocks`, the first part of `split_at`.
_AROUND = rf"(?:(?:{'|'.join(_ROLES)})_)?%s(?:_\d\.\d\d_(?:\d+|none))?(?:_\d+|_block\d+|_prefix)*"
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
        return _computed(keras.ops.cast(x, self.compute_dtype), self.mode, self._row)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}

    def _row(self, values):
        return keras.ops.convert_to_tensor(values, dtype=self.compute_dtype)


def _computed(x, mode: str, row: Callable):
    """Return prepared images, of which `x` are the raw ones; `row` makes a constant of a tuple."""
    if mode == "caffe":
        return keras.ops.flip(x, axis=-1) - row(_CAFFE_MEAN)
    if mode == "tf":
        return x / 127.5 - 1.0
    if mode == "torch":
        return (x / 255.0 - row(_TORCH_MEAN)) / row(_TORCH_STD)
    return x


def prepared(images: keras.KerasTensor, mode: str) -> keras.KerasTensor:
    """Return what `Preprocess(mode)` makes of a model's input, by Keras' own operations alone.

    A file of the model then loads where this package isn't imported. An Identity layer, called
    "preprocess_caffe", keeps the mode for `modes_of`.

    Raises:
        ValueError: what `Preprocess` raises.
    """
    layer = Preprocess(mode)
    layer.build(images.shape)
    dtype = layer.compute_dtype
    x = images if images.dtype == dtype else keras.ops.cast(images, dtype)
    x = _computed(x, mode, lambda values: keras.ops.convert_to_numpy(layer._row(values)))
    return keras.layers.Identity(name=f"{_MARK}{mode}")(x)


def preprocessing(base: keras.Model) -> Preprocess:
    """Return a new `Preprocess` layer that prepares 0..255 RGB images for `base`.

    The family is read from the base's name, which must be the one that keras.applications gives
    ("vgg16", "mobilenetv2_1.00_96"). So it is found for a base that was loaded from a file as well.
    Keras' number behind it ("vgg16_1") and a role before it ("teacher_vgg16") do no harm. Any other
    word may stand for other weights ("vggface_resnet50", "places365_vgg16") and is refused.

    Args:
        base: a model of `load_backbone` or keras.applications.

    Raises:
        ValueError: a name of no known family; no layer that rescales where its family has one; a
            base that prepares its images itself.

    Example:
        >>> preprocessing(keras.applications.VGG16(weights=None, include_top=False)).mode
        'caffe'
    """
    name = getattr(base, "name", type(base).__name__)
    mode = _mode_of(name)
    if mode is None:
        raise ValueError(
            "`base` must be named after its keras.applications family, such as 'vgg16'. Received: "
            f"base={name!r}. Say what it expects: build_classifier(..., preprocess='caffe' | 'tf' "
            "| 'torch' | 'identity'), or use the layer itself, Preprocess('caffe'). 'identity' is "
            "for a base that rescales its input itself."
        )
    modes = modes_of(base)
    if modes == ["identity"] and base.inputs[0].shape[-1] != 3:
        return Preprocess("identity", name="preprocess_identity")  # `load_backbone` made it so
    if modes:
        raise ValueError(
            "`base` must leave its images to be prepared. Received: "
            f"base={name!r}, which does it itself ({modes[0]!r}). Use preprocess='identity'."
        )
    rescales = (keras.layers.Rescaling, keras.layers.Normalization)
    if mode == "identity" and not any(isinstance(x, rescales) for x in base._flatten_layers()):
        raise ValueError(
            f"`base` must rescale 0..255 images. Received: base={name!r} without a Rescaling or "
            "Normalization layer. Build it with include_preprocessing=True (the default)."
        )
    return Preprocess(mode, name=f"preprocess_{mode}")


def _mode_of(name: str) -> str | None:
    for known, mode in _known_names().items():
        if re.fullmatch(_AROUND % re.escape(known), name.lower()):
            return mode
    return None


@cache
def _known_names() -> dict[str, str]:
    """Return the names of keras.applications' models and constructors, in lower case, and ours."""
    names = dict.fromkeys(_OURS, "identity")
    for constructor, build in inspect.getmembers(keras.applications, inspect.isfunction):
        mode = _MODULES.get(build.__module__.rsplit(".", 1)[-1])
        default = inspect.signature(build).parameters["name"].default
        if mode is not None:
            names |= {name.lower(): mode for name in (constructor, default) if name}
    return names


def modes_of(model: keras.Model) -> list[str]:
    """Return how a model prepares its images, in order; nothing where it takes them as they are."""
    modes = []
    for layer in model._flatten_layers():
        if isinstance(layer, Preprocess):
            modes.append(layer.mode)
        elif isinstance(layer, keras.layers.Identity) and layer.name.startswith(_MARK):
            modes += [mode for mode in MODES if layer.name == f"{_MARK}{mode}"]
    return modes


def images_of(model: keras.Layer) -> tuple[int | None, ...] | None:
    """Return the shape of one image for a model with `Preprocess` inside, None for others.

    A subclassed model has no graph that says what comes in: its first part with `Preprocess` inside
    does.
    """
    if not modes_of(model):
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
