"""What `fit` and `evaluate` take: labels, weights, images, and an encoder that can learn."""

import tlhelpers as tl

import keras
import numpy as np
import pytest
import tensorflow as tf

L = keras.layers
rng = np.random.default_rng(0)
XS, XT = (rng.normal(size=(24, 4)).astype("float32") for _ in range(2))
YS = np.arange(24) % 3
W = rng.uniform(0, 2, 24).astype("float32")
ALIGNS = [tl.DANN, tl.CDAN, tl.CORAL, tl.MMD, tl.ConsistentDANN]


def build(method=tl.DANN, encoder=None, eager=True, **kwargs):
    keras.utils.set_random_seed(1)
    encoder = keras.Sequential([L.Dense(5, "tanh")]) if encoder is None else encoder
    options = {"view": L.Identity()} if method is tl.ConsistentDANN else {}
    model = method(encoder, keras.Sequential([L.Dense(3)]), **options, **kwargs)
    model.compile(keras.optimizers.SGD(0.5), run_eagerly=eager)
    return model


def dataset(y=YS, *weights, x=XS, target=XT, batch_size=8):
    pair = {"source": x, "target": target}
    return tf.data.Dataset.from_tensor_slices((pair, y, *weights)).batch(batch_size)


def batches(x=XS, target=XT):
    return tl.paired_batches(x, YS, target, 8)


def ends(data, model=None, **kwargs):
    model = build() if model is None else model
    model.fit(data, verbose=0, **kwargs)
    return model.get_weights()


def same(a, b):
    return all((x == y).all() for x, y in zip(a, b, strict=True))


FORMS = {
    "column": lambda w: w[:, None],
    "float64": lambda w: w.astype("float64"),
    "half": lambda w: w.astype("float16"),
    "whole": lambda w: w.astype("int64")[:, None],
    "bool": lambda w: w > 1,
}


@pytest.mark.parametrize("form", FORMS)
def test_weights_of_the_source_in_any_form_belong_to_their_samples(form):
    given = FORMS[form](W)
    plain = np.ravel(given).astype("float32")
    assert same(ends(dataset(YS, given)), ends(dataset(YS, plain)))
    model = build()
    logits = np.array(model(XS))
    each = np.log(np.exp(logits).sum(1)) - logits[np.arange(24), YS]
    tensors = map(keras.ops.convert_to_tensor, (YS, logits, given))
    expected = pytest.approx((each * plain).mean(), rel=1e-5)
    assert float(model.compute_loss(XS, *tensors)) == expected
    assert model.evaluate(XS, YS, sample_weight=given, verbose=0)[0] == expected


@pytest.mark.parametrize("shape", [(24, 2), (24, 1, 1)])
def test_weights_that_do_not_fit_are_refused(shape):
    message = r"`sample_weight` must have shape \(n,\) or \(n, 1\), one .*Received.*The target"
    model = build()
    for call in (
        lambda: model.fit(dataset(YS, np.ones(shape)), verbose=0),
        lambda: model.evaluate(XS, YS, sample_weight=np.ones(shape), verbose=0),
        lambda: model.fit(batches(), validation_data=(XS, YS, np.ones(shape)), verbose=0),
        lambda: model.train_on_batch({"source": XS, "target": XT}, YS, np.ones(shape)),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("make", [dataset, batches])
def test_weights_of_classes_are_weights_of_their_samples(make):
    weights = {0: 1.0, 1: 0.0, 2: 3.0}
    model = build()
    found = ends(make(), model, class_weight=weights)
    if make is dataset:
        expected = ends(dataset(YS, np.array([1.0, 0.0, 3.0])[YS]))
        assert same(found, expected)
    assert not (model.predict(XS, verbose=0).argmax(axis=1) == 1).any()


@pytest.mark.parametrize(
    "form",
    [
        lambda y: y[:, None],
        lambda y: y.astype("float32"),
        lambda y: y.astype("float64")[:, None],
        lambda y: y.astype("uint8"),
    ],
)
def test_labels_that_mean_the_same_train_the_same(form):
    expected = ends(dataset(), build(tl.SourceOnly))
    assert same(ends(dataset(form(YS)), build(tl.SourceOnly)), expected)
    model = build()
    assert model.evaluate(XS, form(YS), verbose=0) == model.evaluate(XS, YS, verbose=0)


BAD_LABELS = [
    (np.eye(3)[YS], r"shape=\(8, 3\). If they are one-hot.*np.argmax"),
    (YS + 1, r"Labels must be in 0\.\.2. Received: labels in 1\.\.3. Number"),
    (YS - 1, r"Labels must be in 0\.\.2. Received: labels in -1\.\.1"),
    (YS + 0.5, "Labels must be integers.*Received: dtype=float"),
    (np.where(YS > 0, np.nan, 0.0), "Labels must be integers.*Received: dtype=float"),
    (np.array(list("abc"))[YS], "Labels must be integers.*Received: dtype=object.*np.unique"),
]


@pytest.mark.parametrize(("y", "message"), BAD_LABELS)
def test_bad_labels_of_a_dataset_are_refused_before_training(y, message):
    model = build()
    model({"source": XS, "target": XT})
    start = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit(dataset(y), verbose=0)
    plain = tf.data.Dataset.from_tensor_slices((XT, y)).batch(8)
    with pytest.raises(ValueError, match=message):
        model.fit(batches(), validation_data=plain, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.evaluate(plain, verbose=0)
    if y.dtype.kind != "U":
        with pytest.raises(ValueError, match=message.replace(r"\(8", r"\(24")):
            model.evaluate(XT, y, verbose=0)
    assert same(model.get_weights(), start)


@pytest.mark.parametrize("jit", [False, True])
def test_bad_labels_are_found_in_any_batch_of_a_compiled_step(jit):
    late = np.concatenate([YS[:-1], [3]])
    model, before = build(tl.SourceOnly), ends(dataset(late).take(2), build(tl.SourceOnly))
    model.compile(keras.optimizers.SGD(0.5), jit_compile=jit)
    with pytest.raises(ValueError, match=r"Labels must be in 0\.\.2. Received: labels in 0\.\.3"):
        model.fit(dataset(late), verbose=0)
    for found, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)  # the bad batch moves nothing


@pytest.mark.parametrize("name", ["dataset", "pairs", "list", "weights"])
def test_validation_data_may_be(name):
    data = {
        "dataset": tf.data.Dataset.from_tensor_slices((XT, YS[:, None])).batch(8),
        "pairs": batches(),
        "list": [XT, YS],
        "weights": (XT, YS, W[:, None]),
    }
    history = build().fit(dataset(), validation_data=data[name], verbose=0).history
    assert {"val_loss", "val_accuracy"} <= set(history)


def test_the_order_of_a_shuffled_dataset_is_not_disturbed():
    data, seen = dataset().shuffle(3, seed=1), []
    again = dataset().shuffle(3, seed=1)
    model = build()
    step = model.train_step
    model.train_step = lambda given: seen.append(given[1].numpy().tolist()) or step(given)
    model.fit(data, epochs=2, verbose=0)
    expected = [y.tolist() for _ in range(2) for _, y in again.as_numpy_iterator()]
    assert seen == expected


class Holds(keras.Model):
    """An encoder without a graph of its own."""

    def __init__(self):
        super().__init__()
        self.inside = [tl.Preprocess("caffe"), L.Flatten(), L.Dense(4)]

    def call(self, x):
        for layer in self.inside:
            x = layer(x)
        return x


def layers():
    return [tl.Preprocess("caffe"), L.Flatten(), L.Dense(4)]


ENCODERS = {
    "open": lambda: keras.Sequential(layers()),
    "with an input": lambda: keras.Sequential([keras.Input((4, 4, 3)), *layers()]),
    "nested": lambda: keras.Sequential([keras.Sequential([keras.Input((4, 4, 3)), *layers()])]),
    "subclassed": Holds,
}


@pytest.mark.parametrize("name", ENCODERS)
def test_images_that_the_encoder_would_scale_again_are_refused(name):
    good, small = (rng.uniform(0, top, (24, 4, 4, 3)).astype("float32") for top in (255, 1))
    model = build(encoder=ENCODERS[name]())
    plain = tf.data.Dataset.from_tensor_slices((small, YS)).batch(8)
    for where, call in (
        ("In the source: ", lambda: model.fit(batches(small, good), verbose=0)),
        ("In the target: ", lambda: model.fit(batches(good, small), verbose=0)),
        ("In the target: ", lambda: model.fit(dataset(x=good, target=small), verbose=0)),
        ("^", lambda: model.fit(batches(good, good), validation_data=(small, YS), verbose=0)),
        ("^", lambda: model.fit(batches(good, good), validation_data=plain, verbose=0)),
        ("^", lambda: model.evaluate(small, YS, verbose=0)),
        ("^", lambda: tl.evaluate(model, small, YS)),
    ):
        with pytest.raises(ValueError, match=where + "Images must be 0..255 RGB: the model scales"):
            call()
    assert not model.optimizer.built or int(model.optimizer.iterations) == 0
    model.fit(batches(good, good), validation_data=(good, YS), verbose=0)
    assert tl.evaluate(model, good, YS).samples == 24


def frozen(encoder):
    encoder.trainable = False
    return encoder


def frozen_inside():
    return keras.Sequential([L.Dense(5, trainable=False), L.ReLU()])


STUCK = {
    "frozen": lambda: frozen(keras.Sequential([keras.Input((4,)), L.Dense(5)])),
    "frozen, not built": lambda: frozen(keras.Sequential([L.Dense(5)])),
    "frozen inside": frozen_inside,
    "a frozen layer": lambda: L.Dense(5, trainable=False),
    "without weights": L.Identity,
}


@pytest.mark.parametrize("make", [batches, dataset])
@pytest.mark.parametrize("name", STUCK)
@pytest.mark.parametrize("method", ALIGNS)
def test_an_encoder_that_cannot_move_aligns_nothing(method, name, make):
    model = build(method, STUCK[name]())
    message = f"`encoder` must have weights to train: {method.__name__} .*Received: encoder="
    with pytest.raises(ValueError, match=message + r".*tl\.unfreeze\(encoder, .*compile again"):
        model.fit(make(), verbose=0)
    assert int(model.optimizer.iterations) == 0


@pytest.mark.parametrize("name", STUCK)
@pytest.mark.parametrize(
    ("method", "options"), [(tl.SourceOnly, {}), (tl.MCC, {}), (tl.DANN, {"weight": 0.0})]
)
def test_a_frozen_encoder_is_a_control_where_the_classifier_learns(name, method, options):
    model = build(method, STUCK[name](), **options)
    model({"source": XS, "target": XT})
    start = [part.get_weights() for part in (model.encoder, model.classifier)]
    model.fit(batches(), verbose=0)
    assert same(model.encoder.get_weights(), start[0])
    assert not same(model.classifier.get_weights(), start[1])


def test_the_weight_of_mcc_moves_a_classifier_on_frozen_features():
    found = [ends(batches(), build(tl.MCC, STUCK["frozen"](), weight=w)) for w in (1.0, 0.0)]
    assert not same(*found)


def test_what_is_unfrozen_or_frozen_in_part_trains():
    model = build(encoder=keras.Sequential([L.Dense(5, trainable=False), L.Dense(4)]))
    model.fit(batches(), verbose=0)
    model = build(encoder=STUCK["frozen"]())
    with pytest.raises(ValueError, match="compile again"):
        model.fit(batches(), verbose=0)
    tl.unfreeze(model.encoder, fraction=1.0)
    model.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
    start = model.encoder.get_weights()
    model.fit(batches(), verbose=0)
    assert not same(model.encoder.get_weights(), start)


@pytest.mark.parametrize("make", [batches, dataset])
def test_what_is_frozen_behind_a_fit_asks_for_a_compile(make):
    model = build(encoder=keras.Sequential([L.Dense(5), L.Dense(4)]))
    model.fit(make(), verbose=0)
    model.encoder.layers[0].trainable = False
    start = model.get_weights()
    with pytest.raises(ValueError, match=r"those of the last compile.*Compile again"):
        model.fit(make(), verbose=0)
    assert same(model.get_weights(), start)
    model.compile("sgd")
    model.fit(make(), verbose=0)
    assert same(model.encoder.layers[0].get_weights(), start[:2])


@pytest.mark.parametrize("make", [batches, dataset])
def test_fit_before_compile_says_what_keras_says(make):
    model = tl.DANN(keras.Sequential([L.Dense(5)]), keras.Sequential([L.Dense(3)]))
    with pytest.raises(ValueError, match=r"You must call `compile\(\)` before"):
        model.fit(make(), verbose=0)
    assert not model.built


def test_new_parts_begin_anew_and_given_ones_go_on():
    encoder, classifier = keras.Sequential([L.Dense(5)]), keras.Sequential([L.Dense(3)])
    model = tl.SourceOnly(encoder, classifier)
    model.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
    model.fit(batches(), verbose=0)
    kept = encoder.get_weights()
    assert tl.DANN(encoder, classifier).encoder is encoder
    copies = [keras.models.clone_model(part) for part in (encoder, classifier)]
    other = tl.DANN(*copies)
    other.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
    other.fit(batches(), verbose=0)
    assert same(encoder.get_weights(), kept) and not same(copies[0].get_weights(), kept)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: dataset().unbatch(), r"must give batches.*\.batch\(64, drop_remainder=True\)"),
        (lambda: dataset().map(lambda x, y: (x,)), "A dataset must give .x, y. or"),
        (lambda: dataset().map(lambda x, y: (x, {"a": y})), "y and weights one array each"),
        (lambda: dataset().take(0), "A dataset must hold a batch. Received: an empty one. Look"),
        (lambda: dataset(target=XT[:, :3]), r"one shape. Received: source \(4,\), target \(3,\)"),
        (lambda: (b for b in batches()), "`x` must be batches of source and target.*generator"),
        (lambda: [*batches()], "`x` must be batches of source and target.*list"),
    ],
)
def test_other_data_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        build().fit(data(), verbose=0)


@pytest.mark.parametrize("name", ["source", "target"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_of_a_dataset_that_are_not_finite_are_refused(name, bad):
    broken = {"source": XS.copy(), "target": XT.copy()}
    broken[name][19, 1] = bad  # in the last batch
    given = dataset(x=broken["source"], target=broken["target"])
    whole = dict(broken, **{name: {"a": broken[name], "b": YS}})
    other = {"source": "target", "target": "source"}[name]
    whole[other] = {"a": XS, "b": YS}
    message = (
        f"`{name}` must be finite. Received: {name} with NaN, infinity .* 1 of 8 rows, .*row 3"
    )
    with pytest.raises(ValueError, match=message):
        build().fit(given, verbose=0)
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((), dtype="int64", name="b")}
    encoder = keras.Model(inputs, L.Dense(5)(inputs["a"]))
    data = tf.data.Dataset.from_tensor_slices((whole, YS)).batch(8)
    with pytest.raises(ValueError, match=rf"`{name}\['a'\]` must be finite"):
        build(encoder=encoder).fit(data, verbose=0)
    plain = tf.data.Dataset.from_tensor_slices((broken[name], YS)).batch(8)
    with pytest.raises(ValueError, match="`x` must be finite"):
        build().fit(batches(), validation_data=plain, verbose=0)


class Pairs(keras.utils.PyDataset):
    """Batches of 8 that are read one by one, as those of a dataset."""

    def __init__(self, data):
        super().__init__()
        self.batches = [keras.tree.map_structure(np.array, batch) for batch in data]

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def test_a_pydataset_of_pairs_trains_as_the_dataset_does():
    column = YS[:, None].astype("float32")
    for given in (dataset(), dataset(column), dataset(YS, W[:, None])):
        assert same(ends(Pairs(given)), ends(given))
    model, plain = build(), tf.data.Dataset.from_tensor_slices((XT, column)).batch(8)
    history = model.fit(Pairs(dataset()), validation_data=Pairs(plain), verbose=0).history
    assert history["val_loss"][0] == pytest.approx(model.evaluate(XT, YS, verbose=0)[0])
    assert model.evaluate(Pairs(plain), verbose=0) == model.evaluate(plain, verbose=0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (dataset(np.eye(3)[YS]), r"If they are one-hot.*np.argmax"),
        (dataset(YS + 1), r"Labels must be in 0\.\.2"),
        (dataset(x=np.full_like(XS, np.nan)), "`source` must be finite"),
        (dataset(target=XT[:, :3]), r"one shape. Received: source \(4,\), target \(3,\)"),
        ([(XS[:8], YS[:8])], "`x` must be batches of source and target.*type Pairs"),
        ([{"source": XS[:8], "target": XT[:8]}], "`x` must be batches of source and target"),
    ],
)
def test_other_pydatasets_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        build().fit(Pairs(data), verbose=0)


def two_inputs():
    parts = [keras.Input((1,)), keras.Input((3,))]
    return keras.Model(parts, L.Dense(5, "tanh")(L.Concatenate()(parts)))


def test_an_encoder_of_several_inputs_takes_a_tuple():
    cut = lambda x: (x[:, :1], x[:, 1:])  # noqa: E731
    found = []
    for encoder, form in (
        (keras.Sequential([L.Dense(5, "tanh")]), lambda x: x),
        (two_inputs(), cut),
    ):
        model = build(encoder=encoder)
        model({"source": form(XS), "target": form(XT)})
        model.encoder.layers[-1].set_weights([np.ones((4, 5)), np.zeros(5)])
        model.classifier.set_weights([np.arange(15).reshape(5, 3) / 10, np.zeros(3)])
        model.discriminator.layers[1].set_weights([np.ones((5, 100)), np.zeros(100)])
        model.discriminator.layers[2].set_weights([np.ones((100, 1)) / 99, np.zeros(1)])
        data = tl.paired_batches(form(XS), YS, form(XT), 8)
        callbacks = [tl.SelectEpoch("entropy", form(XT)), tl.OracleEpoch(form(XT), YS)]
        history = model.fit(data, verbose=0, validation_data=(form(XT), YS), callbacks=callbacks)
        report = tl.check_domains(model, form(XS), YS, form(XT))
        found.append([model.predict(form(XT), verbose=0), model.features_of(form(XT)),
                      history.history["val_loss"], [report.a_distance]])  # fmt: skip
    model.evaluate([*cut(XT)], YS, verbose=0)  # as Keras has it
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_an_encoder_without_a_graph_takes_a_tuple_too():
    class TwoParts(keras.Layer):
        def __init__(self):
            super().__init__()
            self.narrow, self.wide = L.Dense(5), L.Dense(5)

        def call(self, x):
            return self.narrow(x[0]) + self.wide(x[1])

    cut = lambda x: (x[:, :1], x[:, 1:])  # noqa: E731
    model = build(encoder=TwoParts())
    data = tl.paired_batches(cut(XS), YS, cut(XT), 8)
    history = model.fit(data, verbose=0, validation_data=(cut(XT), YS)).history
    assert np.isfinite(history["val_loss"]).all()
    assert model.predict(cut(XT), verbose=0).shape == (len(XT), 3)


def test_arrays_without_labels_are_refused():
    for call in (
        lambda: build().evaluate(XS, verbose=0),
        lambda: build().fit(batches(), validation_data=(XS,), verbose=0),
    ):
        with pytest.raises(ValueError, match=r"`y` must be given beside arrays.*Received: y=None"):
            call()


def test_an_optimizer_of_another_model_is_refused():
    first, second = build(), build()
    first.fit(batches(), verbose=0)
    second.compile(first.optimizer)
    with pytest.raises(ValueError, match=r"those of the last compile.*with a fresh optimizer"):
        second.fit(batches(), verbose=0)


def test_an_encoder_built_for_any_size_takes_a_dataset_of_unknown_shapes():
    encoder = keras.Sequential([keras.Input((None, 4)), L.GlobalAveragePooling1D(), L.Dense(3)])
    spec = {name: tf.TensorSpec((None, None, 4)) for name in ("source", "target")}
    data = tf.data.Dataset.from_generator(
        lambda: iter([({"source": XS[:6, None], "target": XT[:6, None]}, YS[:6])] * 2),
        output_signature=(spec, tf.TensorSpec(None, tf.int32)),
    )
    model = build(tl.CORAL, encoder, gamma=None)
    assert model.fit(data, verbose=0).history["coral_loss"][0] > 0
