"""What the parts of an adaptation must be: layers, logits where a loss takes them, classes."""

import keras


def check_part(part: keras.Layer, name: str) -> keras.Layer:
    """Return a part of the model, or say that it must be a Keras layer or model."""
    if not isinstance(part, keras.Layer):
        raise ValueError(
            f"`{name}` must be a Keras model or layer. Received: {name} of type "
            f"{type(part).__name__}. Wrap layers in keras.Sequential([...])."
        )
    return part


def check_tells_classes(model: keras.Model, what: str) -> None:
    """Refuse a model that learns numbers, or yes or no, where classes are judged."""
    if getattr(model, "task", "multiclass") != "multiclass":
        raise ValueError(
            f"`model` must tell classes apart: {what} looks at them. Received: model of a "
            f"{model.task} task. Compare features: tl.proxy_a_distance(source=model.features_of("
            "x_source), target=model.features_of(x_target))."
        )


def check_logits(part: keras.Layer, name: str) -> keras.Layer:
    """Return a part of the model, or say that it must not end in an activation."""
    last, inside = None, [check_part(part, name)]
    while inside:
        last = inside[-1]
        if isinstance(last, keras.Sequential):
            inside = last.layers
        else:  # outputs has a functional model alone
            ends = isinstance(last, keras.Model) and getattr(last, "outputs", None)
            inside = [end._keras_history.operation for end in ends or ()][:1]
    activation = type(last).__name__.lower()
    if activation not in ("softmax", "relu"):
        activation = getattr(getattr(last, "activation", None), "__name__", "linear")
    if activation == "linear":
        return part
    why = "the loss takes logits and applies the activation itself, which is exact"
    if activation == "softmax" and getattr(last, "units", None) == 1:
        why = "a softmax over one unit is always 1, its gradient is 0, and nothing would be trained"
        why += " adversarially"
    raise ValueError(
        f"`{name}` must end without an activation: {why}. Received: {name} ending in "
        f"{activation!r}. End it in keras.layers.Dense({getattr(last, 'units', None) or 'units'})."
    )
