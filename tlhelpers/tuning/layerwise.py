"""A learning rate per layer that is real: the rate itself is scaled, not the gradient.

Adam divides a scaled gradient by its own size and takes the same step as before. Here the factor
multiplies the learning rate of every single update, and that of the weight decay with it.
"""

import weakref
from collections.abc import Callable, Mapping

from tlhelpers.checks.devices import scope_of
from tlhelpers.checks.words import check_choice, check_number, did_you_mean
from tlhelpers.models.anatomy import Anatomy
from tlhelpers.models.state import check_built

import keras
from keras.optimizers import SGD, Adam, AdamW, RMSprop

DECAYS = {"ulmfit": 1 / 2.6, "bert": 0.95}  # Howard & Ruder 2018, 3.3; Sun et al. 2019, 5.4.3


class _Layerwise(keras.Optimizer):
    """What the optimizers below share; `factors` has a (path, shape, factor) for each variable.

    Until it is built, an optimizer knows the factor of every variable of its model. Read from a
    file, it knows them by their order, as Keras knows the momenta that lie beside them.
    """

    weight_decay: float | None

    def __init__(self, *args, factors=(), **kwargs):
        super().__init__(*args, **kwargs)
        self.factors = tuple((path, tuple(shape), factor) for path, shape, factor in factors)
        self._known: dict[str | int, float] = {}
        self._model: Callable[[], keras.Model | None] = lambda: None

    def bind(self, model: keras.Model, factors: dict[int, float]) -> None:
        """Learn the factor of every variable of `model`, trainable or not."""
        self._known = {self._var_key(v): factors[id(v)] for v in model.variables}
        self._model = weakref.ref(model)

    def build(self, variables):
        """Make the momenta, and the list of factors in the order of the variables."""
        if not self.built:
            self.factors = self._match(variables)
        super().build(variables)

    def _match(self, variables) -> tuple:
        """Return the path, shape and factor of each of these variables, in their order."""
        paths, shapes = [v.path for v in variables], [tuple(v.shape) for v in variables]
        if self._known:
            strange = [v.path for v in variables if self._var_key(v) not in self._known]
            if not strange:
                factors = [self._known[self._var_key(v)] for v in variables]
                return tuple(zip(paths, shapes, factors, strict=True))
            required, received = "made for", f"variables of another model, {strange[:3]}"
        elif shapes == [shape for _, shape, _ in self.factors]:
            return self.factors
        else:
            saved = [path for path, _, _ in self.factors]
            required = f"saved with ({len(saved)} variables: {saved[:3]}, ...)"
            received = f"{len(paths)} variables: {paths[:3]}, ..."
        raise ValueError(
            f"The optimizer must be used with the model that it was {required}. Received: "
            f"{received}. Make one for this model with tl.layerwise(optimizer, model, ...)."
        )

    def _factor(self, variable) -> float:
        return self.factors[self._get_variable_index(variable)][2]

    def update_step(self, gradient, variable, learning_rate):
        """Take the base optimizer's step, and its weight decay, with this variable's own rate."""
        factor = self._factor(variable)
        if self.weight_decay and self._use_weight_decay(variable):
            decay = keras.ops.cast(self.weight_decay * factor, variable.dtype)
            rate = keras.ops.cast(learning_rate, variable.dtype)
            self.assign_sub(variable, variable * decay * rate)
        super().update_step(gradient, variable, keras.ops.multiply(learning_rate, factor))

    def _apply_weight_decay(self, variables):
        """Leave it to the step of each variable: here several devices would share a setting."""

    def get_config(self):
        """Return the base optimizer's settings and the factors."""
        model, factors = self._model(), self.factors
        if not self.built and model is not None:
            factors = self._match(model.trainable_variables)
        return {**super().get_config(), "factors": [[p, list(s), f] for p, s, f in factors]}


def _with_factors(kind: type[keras.Optimizer]) -> type:
    """Return the class "LayerwiseAdam" of Adam, which a saved model finds by this name."""
    name, doc = f"Layerwise{kind.__name__}", f"{kind.__name__} with a learning rate per layer."
    made = type(name, (_Layerwise, kind), {"__doc__": doc, "__module__": __name__})
    return keras.saving.register_keras_serializable("tlhelpers")(made)


_KINDS = {kind: _with_factors(kind) for kind in (SGD, Adam, AdamW, RMSprop)}
LayerwiseSGD, LayerwiseAdam, LayerwiseAdamW, LayerwiseRMSprop = _KINDS.values()


def layerwise(
    optimizer: keras.Optimizer,
    model: keras.Model,
    decay: float | str | None = None,
    multipliers: Mapping[str, float] | None = None,
    head: str | None = None,
) -> keras.Optimizer:
    r"""Return an optimizer that trains every layer of a model at its own learning rate.

    The rate of a weight is `factor * learning_rate(step)`, for every optimizer and schedule;
    decoupled weight decay shrinks by the same factor. With `decay`, the head has factor 1 and the
    k-th block below it $\mathrm{decay}^k$ (a model without a head starts at its last block). With
    `multipliers`, what is not named has factor 1, and of several names for one weight the narrowest
    holds: a layer's before its block's.

    Args:
        optimizer: a fresh SGD, Adam, AdamW or RMSprop, or a LossScaleOptimizer around one.
        model: the built model that will be compiled with the result.
        decay: factor per block in (0, 1], or "ulmfit" (1/2.6), "bert" (0.95).
        multipliers: finite factors, 0 or above, by the name of a layer (all that share it), of a
            block of `find_blocks`, of a nested base, or "head"; or by the `path` of one layer
            ("encoder/attention/query").
        head: name of the layer where the head of an inlined base begins, as in `freeze`.

    Returns:
        A new optimizer of the same kind and settings; `optimizer` stays as it is. A model compiled
        with it saves and loads (`safe_mode=True`), factors included, once `tlhelpers` is imported.

    Raises:
        ValueError: both or neither of decay and multipliers, or one out of its range; an unknown
            name; an optimizer of another kind or built already; a model without weights; a head
            that is no such layer.

    Example:
        >>> optimizer = tl.layerwise(keras.optimizers.AdamW(1e-4), model, decay="bert")
        >>> model.compile(optimizer, loss)

    Reference:
        Howard and Ruder 2018, Universal Language Model Fine-tuning (arXiv 1801.06146), eq. 2.
    """
    if (decay is None) == (multipliers is None):
        raise ValueError(
            "`decay` or `multipliers` must be given, and only one of them. Received: "
            f"decay={decay!r}, multipliers={multipliers!r}. Use decay=0.5 to halve per block."
        )
    check_built(model)
    own = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
    if type(own) not in _KINDS or own.built:
        state = ", already built for a model" if getattr(own, "built", False) else ""
        raise ValueError(
            "`optimizer` must be a fresh SGD, Adam, AdamW or RMSprop. Received: "
            f"optimizer={type(own).__name__}{state}. Pass a new keras.optimizers.Adam(1e-4)."
        )
    factors = dict.fromkeys(map(id, model.variables), 1.0)
    anatomy = Anatomy(model, head)
    factors |= _by_decay(anatomy, decay) if decay is not None else _by_name(anatomy, multipliers)
    with scope_of(model):
        result = renew(optimizer, kind=_KINDS[type(own)])
    getattr(result, "inner_optimizer", result).bind(model, factors)
    return result


def renew(
    optimizer: keras.Optimizer,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule | None = None,
    kind: type[keras.Optimizer] | None = None,
) -> keras.Optimizer:
    """Return a fresh optimizer with another's settings; a rate or a class instead of its own."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        settings = {k: v for k, v in optimizer.get_config().items() if k != "inner_optimizer"}
        return type(optimizer)(renew(optimizer.inner_optimizer, learning_rate, kind), **settings)
    settings = optimizer.get_config()
    own = optimizer._learning_rate  # a schedule as it is, even one that is not registered
    if learning_rate is None and callable(own) and not isinstance(own, keras.Variable):
        learning_rate = own
    if learning_rate is not None:
        settings["learning_rate"] = learning_rate
    result = (kind or type(optimizer)).from_config(settings)
    for name in ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern"):
        if hasattr(optimizer, name):  # not part of Keras' settings
            setattr(result, name, getattr(optimizer, name))
    return result


def _by_decay(anatomy: Anatomy, decay: float | str) -> dict[int, float]:
    if isinstance(decay, str):
        decay = DECAYS[check_choice("decay", decay, DECAYS)]
    cure = "Use 0.5 to halve the rate per block, 1.0 for one rate everywhere."
    decay = check_number("decay", decay, "(0, 1]", cure)
    levels = [anatomy.head] if any(layer.weights for layer in anatomy.head) else []
    levels += [list(block.layers) for block in reversed(anatomy.blocks)]
    factors = dict.fromkeys(map(id, anatomy.model.variables), decay ** (len(levels) - 1))
    for depth, layers in enumerate(levels):
        factors |= {id(v): decay**depth for layer in layers for v in layer.variables}
    return factors


def _by_name(anatomy: Anatomy, multipliers) -> dict[int, float]:
    if not isinstance(multipliers, Mapping):
        raise ValueError(
            "`multipliers` must be a dict of names and factors. Received: "
            f"multipliers={multipliers!r}. Write it as {{'block1': 0.1}}."
        )
    model = anatomy.model
    parts = [("head", layer) for layer in anatomy.head]
    parts += [(block.name, layer) for block in anatomy.blocks for layer in block.layers]
    for layer in model._flatten_layers(include_self=False):
        parts += [(layer.name, layer), (layer.path or layer.name, layer)]
    named: dict[str, set[int]] = {}
    for name, layer in parts:
        if layer.variables:
            named.setdefault(name, set()).update(map(id, layer.variables))
    cure = "Use freeze and unfreeze to say what learns at all."
    for name, factor in multipliers.items():
        if name not in named:
            raise ValueError(
                "`multipliers` must name layers with weights, or blocks, of "
                f"{model.name!r}. Received: {name!r}." + did_you_mean(name, sorted(named))
            )
        check_number(f"multipliers[{name!r}]", factor, "[0, inf)", cure)
    factors: dict[int, float] = {}
    for name in sorted(multipliers, key=lambda name: -len(named[name])):  # the narrowest wins
        factors |= dict.fromkeys(named[name], float(multipliers[name]))
    return factors
