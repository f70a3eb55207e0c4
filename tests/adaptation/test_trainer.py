"""What all methods share: data in, one pass, weights over time, errors, files."""

import ast
import contextlib
import subprocess
import sys
from pathlib import Path

import tlhelpers as tl
from tlhelpers.adaptation.trainer import Adaptation

import keras
import numpy as np
import pytest
import tensorflow as tf

L = keras.layers
METHODS = [tl.SourceOnly, tl.DANN, tl.CDAN, tl.CORAL, tl.MMD, tl.MCC]
rng = np.random.default_rng(0)
XS, XT = (rng.normal(size=(n, 6, 6, 1)).astype("float32") for n in (60, 40))
YS = rng.integers(0, 3, 60)


def parts(*extra):
    """Return encoder and classifier; `extra` are functions that make a layer."""
    keras.utils.set_random_seed(1)
    middle = [make() for make in extra]
    encoder = [L.Conv2D(4, 3), *middle, L.ReLU(), L.Flatten(), L.Dense(8, "relu")]
    return keras.Sequential(encoder), keras.Sequential([L.Dense(3)])


def compiled(method=tl.DANN, optimizer="sgd", extra=(), **kwargs):
    model = method(*parts(*extra), **kwargs)
    model.compile(optimizer)
    return model


def batches(**kwargs):
    return tl.paired_batches(XS, YS, XT, 10, **kwargs)


@pytest.mark.parametrize("method", METHODS)
def test_fit_evaluate_predict_and_callbacks(method):
    model = compiled(method)
    history = model.fit(
        batches(), epochs=2, validation_data=(XT, np.zeros(40, int)), verbose=0
    ).history
    expected = {"loss", "label_loss", "accuracy", "weight", "val_loss", "val_accuracy"}
    expected |= {method.alignment_name} - {None}
    expected |= {"domain_accuracy"} if issubclass(method, tl.DANN) else set()
    assert set(history) == expected
    logits = model.predict(XS, verbose=0)
    assert logits.shape == (60, 3)
    scores = model.evaluate(XS, YS, verbose=0, return_dict=True)
    assert set(scores) == {"loss", "accuracy"}
    assert scores["accuracy"] == pytest.approx((logits.argmax(1) == YS).mean())
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert scores["loss"] == pytest.approx(-log_p[np.arange(60), YS].mean(), rel=1e-5)


def test_a_model_of_a_strategy_trains_as_any_other():
    ends = []
    for scope in (contextlib.nullcontext(), tf.distribute.MirroredStrategy(["CPU:0"]).scope()):
        with scope:
            model = compiled(optimizer="adam")
        model.fit(batches(), verbose=0)
        ends.append(model.get_weights())
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("look", ["predict", "evaluate"])
@pytest.mark.parametrize("method", [*METHODS, tl.ConsistentDANN])
def test_a_look_before_the_fit_changes_nothing(method, look):
    ends = []
    for looks in (False, True):
        view = {"view": L.Identity()} if method is tl.ConsistentDANN else {}
        model = compiled(method, **view)
        if looks:
            data = (XT,) if look == "predict" else (XT, np.zeros(40, int))
            getattr(model, look)(*data, verbose=0)
        model.fit(batches(), verbose=0)
        ends.append(model.get_weights())
    for a, b in zip(*ends, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("normalization", [L.BatchNormalization, tl.DomainBatchNormalization])
def test_weight_0_is_source_only_to_the_last_bit(normalization):
    ends = []
    for method, weight in ((tl.SourceOnly, {}), (tl.DANN, {"weight": 0.0}), (tl.DANN, {})):
        extra = (normalization, lambda: L.Dropout(0.3))
        model = compiled(method, keras.optimizers.Adam(0.01), extra, **weight)
        model.fit(batches(), epochs=3, verbose=0)
        ends.append([*model.encoder.get_weights(), *model.classifier.get_weights()])
    for source_only, without in zip(*ends[:2], strict=True):
        np.testing.assert_array_equal(source_only, without)
    assert any((a != b).any() for a, b in zip(ends[0], ends[2], strict=True))


def test_dropout_and_batch_norm_know_that_it_is_a_training():
    norm, drop = L.BatchNormalization(), L.Dropout(0.5)
    model = compiled(extra=[lambda: norm, lambda: drop])
    model.fit(batches(), verbose=0)
    assert (norm.moving_mean.numpy() != 0).all()
    np.testing.assert_array_equal(model.predict(XS, verbose=0), model.predict(XS, verbose=0))


def test_one_pass_over_the_joined_batch_and_labels_for_the_source_half_alone():
    seen = []

    class Spy(L.Layer):
        def __init__(self, what, **kwargs):
            super().__init__(**kwargs)
            self.what = what

        def call(self, x):
            if not isinstance(x, keras.KerasTensor):
                seen.append((self.what, x.shape[0]))
            return x

    model = tl.DANN(
        keras.Sequential([Spy("encoder"), L.Flatten(), L.Dense(4)]),
        keras.Sequential([Spy("classifier"), L.Dense(3)]),
    )
    (pair, _) = batches()[0]
    outputs = model(pair)
    seen.clear()
    outputs = model(pair)
    assert seen == [("encoder", 20), ("classifier", 10)]
    assert outputs["logits"].shape == (10, 3) and outputs["domain_logits"].shape == (20, 1)


def test_the_loss_is_the_sum_of_its_parts_and_of_the_regularization():
    encoder = keras.Sequential([L.Flatten(), L.Dense(4, kernel_regularizer="l2")])
    model = tl.CORAL(encoder, keras.Sequential([L.Dense(3)]), weight=2.5, gamma=None)
    model.compile("sgd")
    (x, y) = batches()[0]
    outputs = model(x)
    logits = np.array(outputs["logits"])
    label = -(logits - np.log(np.exp(logits).sum(1, keepdims=True)))[np.arange(10), y].mean()
    coral = float(tl.coral_loss(encoder(x["source"]), encoder(x["target"])))
    l2 = 0.01 * float((encoder.layers[1].kernel.numpy() ** 2).sum())
    assert float(model.compute_loss(x, y, outputs)) == pytest.approx(label + 2.5 * coral + l2)


class Weights(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(float(self.model.weight))


@pytest.mark.parametrize("method", [tl.DANN, tl.CORAL])
def test_the_weight_follows_the_schedule_over_the_whole_fit(method):
    model, spy = compiled(method, weight=2.0, gamma=5.0), Weights()
    history = model.fit(batches(), epochs=3, verbose=0, callbacks=[spy])
    np.testing.assert_allclose(spy.seen, 2 * np.tanh(2.5 * np.arange(18) / 18), rtol=1e-5)
    np.testing.assert_allclose(history.history["weight"], spy.seen[5::6])
    model.fit(batches(), epochs=3, initial_epoch=2, verbose=0, callbacks=[spy])
    np.testing.assert_allclose(spy.seen, 2 * np.tanh(2.5 * np.arange(12, 18) / 18), rtol=1e-5)


def test_keras_callbacks_find_the_accuracy_and_its_direction(tmp_path):
    best = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.keras", monitor="val_accuracy", save_best_only=True
    )
    stop = keras.callbacks.EarlyStopping(monitor="val_accuracy", restore_best_weights=True)
    model = tl.DANN(*parts())
    model.compile(
        "sgd", metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(3, "top")]
    )
    history = model.fit(
        batches(), epochs=3, validation_data=(XS, YS), callbacks=[best, stop], verbose=0
    ).history
    assert history["top"] == [1.0] * len(history["loss"]) and "val_top" in history
    loaded = keras.saving.load_model(tmp_path / "best.keras")
    scores = loaded.evaluate(XS, YS, verbose=0, return_dict=True)
    assert scores["accuracy"] == max(history["val_accuracy"])
    assert scores["top"] == 1.0
    assert float(loaded.optimizer.iterations) > 0


def test_mixed_precision_ends_in_float32():
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        model = compiled(tl.CDAN, extra=[tl.DomainBatchNormalization])
        history = model.fit(batches(), verbose=0).history
        assert model.predict(XT, verbose=0).dtype == np.float32
        assert np.isfinite(history["loss"]).all()
    finally:
        keras.mixed_precision.set_dtype_policy("float32")


def test_a_constant_weight():
    model, spy = compiled(weight=0.3, gamma=None), Weights()
    model.fit(batches(), epochs=2, verbose=0, callbacks=[spy])
    np.testing.assert_allclose(spy.seen, 0.3)


def test_the_weight_moves_without_a_new_trace():
    traces = []

    class Spy(L.Layer):
        def call(self, x):
            traces.append(x)
            return x

    model = compiled(extra=[Spy])
    model.fit(batches(), epochs=1, verbose=0)
    before = len(traces)
    model.fit(batches(), epochs=3, verbose=0)
    assert len(traces) == before


def test_the_step_is_traced_once(traced_steps):
    model = compiled()
    model.compile("adam")  # which has variables to make
    model.fit(batches(), epochs=2, verbose=0)
    assert len(traced_steps) == 1, traced_steps


def test_the_order_of_a_fit_depends_on_the_seed_of_the_batches_alone():
    ends = []
    for seed in (3, 3, 4):
        model = compiled()
        keras.utils.set_random_seed(len(ends))
        model.fit(batches(seed=seed), epochs=2, verbose=0)
        ends.append(model.get_weights())
    assert all((a == b).all() for a, b in zip(*ends[:2], strict=True))
    assert any((a != b).any() for a, b in zip(*ends[1:], strict=True))


def test_models_can_share_batches_and_a_second_fit_goes_on_where_the_first_ended():
    shared, ends = batches(), []
    for epochs in ((4,), (4,), (2, 2)):
        model = compiled(gamma=None)
        for n in epochs:
            model.fit(shared, epochs=n, verbose=0)
        ends.append(model.get_weights())
    for other in ends[1:]:
        for a, b in zip(ends[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


class Orders(keras.callbacks.Callback):
    def __init__(self, batches):
        super().__init__()
        self.batches, self.seen = batches, []

    def on_train_batch_begin(self, batch, logs=None):
        self.seen += [self.batches.epoch] if batch == 1 else []


@pytest.mark.parametrize("size", [10, 12])
@pytest.mark.parametrize("scaled", [False, True])
def test_epochs_differ_when_gradients_are_accumulated(size, scaled):
    adam = keras.optimizers.Adam(gradient_accumulation_steps=3)
    model = compiled(optimizer=keras.optimizers.LossScaleOptimizer(adam) if scaled else adam)
    data = tl.paired_batches(XS, YS, XT, size)  # 6 or 5 batches in an epoch
    spy = Orders(data)
    for epochs in (3, 2):
        model.fit(data, epochs=epochs, verbose=0, callbacks=[spy])
    assert spy.seen == [0, 1, 2, 3, 4]


def test_epochs_differ_when_loss_scaling_skips_steps():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.0), initial_scale=1e38)
    model, data = compiled(optimizer=optimizer), batches()
    model.classifier.layers[0].kernel_initializer = keras.initializers.Constant(1e3)
    spy = Orders(data)
    model.fit(data, epochs=3, verbose=0, callbacks=[spy])
    assert 0 < int(optimizer.iterations) < 18
    assert spy.seen == [0, 1, 2]


@pytest.mark.parametrize("method", [tl.CORAL, tl.MMD])
def test_a_last_batch_of_one_pair_leaves_the_weights_finite(method):
    x = {"source": XS[:21], "target": XT[:21]}
    data = tf.data.Dataset.from_tensor_slices((x, YS[:21])).batch(10)
    model = compiled(method, gamma=None)
    model.fit(data, epochs=2, verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize("method", [tl.CORAL, tl.MMD])
def test_one_sample_per_domain_is_not_enough_to_compare(method):
    message = rf"2 or above. Received: batch_size=1. {method.__name__} compares several.*Use"
    with pytest.raises(ValueError, match=message):
        compiled(method).fit(tl.paired_batches(XS, YS, XT, 1), verbose=0)


@pytest.mark.parametrize("method", [tl.DANN, tl.ConsistentDANN])
def test_halves_of_different_size_are_refused(method):
    spec = {"source": tf.TensorSpec((5, 6, 6, 1)), "target": tf.TensorSpec((7, 6, 6, 1))}
    data = tf.data.Dataset.from_generator(
        lambda: iter([({"source": XS[:5], "target": XT[:7]}, YS[:5])]),
        output_signature=(spec, tf.TensorSpec((5,), tf.int32)),
    )
    with pytest.raises(ValueError, match=r"as many source as target .*source=5, target=7. Use"):
        compiled(method).fit(data, verbose=0)


def test_halves_of_different_size_are_refused_in_a_call():
    model = compiled()
    model({"source": XS[:5], "target": XT[:5]})
    with pytest.raises(ValueError, match=r"as many source as target .*drop_remainder=True"):
        model({"source": XS[:5], "target": XT[:7]})


def test_a_tf_dataset_of_pairs_will_do():
    x = {"source": XS[:40], "target": XT}
    data = tf.data.Dataset.from_tensor_slices((x, YS[:40])).batch(10)
    history = compiled().fit(data, epochs=2, verbose=0).history
    assert len(history["domain_accuracy"]) == 2


def test_a_rate_of_its_own_for_the_discriminator():
    model = tl.DANN(*parts())
    model({"source": XS[:2], "target": XT[:2]})
    sgd = keras.optimizers.SGD(0.1)
    model.compile(tl.layerwise(sgd, model, multipliers={"discriminator": 0.0}))
    before = [part.get_weights() for part in (model.discriminator, model.encoder)]
    model.fit(batches(), verbose=0)
    after = [part.get_weights() for part in (model.discriminator, model.encoder)]
    same = [
        all((a == b).all() for a, b in zip(*pair, strict=True))
        for pair in zip(before, after, strict=True)
    ]
    assert same == [True, False]


def test_saved_models_predict_the_same_in_a_fresh_process(tmp_path):
    expected = {}
    for method in METHODS:
        model = compiled(method, extra=[tl.DomainBatchNormalization])
        model({"source": XS[:2], "target": XT[:2]})
        model.set_weights([w + (w.dtype.kind == "f") for w in model.get_weights()])
        model.save(tmp_path / f"{method.__name__}.keras")
        expected[method.__name__] = np.array(model(XT, training=False))
    np.savez(tmp_path / "expected.npz", x=XT, **expected)
    code = """
import sys, tlhelpers, keras, numpy as np
data = np.load(sys.argv[1] + "/expected.npz")
for name in data.files[1:]:
    model = keras.saving.load_model(f"{sys.argv[1]}/{name}.keras", safe_mode=True)
    assert type(model).__name__ == name and model.optimizer is not None
    np.testing.assert_array_equal(model(data["x"], training=False), data[name])
    print(name)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == list(expected)


def test_a_loaded_model_has_its_settings_and_trains_on(tmp_path):
    model = compiled(tl.CDAN, weight=0.4, gamma=3.0)
    model.fit(batches(), verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert (loaded.peak, loaded.gamma) == (0.4, 3.0)
    loaded.fit(batches(), verbose=0)
    assert not unchanged(loaded, model.get_weights())


def with_attention():
    """Return a model with attention in its encoder, and batches for it."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6))
    hidden = L.MultiHeadAttention(2, 3)(inputs, inputs)
    encoder = keras.Model(inputs, L.Dense(4)(L.Flatten()(hidden)))
    return tl.DANN(encoder, L.Dense(3)), tl.paired_batches(XS[..., 0], YS, XT[..., 0], 10)


def trained(model):
    return [(v.name, tuple(v.shape)) for v in model.trainable_variables]


def test_what_is_frozen_inside_of_a_layer_is_frozen_in_the_loaded_model(tmp_path, recwarn):
    model, data = with_attention()
    tl.freeze(model.encoder)  # but for the last layer, its head
    model.compile("adam")
    model.fit(data, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert trained(loaded) == trained(model) and len(trained(model)) == 8
    state = [[np.array(v) for v in m.optimizer.variables] for m in (model, loaded)]
    for a, b in zip(*state, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not [w for w in recwarn if "Skipping variable loading" in str(w.message)]
    attention = loaded.encoder.layers[1]
    start, rest = attention.get_weights(), loaded.encoder.layers[-1].get_weights()
    loaded.fit(data, verbose=0)
    for a, b in zip(start, attention.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (rest[0] != loaded.encoder.layers[-1].get_weights()[0]).any()


def test_lora_inside_of_a_loaded_model_stays_as_it_was(tmp_path):
    model = compiled(optimizer="adam")
    model({"source": XS[:2], "target": XT[:2]})
    model.encoder.layers[-1].enable_lora(2)
    model.fit(batches(), verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert sorted(trained(loaded)) == sorted(trained(model))
    assert ("kernel", (64, 8)) not in trained(loaded)


def test_a_file_without_flags_is_read_as_keras_reads_it(tmp_path, monkeypatch):
    model, data = with_attention()
    model(data[0][0])
    whole = tl.DANN.get_config
    without = lambda model: {k: v for k, v in whole(model).items() if k != "flags"}  # noqa: E731
    monkeypatch.setattr(tl.DANN, "get_config", without)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert trained(loaded) == trained(model)
    np.testing.assert_array_equal(loaded(XT[..., 0]), model(XT[..., 0]))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.out = L.Dense(3)

    def call(self, features):
        return self.out(features)


def functional(units=3):
    features = keras.Input((8,))
    return keras.Model(features, L.Dense(units)(features))


@pytest.mark.parametrize("make", [functional, Subclassed, lambda: L.Dense(3)])
def test_the_classes_are_read_off_the_classifier(make, tmp_path):
    model = tl.DANN(parts()[0], make())
    model({"source": XS[:2], "target": XT[:2]})
    assert model.classes == 3
    if not isinstance(model.classifier, Subclassed):  # which is not registered with Keras
        model.save(tmp_path / "m.keras")
        assert keras.saving.load_model(tmp_path / "m.keras").classes == 3


def softmax_head(units):
    return keras.Sequential([L.Flatten(), L.Dense(units, activation="softmax")])


def functional_sigmoid():
    inputs = keras.Input((8,))
    return keras.Model(inputs, L.Activation("sigmoid")(L.Dense(1)(inputs)))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"discriminator": softmax_head(1)},
            "softmax over one unit is always 1.*Dense.1",
        ),
        ({"discriminator": L.Dense(1, activation="softmax")}, "softmax over one unit"),
        ({"discriminator": functional_sigmoid()}, "ending in 'sigmoid'"),
        ({"discriminator": keras.Sequential([softmax_head(2)])}, "ending in 'softmax'"),
        ({"discriminator": keras.Sequential([L.Dense(2), L.Softmax()])}, "ending in 'softmax'"),
        ({"classifier": softmax_head(3)}, "`classifier` must end without an activation"),
        ({"classifier": lambda x: x}, "`classifier` must be a Keras model or layer.*function"),
        ({"encoder": None}, "`encoder` must be a Keras model or layer.*NoneType"),
        ({"weight": -1}, "`weight` must be .*number, 0 or above. Received: weight=-1. 0 leaves"),
        ({"gamma": 0}, "`gamma` must be .*number above 0. Received: gamma=0. Use 10"),
    ],
)
def test_bad_parts(kwargs, message):
    encoder, classifier = parts()
    with pytest.raises(ValueError, match=message):
        tl.DANN(**{"encoder": encoder, "classifier": classifier, **kwargs})


def test_a_sequential_ending_in_logits_is_welcome():
    head = keras.Sequential([L.Dense(8, activation="relu"), L.Dropout(0.1), L.Dense(1)])
    model = tl.DANN(*parts(), head)
    model.compile("sgd")
    model.fit(batches(), verbose=0)


def unchanged(model, start):
    return all((a == b).all() for a, b in zip(model.get_weights(), start, strict=True))


@pytest.mark.parametrize(
    ("data", "kwargs", "message"),
    [
        (tl.paired_batches(XS, YS + 1, XT, 10), {}, "below 3|0..2|3 classes|num_classes"),
        (None, {"validation_data": (XT, np.full(40, 3))}, "below 3|0..2|3 classes|num_classes"),
        (None, {"validation_data": (XT, np.zeros(39, int))}, "39"),
        (XS, {}, "`x` must be batches of source and target.*Received: x of type ndarray"),
        (None, {"y": YS}, "and `y` None. Received: .*y of type ndarray. Use"),
        (tf.data.Dataset.from_tensor_slices((XS, YS)).batch(5), {}, "`x` must .*type .*Batch.*Use"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_training(data, kwargs, message):
    model = compiled()
    model({"source": XS[:2], "target": XT[:2]})
    start = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit(batches() if data is None else data, verbose=0, **kwargs)
    assert unchanged(model, start)


def test_a_loss_of_ones_own_is_refused():
    model, loss = tl.DANN(*parts()), keras.losses.SparseCategoricalCrossentropy()
    with pytest.raises(ValueError, match=r"DANN has a loss of its own.*Received: loss='mse'"):
        model.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match=r"has a loss of its own.*loss='sparse_categorical"):
        model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"has a loss of its own.*Received: loss=<Loss"):
        model.compile("sgd", loss)
    with pytest.raises(ValueError, match=r"has a loss of its own.*metrics=\[\.\.\.\]"):
        model.compile("sgd", ["accuracy"])


@pytest.mark.filterwarnings("ignore:Layer 'dann:UserWarning", "ignore:.*build:UserWarning")
def test_heads_of_another_width_are_refused():
    encoder, classifier = parts()
    two = tl.DANN(encoder, classifier, keras.Sequential([L.Dense(2)]))
    two.compile("sgd")
    with pytest.raises(ValueError, match=r"one logit per sample, shape \(n, 1\)"):
        two.fit(batches(), verbose=0)
    one = tl.DANN(encoder, L.Dense(1))
    one.compile("sgd")
    with pytest.raises(ValueError, match=r"logits of shape \(n, classes\), two classes or more"):
        one.fit(batches(), verbose=0)


def of_unknown_length(batch):
    spec = {"source": tf.TensorSpec((10, 6, 6, 1)), "target": tf.TensorSpec((10, 6, 6, 1))}
    return tf.data.Dataset.from_generator(
        lambda: iter([batch] * 3), output_signature=(spec, tf.TensorSpec((10,), tf.int32))
    )


def test_the_schedule_needs_a_length():
    data = of_unknown_length(batches()[0])
    with pytest.raises(
        ValueError, match=r"must have a known number of batches.*Received.*steps_per_epoch"
    ):
        compiled().fit(data, verbose=0)
    assert compiled().fit(data, steps_per_epoch=2, verbose=0).params["steps"] == 2


@pytest.mark.parametrize("model", [(tl.DANN, {"gamma": None, "weight": 0.3}), (tl.SourceOnly, {})])
def test_a_constant_weight_needs_no_length(model):
    method, settings = model
    history = compiled(method, **settings).fit(of_unknown_length(batches()[0]), verbose=0).history
    assert history["weight"] == pytest.approx([settings.get("weight", 0.0)])


def test_target_labels_are_named_by_the_oracle_and_the_labelled_few_alone():
    names = {}
    for path in (Path(tl.__file__).parent / "adaptation").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            for found in (getattr(node, key, None) for key in ("arg", "attr", "id")):
                if isinstance(found, str) and found in (
                    "y_target",
                    "target_labels",
                    "labels_target",
                    "labelled_target",
                ):
                    names.setdefault(path.name, set()).add(found)
    assert names == {"selection.py": {"y_target"}, "batches.py": {"labelled_target"}}


def test_methods_are_one_or_two_classes_deep():
    for method in METHODS:
        assert method.__mro__.index(Adaptation) <= 2
