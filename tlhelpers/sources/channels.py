"""Pretrained bases for pictures that are not RGB: grey ones, and those of four channels or more.

Such a base prepares its images itself, by Keras' own layers: 0..255 go in, in every channel.
"""

import sys
import warnings
from collections.abc import Callable

import keras
import numpy as np


def build_for_grey(build: Callable, input_shape: tuple, **settings) -> keras.Model:
    """Return a base that takes one channel, and sees it as R, G and B at once.

    Its first layers repeat the channel and prepare the three as the family has it. So its features
    are those of the picture repeated thrice, up to its borders; and weights of any source fit.
    """
    prepared = _input((*input_shape[:2], 1))
    matrix, offset = _preparation(build)
    three = keras.layers.Concatenate(name="grey_to_rgb")([prepared] * 3)
    scaled = _rescaled(three, matrix.sum(axis=0), offset)
    return build(include_top=False, input_shape=(*input_shape[:2], 3), input_tensor=scaled,
                 **settings)  # fmt: skip


def widen(build: Callable, base: keras.Model, input_shape: tuple) -> keras.Model:
    """Return a base with the weights of an RGB one that takes any number of channels.

    Channels 0, 1, 2, 3, ... take the kernels and the preparation of R, G, B, R, ..., and the
    kernels are scaled by 3 / channels, so that the features keep their size.

    Raises:
        ValueError: a family that normalizes R, G and B by layers of its own.

    Reference:
        Carreira, Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017, section 2.4 (kernels are
        repeated and divided, so that a repeated picture gives the same).
    """
    channels = input_shape[2]
    if any(isinstance(layer, keras.layers.Normalization) for layer in base.layers):
        raise ValueError(
            f"`input_shape` must have 1 or 3 channels for {base.name}, which normalizes R, G and B "
            f"itself. Received: input_shape={input_shape!r}. Take a VGG, ResNet or MobileNet."
        )
    matrix, offset = _preparation(build)
    column = np.abs(matrix).argmax(axis=1)  # where the net has R, G and B: "caffe" turns them round
    of = np.arange(channels) % 3
    prepared = _input(input_shape)
    scaled = _rescaled(prepared, matrix[of, column[of]], offset[column[of]])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This model usually expects")
        wide = build(include_top=False, weights=None, input_shape=input_shape, input_tensor=scaled)
    for ours, theirs in zip(wide.weights, base.weights, strict=True):
        value = np.asarray(theirs)
        ours.assign(value if ours.shape == theirs.shape
                    else value[:, :, column[of]] * (3 / channels))  # fmt: skip
    return wide


def _input(shape: tuple) -> keras.KerasTensor:
    """Return a base's input, behind the mark that says: 0..255 are prepared here."""
    return keras.layers.Identity(name="preprocess_identity")(keras.Input(shape))


def _rescaled(x: keras.KerasTensor, scale: np.ndarray, offset: np.ndarray) -> keras.KerasTensor:
    return keras.layers.Rescaling(scale.tolist(), offset.tolist(), name="prepare_channels")(x)


def _preparation(build: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Return what a family's `preprocess_input` does to a pixel: `pixel @ matrix + offset`."""
    prepare = sys.modules[build.__module__].preprocess_input
    pixels = np.vstack([np.zeros((1, 3)), 255 * np.eye(3)]).astype("float32")
    black, *pure = np.asarray(prepare(pixels[:, None, None]))[:, 0, 0].astype("float64")
    return (np.array(pure) - black) / 255, black
