"""The candidates of a ranking: named, checked, run over the images once, and scored."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tlhelpers.checks.words import did_you_mean
from tlhelpers.models.anatomy import find_base, find_blocks, head_start
from tlhelpers.models.costs import count_cost
from tlhelpers.models.graph import cuts, walk
from tlhelpers.models.heads import GlobalPooling
from tlhelpers.models.preprocessing import Preprocess, preprocessing
from tlhelpers.reading.evaluation import to_probabilities
from tlhelpers.scores.probes import linear_probe
from tlhelpers.scores.transferability import h_score, leep, logme, nce
from tlhelpers.sources.backbones import backbone_names, dog_breed_head
from tlhelpers.tuning.features import extract_features

import keras
import numpy as np


@dataclass(frozen=True)
class Candidate:
    """One row of a ranking: what a network costs, and what its features promise.

    Attributes:
        name: as it was given.
        input: what it sees: size in pixels, channels and preprocessing.
        features: length of the pooled feature vector.
        weights, multiply_adds, activations: see `Cost`, for one image.
        milliseconds: measured for one image, in batches, on this machine at this moment.
        logme, h_score: see these functions; `h_score` with shrinkage. Higher is better.
        probe: cross-validated accuracy of a linear classifier on the features.
        probe_interval: its 95 % interval.
        leep, nce: NaN where the network has no source classifier.
    """

    name: str
    input: str
    features: int
    weights: int
    multiply_adds: float
    activations: int
    milliseconds: float
    logme: float
    h_score: float
    probe: float
    probe_interval: tuple[float, float]
    leep: float = math.nan
    nce: float = math.nan


def cut_at_blocks(base: keras.Model) -> dict[str, keras.Model]:
    """Cut a base behind each of its blocks, so that the cuts can be ranked as candidates.

    Early blocks hold edges and textures that suit any task, late ones what the source task needed.

    Args:
        base: a base, such as `load_backbone` returns, or a model with one.

    Returns:
        Name ("vgg16_block3") to model, from the first block to the whole base. All share the
        weights of `base`.

    Raises:
        ValueError: no graph; fewer than two places to cut.

    Example:
        >>> list(cut_at_blocks(load_backbone("vgg16", (32, 32, 3), weights=None)))[-1]
        'vgg16_block5'
    """
    base = find_base(base)
    steps = walk(base)
    places = {id(step.layer): position for position, step in reversed(list(enumerate(steps)))}
    blocks = find_blocks(base)
    starts = [min(places[id(layer)] for layer in block.layers) for block in blocks[1:]]
    narrow = cuts(steps)
    result = {}
    for block, start in zip(blocks, [*starts, head_start(steps)], strict=True):
        end = max((cut for cut in narrow if cut < start), default=None)
        if end is not None and steps[end].inputs:
            name = f"{base.name}_{block.name}"
            result[name] = keras.Model(base.inputs, steps[end].tensor, name=name)
    if len({id(model.output) for model in result.values()}) < max(2, len(result)):
        raise ValueError(
            "A base with two blocks at least, and one tensor between them, is required. Received: "
            f"base={base.name!r} with blocks {[block.name for block in blocks]}."
        )
    return result


def name_candidates(candidates) -> dict[str, str | keras.Model]:
    """Return name to candidate, after every check that needs no loading."""
    if isinstance(candidates, str | keras.Model) or not isinstance(candidates, Sequence | Mapping):
        raise ValueError(
            "candidates must be a list, or a dict from names to models. Received: a single "
            f"{type(candidates).__name__}. A score says which of several is better: give two."
        )
    given = list(candidates.values() if isinstance(candidates, Mapping) else candidates)
    for candidate in given:
        if isinstance(candidate, str) and candidate not in backbone_names():
            hint = did_you_mean(candidate, backbone_names())
            raise ValueError(f"A known backbone is required. Received: {candidate!r}.{hint}")
        if not isinstance(candidate, str | keras.Model):
            raise ValueError(
                "A candidate is a name or a Keras model. Received: "
                f"{candidate!r} of type {type(candidate).__name__}."
            )
    names = [getattr(c, "name", c) for c in given]
    names = list(candidates) if isinstance(candidates, Mapping) else names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"Every candidate needs a name of its own. Received: {', '.join(map(repr, twice))} "
            "twice. Give names: rank_backbones({'small': model, 'large': other}, x, y)."
        )
    if len(names) < 2:
        raise ValueError(
            f"At least two candidates are required. Received: {names}. A score compares models on "
            "one data set and means nothing by itself: add another, such as the same model with "
            "random weights."
        )
    return dict(zip(names, given, strict=True))


def assess(name, model, head, x, labels, batch_size, cache, seed) -> Candidate:
    """Run one candidate over the images, and fill its row."""
    whole, sees, shape = _extractor(name, model, tuple(x.shape[1:]))
    features = np.asarray(extract_features(whole, x, batch_size=batch_size, cache=cache))
    try:
        scores = _score(features, labels, head, seed)
    except ValueError as error:
        raise ValueError(f"Candidate {name!r}: {error}") from error
    cost = count_cost(model, shape)
    return Candidate(
        name=name,
        input=sees,
        features=features.shape[1],
        weights=cost.weights,
        multiply_adds=cost.multiply_adds,
        activations=cost.activations,
        milliseconds=_milliseconds(whole, np.asarray(x[:batch_size])),
        **scores,
    )


def _score(features: np.ndarray, labels: np.ndarray, head: Callable | None, seed: int) -> dict:
    probe = linear_probe(features=features, labels=labels, seed=seed)
    scores = {
        "logme": logme(features=features, labels=labels),
        "h_score": h_score(features=features, labels=labels, shrinkage=True),
        "probe": probe.accuracy,
        "probe_interval": probe.interval,
    }
    if head is not None:
        probabilities, _ = to_probabilities(head(features))
        scores["leep"] = leep(source_probabilities=probabilities, labels=labels)
        scores["nce"] = nce(source_labels=probabilities.argmax(axis=1), labels=labels)
    return scores


def _extractor(
    name: str, model: keras.Model, image_shape: tuple[int, ...]
) -> tuple[keras.Model, str, tuple[int, ...]]:
    """Return the model with resizing and preprocessing before and pooling behind, and its input."""
    walk(model)  # a model with a graph, or an error
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.inputs[0].shape) != 4:
        raise ValueError(
            "A candidate takes images and has one output. Received: candidate "
            f"{name!r} with {len(model.inputs)} inputs, {len(model.outputs)} outputs, "
            f"first input of shape {tuple(model.inputs[0].shape)}."
        )
    *size, channels = model.inputs[0].shape[1:]
    if channels not in (None, image_shape[-1]):
        cure = (
            "Repeat the grey channel: np.repeat(x, 3, axis=-1)."
            if channels == 3 and image_shape[-1] == 1
            else "Give it images of that kind, or leave it out."
        )
        raise ValueError(
            f"Candidate {name!r} takes images of {channels} channels. Received: images of "
            f"{image_shape[-1]}. {cure}"
        )
    size = [own or given for own, given in zip(size, image_shape, strict=False)]
    images = keras.Input(image_shape, name="images")
    seen = images if tuple(size) == image_shape[:2] else keras.layers.Resizing(*size)(images)
    prepare = _preprocessing_of(model)
    features = model(seen if prepare is None else prepare(seen))
    whole = keras.Model(images, GlobalPooling("avg")(features), name=model.name)
    modes = [layer.mode for layer in whole._flatten_layers() if isinstance(layer, Preprocess)]
    shape = (*size, image_shape[-1])
    sees = f"{'x'.join(map(str, shape))}, {modes[0] if modes else 'as it is'}"
    return whole, sees, shape


def _preprocessing_of(model: keras.Model) -> Preprocess | None:
    """Return what a bare base of keras.applications needs; None for any other model."""
    if model.inputs[0].shape[-1] != 3 or any(
        isinstance(layer, Preprocess) for layer in model._flatten_layers()
    ):
        return None
    try:
        return preprocessing(model)
    except ValueError:
        return None


def _milliseconds(model: keras.Model, batch: np.ndarray, repeats: int = 3) -> float:
    """Return the median time for one image, once the model has been run before."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        model.predict_on_batch(batch)
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds)) / len(batch)


def dog_head() -> Callable:
    """Return the classifier of "mobilenetv2-dogs", as a function of its pooled features."""
    kernel, bias, _ = dog_breed_head()
    return lambda features: features @ kernel + bias
