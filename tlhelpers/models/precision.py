"""A frozen base that computes with fewer digits."""

from tlhelpers.models.graph import walk
from tlhelpers.models.state import read, write

import keras


def to_bfloat16(model: keras.Model) -> keras.Model:
    """Return a copy of a frozen base that computes in bfloat16, with weights equal to the last bit.

    The weights stay float32; each layer rounds them, and its input, to 8 binary digits. Processors
    with bfloat16 instructions, and graphics cards, may then be faster. Others are slower: time
    `extract_features` of both on a few hundred inputs first. It returns float32 either way.

    Args:
        model: a frozen functional model or built Sequential. It is left as it is.

    Raises:
        ValueError: a model that has weights to train, for which bfloat16 is another question; one
            without a graph.

    Example:
        >>> table = tl.freeze(base)
        >>> fast = tl.to_bfloat16(base)
        >>> tl.extract_features(fast, x_train).dtype
        dtype('float32')
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            "`model` must be a Keras model. Received: model of type "
            f"{type(model).__name__}. Load one: tl.load_backbone('vgg16', (96, 96, 3))."
        )
    walk(model)  # or there is no graph to copy
    if model.trainable_weights:
        raise ValueError(
            f"`model` must be frozen. Received: model={model.name!r} with "
            f"{len(model.trainable_weights)} weights to train. Freeze it: tl.freeze(model)."
        )
    copy = keras.models.clone_model(model, clone_function=_in_bfloat16)
    copy.trainable = False
    write(copy.weights, read(model.weights))
    return copy


def _in_bfloat16(layer: keras.Layer) -> keras.Layer:
    if isinstance(layer, keras.Model):
        return keras.models.clone_model(layer, clone_function=_in_bfloat16)
    return type(layer).from_config({**layer.get_config(), "dtype": "mixed_bfloat16"})
