import tlhelpers as tl
from tlhelpers.adaptation.selection import VALIDATORS

import keras
import numpy as np
import pytest

L = keras.layers
rng = np.random.default_rng(0)
XS, XT = rng.normal(size=(40, 3)).astype("float32"), rng.normal(size=(30, 3)).astype("float32")
YS, YT = rng.integers(0, 3, 40), rng.integers(0, 3, 30)


def fit(*callbacks, epochs=4):
    keras.utils.set_random_seed(0)
    model = tl.DANN(keras.Sequential([L.Dense(4, "relu")]), L.Dense(3))
    model.compile(keras.optimizers.SGD(0.5))
    batches = tl.paired_batches(XS, YS, XT, 10)
    history = model.fit(batches, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return model, history


class Told(tl.SelectEpoch):
    """A selection whose scores are given, and that remembers the weights of each epoch."""

    def __init__(self, told, **kwargs):
        super().__init__("entropy", x_target=XT, **kwargs)
        self.told, self.weights = told, []

    def score(self):
        self.weights.append(self.model.get_weights())
        return self.told[len(self.weights) - 1]


def test_the_weights_of_the_best_epoch_are_kept():
    select = Told([0.1, 0.7, 0.3, 0.7])
    model, history = fit(select)
    assert select.best_epoch == 1  # the first of equals
    assert select.scores == {0: 0.1, 1: 0.7, 2: 0.3, 3: 0.7}
    assert history.history["val_entropy"] == [0.1, 0.7, 0.3, 0.7]
    best, last = select.weights[1::2]
    for kept, expected in zip(model.get_weights(), best, strict=True):
        np.testing.assert_array_equal(kept, expected)
    assert any((a != b).any() for a, b in zip(best, last, strict=True))


def test_patience_ends_the_fit():
    select = Told([0.1, 0.7, 0.3, 0.2, 0.9], patience=2)
    _, history = fit(select, epochs=5)
    assert len(history.epoch) == 4 and select.best_epoch == 1


def test_every_validator_gives_the_score_of_its_function():
    selects = {n: tl.SelectEpoch(n, x_target=XT, x_source=XS, y_source=YS) for n in VALIDATORS}
    oracle = tl.OracleEpoch(XT, YT)
    model, history = fit(*selects.values(), oracle, epochs=1)
    on_target, on_source = (model.predict(x, verbose=0) for x in (XT, XS))
    features = [model.encoder.predict(x, verbose=0) for x in (XS, XT)]
    for name, select in selects.items():
        function = getattr(tl.validators, name)
        if name == "source_accuracy":
            expected = function(on_source, YS)
        elif name == "reverse_validation":
            expected = function(
                source_features=features[0],
                source_labels=YS,
                target_features=features[1],
                predictions=on_target,
            )
        else:
            expected = function(on_target)
        assert select.scores == {0: pytest.approx(expected)}
        assert history.history[f"val_{name}"] == [pytest.approx(expected)]
    assert oracle.scores == {0: pytest.approx((on_target.argmax(1) == YT).mean())}


def test_the_oracle_is_called_an_oracle_in_the_logs():
    _, history = fit(tl.OracleEpoch(XT, YT), epochs=1)
    assert "val_oracle_accuracy" in history.history


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"validator": "entropie"}, "Received: validator='entropie'. Did you mean 'entropy'"),
        ({"validator": "oracle", "x_target": XT}, "`validator` must be one of"),
        ({"validator": "entropy"}, "validator='entropy'. Received: no x_target. Pass"),
        ({"validator": "source_accuracy", "x_source": XS}, "Received: no y_source"),
        ({"validator": "reverse_validation", "x_target": XT}, "no x_source and no y_source"),
        ({"validator": "entropy", "x_target": XT[:0]}, "Received: no x_target"),
        ({"x_target": XT, "patience": 0}, "`patience` must .*Received: patience=0. None"),
        ({"validator": "source_accuracy", "x_source": XS, "y_source": YS[1:]}, "39"),
        ({"x_target": np.where(XT[3, 0] == XT, np.nan, XT)}, "x_target`? must be finite.*in row 3"),
        ({"x_target": YT}, "x_target`? must be an array of real numbers, one sample per row"),
        ({"validator": "soft_neighborhood_density", "x_target": XT[:2]}, "at least 3 rows"),
    ],
)  # fmt: skip
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        tl.SelectEpoch(**arguments)


class Diverging(keras.callbacks.Callback):
    """Spoil the weights after an epoch, before they are judged; they do not recover."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            kernel = self.model.classifier.kernel
            kernel.assign(np.full(kernel.shape, np.nan))


@pytest.mark.parametrize("name", [*VALIDATORS, "oracle"])
def test_a_model_that_diverges_ends_with_its_best_weights(name):
    arguments = {"x_target": XT, "x_source": XS, "y_source": YS}
    select = tl.OracleEpoch(XT, YT) if name == "oracle" else tl.SelectEpoch(name, **arguments)
    model, history = fit(Diverging(1), select, epochs=4)
    assert len(history.epoch) == 4
    assert select.best_epoch == 0 and np.isfinite(select.scores[0])
    assert [select.scores[epoch] for epoch in (1, 2, 3)] == [-np.inf] * 3
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize("first", [0, 1])
def test_diverged_epochs_count_towards_patience(first):
    select = tl.SelectEpoch("entropy", x_target=XT, patience=2)
    _, history = fit(Diverging(first), select, epochs=6)
    assert len(history.epoch) == first + 2
    assert select.best_epoch == (None if first == 0 else 0)


def test_a_worst_score_never_wins_even_in_the_first_epoch():
    select = Told([-np.inf, 0.2, np.nan, 0.1])
    fit(select)
    assert select.best_epoch == 1


def test_a_collapsed_encoder_scores_chance_in_reverse_validation():
    select = tl.SelectEpoch("reverse_validation", x_target=XT, x_source=XS, y_source=YS)
    zeros = keras.Sequential([L.Dense(4, "relu", kernel_initializer="zeros")])  # a dead ReLU
    model = tl.DANN(zeros, L.Dense(3))
    model.compile("sgd")
    model.fit(tl.paired_batches(XS, YS, XT, 10), epochs=2, verbose=0, callbacks=[select])
    predicted = model.predict(XT, verbose=0).argmax(axis=1)[0]
    assert list(select.scores) == [0, 1]
    assert select.scores[select.best_epoch] == (predicted == YS).mean()


def test_wrong_labels_are_no_divergence():
    select = tl.SelectEpoch("source_accuracy", x_source=XS, y_source=YS + 1)
    with pytest.raises(ValueError, match=r"Labels must be in 0\.\.2"):
        fit(select, epochs=1)


@pytest.mark.parametrize("name", VALIDATORS)
def test_every_validator_reads_bfloat16(name):
    select = tl.SelectEpoch(name, x_target=XT, x_source=XS, y_source=YS)
    encoder = keras.Sequential([L.Dense(4, "relu", dtype="mixed_bfloat16")])
    model = tl.DANN(encoder, L.Dense(3, dtype="mixed_bfloat16"), dtype="mixed_bfloat16")
    model.compile("sgd")
    model.fit(tl.paired_batches(XS, YS, XT, 10), verbose=0, callbacks=[select])
    assert model.encoder.predict(XT, verbose=0).dtype.name == "bfloat16"
    assert np.isfinite(select.scores[0])


def test_bad_labels_of_the_oracle():
    with pytest.raises(ValueError, match="29"):
        tl.OracleEpoch(XT, YT[1:])
