"""CORAL, MMD, MCC and CDAN against closed forms and independent implementations."""

import tlhelpers as tl

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

L = keras.layers
few = settings(max_examples=15, deadline=None, derandomize=True)
shapes = st.tuples(st.integers(2, 9), st.integers(2, 9), st.integers(1, 6), st.integers(0, 99))


def two_sets(n, m, d, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * 2, rng.normal(size=(m, d)) + 1


@few
@given(shapes)
def test_coral_is_the_distance_of_numpys_covariances(shape):
    a, b = two_sets(*shape)
    d = a.shape[1]
    expected = ((np.cov(a, rowvar=False) - np.cov(b, rowvar=False)) ** 2).sum() / (4 * d**2)
    assert float(tl.coral_loss(a, b)) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert float(tl.coral_loss(a, b)) == pytest.approx(float(tl.coral_loss(b, a)))
    assert float(tl.coral_loss(a, a + 5)) == pytest.approx(0, abs=1e-5)  # the mean plays no part


def test_coral_closed_form():
    identity = np.eye(3)  # covariance: 1/3 on the diagonal, -1/6 beside it; doubled: 4 times that
    norm = 9 * (3 * (1 / 3) ** 2 + 6 * (1 / 6) ** 2)
    assert float(tl.coral_loss(identity, 2 * identity)) == pytest.approx(norm / 36)


def test_a_row_alone_has_no_covariance():
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, 3))])
    def loss_and_slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tl.coral_loss(x, tf.eye(3))
        return loss, tape.gradient(loss, x)

    loss, slope = loss_and_slope(np.ones((1, 3), "float32"))
    assert float(loss) == pytest.approx((np.cov(np.eye(3)) ** 2).sum() / 36)
    np.testing.assert_array_equal(slope, np.zeros((1, 3)))


@few
@given(shapes)
def test_mmd_is_the_sum_over_all_pairs(shape):
    a, b = two_sets(*shape)
    joined = np.vstack([a, b])
    n, m = len(a), len(b)
    pairs = [((x - y) ** 2).sum() for x in joined for y in joined]
    width = sum(pairs) / ((n + m) * (n + m - 1))

    def kernel(x, y):
        return np.mean([np.exp(-((x - y) ** 2).sum() / (s * width)) for s in (0.25, 0.5, 1, 2, 4)])

    def mean(p, q):
        return np.mean([kernel(x, y) for x in p for y in q])

    expected = mean(a, a) + mean(b, b) - 2 * mean(a, b)
    assert float(tl.mmd_loss(a, b)) == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_mmd_of_the_same_rows_is_0_and_has_finite_gradients():
    import tensorflow as tf

    x = tf.constant(np.ones((4, 3)), "float32")
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tl.mmd_loss(x, x)
    assert float(loss) == 0
    assert np.isfinite(tape.gradient(loss, x).numpy()).all()


@few
@given(st.integers(1, 8), st.integers(2, 5), st.integers(0, 99))
def test_mcc_is_the_loop_of_the_paper(n, classes, seed):
    logits = np.random.default_rng(seed).normal(size=(n, classes)) * 5
    p = np.exp(logits / 2.5)
    p /= p.sum(1, keepdims=True)
    entropy = [-(row * np.log(row)).sum() for row in p]
    weights = np.array([1 + np.exp(-h) for h in entropy])
    weights = n * weights / weights.sum()
    confusion = sum(w * np.outer(row, row) for w, row in zip(weights, p, strict=True))
    confusion = confusion / confusion.sum(1, keepdims=True)
    expected = sum(confusion[j, k] for j in range(classes) for k in range(classes) if j != k)
    assert float(tl.mcc_loss(logits)) == pytest.approx(expected / classes, rel=1e-4, abs=1e-6)


def test_mcc_ends():
    assert float(tl.mcc_loss(1000 * np.eye(3))) == pytest.approx(0, abs=1e-6)
    assert float(tl.mcc_loss(np.zeros((5, 4)))) == pytest.approx(3 / 4)


def test_cdan_shows_the_discriminator_the_outer_product_without_gradient_of_the_classes():
    import tensorflow as tf

    encoder, classifier = keras.Sequential([L.Identity()]), L.Dense(3)
    model = tl.CDAN(encoder, classifier, L.Dense(1, use_bias=False), weight=1.0, gamma=None)
    rng = np.random.default_rng(0)
    pair = {k: rng.normal(size=(4, 2)).astype("float32") for k in ("source", "target")}
    with tf.GradientTape() as tape:
        outputs = model(pair)
        loss = outputs["alignment"]
    x = np.vstack([pair["source"], pair["target"]])
    z = x @ classifier.kernel.numpy() + classifier.bias.numpy()
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    outer = np.stack([np.outer(f, g).ravel() for f, g in zip(x, p, strict=True)])
    expected = outer @ model.discriminator.kernel.numpy()
    np.testing.assert_allclose(outputs["domain_logits"], expected, atol=1e-5)
    assert tape.gradient(loss, classifier.kernel.value) is None


@pytest.mark.parametrize("loss", [tl.coral_loss, tl.mmd_loss])
@pytest.mark.parametrize(
    "shapes", [((3, 2), (3, 4)), ((3,), (3,)), ((1, 2), (3, 2)), ((3, 2), (0, 2)), ((3, 2, 2),) * 2]
)
def test_bad_features(loss, shapes):
    with pytest.raises(
        ValueError, match=r"`a` and `b` must be .*at least two rows. Received: a.shape=.*Flatten"
    ):
        loss(*(np.zeros(shape) for shape in shapes))


@pytest.mark.parametrize(
    ("logits", "temperature", "message"),
    [
        (np.zeros(3), 1, r"`logits` must .*two classes or more. Received: shape=\(3,\). Give"),
        (np.zeros((3, 1)), 1, r"`logits` must .*two classes or more. Received: shape=\(3, 1\)"),
        (np.zeros((3, 2)), 0, r"`temperature` must .*above 0. Received: temperature=0. Use 2.5"),
    ],
)
def test_bad_logits(logits, temperature, message):
    with pytest.raises(ValueError, match=message):
        tl.mcc_loss(logits, temperature)
