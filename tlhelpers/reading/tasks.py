"""What a model was trained for, where its head or its loss tells."""

from tlhelpers.models.ends import kind_of_outputs, task_of

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
    if name.startswith("binary") and outputs and outputs[0].shape[-1] > 1:
        return "multilabel"
    return task_of(model)
