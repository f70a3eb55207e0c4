"""Numbers as labels: the end of the classifier decides loss and metric."""

import tlhelpers as tl

import keras
import numpy as np
import pytest
import tensorflow as tf

L = keras.layers
METHODS = [tl.SourceOnly, tl.DANN, tl.CORAL, tl.MMD]
rng = np.random.default_rng(0)


class Scale(L.Layer):
    """An encoder of two weights: one for the signal, one for the flag of the domain."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(2,), initializer="ones")

    def call(self, x):
        return x * self.scale


def flagged(n=1000):
    """The target value is three times the first number; the second is the flag of the domain."""
    x = np.stack([rng.uniform(-1, 1, 2 * n), np.repeat([0, 1], n)], axis=1).astype("float32")
    y = 3 * x[:, 0]
    return x[:n], y[:n], x[n:], y[n:]


XS, YS, XT, YT = flagged()


def build(method=tl.DANN, encoder=None, targets=1, **options):
    keras.utils.set_random_seed(0)
    head = tl.build_head(targets, task="regression", dropout=0.0)
    model = method(Scale() if encoder is None else encoder, head, **options)
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9))
    return model


def test_dann_learns_numbers_that_hold_in_the_target():
    found = {}
    for method in (tl.SourceOnly, tl.DANN):
        model = build(method)
        model({"source": XS, "target": XT})
        model.classifier.layers[-1].kernel.assign([[1.0], [2.0]])  # the flag matters at first
        data = tl.paired_batches(XS, YS, XT, 50)
        history = model.fit(data, epochs=10, validation_data=(XT, YT), verbose=0).history
        predicted = model.predict(XT, verbose=0)
        assert predicted.shape == (1000, 1) and len(np.unique(predicted)) > 900
        found[method] = np.abs(predicted[:, 0] - YT).mean()
        assert history["val_mae"][-1] == pytest.approx(found[method], rel=1e-4)
        assert all(np.isfinite(values).all() for values in history.values())
    assert found[tl.SourceOnly] > 1.5
    assert found[tl.DANN] < 0.3 * found[tl.SourceOnly]


@pytest.mark.parametrize("method", METHODS)
def test_loss_and_gradients(method):
    encoder = keras.Sequential([keras.Input((2,)), L.Dense(4, "tanh")])
    model = build(method, encoder, targets=2)
    (pair, y) = tl.paired_batches(XS, np.stack([YS, -YS], axis=1), XT, 50)[0]
    with tf.GradientTape() as tape:
        outputs = model(pair, training=True)
        loss = model.compute_loss(pair, tf.constant(y), outputs)
    gradients = tape.gradient(loss, [v.value for v in model.encoder.trainable_variables])
    assert all(np.isfinite(g).all() and np.abs(g).max() > 0 for g in gradients)
    logits = np.array(outputs["logits"])
    # at the start of a schedule another weight is 0, DANN's is that of the reversal
    aligned = float(outputs["alignment"]) if method is tl.DANN else 0.0
    assert float(loss) == pytest.approx(((logits - y) ** 2).mean() + aligned, rel=1e-5)
    weights = rng.uniform(0, 2, 50).astype("float32")
    weighted = model.compute_loss(pair, tf.constant(y), outputs, tf.constant(weights))
    expected = (((logits - y) ** 2).mean(axis=1) * weights).mean()
    assert float(weighted) == pytest.approx(expected + aligned, rel=1e-5)


FORMS = {
    "column": lambda y: y[:, None],
    "float64": lambda y: y.astype("float64"),
    "list": lambda y: y.tolist(),
}


@pytest.mark.parametrize("form", FORMS)
def test_numbers_in_any_form_train_the_same(form):
    ends = []
    for y in (YS, FORMS[form](YS)):
        model = build()
        model.fit(tl.paired_batches(XS, y, XT, 50), verbose=0)
        ends.append(model.get_weights())
    for a, b in zip(*ends, strict=True):
        np.testing.assert_array_equal(a, b)


def test_whole_and_negative_numbers_are_numbers_too():
    for y in (np.round(YS), np.round(YS).astype(int)):
        model = build(tl.SourceOnly)
        model.fit(tl.paired_batches(XS, y, XT, 50), epochs=10, verbose=0)
        assert np.abs(model.predict(XS, verbose=0)[:, 0] - y).mean() < 0.4
    few = XT[:3], [0, 1, -1]
    labels = tl.paired_batches(XS, YS, XT, 50, labelled_target=few)[0][1]
    assert labels.dtype == "float32" and set(labels[50:]) == {0.0, 1.0, -1.0}


def test_a_dataset_of_pairs_and_a_file(tmp_path):
    pair = {"source": XS, "target": XT}
    ends = []
    for y in (YS, YS[:, None]):
        data = tf.data.Dataset.from_tensor_slices((pair, y)).batch(50)
        model = build()
        model.fit(data, validation_data=tf.data.Dataset.from_tensor_slices((XT, YT)).batch(50),
                  verbose=0)  # fmt: skip
        ends.append(model.get_weights())
    for a, b in zip(*ends, strict=True):
        np.testing.assert_array_equal(a, b)
    features = keras.Input((2,))
    model = build(encoder=keras.Model(features, L.Dense(3)(features)))
    model.fit(tl.paired_batches(XS, YS, XT, 50), verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.task == "regression"
    np.testing.assert_array_equal(loaded.predict(XT, verbose=0), model.predict(XT, verbose=0))
    scores = [m.evaluate(XT, YT, verbose=0, return_dict=True) for m in (model, loaded)]
    assert scores[0] == scores[1] and set(scores[0]) == {"loss", "mae"}


@pytest.mark.parametrize("method", [tl.CDAN, tl.MCC, tl.ConsistentDANN])
def test_methods_of_classes_refuse_it(method):
    with pytest.raises(ValueError, match=f"must give classes: {method.__name__}.*regression task"):
        build(method)


def test_what_judges_classes_says_so():
    model, message = build(), "must tell classes apart: .*model of a regression task.*proxy_a"
    data, classes = tl.paired_batches(XS, YS, XT, 50), (YS > 0).astype(int)
    for callback in (tl.SelectEpoch("entropy", XT), tl.OracleEpoch(XT, classes),
                     tl.DomainMonitor(XS, classes, XT)):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            model.fit(data, callbacks=[callback], verbose=0)
    with pytest.raises(ValueError, match=message):
        tl.check_domains(model, XS, YS, XT)
    features = [model.features_of(x) for x in (XS, XT)]
    assert tl.proxy_a_distance(source=features[0], target=features[1]) > 1.9


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_yes_or_no_labels_have_their_loss_too(task):
    keras.utils.set_random_seed(0)
    width = 2 if task == "multilabel" else 1
    model = tl.DANN(Scale(), tl.build_head(2, task=task, dropout=0.0))
    model.compile(keras.optimizers.Adam(0.05))
    y = np.stack([YS > 0, YS < 1], axis=1).astype(int)[:, :width]
    history = model.fit(tl.paired_batches(XS, y, XT, 50), epochs=5, verbose=0).history
    assert history["accuracy"][-1] > 0.9
    logits = model.predict(XS, verbose=0)
    assert ((logits > 0) == y).mean() > 0.9
    cross = np.log1p(np.exp(np.where(y, -logits, logits)))
    assert model.evaluate(XS, y, verbose=0)[0] == pytest.approx(cross.mean(), rel=1e-3)


def test_labels_that_do_not_fit_the_end_are_refused():
    continuous, classes = tl.paired_batches(XS, YS, XT, 50), tl.DANN(Scale(), L.Dense(2))
    classes.compile("sgd")
    with pytest.raises(ValueError, match=r"Labels must be integers.*Received: dtype=float32"):
        classes.fit(continuous, verbose=0)
    two = tl.paired_batches(XS, np.stack([YS, YS], axis=1), XT, 50)
    with pytest.raises(ValueError, match=r"numbers of shape \(n, 1\) for a regression"):
        build().fit(two, verbose=0)
    broken = np.where(YS > 2.9, np.nan, YS)
    with pytest.raises(ValueError, match=r"`y_source` must be finite. Received: NaN"):
        tl.paired_batches(XS, broken, XT, 50)
    data = tf.data.Dataset.from_tensor_slices(({"source": XS, "target": XT}, broken)).batch(50)
    with pytest.raises(ValueError, match="`y` must be finite for a regression model"):
        build().fit(data, verbose=0)
    one = tl.DANN(Scale(), L.Dense(1))
    with pytest.raises(ValueError, match=r'use tl.build_head\(1, task="regression"\)'):
        one(XS)
