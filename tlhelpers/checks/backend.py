"""Which Keras backend runs, and what needs TensorFlow's."""

import keras


def check_tensorflow(name: str) -> None:
    """Refuse to go on where a function needs TensorFlow and Keras runs on another backend.

    Raises:
        ValueError: the backend is JAX, PyTorch or another.
    """
    if (backend := keras.backend.backend()) != "tensorflow":
        raise ValueError(
            f"The Keras backend must be TensorFlow for `{name}`. Received: KERAS_BACKEND="
            f"{backend!r}. Save the model, and call `{name}` in a process that was started with "
            "KERAS_BACKEND=tensorflow."
        )
