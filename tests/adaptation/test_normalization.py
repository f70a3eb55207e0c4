import tlhelpers as tl

import keras
import numpy as np
import pytest

L = keras.layers


def pair(n=200):
    rng = np.random.default_rng(0)
    return {
        "source": rng.normal(5, 2, (n, 3)).astype("float32"),
        "target": rng.normal(-3, 0.5, (n, 3)).astype("float32"),
    }


def model_with(layer):
    return tl.DANN(keras.Sequential([layer]), L.Dense(2))


def test_each_half_is_normalized_by_itself():
    layer = tl.DomainBatchNormalization(momentum=0.0, epsilon=1e-6)
    model, data = model_with(layer), pair()
    features = {}
    model.align = lambda x, logits: features.update(x=np.array(x)) or {}
    model(data, training=True)
    model(data, training=True)
    for half in np.split(features["x"], 2):
        np.testing.assert_allclose(half.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(half.std(0), 1, atol=1e-3)
    np.testing.assert_allclose(layer.means.numpy(), [x.mean(0) for x in data.values()], rtol=1e-4)
    np.testing.assert_allclose(
        layer.variances.numpy(), [x.var(0) for x in data.values()], rtol=1e-3
    )


class Lazy(keras.Model):
    """An encoder that makes its layers only when it is built."""

    def build(self, shape):
        self.inner = keras.Sequential([tl.DomainBatchNormalization(momentum=0.0, name="norm")])

    def call(self, x):
        return self.inner(x)


def functional_encoder():
    inputs = keras.Input((3,))
    norm = tl.DomainBatchNormalization(momentum=0.0)
    return keras.Model(inputs, keras.Sequential([L.Identity(), norm])(inputs))


@pytest.mark.parametrize("method", [tl.DANN, tl.CDAN, tl.ConsistentDANN])
@pytest.mark.parametrize("make", [functional_encoder, Lazy])
@pytest.mark.parametrize("traced", [False, True])
def test_the_parts_reach_the_layer_in_any_encoder(method, make, traced):
    encoder, data = make(), pair(8)
    encoder(data["source"])  # it may have been called before
    options = {"view": L.Identity()} if method is tl.ConsistentDANN else {}
    model = method(encoder, L.Dense(2), **options)
    if traced:
        model.compile("sgd")
        labels = np.zeros(8, int)
        model.fit(tl.paired_batches(data["source"], labels, data["target"], 8), verbose=0)
    else:
        model(data, training=True)
    (layer,) = (x for x in model._flatten_layers() if isinstance(x, tl.DomainBatchNormalization))
    np.testing.assert_allclose(layer.means, [x.mean(0) for x in data.values()], rtol=1e-4)


def test_the_parts_are_those_of_the_encoder_alone():
    data, norm = pair(8), tl.DomainBatchNormalization(momentum=0.0)
    model = tl.DANN(keras.Sequential([L.Identity()]), keras.Sequential([norm, L.Dense(2)]))
    model(data, training=True)  # the classifier sees the source half, not a joined batch
    np.testing.assert_allclose(norm.means, [np.zeros(3), data["source"].mean(0)], rtol=1e-4)


def test_predictions_are_the_targets_unless_said_otherwise():
    layer = tl.DomainBatchNormalization(momentum=0.0, epsilon=1e-6)
    model, data = model_with(layer), pair()
    model(data, training=True)
    model(data, training=True)
    encode = model.encoder.predict
    np.testing.assert_allclose(encode(data["target"], verbose=0).mean(0), 0, atol=1e-4)
    assert np.abs(encode(data["source"], verbose=0).mean(0)).min() > 5
    with model.on_domain("source"):
        np.testing.assert_allclose(encode(data["source"], verbose=0).mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(encode(data["target"], verbose=0).mean(0), 0, atol=1e-4)


def test_equal_domains_are_treated_as_batch_normalization_treats_them():
    ours, keras_ = tl.DomainBatchNormalization(momentum=0.9), L.BatchNormalization(momentum=0.9)
    x = pair()["source"]
    model = model_with(ours)
    features = {}
    model.align = lambda x, logits: features.update(x=np.array(x)) or {}
    model({"source": x, "target": x}, training=True)
    model({"source": x, "target": x}, training=True)
    keras_(x, training=True)
    np.testing.assert_allclose(features["x"][: len(x)], keras_(x, training=True), atol=1e-4)
    np.testing.assert_allclose(ours.means.numpy(), [keras_.moving_mean] * 2, rtol=1e-4)
    np.testing.assert_allclose(model.encoder(x), keras_(x), atol=1e-4)


def test_frozen_statistics_stay():
    layer = tl.DomainBatchNormalization()
    model = model_with(layer)
    model(pair())
    layer.trainable = False
    model(pair(), training=True)
    assert (layer.means.numpy() == 0).all() and (layer.variances.numpy() == 1).all()


def test_a_plain_training_learns_the_statistics_of_the_domain_in_use():
    layer = tl.DomainBatchNormalization(momentum=0.0)
    x = pair()["source"]
    layer(x, training=True)
    np.testing.assert_allclose(layer.means.numpy(), [np.zeros(3), x.mean(0)], rtol=1e-4)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"momentum": 1.0}, r"`momentum` must be .* \[0, 1\). Received: momentum=1.0. Use 0.95"),
        ({"momentum": -1}, "`momentum` must be .* Received: momentum=-1"),
        ({"epsilon": 0}, "`epsilon` must be .* above 0. Received: epsilon=0. Use 0.001"),
        ({"epsilon": "1"}, "`epsilon` must be .* Received: epsilon='1'"),
    ],
)
def test_bad_settings(kwargs, message):
    with pytest.raises(ValueError, match=message):
        tl.DomainBatchNormalization(**kwargs)


@pytest.mark.parametrize("layer", [tl.DomainBatchNormalization, L.BatchNormalization])
def test_unknown_domain(layer):
    model = model_with(layer())
    model(pair())
    refused = pytest.raises(ValueError, match=r"one of 'source', 'target'. Received: name='sauce'")
    with refused, model.on_domain("sauce"):
        pass


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(("mean", "std"), [(10, 0.5), (0, 300)])
def test_mixed_precision_learns_the_statistics_of_float32(policy, mean, std):
    rng = np.random.default_rng(0)
    steps = rng.normal(mean, std, (100, 2, 64, 3)).astype("float32")
    layers = {name: tl.DomainBatchNormalization(dtype=name) for name in ("float32", policy)}
    for layer in layers.values():
        model = tl.DANN(keras.Sequential([layer]), L.Dense(2, dtype="float32"))
        for source, target in steps:
            model({"source": source, "target": target}, training=True)
    exact, mixed = layers.values()
    assert mixed(steps[0, 0]).dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(mixed.means, exact.means, atol=0.01 * std)
    np.testing.assert_allclose(mixed.variances, exact.variances, rtol=0.01)
    np.testing.assert_allclose(mixed(steps[0, 0]), exact(steps[0, 0]), atol=0.08)
