"""FitGuard: the three orders of changing `trainable`, a used optimizer, nothing to train."""

from tlhelpers.tuning.guard import FitGuard

import keras
import numpy as np
import pytest

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = np.arange(8) % 2
LOSS = "sparse_categorical_crossentropy"


def two_layers():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential([keras.Input((3,)), layers.Dense(4, name="a"),
                             layers.Dense(2, activation="softmax", name="b")])  # fmt: skip


def fit(model, guarded=True):
    model.fit(X, Y, verbose=0, callbacks=[FitGuard()] if guarded else [])


@pytest.mark.parametrize("frozen_first", [True, False])
def test_a_change_after_a_fit_is_stopped_where_keras_is_silent(frozen_first):
    for guarded in (False, True):
        model = two_layers()
        layer = model.get_layer("a")
        layer.trainable = not frozen_first
        model.compile("sgd", LOSS)
        fit(model)
        layer.trainable = frozen_first
        before = layer.get_weights()[0]
        if guarded:
            with pytest.raises(ValueError, match="change in a"):
                fit(model)
        else:
            fit(model, guarded=False)  # the failure itself: what trains is what was traced
        moved = not np.array_equal(before, layer.get_weights()[0])
        assert moved == (not guarded and not frozen_first)


def test_a_change_between_compile_and_the_first_fit_is_stopped_too():
    model = two_layers()
    model.compile("sgd", LOSS)
    model.get_layer("a").trainable = False
    with pytest.raises(ValueError, match="Compile again"):
        fit(model)


def test_compiling_again_satisfies_it():
    model = two_layers()
    model.compile("sgd", LOSS)
    fit(model)
    model.get_layer("a").trainable = False
    model.compile("sgd", LOSS)
    fit(model)
    fit(model)


def test_a_used_optimizer_is_named_instead_of_an_unknown_variable():
    model = two_layers()
    model.get_layer("a").trainable = False
    optimizer = keras.optimizers.Adam()
    model.compile(optimizer, LOSS)
    fit(model)
    model.get_layer("a").trainable = True
    model.compile(optimizer, LOSS)
    with pytest.raises(ValueError, match="fresh optimizer"):
        fit(model)


def test_lora_enabled_by_hand_after_a_fit_is_stopped_where_keras_trains_the_old_kernel():
    for guarded in (False, True):
        model = two_layers()
        model.compile("sgd", LOSS)
        fit(model)
        layer = model.get_layer("a")
        kernel = np.array(layer._kernel)
        layer.enable_lora(2)
        if guarded:
            with pytest.raises(ValueError, match="Compile again"):
                fit(model)
        else:
            fit(model, guarded=False)
        assert not np.array(layer.lora_kernel_b).any()
        assert np.array_equal(kernel, np.array(layer._kernel)) == guarded


def test_nothing_to_train_is_stopped():
    model = two_layers()
    model.trainable = False
    model.compile("sgd", LOSS)
    with pytest.raises(
        ValueError, match=r"must have something trainable\. Received: model=.*unfreeze"
    ):
        fit(model)


def test_a_changed_layer_in_a_nested_base_is_found():
    base = two_layers()
    images = keras.Input((3,))
    model = keras.Model(images, keras.layers.Dense(2, activation="softmax")(base(images)))
    model.compile("sgd", LOSS)
    fit(model)
    base.get_layer("b").trainable = False
    with pytest.raises(ValueError, match="change in b"):
        fit(model)


def test_the_warning_of_keras_cannot_be_reached(recwarn):
    """Why the guard is needed. When Keras mends its warning, the README and the course change."""
    model = two_layers()
    model.compile("sgd", LOSS)
    fit(model, guarded=False)
    model.get_layer("a").trainable = False
    fit(model, guarded=False)
    assert not [w for w in recwarn if "trainable" in str(w.message)]
