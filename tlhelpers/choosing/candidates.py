"""The candidates of a ranking: named, checked, run over the images once, and scored."""

import contextlib
import math
import timeit
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from tlhelpers.checks.words import did_you_mean
from tlhelpers.models.anatomy import find_base, find_blocks, head_start
from tlhelpers.models.costs import count_cost
from tlhelpers.models.graph import cuts, walk
from tlhelpers.models.heads import GlobalPooling
from tlhelpers.models.preprocessing import modes_of, preprocessing
from tlhelpers.scores.classification import to_probabilities
from tlhelpers.scores.probes import linear_probe
from tlhelpers.scores.transferability import h_score, leep, logme, nce
from tlhelpers.sources.backbones import backbone_names
from tlhelpers.sources.backbones import source_head as stored_head
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

    Early blocks hold edges and textures, which suit any task. Late ones suit the source task.

    Args:
        base: a base, such as `load_backbone` returns, or a model with one.

    Returns:
        Name ("vgg16_block3") to model, from the first block to the whole base. All share the
        weights of `base`.

    Raises:
        ValueError: no graph; fewer than two places to cut.

    Example:
        >>> cuts = tl.cut_at_blocks(base)
        >>> [cut.output_shape for cut in cuts.values()]
        [(None, 10, 10, 4), (None, 10, 10, 4), (None, 8, 8, 5)]
    """
    base = find_base(base)
    steps = walk(base)
    places: dict[int, int] = {}
    for position, step in enumerate(steps):
        for part in step.layer._flatten_layers() if isinstance(step.layer, keras.Layer) else ():
            places.setdefault(id(part), position)
    blocks = find_blocks(base)
    starts = [min(places[id(layer)] for layer in block.layers) for block in blocks]
    narrow = cuts(steps)
    result = {}
    ends = zip(blocks, starts, [*starts[1:], head_start(steps)], strict=True)
    for number, (block, own, start) in enumerate(ends, start=1):
        end = max((cut for cut in narrow if cut < start), default=None)
        between = own < start  # two blocks in one layer, an encoder, have no tensor between them
        if between and end is not None and steps[end].inputs:
            cut = f"{base.name}_block{number}"  # a name that `preprocessing` knows
            result[f"{base.name}_{block.name}"] = keras.Model(
                base.inputs, steps[end].tensor, name=cut
            )
    if len({id(model.output) for model in result.values()}) < max(2, len(result)):
        raise ValueError(
            "`base` must have at least two blocks, with one tensor between them. Received: "
            f"base={base.name!r} with blocks {[block.name for block in blocks]}. Use it whole."
        )
    return result


def name_candidates(candidates) -> dict[str, str | keras.Model]:
    """Return name to candidate, after every check that needs no loading."""
    listed = isinstance(candidates, Sequence | Mapping) and not isinstance(candidates, str)
    if not listed or len(candidates) < 2:
        raise ValueError(
            "`candidates` must be a list, or a dict from names to models, of at least two. "
            f"Received: candidates={candidates!r}. A score by itself means nothing: add another, "
            "such as the same model with random weights."
        )
    given = list(candidates.values() if isinstance(candidates, Mapping) else candidates)
    for candidate in given:
        known = isinstance(candidate, str) and candidate in backbone_names()
        if not known and not isinstance(candidate, keras.Model):
            raise ValueError(
                "`candidates` must be Keras models and names that load_backbone knows. "
                f"Received: candidates={given!r}, with {candidate!r}."
                + did_you_mean(candidate, backbone_names())
            )
    names = [c if isinstance(c, str) else c.name for c in given]
    names = list(candidates) if isinstance(candidates, Mapping) else names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            "`candidates` must have names of their own. Received: candidates with "
            f"{', '.join(map(repr, twice))} twice. Give a dict: {{'small': model, 'large': other}}."
        )
    return dict(zip(names, given, strict=True))


def source_head(given: str | keras.Model) -> Callable | None:
    """Return the source classifier that a candidate brings with it, if it brings one."""
    stored = stored_head(given) if isinstance(given, str) else None
    if stored is None:
        return None
    kernel, bias, _ = stored
    return lambda features: features @ kernel + bias


def assess(
    name: str, model: keras.Model, head: Callable | None, x, labels, batch_size: int, cache, seed
) -> Candidate:
    """Run one candidate over the images, and fill its row."""
    shape = _input_shape(name, model, tuple(x.shape[1:]))
    whole = _extractor(model, tuple(x.shape[1:]), shape)
    features = np.asarray(extract_features(whole, x, batch_size=batch_size, cache=cache))
    try:
        scores = _score(features, labels, head, seed)
    except ValueError as error:
        raise ValueError(f"Candidate {name!r}: {error}") from error
    return Candidate(
        name=name,
        input=f"{'x'.join(map(str, shape))}, {(*modes_of(whole), 'as it is')[0]}",
        features=features.shape[1],
        milliseconds=_milliseconds(whole, np.asarray(x[:batch_size])),
        **asdict(count_cost(model, shape)),
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


def _input_shape(name: str, model: keras.Model, image_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape a candidate sees: its own, the images' where it's open, or an error."""
    walk(model)  # a model with a graph, or an error
    first = tuple(model.inputs[0].shape)
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(first) != 4:
        raise ValueError(
            "`candidates` must take images and have one output each. Received: "
            f"{name!r} with {len(model.inputs)} inputs, {len(model.outputs)} outputs, "
            f"first input of shape {first}. Cut it with keras.Model(images, features)."
        )
    wanted, given = first[-1], image_shape[-1]
    if wanted not in (None, given):
        grey = (wanted, given) == (3, 1)
        cure = "Repeat the grey channel: np.repeat(x, 3, axis=-1)." if grey else "Leave it out."
        raise ValueError(
            f"`x` must have {wanted} channels for candidate {name!r}. Received: "
            f"shape={image_shape}. {cure}"
        )
    return tuple(own or images for own, images in zip(first[1:], image_shape, strict=True))


def _extractor(model: keras.Model, image_shape: tuple, shape: tuple) -> keras.Model:
    """Return a candidate from images to pooled features: resize, prepare, run, average."""
    x = images = keras.Input(image_shape, name="images")
    if shape != image_shape:
        x = keras.layers.Resizing(*shape[:2])(x)
    if model.inputs[0].shape[-1] == 3 and not modes_of(model):
        with contextlib.suppress(ValueError):  # not of keras.applications: it sees x as it is
            x = preprocessing(model)(x)
    return keras.Model(images, GlobalPooling("avg")(model(x)), name=model.name)


def _milliseconds(model: keras.Model, batch: np.ndarray, repeats: int = 3) -> float:
    """Return the median time for one image, once the model has been run before."""
    seconds = timeit.repeat(lambda: model.predict_on_batch(batch), number=1, repeat=repeats)
    return 1000 * float(np.median(seconds)) / len(batch)
