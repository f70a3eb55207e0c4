"""Several models on one base: what is chosen on one of them holds for all, or a fit says so."""

from tlhelpers.models.heads import build_head
from tlhelpers.models.splitting import split_at
from tlhelpers.tuning.freezing import freeze, unfreeze
from tlhelpers.tuning.lora import add_lora, merge_lora

import keras
import numpy as np
import pytest
from toys import LOSS, X, Y, small_base

L = keras.layers


class Subclassed(keras.Model):
    """A model whose layers no graph shows."""

    def __init__(self, base):
        super().__init__()
        self.base, self.top = base, build_head(3)

    def call(self, x):
        return self.top(self.base(x))


def nested(base):
    images = keras.Input((16, 16, 3))
    return keras.Model(images, build_head(3)(base(images)))


MODELS = {
    "nested": nested,
    "inlined": lambda base: keras.Model(base.input, build_head(3)(base.output)),
    "in a sequential": lambda base: keras.Sequential([base, build_head(3)]),
    "twice nested": lambda base: keras.Sequential([nested(base), L.Dense(3)]),
    "subclassed": Subclassed,
    "a tail": lambda base: split_at(nested(base), "conv_1")[1],
}
VERBS = {
    "unfreeze": (freeze, lambda base: unfreeze(base, layers=["branch_3"])),
    "freeze": (lambda base: unfreeze(base, fraction=1.0), freeze),
    "add_lora": (freeze, lambda base: add_lora(base, 2, "branch_*")),
    "merge_lora": (lambda base: add_lora(base, 2, "branch_*"), merge_lora),
    "unfreeze another model": (freeze, lambda base: unfreeze(nested(base), blocks=1)),
}


def fitted(make, base):
    model = make(base)
    model.compile("sgd", LOSS)
    fit(model)
    return model


def fit(model):
    shape = getattr(model, "input_shape", X.shape)[1:]
    x = X[:8] if shape[0] == 16 else np.ones((8, *shape), "float32")
    model.fit(x, Y[:8], verbose=0)


CASES = [(layout, "unfreeze") for layout in MODELS] + [("nested", verb) for verb in VERBS]


@pytest.mark.parametrize(("layout", "verb"), dict.fromkeys(CASES))
def test_other_models_ask_for_a_compile(layout, verb):
    base = small_base()
    before, act = VERBS[verb]
    before(base)
    model = fitted(MODELS[layout], base)
    act(base)
    with pytest.raises(ValueError, match="compile"):
        fit(model)
    model.compile("sgd", LOSS)
    fit(model)
    paths = [v.path.split("/")[-2] for v in model.trainable_variables]
    trained = [path for path in paths if path.startswith(("branch", "conv"))]
    assert bool(trained) == (verb not in ("freeze", "merge_lora"))


def test_a_compiled_model_from_a_file_is_found_as_well(tmp_path):
    base = small_base()
    freeze(base)
    fitted(nested, base).save(tmp_path / "m.keras")
    model = keras.models.load_model(tmp_path / "m.keras")
    unfreeze(model.get_layer("small"), blocks=1)
    with pytest.raises(ValueError, match="compile"):
        fit(model)


def test_models_that_train_what_they_trained_stay_as_they_are():
    base, other = small_base(), small_base()
    freeze(base)
    freeze(other)
    model, stranger, new = fitted(nested, base), fitted(nested, other), nested(base)
    new.compile("sgd", LOSS)
    freeze(base)  # as it was
    fit(model)
    unfreeze(base, blocks=1)
    fit(stranger)
    fit(new)  # it has trained nothing yet, and takes what is chosen now
    with pytest.raises(ValueError, match="compile"):
        fit(model)


def test_other_models_predict_with_the_adapters():
    base = small_base()
    model = nested(base)
    plain = model.predict(X, verbose=0)  # traced before
    add_lora(base, 2, "branch_*")
    for variable in base.trainable_variables:
        variable.assign(variable + 0.5)
    adapted = model.predict(X, verbose=0)
    assert np.abs(adapted - plain).max() > 1e-3
    np.testing.assert_allclose(adapted, np.asarray(model(X, training=False)), atol=1e-5)
    merge_lora(base)
    np.testing.assert_allclose(model.predict(X, verbose=0), adapted, atol=1e-4)
