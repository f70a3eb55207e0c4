"""The forecaster: what it says untrained, what its parts are, what it can learn."""

import tlhelpers as tl
from tlhelpers.models.anatomy import Anatomy

import keras
import numpy as np
import pytest

X = np.random.default_rng(0).normal(size=(24, 24)).astype("float32")


def build(**changes):
    keras.utils.set_random_seed(0)
    return tl.build_forecaster(**{"history": 24, "horizon": 12, "width": 4, **changes})


@pytest.mark.parametrize("depth", [1, 2])
def test_untrained_it_says_what_was_a_year_ago_in_each_quantile(depth):
    out = build(depth=depth).predict(X, verbose=0)
    np.testing.assert_array_equal(out, np.repeat(X[:, 12:, None], 3, axis=2))


@pytest.mark.parametrize("depth", [1, 3])
def test_its_base_are_the_recurrent_layers_and_its_head_begins_where_they_join_the_months(depth):
    model = build(depth=depth)
    assert [block.name for block in tl.find_blocks(model)] == [
        f"gru_{n}" for n in range(1, depth + 1)
    ]
    assert Anatomy(model).head[0].name == "join"
    tl.freeze(model)
    assert tl.describe(model).trainable == model.get_layer("correction").count_params()
    tl.unfreeze(model, blocks=1)
    frozen = [layer.name for layer in model.layers if layer.weights and not layer.trainable]
    assert frozen == [f"gru_{n}" for n in range(1, depth)]


def test_the_loss_makes_its_outputs_quantiles():
    random = np.random.default_rng(0)
    x = np.zeros((400, 2), "float32")
    y = random.normal(size=(400, 2)).astype("float32")
    model = build(history=2, horizon=2, quantiles=(0.1, 0.5, 0.8), width=1)
    tl.freeze(model)  # the head alone is quick to trace
    model.compile(keras.optimizers.Adam(0.1), tl.QuantileLoss((0.1, 0.5, 0.8)))
    model.fit(x, y, batch_size=400, epochs=80, verbose=0)
    out = model.predict(x[:1], verbose=0)[0]
    below = (y[..., None] < out).mean(axis=0)
    np.testing.assert_allclose(below, np.tile([0.1, 0.5, 0.8], (2, 1)), atol=0.07)


def test_its_file_loads_with_keras_alone(tmp_path):
    model = build()
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert not [layer for layer in loaded.layers if "tlhelpers" in type(layer).__module__]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"horizon": 0}, "`horizon`"),
        ({"history": 11}, "`history` .* months a year ago"),
        ({"depth": 0}, "`depth`"),
        ({"width": 1.5}, "`width`"),
        ({"quantiles": (0.9, 0.5)}, "`quantiles` must grow"),
    ],
)
def test_bad_numbers_are_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        build(**changes)
