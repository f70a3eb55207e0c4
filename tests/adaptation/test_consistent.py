"""DANN that agrees with itself on two views of a target image."""

from tlhelpers.adaptation import DANN, ConsistentDANN, DomainBatchNormalization, RandomChannel
from tlhelpers.adaptation.batches import paired_batches

import keras
import numpy as np
import pytest

rng = np.random.default_rng(0)
X = rng.integers(0, 256, (32, 6, 6, 3)).astype("uint8")
Y = np.arange(32) % 3
PAIR = {"source": X[:8], "target": X[8:16]}


def build(method=ConsistentDANN, norm=None, **options):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3), norm]
    encoder = keras.Sequential([*filter(None, layers), keras.layers.Flatten()])
    classifier = keras.Sequential([keras.layers.Dense(3)])
    return method(encoder, classifier, **options)


def fitted(model, epochs=2):
    model.compile(keras.optimizers.SGD(0.05))
    model.fit(paired_batches(X, Y, X[::-1], 8), epochs=epochs, verbose=0)
    return model


def test_a_view_is_one_of_the_channels_and_all_of_them_come_up():
    view = keras.ops.convert_to_numpy(RandomChannel(seed=0)(X))
    assert view.shape == X.shape and view.dtype == X.dtype
    assert (view == view[..., :1]).all()
    drawn = [np.flatnonzero((x == v[..., :1]).all((0, 1))) for x, v in zip(X, view, strict=True)]
    assert all(len(channels) == 1 for channels in drawn)
    assert set(np.concatenate(drawn)) == {0, 1, 2}


def test_a_grey_image_stays_as_it_is():
    grey = np.repeat(X[..., :1], 3, axis=-1)
    np.testing.assert_array_equal(RandomChannel(seed=1)(grey), grey)


@pytest.mark.parametrize("threshold", [0.0, 0.6])
def test_the_loss_is_the_cross_entropy_of_views_with_sure_predictions(threshold):
    model = build(view=keras.layers.Lambda(lambda x: 255 - x), threshold=threshold)
    found = float(model(PAIR)["consistency"])
    p = keras.ops.softmax(model(PAIR["target"])).numpy()
    q = keras.ops.softmax(model(255 - PAIR["target"])).numpy()
    each = -np.log(q[np.arange(8), p.argmax(axis=1)]) * (p.max(axis=1) > threshold)
    assert found == pytest.approx(each.mean(), rel=1e-5)
    assert threshold == 0 or 0 < (p.max(axis=1) > threshold).sum() < 8


def test_without_consistency_it_is_dann():
    weights = [
        fitted(build(method, **options)).get_weights()
        for method, options in [(DANN, {}), (ConsistentDANN, {"consistency": 0.0})]
    ]
    encoder, plain = weights[1][:2], weights[0][:2]
    for a, b in zip(encoder, plain, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_no_gradient_goes_through_the_prediction_that_is_trusted():
    import tensorflow as tf

    # the encoder doubles what it is given; views are constant, so only the trusted side moves
    model = build(view=keras.layers.Rescaling(0, offset=100), threshold=0.0)
    target = tf.Variable(PAIR["target"].astype("float32"))
    with tf.GradientTape() as tape:
        loss = model({"source": PAIR["source"].astype("float32"), "target": target})["consistency"]
    gradient = tape.gradient(loss, target, unconnected_gradients="zero")
    assert float(tf.reduce_max(tf.abs(gradient))) == 0


def test_statistics_per_domain_count_views_to_the_target():
    norm = DomainBatchNormalization(momentum=0.0)
    model = build(norm=norm, view=keras.layers.Identity())
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(paired_batches(X[:8], Y[:8], X[8:16], 8), verbose=0)
    maps = [model.encoder.layers[1](x / 255.0).numpy() for x in (X[:8], X[8:16])]
    found = norm.means.numpy()
    np.testing.assert_allclose(found, [m.mean((0, 1, 2)) for m in maps], atol=1e-5)


def test_it_saves_and_loads_with_its_view(tmp_path):
    model = fitted(build(view=RandomChannel(seed=3), threshold=0.5, consistency=0.3))
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    assert isinstance(again.view, RandomChannel) and again.view.seed == 3
    assert (again.threshold, again.consistency) == (0.5, 0.3)


def test_its_metrics_name_the_domain_and_the_views():
    model = build()
    model.compile(keras.optimizers.SGD(0.01))
    logs = model.fit(paired_batches(X, Y, X, 8), verbose=0).history
    assert {"domain_loss", "domain_accuracy", "consistency_loss", "accuracy"} <= set(logs)
    assert "consistency_loss" not in model.evaluate(X, Y, verbose=0, return_dict=True)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"threshold": 1.5}, r"`threshold` must be .*in \[0, 1\]. Received: threshold=1.5. 0.8"),
        ({"consistency": -1}, r"`consistency` must be .*0 or above.* consistency=-1\. (?!.*sign)"),
        ({"view": np.flip}, "`view` must be a Keras model or layer. Received: view of type"),
    ],
)
def test_bad_options_are_refused(option, message):
    with pytest.raises(ValueError, match=message):
        build(**option)
