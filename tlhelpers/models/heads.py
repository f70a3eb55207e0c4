"""Heads, and whole classifiers: preprocessing, base and head in one functional model."""

from collections.abc import Callable, Sequence
from functools import partial

from tlhelpers.checks.vocabulary import remember_vocabulary
from tlhelpers.checks.words import check_choice, check_number, check_whole
from tlhelpers.models.preprocessing import MODES, prepared, preprocessing

import keras
import numpy as np
from keras import ops

TASKS = ("multiclass", "binary", "multilabel", "regression")
TASK_MARK = "task_"
POOLINGS = ("avg", "max", "avgmax", "flatten", "token", "mean")


class _EndsMask(keras.layers.Layer):
    """It takes a mask and ends it: one vector per sample has no tokens left to mask."""

    def compute_mask(self, inputs, mask=None):
        return None


@keras.saving.register_keras_serializable(package="tlhelpers")
class GlobalPooling(_EndsMask):
    """Pool over all places, of maps and sequences alike: `(n, ..., c)` becomes `(n, c)`.

    With a mask `(n, tokens)`, True or 1 for a real token, only real tokens count
    (`head(features, mask=mask)`). A row without a real token gives zeros.

    Args:
        mode: "avg", "max", or "avgmax" for both joined, which gives `(n, 2 c)`.
    """

    def __init__(self, mode: str = "avg", **kwargs):
        super().__init__(**kwargs)
        self.mode = mode

    def call(self, x, mask=None):
        reducers = {"avg": [_mean], "max": [_max], "avgmax": [_mean, _max]}[self.mode]
        pooled = [x if len(x.shape) == 2 else reduce(x, mask) for reduce in reducers]
        return ops.concatenate(pooled, axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1] * (2 if self.mode == "avgmax" else 1))

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}


def _mean(x, mask):
    if mask is None:
        return ops.mean(x, axis=list(range(1, len(x.shape) - 1)))
    weight = ops.cast(ops.expand_dims(mask, -1), x.dtype)
    return ops.sum(x * weight, axis=1) / ops.maximum(ops.sum(weight, axis=1), 1)


def _max(x, mask):
    if mask is None:
        return ops.max(x, axis=list(range(1, len(x.shape) - 1)))
    real = ops.cast(ops.expand_dims(mask, -1), "bool")
    highest = ops.max(ops.where(real, x, ops.full_like(x, -3e4)), axis=1)  # fits in float16
    return ops.where(ops.any(real, axis=1), highest, ops.zeros_like(highest))


@keras.saving.register_keras_serializable(package="tlhelpers")
class FirstToken(_EndsMask):
    """Take the first token's vector (BERT's [CLS]): `(n, tokens, c)` becomes `(n, c)`."""

    def call(self, x):
        return x[:, 0]

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])


@keras.saving.register_keras_serializable(package="tlhelpers")
class Head(_EndsMask, keras.Sequential):
    """The Sequential that `build_head` returns; unlike a plain one it takes a mask, and ends it.

    It knows its `task`, also in a saved model; None in those saved before version 0.2.
    """

    def __init__(self, layers=None, task: str | None = None, **kwargs):
        super().__init__(layers, **kwargs)
        self.task = task

    def get_config(self):
        return {**super().get_config(), "task": self.task}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        head = super().from_config(config, custom_objects)
        head.task = config.get("task")
        return head


def build_head(
    num_classes: int,
    task: str = "multiclass",
    pooling: str = "avg",
    hidden: Sequence[int] = (),
    dropout: float = 0.2,
    normalize: bool = False,
) -> Head:
    """Build a head: pooling, optional normalization and hidden layers, dropout, logits.

    Args:
        num_classes: classes, labels of a multilabel task, or targets of a regression, at least 1
            (2 for "multiclass"; "binary" takes 2 and ends in one logit).
        task: "multiclass", "binary", "multilabel" or "regression".
        pooling: how maps `(n, h, w, c)` or sequences `(n, tokens, c)` become one vector: "avg" or
            "mean", "max", "avgmax" (both joined), "flatten", "token" (the first token). Where a
            mask is given, padding does not count.
        hidden: units of each hidden layer (ReLU), each followed by dropout.
        dropout: rate in [0, 1), in front of every dense layer.
        normalize: put a LayerNormalization behind the pooling. It has no statistics that could
            drift, and makes one learning rate fit bases whose features differ in scale.

    Returns:
        An unbuilt Sequential named "head", with layers "pooling", "normalization", "dropout",
        "hidden_1", ..., "logits". It ends in float32 logits, also under mixed precision.

    Raises:
        ValueError: an unknown task or pooling, a number out of its range.

    Example:
        >>> build_head(10, hidden=(64,))(np.zeros((2, 7, 7, 512), "float32")).shape
        TensorShape([2, 10])
    """
    check_choice("task", task, TASKS)
    check_choice("pooling", pooling, POOLINGS)
    least = 2 if task in ("multiclass", "binary") else 1
    num_classes = check_whole("num_classes", num_classes, least)
    if task == "binary" and num_classes != 2:
        raise ValueError(
            f"`num_classes` must be 2 for a binary task. Received: num_classes={num_classes}. "
            "Use task='multiclass' for more classes, 'multilabel' for several yes-or-no labels."
        )
    if np.ndim(hidden) != 1:
        raise ValueError(
            f"`hidden` must be a sequence of units. Received: hidden={hidden!r}. Try (256,)."
        )
    hidden = [check_whole("hidden", units, 1) for units in hidden]
    dropout = check_number("dropout", dropout, "[0, 1)")
    kinds = {"flatten": keras.layers.Flatten, "token": FirstToken, "mean": GlobalPooling}
    layers = [kinds.get(pooling, partial(GlobalPooling, pooling))(name="pooling")]
    if normalize:
        layers.append(keras.layers.LayerNormalization(name="normalization"))
    layers.append(keras.layers.Dropout(dropout, name="dropout"))
    for number, units in enumerate(hidden, start=1):
        layers.append(keras.layers.Dense(units, activation="relu", name=f"hidden_{number}"))
        layers.append(keras.layers.Dropout(dropout, name=f"dropout_{number}"))
    units = 1 if task == "binary" else num_classes
    layers.append(keras.layers.Dense(units, dtype="float32", name="logits"))
    return Head(layers, task, name="head")


def build_classifier(
    base: keras.Model,
    num_classes: int,
    preprocess: str | Callable | None = None,
    normalize: bool = True,
    **head,
) -> keras.Model:
    """Build one functional model: preprocessing, base and head.

    The preprocessing belongs to the base and travels with the model, so that nobody can forget it
    or do it twice: the model takes images as they come, 0..255 RGB.

    Args:
        base: a backbone of `load_backbone` or `keras.applications`, without a top, or any other
            base that makes one tensor of features, maps or a sequence, from one tensor of images.
            It is used, not copied: what is trained in the model is trained in the base.
        num_classes, normalize, head: arguments of `build_head`. Here `normalize` is True: without
            it fine-tuning soon spoils what the head has learned on features as large as VGG16's.
        preprocess: what `base` expects. None finds it by the base's name, see `preprocessing`.
            For a base of your own, or of KerasHub, say it: a mode of `Preprocess` ("identity" for a
            base that rescales 0..255 images itself), or a layer or function that is applied to the
            input, such as `keras.layers.Rescaling(1 / 255)`. Then images of any range and number
            of channels may go in, and their range isn't checked.

    Returns:
        A functional `keras.Model`, images `(n, height, width, 3)` to float32 logits
        `(n, num_classes)`. It is made of the base and Keras' own layers. So its file `.keras` loads
        with `safe_mode=True`, and where this package isn't imported, or not even installed.

    Raises:
        ValueError: the base has a top, its family is unknown, or an argument is out of range; a
            base with several inputs or outputs, or without a graph.

    Example:
        >>> base = keras.applications.MobileNetV2(weights=None, include_top=False)
        >>> tl.build_classifier(base, 10, dropout=0.2).output_shape
        (None, 10)
        >>> own = keras.Sequential([keras.Input((16, 16, 13)), keras.layers.Conv2D(8, 3)])
        >>> tl.build_classifier(own, 10, preprocess=keras.layers.Identity()).input_shape
        (None, 16, 16, 13)
    """
    _check_base(base)
    top = build_head(num_classes, normalize=normalize, **head)
    inputs, images = images_for(base, preprocess)
    features = base(images)
    logits = _of_stock_layers(top, tuple(features.shape))(features)
    return keras.Model(inputs, logits, name=f"{base.name}_classifier")


def images_for(
    base: keras.Model, preprocess: str | Callable | None = None
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return the input of a new model on a base, and what the base gets of it.

    Args:
        base: with one input.
        preprocess: as in `build_classifier`.

    Raises:
        ValueError: an unknown mode, or something else that is no function; an unknown base, where
            nothing is said.

    Example:
        >>> inputs, images = images_for(base)
        >>> features = base(images)
    """
    if preprocess is None:
        preprocess = preprocessing(base).mode
    if isinstance(preprocess, str):
        check_choice("preprocess", preprocess, MODES)
    elif not callable(preprocess):
        raise ValueError(
            "`preprocess` must be a mode, a layer or a function. Received: "
            f"preprocess={preprocess!r}. Modes are {', '.join(map(repr, MODES))}."
        )
    inputs = keras.Input(base.inputs[0].shape[1:], name="images")
    if isinstance(preprocess, str):
        return inputs, prepared(inputs, preprocess)
    return inputs, preprocess(inputs)


def _check_base(base: keras.Model) -> None:
    inputs, outputs = (list(getattr(base, name, None) or []) for name in ("inputs", "outputs"))
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            "`base` must be a model with a graph, one input and one output. Received: "
            f"base={getattr(base, 'name', base)!r} with {len(inputs)} inputs and {len(outputs)} "
            "outputs. Make one: keras.Model(images, features)."
        )
    if len(outputs[0].shape) < 3:
        raise ValueError(
            f"`base` must have no top and end in feature maps. Received: base={base.name!r} with "
            f"output shape {tuple(outputs[0].shape)}. Load it with include_top=False, pooling=None;"
            " one of your own ends before its pooling: keras.Model(base.input, "
            "base.get_layer(...).output)."
        )


def _of_stock_layers(head: Head, shape: tuple) -> keras.Sequential:
    """Return an unbuilt head as a Sequential of Keras' own layers, for features of a shape.

    A task that the end alone does not tell is kept in the name of an Identity layer.
    """
    layers = [_stock_pooling(layer, shape) or layer for layer in head.layers]
    if head.task in ("multilabel", "regression"):
        layers.insert(0, keras.layers.Identity(name=f"{TASK_MARK}{head.task}"))
    return keras.Sequential(layers, name=head.name)


def _stock_pooling(layer: keras.Layer, shape: tuple) -> keras.Layer | None:
    """Return what a layer of ours is in Keras; None for Keras' own, and for over three axes."""
    features, axes = keras.Input(shape[1:]), len(shape) - 2
    if isinstance(layer, FirstToken):
        return keras.Model(features, features[:, 0], name=layer.name)
    if not isinstance(layer, GlobalPooling) or axes > 3:
        return None
    kinds = {"avg": ["Average"], "max": ["Max"], "avgmax": ["Average", "Max"]}[layer.mode]
    classes = [getattr(keras.layers, f"Global{kind}Pooling{axes}D") for kind in kinds]
    if len(classes) == 1:
        return classes[0](name=layer.name)
    both = keras.layers.Concatenate()([pool()(features) for pool in classes])
    return keras.Model(features, both, name=layer.name)


def encoder_of(bert) -> tuple[keras.Model, dict]:
    """Return the encoder of what `load_bert` returns, and its inputs by their names."""
    encoder = getattr(bert, "backbone", None)
    inputs = getattr(encoder, "input", None)
    if encoder is None or not isinstance(inputs, dict) or "token_ids" not in inputs:
        raise ValueError(
            "`bert` must be what load_bert returns. Received: "
            f"bert={bert!r} of type {type(bert).__name__}. Load one: bert = tl.load_bert()."
        )
    return encoder, inputs


def build_text_classifier(
    bert, num_classes: int, sequence_length: int | None = 128, **head
) -> keras.Model:
    """Build a classifier on a BERT encoder: token numbers in, logits out.

    Args:
        bert: what `load_bert` returns; its encoder is used, not copied.
        num_classes: as in `build_head`.
        sequence_length: tokens per text, as in `bert.preprocessor(sequence_length)`; 3 up to what
            the encoder was built for, or None for any length (for `bucket_by_length`).
        **head: further arguments of `build_head`; `pooling` defaults to "mean", and "flatten",
            which would count padding, is refused.

    Returns:
        A functional `keras.Model` over the preprocessor's dictionary (`token_ids` and, if the
        encoder reads them, `padding_mask` and `segment_ids`, each `(n, sequence_length)`), to
        float32 logits `(n, num_classes)`. For an encoder without a `padding_mask` (FNet,
        RoFormerV2) the head takes the tokenizer's number of padding as padding.

    Raises:
        ValueError: something else than `load_bert` returns, an encoder that tells padding by
            nothing, a length out of range, "flatten", or what `build_head` refuses.

    Example:
        >>> model = tl.build_text_classifier(bert, 2, sequence_length=6, task="binary")
        >>> model.predict(bert.preprocessor(6)(["a fine film"]), verbose=0).shape
        (1, 1)
    """
    encoder, inputs = encoder_of(bert)
    padding = getattr(getattr(bert, "tokenizer", None), "pad_token_id", None)
    if "padding_mask" not in inputs and padding is None:
        raise ValueError(
            "`bert` must have an encoder that takes a padding_mask, or a tokenizer that has a "
            f"pad_token_id. Received: an encoder of {', '.join(inputs)}, and neither. Give it one: "
            "bert.tokenizer.pad_token_id."
        )
    longest = getattr(encoder, "max_sequence_length", None) or 512  # as in `Bert.preprocessor`
    if sequence_length is not None:
        cure = "Two of them are markers. Use None for any length."
        sequence_length = check_whole("sequence_length", sequence_length, 3, longest, cure)
    head = {"pooling": "mean", **head}
    if head["pooling"] == "flatten":
        raise ValueError(
            "`pooling` must leave padding out for texts. Received: pooling='flatten', which is for "
            "images. Use 'mean', 'max', 'avgmax' or 'token'."
        )
    inputs = {
        name: keras.Input((sequence_length,), dtype=tensor.dtype, name=name)
        for name, tensor in inputs.items()
    }
    top = build_head(num_classes, **head)
    tokens, output = encoder, encoder.output
    if isinstance(output, dict):  # as BERT has it: leave the unused pooled output out
        tokens = keras.Model(encoder.input, output["sequence_output"], name=encoder.name)
    remember_vocabulary(tokens, getattr(bert, "tokenizer", None))
    mask = inputs.get("padding_mask")
    mask = ops.not_equal(inputs["token_ids"], padding) if mask is None else mask
    return keras.Model(inputs, top(tokens(inputs), mask=mask), name=f"{encoder.name}_classifier")
