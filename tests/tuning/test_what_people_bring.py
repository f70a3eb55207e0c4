"""Every form of data gets the same answer as plain arrays, or one sentence with the cure."""

import warnings

from tlhelpers.models.ends import end_of, kind_of_outputs, task_of
from tlhelpers.models.heads import build_head
from tlhelpers.reading.calibration import calibrate
from tlhelpers.reading.evaluation import evaluate
from tlhelpers.tuning import batches
from tlhelpers.tuning.batches import Batches
from tlhelpers.tuning.features import extract_features
from tlhelpers.tuning.fine_tuning import fine_tune
from tlhelpers.tuning.gradual import GradualUnfreezing
from tlhelpers.tuning.lr_finder import find_learning_rate

import keras
import numpy as np
import pytest
import tensorflow as tf

L = keras.layers
RNG = np.random.default_rng(0)
Y = np.arange(24) % 2
X = (RNG.normal(size=(24, 6, 6, 3)) + Y[:, None, None, None]).astype("float32")
QUICK = {"head_epochs": 1, "epochs": 1, "verbose": 0}


def net(*end, seed=3):
    """A small net with an inlined base; `end` comes behind its pooling."""
    keras.utils.set_random_seed(seed)
    convolutions = [L.Conv2D(4, 3, activation="relu"), L.Conv2D(5, 3, activation="relu")]
    last = end or (L.Dense(2),)
    return keras.Sequential(
        [keras.Input((6, 6, 3)), *convolutions, L.GlobalAveragePooling2D(), *last]
    )


class Table:
    """What iterates as a DataFrame does: by the names of its columns."""

    def __init__(self, values):
        self.values, self.columns = values, ["label"]

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return iter(self.columns)

    def to_numpy(self):
        return np.asarray(self.values)


class Made(keras.utils.PyDataset):
    """Batches of eight."""

    def __init__(self, x=X, y=Y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 3

    def __getitem__(self, number):
        rows = slice(8 * number, 8 * number + 8)
        return self.x[rows], self.y[rows]


def dataset(y=Y, x=X, size=8):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(size)


def from_generator(pairs):
    """A dataset that does not know its length; `pairs` is what a call of it returns."""
    spec = (tf.TensorSpec((None, 6, 6, 3)), tf.TensorSpec((None,), tf.int64))
    return tf.data.Dataset.from_generator(pairs, output_signature=spec)


def in_eights():
    yield from ((X[k : k + 8], Y[k : k + 8]) for k in range(0, 24, 8))


FORMS = {
    "arrays": lambda: (X, Y),
    "lists": lambda: (X.tolist(), Y.tolist()),
    "list of arrays, one a row": lambda: (list(X), list(Y)),
    "tensors": lambda: (tf.constant(X), tf.constant(Y)),
    "whole floats": lambda: (X, Y.astype("float32")),
    "a column": lambda: (X, Y[:, None]),
    "a column of floats": lambda: (X, Y[:, None].astype("float32")),
    "booleans": lambda: (X, Y.astype(bool)),
    "a table": lambda: (X, Table(Y[:, None])),
    "a list pair": lambda: [X, Y],
    "weights of one": lambda: (X, Y, np.ones(24)),
    "a dataset": dataset,
    "a dataset of float columns": lambda: dataset(Y[:, None].astype("float32")),
    "a PyDataset": Made,
    "unknown length": lambda: from_generator(in_eights),
}


UNCACHED = ["lists", "a column of floats", "weights of one", "a PyDataset", "unknown length"]


@pytest.mark.parametrize(
    ("form", "cache"), [*((f, True) for f in FORMS), *((f, False) for f in UNCACHED)]
)
def test_every_form_trains_and_is_evaluated_as_arrays_are(form, cache):
    data = FORMS[form]()
    model = net()
    history = fine_tune(model, data, FORMS[form](), cache_prefix=cache, **QUICK)
    assert int(model.optimizer.iterations) == (3 if batches.is_dataset(data) else 1)
    parts = [data] if batches.is_dataset(data) else data[:2]
    report, plain = evaluate(model, *parts), evaluate(model, X, Y)
    assert np.allclose(report.probabilities, plain.probabilities, atol=1e-6)
    assert np.array_equal(report.labels, plain.labels)
    assert max(history.history["val_accuracy"]) == pytest.approx(plain.accuracy)


REFUSED = {
    "one-hot labels": ((X, np.eye(2)[Y]), "one-hot"),
    "strings as labels": ((X, np.array(["cat", "dog"])[Y]), "np.unique"),
    "fractions": ((X, Y + 0.5), "dtype=float64"),
    "labels of a dataset out of range": (dataset(Y + 1), "0..1"),
    "labels of a later batch out of range": (dataset(np.where(np.arange(24) > 20, 7, Y)), "0..1"),
    "one label too few": ((X, Y[1:]), "One label per sample"),
    "no labels": (tf.data.Dataset.from_tensor_slices(X).batch(8), "without labels"),
    "an array alone": (X, "must be a pair"),
    "a generator": (in_eights(), "from_generator"),
    "an iterator": (iter(dataset()), "from_generator"),
    "a share": (0.25, "Hold samples back"),
    "another size": ((X[:, :4], Y), r"shape \(n, 6, 6, 3\). Received: shape=\(24, 4, 6, 3\)"),
    "grey images": ((X[..., :1], Y), r"shape \(n, 6, 6, 3\)"),
    "channels first": ((X.transpose(0, 3, 1, 2), Y), r"shape \(n, 6, 6, 3\)"),
    "no batches": (tf.data.Dataset.from_tensor_slices((X, Y)), r"dataset.batch\(32\)"),
    "NaN": ((np.where(np.arange(24)[:, None, None, None] == 5, np.nan, X), Y), "in sample 5"),
    "infinity": ((np.where(X.max() == X, np.inf, X), Y), "NaN or infinity"),
    "an endless dataset": (dataset().repeat(), r"train.take\(steps\)"),
    "an empty dataset": (dataset().take(0), "must hold a batch"),
    "no rows": ((X[:0], Y[:0]), "at least one sample"),
    "rows of several shapes": (([X[0], X[1, :3]], [0, 1]), "one shape"),
    "a sparse matrix": ((tf.sparse.from_dense(X), Y), "dense"),
    "texts": ((["a film"] * 24, Y), "Turn texts into tokens"),
    "weights of other samples": ((X, Y, np.ones(23)), "Sample weights"),
    "weights as a matrix": ((X, Y, np.ones((24, 24))), "Sample weights"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_right_is_refused_before_any_training(name):
    data, message = REFUSED[name]
    model = net()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message) as error:
        fine_tune(model, data, **QUICK)
    assert "Received" in str(error.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_model_made_for_gaps_may_have_them():
    images = keras.Input((6, 6, 3))
    filled = keras.ops.nan_to_num(images)
    model = keras.Model(images, net()(filled))
    gaps = np.where(np.quantile(X, 0.9) < X, np.nan, X)
    assert np.isfinite(evaluate(model, gaps, Y).probabilities).all()


def test_one_bad_sample_among_those_that_are_coped_with_is_found():
    model = keras.Sequential([keras.Input((2,)), L.Dense(2), L.Dense(2, "sigmoid")])
    model.set_weights([np.ones((2, 2)), np.zeros(2), np.ones((2, 2)), np.zeros(2)])
    x = np.zeros((4, 2), "float32")
    x[0, 0], x[3, 1] = np.inf, np.nan
    with pytest.raises(ValueError, match="in sample 3"):
        evaluate(model, x, [0, 1, 0, 1])


def test_accuracy_in_a_dictionary_cuts_logits_at_zero():
    model = net(L.Dense(1, name="a"))
    y = (model.predict(X, verbose=0)[:, 0] > 0).astype(int)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    metrics = {"a": ["accuracy"]}
    history = fine_tune(model, (X, y), loss={"a": loss}, metrics=metrics, head_epochs=1,
                        epochs=0, head_learning_rate=1e-9, verbose=0)  # fmt: skip
    assert history.history["accuracy"] == [1.0]


def test_a_model_of_a_list_with_one_input_may_vary_in_length():
    rows = keras.Input((None, 3))
    hidden = L.Conv1D(4, 2)(L.Conv1D(4, 2)(rows))
    model = keras.Model([rows], L.Dense(2)(L.GlobalAveragePooling1D()(hidden)))
    x = RNG.normal(size=(24, 5, 3)).astype("float32")
    assert np.isfinite(fine_tune(model, (x, Y), **QUICK).history["loss"]).all()


def test_a_column_may_come_without_its_axis():
    column = keras.Input((1,))
    model = keras.Model(column, L.Dense(2)(L.Dense(3)(column)))
    scores = evaluate(model, np.arange(24.0), Y).probabilities
    assert np.allclose(scores, evaluate(model, np.arange(24.0)[:, None], Y).probabilities)


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("place", ["train", "validation"])
def test_data_that_never_end_are_named(cache, place, monkeypatch):
    monkeypatch.setattr(batches, "MOST_BATCHES", 20)

    def forever():
        while True:
            yield X[:8], Y[:8]

    data = {"train": (X, Y), "validation": (X, Y), place: from_generator(forever)}
    with pytest.raises(ValueError, match=f"`{place}` must be finite.*unknown length"):
        fine_tune(net(), data["train"], data["validation"], cache_prefix=cache, **QUICK)


def test_nothing_of_what_can_be_read_but_once_is_lost():
    once = in_eights()
    model = net()
    fine_tune(model, from_generator(lambda: once), batch_size=1, **QUICK)
    assert int(model.optimizer.iterations) == 24
    with pytest.raises(ValueError, match="read again"):
        once = in_eights()
        fine_tune(net(), from_generator(lambda: once), cache_prefix=False, **QUICK)


@pytest.mark.parametrize("size", [None, 6])
def test_a_batch_size_is_the_datasets_or_the_one_asked_for(size):
    for cache in (True, False):
        model = net()
        fine_tune(model, dataset(size=12), cache_prefix=cache, batch_size=size, **QUICK)
        assert int(model.optimizer.iterations) == (4 if size else 2)
    with pytest.raises(ValueError, match="PyDataset"):
        fine_tune(model, Made(), batch_size=6, **QUICK)


@pytest.mark.parametrize("brought", [lambda w: (X, Y, w), lambda w: weighted(w)])
def test_sample_weights_count_with_and_without_a_cache(brought):
    """A class of weight 0 is never learned."""
    for cache in (True, False):
        model = net()
        data = brought((Y == 0).astype("float32"))
        fine_tune(model, data, head_epochs=30, epochs=0, cache_prefix=cache, verbose=0,
                  head_learning_rate=0.1, batch_size=8)  # fmt: skip
        assert set(model.predict(X, verbose=0).argmax(axis=1)) == {0}


def weighted(weights):
    return tf.data.Dataset.from_tensor_slices((X, Y, weights)).batch(8)


def test_class_weights_count_with_and_without_a_cache():
    for cache in (True, False):
        model = net()
        fine_tune(model, (X, Y), head_epochs=30, epochs=0, cache_prefix=cache, verbose=0,
                  head_learning_rate=0.1, class_weight={0: 0.0, 1: 1.0})  # fmt: skip
        assert set(model.predict(X, verbose=0).argmax(axis=1)) == {1}


def test_a_folder_keeps_the_features_of_a_dataset(tmp_path):
    kept = {}
    for name, data in {"arrays": (X, Y), "dataset": dataset()}.items():
        fine_tune(net(), data, cache_prefix=tmp_path / name, **QUICK)
        kept[name] = [np.load(file) for file in (tmp_path / name).glob("*.npy")]
    shapes = [sorted(array.shape for array in arrays) for arrays in kept.values()]
    assert shapes[0] == shapes[1] and len(shapes[0]) > 0
    times = {file: file.stat().st_mtime_ns for file in (tmp_path / "dataset").glob("*.npy")}
    first, _ = extract_features(net(), dataset(), cache=tmp_path / "dataset")
    again, labels = extract_features(net(), dataset(), cache=tmp_path / "dataset")
    assert np.array_equal(first, again) and np.array_equal(labels, Y)
    assert all(file.stat().st_mtime_ns == time for file, time in times.items())
    shuffled = dataset().unbatch().shuffle(24).batch(8)
    rest_only = dataset().take(1).concatenate(dataset().skip(1).unbatch().shuffle(16, 0).batch(8))
    for changing in (shuffled, rest_only):  # from its first batch on, or from a later one
        with pytest.raises(ValueError, match="reshuffle_each_iteration=False"):
            extract_features(net(), changing, cache=tmp_path / "changing")
    kept = [file.name for file in (tmp_path / "changing").glob("*.npy")]
    assert kept and all("partial" in name for name in kept)  # these are made anew


class Counting(keras.Model):
    """A model class with a training step of its own."""

    steps = 0

    def train_step(self, data):
        type(self).steps += 1
        return super().train_step(data)


def test_a_training_step_of_ones_own_is_called(capsys):
    plain = net()
    model = Counting(plain.inputs, plain.outputs)
    history = fine_tune(model, (X, Y), head_epochs=1, epochs=1)
    assert Counting.steps == 2  # traced once in each phase
    assert {phase.uncached for phase in history.phases} == {
        "its own train_step must see whole inputs"
    }
    assert "its own train_step must see whole inputs" in capsys.readouterr().out


ENDS = {
    "logits": (lambda: L.Dense(2), "multiclass", "logits"),
    "softmax": (lambda: L.Dense(2, activation="softmax"), "multiclass", "probabilities"),
    "one logit": (lambda: L.Dense(1), "binary", "logits"),
    "sigmoid": (lambda: L.Dense(1, activation="sigmoid"), "binary", "probabilities"),
    "the head, binary": (lambda: build_head(2, "binary"), "binary", "logits"),
    "the head, multiclass": (lambda: build_head(2), "multiclass", "logits"),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize(("metrics", "gradual"), [(None, False), (["accuracy"], True)])
def test_the_accuracy_of_a_fit_is_the_one_of_evaluate(name, metrics, gradual):
    make, task, kind = ENDS[name]
    model = net(make())
    end = end_of(model)
    assert (end.task, end.kind) == (task, kind)
    if gradual:
        plan = GradualUnfreezing(epochs=3, blocks=1, learning_rate=0.05)
        history = plan.fit(model, (X, Y), (X, Y), metrics=metrics)
    else:
        history = fine_tune(model, (X, Y), (X, Y), metrics=metrics, head_epochs=6, epochs=2,
                            head_learning_rate=0.1, verbose=0)  # fmt: skip
    report = evaluate(model, X, Y)
    assert history.monitor == "val_accuracy" and report.outputs_were == kind
    assert history.history["val_accuracy"][history.best] == pytest.approx(report.accuracy)
    log_loss = -np.log(report.probabilities[np.arange(24), Y] + 1e-7).mean()
    assert history.history["val_loss"][history.best] == pytest.approx(log_loss, rel=1e-3)


def test_accuracy_beside_a_loss_on_one_logit_cuts_at_zero():
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model = net(L.Dense(1))
    history = fine_tune(model, (X, Y), (X, Y), loss=loss, metrics=["accuracy"], head_epochs=5,
                        epochs=1, head_learning_rate=0.02, verbose=0)  # fmt: skip
    found = history.history["val_accuracy"][history.best]
    assert found == pytest.approx(evaluate(model, X, Y).accuracy)


def test_the_end_of_a_subclassed_head_is_found_by_looking():
    @keras.saving.register_keras_serializable("tests")
    class Shares(L.Layer):
        def call(self, x):
            return keras.ops.softmax(x)

    model = net(L.Dense(2), Shares())
    assert kind_of_outputs(model) is None
    history = fine_tune(model, (X, Y), (X, Y), **QUICK)
    report = evaluate(model, X, Y)
    log_loss = -np.log(report.probabilities[np.arange(24), Y]).mean()
    assert history.history["val_loss"][history.best] == pytest.approx(log_loss, rel=1e-3)


def test_a_softmax_over_one_unit_is_refused():
    with pytest.raises(ValueError, match="always 1"):
        fine_tune(net(L.Dense(1, activation="softmax")), (X, Y), **QUICK)


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_a_head_for_another_task_brings_its_loss(task, tmp_path):
    model = net(build_head(3, task))
    y = RNG.integers(0, 2, (24, 3)) if task == "multilabel" else RNG.normal(size=(24, 3))
    history = fine_tune(model, (X, y), (X, y), **QUICK)
    logits = model.predict(X, verbose=0)
    best = history.history["val_loss"][history.best]
    if task == "multilabel":
        expected = np.mean(np.log1p(np.exp(logits)) - y * logits)
        assert history.monitor == "val_accuracy"
    else:
        expected = np.mean((logits - y) ** 2)
        assert history.monitor == "val_loss" and "val_mae" in history.history
    assert best == pytest.approx(expected, rel=1e-4)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert task_of(again) == task == end_of(again).task
    assert task_of(keras.models.clone_model(model)) == task
    with pytest.raises(ValueError, match=r"shape \(24, 3\)"):
        fine_tune(model, (X, Y), **QUICK)
    report = evaluate(model, X, y)
    if task == "multilabel":
        assert report.exact_match == pytest.approx(((logits > 0) == y).all(axis=1).mean())
    else:
        assert report.mae == pytest.approx(np.abs(logits - y).mean(), rel=1e-5)


def test_several_outputs_are_trained_with_a_loss_for_each():
    keras.utils.set_random_seed(0)
    images = keras.Input((6, 6, 3))
    base = keras.Sequential([keras.Input((6, 6, 3)), *[L.Conv2D(4, 2) for _ in "123"]])
    features = L.GlobalAveragePooling2D()(base(images))
    ends = {"kind": L.Dense(2, name="k")(features), "age": L.Dense(1, name="a")(features)}
    model = keras.Model(images, ends)
    y = {"kind": Y, "age": Y[:, None].astype("float32")}
    loss = {"kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "age": "mse"}
    history = fine_tune(model, (X, y), (X, y), loss=loss, head_epochs=3, epochs=2, verbose=0)
    assert (
        history.monitor == "val_loss" and history.history["loss"][-1] < history.history["loss"][0]
    )
    with pytest.raises(ValueError, match="`loss` must be given"):
        fine_tune(model, (X, y), **QUICK)
    with pytest.raises(ValueError, match="one output"):
        evaluate(model, X, Y)


def test_several_inputs_may_be_a_list_or_a_dictionary():
    def model_of(form):
        keras.utils.set_random_seed(0)
        images, numbers = keras.Input((6, 6, 3), name="i"), keras.Input((4,), name="n")
        base = keras.Sequential([keras.Input((6, 6, 3)), *[L.Conv2D(4, 3) for _ in "12"]])
        both = L.Concatenate()([L.GlobalAveragePooling2D()(base(images)), numbers])
        return keras.Model(form(images, numbers), L.Dense(2)(both))

    numbers = RNG.normal(size=(24, 4)).astype("float32")
    found = []
    for form in (lambda i, n: [i, n], lambda i, n: {"i": i, "n": n}):
        model, x = model_of(form), form(X, numbers)
        fine_tune(model, (x, Y), (x, Y), **QUICK)
        fine_tune(model, tf.data.Dataset.from_tensor_slices((_tuples(x), Y)).batch(8), **QUICK)
        found.append(evaluate(model, x, Y).probabilities)
        assert extract_features(model, x).shape == (24, 2)
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        assert len(find_learning_rate(model, x, Y, steps=10).rates) == 10
    assert np.allclose(*found, atol=1e-6)
    with pytest.raises(ValueError, match="list of 2 inputs"):
        fine_tune(model_of(lambda i, n: [i, n]), (X, Y), **QUICK)
    with pytest.raises(ValueError, match="as many samples"):
        evaluate(model_of(lambda i, n: [i, n]), [X, numbers[1:]], Y)


def _tuples(x):
    return tuple(x) if isinstance(x, list) else x  # a list would be stacked


def test_loss_scaling_is_built_once_and_loads_again(tmp_path):
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        model = net(L.Dense(2, dtype="float32"))
        fine_tune(model, (X, Y), (X, Y), **QUICK)
        names = [variable.path.split("/")[-1] for variable in model.optimizer.variables]
        assert names.count("dynamic_scale") == 1
        model.save(tmp_path / "model.keras")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again = keras.saving.load_model(tmp_path / "model.keras")
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    values = zip(model.optimizer.variables, again.optimizer.variables, strict=True)
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in values)


def test_callbacks_are_fresh_in_each_phase_and_see_the_whole_model(tmp_path):
    saved = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    patience = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=1e9)
    model = net()
    history = fine_tune(model, (X, Y), (X, Y), head_epochs=5, epochs=5, verbose=0,
                        callbacks=[saved, patience])  # fmt: skip
    assert [phase.epochs for phase in history.phases] == [2, 2]  # the second phase began anew
    assert history.boundaries == [2] and len(history.history["loss"]) == 4
    again = keras.saving.load_model(tmp_path / "2.keras")
    assert again.input_shape == model.input_shape and again.count_params() == model.count_params()


def test_an_optimizer_and_a_monitor_of_ones_own():
    model = net()
    history = fine_tune(model, (X, Y), (X, Y), optimizer=keras.optimizers.SGD(clipnorm=0.5),
                        monitor="val_loss", **QUICK)  # fmt: skip
    assert isinstance(model.optimizer, keras.optimizers.SGD) and model.optimizer.clipnorm == 0.5
    assert history.best == int(np.argmin(history.history["val_loss"]))
    with pytest.raises(ValueError, match="val_auc"):
        fine_tune(net(), (X, Y), (X, Y), monitor="val_auc", **QUICK)
    with pytest.raises(ValueError, match="needs validation data"):
        fine_tune(net(), (X, Y), monitor="val_loss", **QUICK)


@pytest.mark.parametrize("form", [dataset, Made])
def test_calibration_reads_what_evaluate_reads(form):
    logits = 3 * np.eye(2)[Y].astype("float32")
    logits[::4] = logits[::4, ::-1]  # a quarter of it is wrong
    model = keras.Sequential([keras.Input((2,)), L.Activation("linear")])
    found = calibrate(model, form(x=logits, y=Y[:, None].astype("float32")))
    plain = calibrate(model, logits, Y)
    both = [m.get_layer("temperature").temperature for m in (found, plain)]
    assert both[0] == pytest.approx(both[1], rel=1e-6)


def test_batches_of_a_pydataset_hear_of_their_epochs():
    heard = []

    class Listening(Made):
        def on_epoch_end(self):
            heard.append(1)

    passes = Batches(Listening())
    assert passes.first[0].shape == (8, 6, 6, 3) and passes.count() == 3
    assert len(list(passes)) == 3 and len(heard) == 1


def test_the_learning_rate_test_ends_on_an_empty_dataset():
    model = net()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match="must hold a batch"):
        find_learning_rate(model, dataset().take(0))
    assert len(find_learning_rate(model, dataset().repeat(), steps=10).rates) == 10
    assert len(find_learning_rate(model, weighted(np.ones(24)), steps=10).rates) == 10
