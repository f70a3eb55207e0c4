"""What a model ends in: the task that its head was built for."""

from tlhelpers.models.heads import Head

import keras


def task_of(model: keras.Model) -> str | None:
    """The task that the model's head was built for; None where it is not known."""
    heads = (layer for layer in model._flatten_layers() if isinstance(layer, Head))
    return next((getattr(head, "task", None) for head in heads), None)
