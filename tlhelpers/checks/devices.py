"""The devices that share a model, by a strategy of `tf.distribute`."""

import contextlib
from typing import Any

import keras


def scope_of(model: Any) -> contextlib.AbstractContextManager:
    """Return the scope in which a model was made, to make more for it: `with scope_of(model):`.

    What is made inside, such as an optimizer or a part of the model, then has a copy on each of
    the model's devices. Without a strategy, and on another backend, the scope changes nothing.

    Raises:
        ValueError: a strategy of several machines.
    """
    strategy = _strategy_of(model)
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def count_devices(model: Any) -> int:
    """Return how many devices share each batch of a model: 1 without a strategy."""
    return getattr(_strategy_of(model), "num_replicas_in_sync", 1)


def check_optimizer(model: keras.Model, optimizer) -> None:
    """Refuse an optimizer made outside the scope of a model on several devices.

    Keras doesn't: each device would count every step, and a schedule would run ahead.

    Raises:
        ValueError: such an optimizer; a strategy of several machines.
    """
    if count_devices(model) > 1 and isinstance(optimizer, keras.Optimizer):
        own = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
        if own._distribution_strategy is not model.distribute_strategy:
            raise ValueError(
                "`optimizer` must be made in the strategy's scope, as the model is. Received: "
                f"optimizer={own.name!r} from outside. Use: with strategy.scope(): "
                "model.compile(keras.optimizers.Adam(1e-3))."
            )


def _strategy_of(model: Any):
    strategy = getattr(model, "distribute_strategy", None)  # no other backend has it
    if type(strategy).__name__ == "CollectiveAllReduceStrategy":  # its name inside TensorFlow
        raise ValueError(
            "`model` must be made on one machine: MultiWorkerMirroredStrategy doesn't work with "
            f"Keras 3 (its issue #20585). Received: model={model.name!r} of that strategy. For all "
            "GPUs of one machine use tf.distribute.MirroredStrategy(); for features on many "
            'machines tl.extract_shards(..., cluster="auto") on Ray; for Keras code of your '
            "own keras.distribution with KERAS_BACKEND=jax."
        )
    return strategy
