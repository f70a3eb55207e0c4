"""What a pretrained base expects of its input, as a layer, and checks that it really gets it."""

import math
import re

import keras
import numpy as np

MODES = ("caffe", "tf", "torch", "identity")

# The first pattern found in a base's name decides. Order matters: inception_resnet_v2 before
# resnet, a V2 before the family that it continues.
_FAMILIES = (
    (r"inception_?resnet_?v2|inception_?v3", "tf"),
    (r"resnet\d+_?v2", "tf"),
    (r"resnet\d+|vgg1[69]", "caffe"),
    (r"densenet\d+", "torch"),
    (r"mobilenet_?v3", "identity"),
    (r"mobilenet(_?v2)?", "tf"),
    (r"nasnet|xception", "tf"),
    (r"efficientnet|convnext", "identity"),
)
_CAFFE_MEAN = (103.939, 116.779, 123.68)  # blue, green, red
_TORCH_MEAN = (0.485, 0.456, 0.406)
_TORCH_STD = (0.229, 0.224, 0.225)
_MOST_VALUES = 2**28  # values looked at by check_images; above, evenly spaced images


@keras.saving.register_keras_serializable(package="tlhelpers")
class Preprocess(keras.layers.Layer):
    """Turn 0..255 RGB images into what a keras.applications base was trained on.

    The same arithmetic as the base's own `preprocess_input`, as part of the model: it travels
    with the saved file, it never changes its argument, and it cannot be forgotten or done twice.

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
        if mode not in MODES:
            raise ValueError(f"`mode` must be one of {', '.join(MODES)}. Received: mode={mode!r}.")
        self.mode = mode

    def build(self, input_shape):
        if self.mode != "identity" and input_shape[-1] != 3:
            raise ValueError(
                "Preprocess needs RGB images, channels last: (batch, height, width, 3). "
                f"Received: shape={tuple(input_shape)}."
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
    """Return the layer that prepares 0..255 RGB images for `base`.

    The family is read from the base's name ("vgg16", "mobilenetv2_1.00_96"), so it is found for
    a base that was saved and loaded again, or renamed by a prefix, as well.

    Args:
        base: Model of `load_backbone`, or any keras.applications model.

    Returns:
        A new `Preprocess` layer.

    Raises:
        ValueError: The name tells no known family, or a base that should rescale its input
            itself holds no layer that does.

    Example:
        >>> preprocessing(keras.applications.VGG16(weights=None, include_top=False)).mode
        'caffe'
    """
    name = getattr(base, "name", type(base).__name__)
    mode = next((mode for p, mode in _FAMILIES if re.search(p, name.lower())), None)
    if mode is None:
        raise ValueError(
            "`base` must be named after its keras.applications family, such as 'vgg16' or "
            f"'mobilenetv2_1.00_96', for its preprocessing to be known. Received: base={name!r}. "
            "Rename it, or use the layer itself: Preprocess('caffe' | 'tf' | 'torch' | "
            "'identity'), 'identity' for a base that rescales its input itself."
        )
    rescales = (keras.layers.Rescaling, keras.layers.Normalization)
    if mode == "identity" and not any(
        isinstance(layer, rescales) for layer in base._flatten_layers()
    ):
        raise ValueError(
            "This family rescales 0..255 images inside the base, but the base has no Rescaling "
            f"or Normalization layer. Received: base={name!r}. Build it with "
            "include_preprocessing=True (the default)."
        )
    return Preprocess(mode, name=f"preprocess_{mode}")


def images_of(model: keras.Model) -> tuple[int | None, ...] | None:
    """Return `(height, width, channels)` of a model that takes 0..255 images, None for others.

    Such a model holds a `Preprocess` layer, as those of `build_classifier` do.
    """
    inside = any(isinstance(layer, Preprocess) for layer in model._flatten_layers())
    single = len(getattr(model, "inputs", None) or ()) == 1
    return tuple(model.inputs[0].shape[1:]) if inside and single else None


def check_images(x, input_shape: tuple | None = None, channels: int | None = 3) -> None:
    """Refuse images that a model with built-in preprocessing would misread.

    The commonest silent mistake of transfer learning is to scale the images oneself although
    the model does it too; this says so before any time is spent.

    Args:
        x: Images `(n, height, width, channels)`, uint8 or float, 0..255.
        input_shape: What the model takes, `(height, width, channels)` with None for any size,
            or with the leading None of `model.input_shape`.
        channels: Channels expected where `input_shape` is not given; None for any number.

    Raises:
        ValueError: no images; not four dimensions; another size or number of channels; NaN or
            infinity; floats in 0..1; negative values or values above 255; not numbers.

    Example:
        >>> check_images(np.zeros((2, 8, 8, 3), "uint8"))
    """
    expected = tuple(input_shape)[-3:] if input_shape is not None else (None, None, channels)
    x = x if keras.ops.is_tensor(x) else np.asarray(x)
    shape = tuple(x.shape)
    shown = "(n, " + ", ".join("any" if e is None else str(e) for e in expected) + ")"
    if len(shape) != 4:
        hint = " Add the first axis with x[None]." if len(shape) == 3 else ""
        raise ValueError(f"Images must have shape {shown}. Received: shape={shape}.{hint}")
    if 0 in shape:
        raise ValueError(f"At least one image is needed. Received: shape={shape}.")
    if any(e is not None and e != s for e, s in zip(expected, shape[1:], strict=True)):
        hint = ""
        if expected[-1] == 3 and shape[-1] == 1:
            hint = " Repeat the grey channel: np.repeat(x, 3, axis=-1)."
        elif expected[:2] != shape[1:3] and expected[-1] in (None, shape[-1]):
            hint = f" Resize them: keras.ops.image.resize(x, {expected[:2]})."
        raise ValueError(f"Images must have shape {shown}. Received: shape={shape}.{hint}")
    _check_range(x, shape)


def _check_range(x, shape) -> None:
    x = x[:: math.ceil(math.prod(shape) / _MOST_VALUES)]
    x = np.asarray(keras.ops.convert_to_numpy(x) if keras.ops.is_tensor(x) else x)
    if x.dtype == np.uint8:
        return
    if x.dtype.kind not in "iuf":
        raise ValueError(f"Images must be uint8 or float, 0..255. Received: dtype={x.dtype}.")
    low, high = float(x.min()), float(x.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(
            f"Images must be finite. Received: NaN or infinity in shape={shape}. "
            "Find them with np.argwhere(~np.isfinite(x))."
        )
    received = f"Received: values in [{low:.4g}, {high:.4g}], dtype={x.dtype}."
    if low < 0 or high > 255:
        raise ValueError(
            f"Images must be 0..255 RGB: the model preprocesses them itself. {received} "
            "Pass the images as they were before preprocess_input or any standardisation."
        )
    if 0 < high <= 1 and x.dtype.kind == "f":
        raise ValueError(
            f"Images must be 0..255 RGB: the model scales them itself. {received} "
            "Multiply by 255, or leave out the division."
        )


def count_samples(x) -> int:
    """Return how many samples an array, or a dictionary of arrays (tokens), has."""
    return len(next(iter(x.values())) if isinstance(x, dict) else x)


def check_tokens(model: keras.Model, x) -> None:
    """Refuse texts, and parts of other shapes, for a model that takes a dictionary.

    Raises:
        ValueError: anything but a dictionary with the model's inputs, no more and no less (Keras
            would take them in the wrong order), all with one number of samples, each of the shape
            that the model takes: a model of 16 tokens takes no 24.
    """
    wanted = getattr(model, "input", None) if getattr(model, "inputs", None) else None
    if not isinstance(wanted, dict):
        return
    names = ", ".join(wanted)
    if not isinstance(x, dict) or set(wanted) != set(x):
        received = ", ".join(x) if isinstance(x, dict) else f"type {type(x).__name__}"
        raise ValueError(
            f"A dictionary of {names} is required. Received: {received}. Turn texts into it: "
            "bert.preprocessor(sequence_length)(texts)."
        )
    lengths = {name: len(part) for name, part in x.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Arrays of one length are required. Received: {lengths}.")
    for name, tensor in wanted.items():
        shape, given = tuple(tensor.shape), tuple(np.shape(x[name]))
        pairs = zip(shape[1:], given[1:], strict=False)
        if len(shape) == len(given) and any(s not in (None, g) for s, g in pairs):
            shown = ", ".join("any" if s is None else str(s) for s in shape[1:])
            raise ValueError(
                f"{name} of shape (n, {shown}) is required. Received: shape={given}. Turn texts "
                "into as many tokens as the model takes, bert.preprocessor(sequence_length), or "
                "build it for any length, with sequence_length=None."
            )


def check_labels(y, num_classes: int | None = None, n: int | None = None) -> np.ndarray:
    """Refuse anything but one integer class label per sample, and return them as an array.

    Args:
        y: Labels, shape `(n,)`, integers from 0.
        num_classes: Every label must be below it, when given.
        n: Number of samples that the labels belong to, when given.

    Returns:
        The labels as a numpy array of shape `(n,)`.

    Raises:
        ValueError: no labels; one-hot or column labels; not integers; below 0 or not below
            `num_classes`; another number than `n`.

    Example:
        >>> check_labels([0, 2, 1], num_classes=3)
        array([0, 2, 1])
    """
    y = np.asarray(keras.ops.convert_to_numpy(y) if keras.ops.is_tensor(y) else y)
    required = "Labels must be integers of shape (n,)."
    if y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(
            f"{required} Received: shape={y.shape}, which looks one-hot. "
            "Turn it into integers: np.argmax(y, axis=-1)."
        )
    if y.ndim != 1:
        cure = " Flatten them: np.ravel(y)." if y.ndim == 2 else ""
        raise ValueError(f"{required} Received: shape={y.shape}.{cure}")
    if n is not None and len(y) != n:
        raise ValueError(f"One label per sample is needed. Received: {n} samples, {len(y)} labels.")
    if not len(y):
        raise ValueError("At least one label is needed. Received: an empty array.")
    if y.dtype.kind not in "iu":
        raise ValueError(
            f"{required} Received: dtype={y.dtype}. Convert them: y.astype('int64') for whole "
            "numbers, np.unique(y, return_inverse=True)[1] for names."
        )
    low, high = int(y.min()), int(y.max())
    if low < 0 or (num_classes is not None and high >= num_classes):
        top = "from 0 on" if num_classes is None else f"in 0..{num_classes - 1}"
        raise ValueError(
            f"Labels must be {top}. Received: labels in {low}..{high}. "
            "Number the classes from 0: np.unique(y, return_inverse=True)[1]."
        )
    return y
