"""A few labels of the target: what they add to the loss, and to a shift that nothing else mends."""

import tlhelpers as tl

import keras
import numpy as np
import pytest

L = keras.layers
METHODS = [tl.SourceOnly, tl.DANN, tl.CDAN, tl.CORAL, tl.MMD, tl.MCC, tl.ConsistentDANN]
rng = np.random.default_rng(0)
XS, XT = (rng.normal(size=(n, 4)).astype("float32") for n in (24, 32))
YS = np.arange(24) % 3
FEW = XT[:5], np.arange(5) % 3


def build(method, encoder=None, **options):
    keras.utils.set_random_seed(1)
    options |= {"view": L.Identity()} if method is tl.ConsistentDANN else {}
    encoder = keras.Sequential([L.Dense(5, "tanh")]) if encoder is None else encoder
    model = method(encoder, keras.Sequential([L.Dense(3)]), **options)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def batches(**kwargs):
    return tl.paired_batches(XS, YS, XT, 8, labelled_target=FEW, **kwargs)


def test_every_batch_has_labelled_samples_of_the_target_behind_the_source():
    plain = tl.paired_batches(XS, YS, XT, 8)
    seen = []
    for (pair, labels), (other, before) in zip(batches(), plain, strict=True):
        for name in ("source", "target"):  # whose order does not depend on the labelled ones
            np.testing.assert_array_equal(pair[name], other[name])
        np.testing.assert_array_equal(labels[:8], before)
        found = [np.flatnonzero((FEW[0] == row).all(axis=1)).item() for row in pair["labelled"]]
        assert labels[8:].tolist() == [FEW[1][row] for row in found]
        seen += found
    assert len(seen) == 32 and np.ptp(np.bincount(seen)) <= 1


@pytest.mark.parametrize("method", METHODS)
def test_they_count_in_the_label_loss_and_nowhere_else(method):
    model, (pair, labels) = build(method), batches()[0]
    outputs, alone = model(pair), model({k: pair[k] for k in ("source", "target")})
    assert outputs["logits"].shape == (16, 3)
    if method is not tl.SourceOnly:
        assert float(outputs["alignment"]) == pytest.approx(float(alone["alignment"]), rel=1e-5)
    logits = model.predict(np.concatenate([pair["source"], pair["labelled"]]), verbose=0)
    np.testing.assert_allclose(outputs["logits"], logits, rtol=1e-4, atol=1e-6)
    expected = (np.log(np.exp(logits).sum(1)) - logits[np.arange(16), labels]).mean()
    model.fit(batches(), verbose=0, epochs=1, steps_per_epoch=1)
    first = build(method)
    history = first.fit(batches(), verbose=0, epochs=1, steps_per_epoch=1).history
    assert history["label_loss"][0] == pytest.approx(expected, rel=1e-4)


def turned(n, seed):
    """The class is the sign of the first number; in the target, where the second is 1, reversed."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 2 * n)
    domain = np.repeat([0, 1], n)
    x = np.stack([(2 * y - 1) * (1 - 2 * domain) + 0.2 * rng.normal(size=2 * n), domain], axis=1)
    return x[:n].astype("float32"), y[:n], x[n:].astype("float32"), y[n:]


@pytest.mark.parametrize("method", [tl.SourceOnly, tl.DANN])
def test_ten_labels_win_a_target_whose_classes_are_turned_round(method):
    x_source, y_source, x_target, y_target = turned(400, 0)
    found = []
    for few in (None, (x_target[:10], y_target[:10])):
        keras.utils.set_random_seed(0)
        encoder = keras.Sequential([L.Dense(16, "relu"), L.Dense(16, "relu")])
        model = method(encoder, keras.Sequential([L.Dense(2)]))
        model.compile(keras.optimizers.Adam(0.01))
        data = tl.paired_batches(x_source, y_source, x_target, 50, labelled_target=few)
        model.fit(data, epochs=15, verbose=0)
        found.append((model.predict(x_target[10:], verbose=0).argmax(1) == y_target[10:]).mean())
    assert found[0] < 0.2 and found[1] > 0.95


def test_statistics_of_the_target_are_those_of_its_labelled_samples_too():
    norm = tl.DomainBatchNormalization(momentum=0.0)
    model = build(tl.SourceOnly, keras.Sequential([norm, L.Dense(4)]))
    data = batches()
    pair, _ = data[0]
    model.fit(data, steps_per_epoch=1, verbose=0)
    means = [pair["source"].mean(0), np.concatenate([pair["target"], pair["labelled"]]).mean(0)]
    np.testing.assert_allclose(norm.means, means, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("labelled", "message"),
    [
        (XT, r"`labelled_target` must be a pair \(x, y\). Received: .*ndarray. Give"),
        ((XT[:5],), "must be a pair"),
        ((XT[:5], [0, 1]), "One label per sample is needed. Received: 5 samples, 2 labels"),
        ((XT[:2], np.eye(3)[:2]), "If they are one-hot"),
        ((XT[:2, :3], [0, 1]), r"one shape. Received: labelled_target \(3,\), x_target \(4,\)"),
        ((np.full((1, 4), np.nan), [0]), r"`labelled_target\[0\]` must be finite"),
        ((XT[:2], np.ones((2, 2))), r"must have one shape. Received: \[\(\), \(2,\)\]"),
    ],
)
def test_other_labelled_samples_are_refused(labelled, message):
    with pytest.raises(ValueError, match=message):
        tl.paired_batches(XS, YS, XT, 8, labelled_target=labelled)


def test_images_among_them_that_the_encoder_would_scale_again_are_refused():
    images = rng.uniform(0, 255, (24, 4, 4, 3)).astype("float32")
    encoder = keras.Sequential([tl.Preprocess("caffe"), L.Flatten(), L.Dense(4)])
    data = tl.paired_batches(images, YS, images, 8, labelled_target=(images[:4] / 255, YS[:4]))
    with pytest.raises(ValueError, match=r"In the labelled: Images must be 0\.\.255 RGB"):
        build(tl.DANN, encoder).fit(data, verbose=0)


def test_their_labels_must_be_classes_of_the_model():
    data = tl.paired_batches(XS, YS, XT, 8, labelled_target=(XT[:2], [0, 3]))
    with pytest.raises(ValueError, match=r"Labels must be in 0\.\.2. Received: labels in 0\.\.3"):
        build(tl.DANN).fit(data, verbose=0)
