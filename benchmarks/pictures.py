"""Pictures that can be learned, networks to learn them with, and the way back to the start."""

from collections.abc import Callable

import keras
import numpy as np

CLASSES = 10
PIXELS = {"VGG16": 32, "MobileNetV2": 96}


def draw_pictures(samples: int, pixels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures `(n, pixels, pixels, 3)` in 0..255, and what grating each shows."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(samples) % CLASSES)
    row, column = np.mgrid[:pixels, :pixels] / pixels
    angle = np.pi * np.arange(CLASSES) / CLASSES
    across = angle[:, None, None]
    gratings = np.sin(2 * np.pi * 6 * (row * np.sin(across) + column * np.cos(across)))
    tints = 0.5 + 0.5 * np.cos(2 * angle[:, None] + [0, 2, 4])
    pictures = 128 + 80 * gratings[..., None] * tints[:, None, None]
    x = pictures[labels] + rng.normal(0, 20, (samples, pixels, pixels, 3))
    return x.clip(0, 255).astype("uint8"), labels


def make_base(name: str) -> keras.Model:
    """Return a network of `keras.applications` with random weights that keep a signal's size."""
    keras.utils.set_random_seed(0)
    build, pixels = getattr(keras.applications, name), PIXELS[name]
    base = build(include_top=False, weights=None, input_shape=(pixels, pixels, 3))
    for layer in base.layers:
        if hasattr(layer, "kernel"):
            value = layer.kernel.numpy()
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            inputs = np.prod(value.shape[: 2 if depthwise else 3])
            layer.kernel.assign(value / value.std() * (2 / inputs) ** 0.5)
    base.trainable = False
    return base


def make_encoder() -> keras.Model:
    """Return MobileNetV2 as the guide calls it: scaling, frozen base, mean over the picture."""
    base = make_base("MobileNetV2")
    images = keras.Input(base.input_shape[1:])
    maps = base(keras.layers.Rescaling(1 / 127.5, -1)(images), training=False)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(maps))


def way_back(model: keras.Model) -> Callable[[], None]:
    """Return a function that gives model and optimizer the values that they have now."""
    model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    values = [variable.numpy() for variable in variables]

    def go_back() -> None:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    return go_back
