"""Stop a fit that would not train what you think."""

import keras


class FitGuard(keras.callbacks.Callback):
    """Raise at the start of a fit whose trainable set is not what was compiled.

    Keras captures the weights to train when the training step is traced, in the first fit after
    `compile`. Unfreezing later trains nothing new, freezing later goes on training, and an
    optimizer that is used again knows only the old weights. Keras 3.15 says nothing about it: its
    warning for this stands behind a `raise` and cannot be reached.

    Raises:
        ValueError: (from `fit`) layers were frozen or unfrozen since `compile`, the optimizer was
            built for other weights, or nothing at all is trainable.

    Example:
        >>> model.compile("sgd", loss)
        >>> history = model.fit(x, y, callbacks=[tl.FitGuard()], verbose=0)
        >>> table = tl.freeze(base)
        >>> model.fit(x, y, callbacks=[tl.FitGuard()])
        Traceback (most recent call last):
        ValueError: The trainable weights must be those of the last compile. ...
    """

    def on_train_begin(self, logs=None):
        model = self.model
        if not model.trainable_variables:
            raise ValueError(
                f"`model` must have something trainable. Received: model={model.name!r} with every "
                "weight frozen. Use tl.unfreeze(model, blocks=1), or give it a head."
            )
        if changed := _changes(model):
            shown = ", ".join(changed[:4]) + (", ..." if len(changed) > 4 else "")
            raise ValueError(
                "The trainable weights must be those of the last compile. Received: a change in "
                f"{shown}. Compile again, with a fresh optimizer: once a fit has begun, Keras goes "
                "on training what was compiled."
            )


def _changes(model: keras.Model) -> list[str]:
    """Return layers with another flag than at compile, or variables that the optimizer lacks."""
    flags = getattr(model, "_compiled_trainable_state", {})
    own = [part for part in model._flatten_layers() if part._trainable_variables]
    layers = [part.name for part in own if flags.get(part, part.trainable) != part.trainable]
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if layers or optimizer is None or not optimizer.built:  # it takes what is trainable now
        return layers
    built = {id(v): v for v in optimizer._trainable_variables}
    now = {id(v): v for v in model.trainable_variables}
    return [v.path for key, v in {**built, **now}.items() if key not in built or key not in now]
