"""What a model was trained for, where its head or its loss tells."""

from tlhelpers.models.ends import activation_of, end_of, kind_of_outputs, task_of

import keras

_OF_NUMBERS = {"mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error",
               "mean_squared_logarithmic_error", "huber", "log_cosh", "poisson",
               "cosine_similarity"}  # fmt: skip


def task_trained(model: keras.Model) -> str | None:
    """Return the task that a model is compiled for, or else its head was built for, if known.

    Example:
        >>> text_model.compile("adam", "mse")
        >>> task_trained(text_model)
        'regression'
    """
    loss = getattr(model, "loss", None)
    loss = keras.losses.get(loss) if isinstance(loss, str) else loss
    name = str(getattr(getattr(loss, "fn", loss), "__name__", ""))
    if name in _OF_NUMBERS and kind_of_outputs(model) != "probabilities":
        return "regression"
    outputs = getattr(model, "outputs", None)
    several = outputs and len(outputs[0].shape) > 1 and outputs[0].shape[-1] != 1
    if name.startswith("binary") and several and activation_of(model) != "softmax":
        return "multilabel"
    return task_of(model)


def task_of_end(model: keras.Model) -> str:
    """Return the task of `task_trained`, or else what the end is mostly meant for."""
    return task_trained(model) or end_of(model).task
