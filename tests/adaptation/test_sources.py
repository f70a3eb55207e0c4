"""Several sources: equal shares of every batch, and an alignment of each with the target."""

import tlhelpers as tl
from tlhelpers.adaptation.dann import build_discriminator

import keras
import numpy as np
import pytest
from scipy.special import log_softmax

L = keras.layers
rng = np.random.default_rng(0)
XA, XB, XT = (rng.normal(size=(n, 3)).astype("float32") * n / 30 for n in (30, 20, 40))
YA, YB = np.arange(30) % 2, np.arange(20) % 2


def batches(**kwargs):
    return tl.paired_batches([XA, XB], [YA, YB], XT, 10, **kwargs)


def build(method, sources=2, **options):
    keras.utils.set_random_seed(1)
    options |= {"view": L.Identity()} if method is tl.ConsistentDANN else {}
    encoder = keras.Sequential([L.Dense(4, "tanh")])
    return method(encoder, keras.Sequential([L.Dense(2)]), sources=sources, **options)


def test_each_source_has_its_share_of_every_batch():
    data, seen = batches(), [[], []]
    assert len(data) == 6  # of 5 of 30
    for pair, labels in data:
        assert pair["source"].shape == pair["target"].shape == (10, 3)
        for part, (x, y) in enumerate([(XA, YA), (XB, YB)]):
            rows = slice(5 * part, 5 * part + 5)
            found = [np.flatnonzero((x == row).all(axis=1)).item() for row in pair["source"][rows]]
            assert labels[rows].tolist() == y[found].tolist()
            seen[part] += found
    assert sorted(seen[0]) == list(range(30)) and np.ptp(np.bincount(seen[1])) <= 1
    first = tl.paired_batches([XA], [YA], XT, 10)[0][0]
    np.testing.assert_array_equal(
        first["source"], tl.paired_batches(XA, YA, XT, 10)[0][0]["source"]
    )


@pytest.mark.parametrize(("method", "loss"), [(tl.CORAL, tl.coral_loss), (tl.MMD, tl.mmd_loss)])
def test_distances_are_the_mean_over_the_sources(method, loss):
    model, (pair, _) = build(method), batches()[0]
    found = float(model(pair)["alignment"])
    a, b, t = (model.features_of(x) for x in (*np.split(pair["source"], 2), pair["target"]))
    assert found == pytest.approx((float(loss(a, t)) + float(loss(b, t))) / 2, rel=1e-4)


def test_the_discriminator_tells_all_domains_apart():
    model, (pair, _) = build(tl.DANN), batches()[0]
    outputs = model(pair)
    rows = np.concatenate([model.features_of(pair[name]) for name in ("source", "target")])
    logs = log_softmax(np.array(model.discriminator(rows)), axis=1)
    domain = np.repeat([0, 1, 2], [5, 5, 10])
    assert logs.shape == (20, 3)
    assert float(outputs["alignment"]) == pytest.approx(-logs[np.arange(20), domain].mean())
    np.testing.assert_array_equal(outputs["domain_right"], logs.argmax(axis=1) == domain)
    p = np.exp(logs[:, 2])  # of the target, which the one logit says as well
    np.testing.assert_allclose(outputs["domain_logits"][:, 0], np.log(p / (1 - p)), rtol=1e-4)


class Scale(L.Layer):
    """An encoder of one weight for each number."""

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], initializer="ones")

    def call(self, x):
        return x * self.scale


def test_what_tells_any_two_domains_apart_fades():
    """The second number is 1 in one source, -1 in the other, 0 in the target."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (3, 600))
    x = np.stack([2 * y - 1 + 0.2 * rng.normal(size=y.shape), np.zeros(y.shape)], axis=-1)
    x[..., 1] += np.array([1, -1, 0])[:, None]
    x = x.astype("float32")
    found = {}
    for weight in (0.0, 1.0):
        keras.utils.set_random_seed(0)
        head = build_discriminator(20, width=3)
        model = tl.DANN(Scale(), L.Dense(2), head, weight=weight, sources=2)
        model.compile(keras.optimizers.SGD(0.1))
        data = tl.paired_batches([x[0], x[1]], [y[0], y[1]], x[2], 60)
        model.fit(data, epochs=15, verbose=0)
        signal, flag = model.encoder.scale.numpy()
        found[weight] = abs(flag / signal)
    assert found[1.0] < 0.15 < 0.3 < found[0.0]


def misleading(agrees, seed, n=400):
    """The first number is a noisy sign of the class; the second its sure sign, or its opposite."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    sign = 2 * y - 1
    x = np.stack([sign + 0.5 * rng.normal(size=n), 3 * sign * (1 if agrees else -1)], axis=1)
    return x.astype("float32"), y


@pytest.mark.parametrize("method", [tl.SourceOnly, tl.DANN, tl.CORAL, tl.MMD])
def test_a_second_source_tells_what_is_no_sign_of_the_class(method):
    (xa, ya), (xb, yb), (xt, yt) = (misleading(*of) for of in ((True, 0), (False, 1), (False, 2)))
    found = []
    for sources in ([(xa, ya)], [(xa, ya), (xb, yb)]):
        x, y = map(list, zip(*sources, strict=True))
        model = build(method, sources=len(sources))
        model.compile(keras.optimizers.Adam(0.01))
        model.fit(tl.paired_batches(x, y, xt, 50), epochs=15, verbose=0)
        found.append((model.predict(xt, verbose=0).argmax(1) == yt).mean())
    assert found[0] < 0.5 and found[1] > 0.9


@pytest.mark.parametrize("method", [tl.CDAN, tl.MCC, tl.ConsistentDANN])
def test_every_method_takes_them_and_its_file_keeps_them(method, tmp_path):
    model = build(method, view=L.Identity()) if method is tl.ConsistentDANN else build(method)
    model.compile("sgd")
    history = model.fit(batches(labelled_target=(XT[:4], [0, 1, 0, 1])), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.sources == 2
    loaded.fit(batches(), verbose=0)
    assert "Domains told apart" in str(tl.check_domains(model, XA, YA, XT))


def test_sources_of_texts_stay_dictionaries():
    x = [{"ids": np.arange(24).reshape(8, 3) + i, "mask": np.ones((8, 3), bool)} for i in (0, 100)]
    y = [np.zeros(8, int), np.ones(8, int)]
    (pair, labels), *_ = tl.paired_batches(x, y, x[0], 4)
    assert (pair["source"]["ids"] >= 100).all(axis=1).tolist() == (labels == 1).tolist()
    assert pair["source"]["mask"].dtype == bool and labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("x", "y", "size", "message"),
    [
        ([XA, XB], [YA, YB, YB], 10, "lists of as many sources. Received: 2 and 3"),
        ([XA, XA], YA, 10, r"`x_source` as a list .*Received: 2 of them for 30 labels.*as a tuple"),
        ([XA, XB], [YA, YA], 10, "Received: 20 samples, 30 labels"),
        ([XA, XB[:, :2]], [YA, YB], 10, r"`x_source\[1\]` and `x_target` .*one shape"),
        ([XA, XB], [YA, YB], 9, "divisible by the 2 sources. Received: batch_size=9. Use 10"),
        ([XA, XB[:0]], [YA, YB[:0]], 10, r"`x_source\[1\]` must have at least 1 row"),
        ([XA, XB[:2]], [YA, YB[:2]], 10, "between 1 and 8. .* 30 and 2 source and 40 target"),
    ],
)
def test_other_sources_are_refused(x, y, size, message):
    with pytest.raises(ValueError, match=message):
        tl.paired_batches(x, y, XT, size)


@pytest.mark.filterwarnings("ignore:Layer 'dann:UserWarning")
def test_the_model_must_have_as_many():
    model = build(tl.DANN, sources=3)
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"must have the 3 sources of the model. Received: 2"):
        model.fit(batches(), verbose=0)
    pooled = build(tl.DANN, sources=1)
    pooled.compile("sgd")
    pooled.fit(batches(), verbose=0)  # as one source
    with pytest.raises(ValueError, match="`sources` must be a whole number, 1 or above"):
        build(tl.DANN, sources=0)
    wrong = tl.DANN(L.Dense(4), L.Dense(2), L.Dense(1), sources=2)
    with pytest.raises(ValueError, match=r"a logit per domain, shape \(n, 3\). Received"):
        wrong(batches()[0][0])
