"""What a prediction rests on: places of an image, pieces of a text, and where attention goes."""

from collections.abc import Iterable

from tlhelpers.checks.backend import check_tensorflow
from tlhelpers.checks.data import check_tokens
from tlhelpers.checks.words import check_whole
from tlhelpers.models.anatomy import find_base
from tlhelpers.models.ends import kind_of_outputs
from tlhelpers.models.graph import cuts, walk
from tlhelpers.models.inputs import read_inputs
from tlhelpers.models.splitting import split_at
from tlhelpers.reading.tasks import task_trained
from tlhelpers.sources.text_preprocessing import TextPreprocessor

import keras
import numpy as np


def grad_cam(model: keras.Model, image, layer: str | None = None, target: int | None = None):
    r"""Return which places of an image speak for a class: Grad-CAM.

        image -> [ base up to a layer ] -> maps A_k, h x w -> [ rest ] -> score s of the class

    Each map is weighted by how much the score rises with it, $\alpha_k$, the mean of
    $\partial s / \partial A_k$ over the places. The heat of a place is the positive part of
    $\sum_k \alpha_k A_k$: what speaks against the class is cold.

    Args:
        model: a classifier of images that ends in logits, the base nested or inlined.
        image: one image `(height, width, channels)`, or n of them, as the model takes them.
        layer: the layer whose maps are weighted. Defaults to the last place in the base where all
            goes through maps of more than one point. An earlier layer gives a finer picture of
            simpler patterns.
        target: class to explain, from 0. Defaults to the predicted one of each image. One logit
            speaks for class 1, its negative for class 0.

    Returns:
        Heat in 0..1, `(height, width)` or `(n, height, width)`: resized to the image, the warmest
        place of each at 1; all 0 where nothing speaks for the class.

    Raises:
        ValueError: images of another shape or range; a layer that isn't there, is inside a residual
            unit or has no maps; a model that ends in probabilities; no such class.

    Example:
        >>> heat = tl.grad_cam(model, x_test[0])
        >>> heat.shape
        (12, 12)
        >>> figure = tl.plot_grad_cam(x_test[0], heat)

    Reference:
        Selvaraju et al., "Grad-CAM", ICCV 2017, equations 1 and 2.
    """
    check_tensorflow("grad_cam")
    import tensorflow as tf

    image = np.asarray(image)
    images = read_inputs(model, image[None] if image.ndim == 3 else image, "image")
    task = _check_end(model, target)
    prefix, tail = split_at(model, _last_maps(model) if layer is None else layer)
    maps = prefix(images, training=False)
    if len(getattr(maps, "shape", ())) != 4:
        raise ValueError(
            "`layer` must have maps, (height, width, channels). Received: "
            f"layer={layer!r}, whose output has shape {getattr(maps, 'shape', 'of several')}. "
            "Leave it out, or name a convolution."
        )
    with tf.GradientTape() as tape:
        tape.watch(maps)
        score = tf.reduce_sum(_score(tail(maps, training=False), target, task, rivals=False))
    weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(tf.cast(weights * maps, "float32"), axis=-1, keepdims=True))
    heat = tf.image.resize(heat, images.shape[1:3])[..., 0].numpy()
    heat /= np.maximum(heat.max(axis=(1, 2), keepdims=True), np.finfo("float32").tiny)
    return heat if image.ndim == 4 else heat[0]


def _last_maps(model: keras.Model) -> keras.Operation:
    """Return the last layer of the base behind which all goes through maps with places."""
    steps = walk(find_base(model))
    reached = [step for step in map(steps.__getitem__, cuts(steps)) if step.inputs]
    found = [
        step.layer
        for step in reached
        if len(step.tensor.shape) == 4
        and 1 not in step.tensor.shape[1:3]
        and "Pooling" not in type(step.layer).__name__  # what it pools has more places
    ]
    if not found:
        raise ValueError(
            "`model` must have maps, (height, width, channels), through which all goes. Received: "
            f"model={model.name!r}. Use larger images, or a convolutional base."
        )
    return found[-1]


def token_importance(
    model: keras.Model, preprocessor: TextPreprocessor, texts: Iterable[str] | tuple, target=None
) -> list[list[tuple[str, float]]]:
    r"""Return, for each piece of each text, how much it speaks for a class: gradient x input.

    With the embedding $e_i$ of piece i and the score $s$ of the class, its importance is
    $e_i \cdot \partial s / \partial e_i$: to first order, what the score would lose without it.
    Positive speaks for the class, negative against it. It is a hint, not a proof: the gradient
    sees one point, and a transformer is not linear.

    Args:
        model: a text classifier that ends in logits, of `build_text_classifier`.
        preprocessor: what turns texts into its inputs.
        texts: n texts, or pairs of them, `(first, second)`.
        target: class to explain, from 0. Defaults to the predicted one of each text. The score is
            its logit minus the mean of the others'; of a model with one logit, that logit for
            class 1 and its negative for class 0. Of a multilabel model or a regression it is the
            output itself, which has no rivals; the highest label, or the only number, by default.

    Returns:
        For each text a list of (piece, importance), the markers included.

    Raises:
        ValueError: no list of texts; a preprocessor of another length than the model takes; a model
            without an embedding of `token_ids`, or that ends in probabilities; no such class; no
            target for a regression with several numbers.

    Example:
        >>> (pairs,) = tl.token_importance(text_model, bert.preprocessor(6), ["a fine film"])
        >>> [piece for piece, importance in pairs]
        ['[CLS]', 'a', 'fine', 'film', '[SEP]']

    Reference:
        Simonyan et al., "Deep Inside Convolutional Networks", 2014 (the gradient); Shrikumar et
        al., "Not Just a Black Box", 2016 (times the input).
    """
    check_tensorflow("token_importance")
    import tensorflow as tf

    inputs = preprocessor(texts)
    check_tokens(model, inputs)
    layer = _embedding(model)
    task = _check_end(model, target)
    prefix, tail = split_at(model, layer)
    between = prefix(inputs, training=False)
    embedded = between[layer.name]
    with tf.GradientTape() as tape:
        tape.watch(embedded)
        score = tf.reduce_sum(_score(tail(between, training=False), target, task))
    gradient = tf.cast(tape.gradient(score, embedded), "float32")
    embedded = tf.cast(embedded, "float32")  # or half precision rounds what is summed
    importance = keras.ops.convert_to_numpy(tf.reduce_sum(gradient * embedded, axis=-1))
    return [
        list(zip(pieces, row.tolist(), strict=False))  # the row goes on with padding
        for pieces, row in zip(preprocessor.tokens(texts), importance, strict=True)
    ]


def _embedding(model: keras.Model) -> keras.Operation:
    """Return the layer that makes vectors of the numbers of tokens."""
    steps = walk(find_base(model))
    for step in steps:
        read = [steps[i].tensor.name for i in step.inputs]
        if read == ["token_ids"] and keras.backend.is_float_dtype(step.tensor.dtype):
            return step.layer
    raise ValueError(
        f"`model` must be a text classifier that embeds token_ids. Received: model={model.name!r}. "
        "Build it with build_text_classifier."
    )


def _check_end(model: keras.Model, target) -> str | None:
    """Return the model's task, or refuse probabilities, and several numbers without a target."""
    if kind_of_outputs(model) == "probabilities":
        raise ValueError(
            f"`model` must end in logits. Received: model={model.name!r}, which ends in "
            "probabilities: where they are sure, they have no slope. Explain the model without its "
            "softmax or sigmoid."
        )
    task, outputs = task_trained(model), model.outputs[0].shape[-1]
    if task == "regression" and outputs > 1 and target is None:
        raise ValueError(
            f"`target` must name one of the {outputs} numbers of a regression. Received: target="
            "None. Number them from 0: target=0."
        )
    return task


def _score(logits, target: int | None, task: str | None, rivals: bool = True):
    """Return the logit of a class for each sample, minus the mean of its rivals if it has any."""
    alone = task in ("multilabel", "regression")
    classes = logits.shape[-1] if alone else max(int(logits.shape[-1]), 2)
    if target is not None:
        cure = "None explains what was predicted."
        target = check_whole("target", target, 0, classes - 1, cure)
    if classes > logits.shape[-1]:
        logits = keras.ops.concatenate([-logits / 2, logits / 2], axis=-1)
    chosen = keras.ops.argmax(logits, axis=-1) if target is None else target
    wanted = keras.ops.one_hot(chosen, classes) + keras.ops.zeros_like(logits)
    others = (1 - wanted) / (classes - 1) if rivals and not alone else 0.0
    return keras.ops.sum(logits * (wanted - others), axis=-1)


def attention_maps(
    model: keras.Model, preprocessor: TextPreprocessor, text: str | tuple[str, str]
) -> tuple[list[str], np.ndarray]:
    """Return the pieces of a text, and how much each attends to each, in every layer and head.

    Args:
        model: an encoder, or a classifier built on it.
        preprocessor, text: what turns texts into its inputs, and one text, or a pair of them.

    Returns:
        m pieces, markers included, and their attention, an array `(layers, heads, m, m)`. Row i of
        a map says where piece i looks; it sums to 1.

    Raises:
        ValueError: not exactly one text; a model without transformer layers of KerasHub.

    Example:
        >>> pieces, attention = tl.attention_maps(bert.backbone, bert.preprocessor(6), "a film")
        >>> pieces, attention.shape
        (['[CLS]', 'a', 'film', '[SEP]'], (2, 2, 4, 4))

    Reference:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017, equation 1.
    """
    import keras_hub

    texts = tuple([part] for part in text) if isinstance(text, tuple) else [text]
    inputs, (pieces,) = preprocessor(texts), preprocessor.tokens(texts)
    inputs = {name: part[:, : len(pieces)] for name, part in inputs.items()}
    base, encoder = find_base(model), keras_hub.layers.TransformerEncoder
    layers = [step for step in walk(base) if isinstance(step.layer, encoder)]
    if not layers:
        raise ValueError(
            "`model` must have TransformerEncoder layers of KerasHub. Received: model="
            f"{model.name!r}. Use load_bert or build_text_classifier."
        )
    entering = keras.Model(base.input, [step.arguments.args[0] for step in layers])
    asked = {"padding_mask": inputs["padding_mask"], "return_attention_scores": True}
    maps = [
        keras.ops.convert_to_numpy(step.layer(x, training=False, **asked)[1][0]).astype("float32")
        for step, x in zip(layers, keras.tree.flatten(entering(inputs)), strict=True)
    ]
    return pieces, np.stack(maps)
