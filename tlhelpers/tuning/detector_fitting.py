"""Train a detector on crops that are drawn anew, round by round.

round: crops -> [ base, frozen: run once ] -> maps, kept -> [ head: some epochs ]
next round: other crops, the same head and optimizer
"""

from tlhelpers.checks.data import check_images
from tlhelpers.checks.words import check_seed, check_whole
from tlhelpers.models.anatomy import find_base
from tlhelpers.models.centres import BESIDE, CentreLoss, draw_centres
from tlhelpers.models.detector import stride_of
from tlhelpers.models.graph import walk
from tlhelpers.sources.crops import Crops, cut_crops
from tlhelpers.tuning.fitting import compile_afresh
from tlhelpers.tuning.schedules import warmup_cosine

import keras
import numpy as np


def fit_detector(
    model: keras.Model, pictures, boxes, labels=None, side: int = 256, crops: int = 120,
    rounds: int = 4, epochs: int = 4, batch_size: int = 8, learning_rate: float = 2e-3,
    zoom: float = 1.25, seed: int = 0, verbose: int = 1,
) -> dict[str, list[float]]:  # fmt: skip
    """Train a detector of `build_detector`, in place, on random crops of pictures with boxes.

    In each round new crops are cut (`cut_crops`) and gone through some times. Few boxes are soon
    learned by heart; what is new is how they lie, turned, mirrored and zoomed. Where the base is
    frozen it sees each crop once: its maps are kept for the round, in half precision, and the head
    alone is trained. Else the whole model is.

    Args:
        model: what learns in it is what you have chosen with `freeze` or `unfreeze`.
        pictures, boxes, labels: as for `cut_crops`.
        side: of a crop, a multiple of the base's coarsest stride.
        crops: in a round. For a base with strides 4 to 32 as EfficientNet-Lite0 the kept maps of
            a crop of 256 pixels take 2 MB.
        rounds, epochs: how often new crops are cut, and how often each is seen.
        batch_size: crops in a step.
        learning_rate: the highest of AdamW (decay .001): it rises over a tenth of all steps, then
            falls along a cosine.
        zoom: of `cut_crops`.
        seed: integer in 0..2**32-1 that draws the crops and their order.
        verbose: 0 for silence, 1 for a line after each round.

    Returns:
        The mean loss of every epoch: {"loss": [...]}. `plot_history` takes it.

    Raises:
        ValueError: a model that is no detector, or in which nothing learns; what `cut_crops` and
            `draw_centres` raise; a number out of its range.

    Example:
        >>> stages = [keras.layers.Conv2D(4, 3, 2, "same"), keras.layers.Conv2D(4, 3, 2, "same")]
        >>> own = keras.Sequential([keras.Input((None, None, 3)), *stages])
        >>> model = tl.build_detector(own, classes=1, filters=4, preprocess="identity")
        >>> table = tl.freeze(model)
        >>> page = np.zeros((80, 80, 3), "uint8")
        >>> history = tl.fit_detector(model, [page], [[[10, 10, 30, 40]]], side=32, crops=2,
        ...                           rounds=1, epochs=2, verbose=0)
        >>> len(history["loss"])
        2
    """
    head, stride, classes = _parts_of(model, check_whole("side", side, 1))
    crops, epochs = check_whole("crops", crops, 1), check_whole("epochs", epochs, 1)
    rounds, seed = check_whole("rounds", rounds, 1), check_seed(seed)
    batch_size = min(check_whole("batch_size", batch_size, 1), crops)
    for picture in pictures:
        check_images(np.asarray(picture)[None])
    frozen = not find_base(model).trainable_variables
    learner = head if frozen else model
    rate = warmup_cosine(learning_rate, rounds * epochs * -(-crops // batch_size))
    compile_afresh(learner, keras.optimizers.AdamW(rate, weight_decay=1e-3), CentreLoss(), None)
    losses: list[float] = []
    for number in range(rounds):
        drawn = np.random.SeedSequence([seed, number]).generate_state(2)
        cut = cut_crops(pictures, boxes, labels, side, crops, zoom, seed=int(drawn[0]))
        y, rng = _maps_to_learn(cut, classes, stride), np.random.default_rng(drawn[1])
        x = _maps_kept(model, cut.x, batch_size) if frozen else [cut.x]
        losses += [_pass(learner, x, y, rng.permutation(crops), batch_size) for _ in range(epochs)]
        if verbose:
            count = sum(map(len, cut.boxes))
            print(f"round {number + 1}: {crops} crops, {count:,} boxes, loss {losses[-1]:.3f}")
    return {"loss": losses}


def _parts_of(model: keras.Model, side: int) -> tuple[keras.Model, int, int]:
    """Return the head of a detector, the pixels of a cell, and how many classes it has."""
    head = model.layers[-1] if getattr(model, "outputs", None) else model
    if head.name != "detector" or not model.trainable_variables:
        raise ValueError(
            "`model` must be a detector of build_detector in which something learns. Received: "
            f"model={model.name!r} with {len(model.trainable_variables)} arrays that learn. Build "
            "one: tl.build_detector(base, classes)."
        )
    return head, stride_of(model, side, "side"), model.output_shape[-1] - BESIDE


def _maps_to_learn(crops: Crops, classes: int, stride: int) -> np.ndarray:
    rows = zip(crops.boxes, crops.labels, crops.whole, strict=True)
    size = crops.x.shape[1:3]
    return np.stack([draw_centres(b, y, size, classes, stride, whole) for b, y, whole in rows])


def _maps_kept(model: keras.Model, x: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Return what the head gets for each crop, in half precision."""
    reads = walk(model)[-1].arguments.keras_tensors
    encoder = keras.Model(model.inputs[0], reads)
    parts = [x[first : first + batch_size] for first in range(0, len(x), batch_size)]
    told = [keras.tree.flatten(encoder.predict_on_batch(part)) for part in parts]
    return [np.concatenate(maps).astype("float16") for maps in zip(*told, strict=True)]


def _pass(learner: keras.Model, x: list, y: np.ndarray, order: np.ndarray, size: int) -> float:
    """Take a step for each batch of one epoch, and return the mean loss."""
    losses = []
    for first in range(0, len(order), size):
        rows = order[first : first + size]
        few = [part[rows].astype("float32") for part in x]
        losses.append(float(learner.train_on_batch(few if len(few) > 1 else few[0], y[rows])))
    return float(np.mean(losses))
