"""Dictionaries of arrays, as texts are for an encoder, through all that trains and looks."""

import tlhelpers as tl

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import TinyBert

L = keras.layers
METHODS = [tl.SourceOnly, tl.DANN, tl.CDAN, tl.CORAL, tl.MMD, tl.MCC, tl.ConsistentDANN]
rng = np.random.default_rng(0)
Y = np.arange(24) % 2


def tokens(n=24):
    mask = np.arange(6) < rng.integers(1, 7, (n, 1))
    return {"token_ids": np.where(mask, rng.integers(1, 9, (n, 6)), 0), "padding_mask": mask}


SOURCE, TARGET = tokens(), tokens(32)


def text_encoder():
    inputs = {name: keras.Input((6,), dtype="int32", name=name) for name in SOURCE}
    words = L.Embedding(9, 4)(inputs["token_ids"])
    pooled = L.GlobalAveragePooling1D()(words, mask=inputs["padding_mask"])
    return keras.Model(inputs, L.Dense(5, "tanh")(pooled))


class Reads(keras.Model):
    """An encoder of texts without a graph."""

    def __init__(self):
        super().__init__()
        self.words, self.out = L.Embedding(9, 4), L.Dense(5)

    def call(self, x):
        mask = keras.ops.cast(x["padding_mask"], "float32")[..., None]
        return self.out(keras.ops.sum(self.words(x["token_ids"]) * mask, axis=1))


def build(method, encoder=None, **options):
    keras.utils.set_random_seed(0)
    options |= {"view": L.Identity()} if method is tl.ConsistentDANN else {}
    encoder = text_encoder() if encoder is None else encoder
    model = method(encoder, keras.Sequential([L.Dense(2)]), **options)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def batches(**kwargs):
    return tl.paired_batches(SOURCE, Y, TARGET, 8, **kwargs)


def test_rows_of_all_parts_stay_together():
    (pair, labels), *others = batches(seed=3)
    assert len(others) == 3 and pair["source"]["padding_mask"].dtype == bool
    for row, label in enumerate(labels):
        found = (SOURCE["token_ids"] == pair["source"]["token_ids"][row]).all(axis=1) & (label == Y)
        masks = SOURCE["padding_mask"][found]
        assert (masks == pair["source"]["padding_mask"][row]).all(axis=1).any()


def test_texts_are_augmented_as_dictionaries():
    def drop(x, generator):
        return {**x, "token_ids": np.where(generator.random((8, 6)) < 0.5, 0, x["token_ids"])}

    plain, changed = batches()[0][0], batches(augment=drop)[0][0]
    assert (changed["source"]["token_ids"] != plain["source"]["token_ids"]).any()
    assert changed["source"]["token_ids"].dtype == plain["source"]["token_ids"].dtype
    np.testing.assert_array_equal(*(x["target"]["token_ids"] for x in (plain, changed)))
    for wrong in (lambda x, _: x["token_ids"], lambda x, _: {"token_ids": x["token_ids"]}):
        with pytest.raises(ValueError, match=r"`augment` must .*same shape.*Received: shape"):
            batches(augment=wrong)[0]


@pytest.mark.parametrize("method", METHODS)
def test_a_dictionary_of_one_array_trains_as_the_array_does(method):
    x_source, x_target = (rng.normal(size=(n, 3)).astype("float32") for n in (24, 32))
    found = []
    for wrap in (lambda x: x, lambda x: {"x": x}):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,), name="x")
        encoder = keras.Model(wrap(inputs), L.Dense(4, "tanh")(inputs))
        model = build(method, encoder)
        data = tl.paired_batches(wrap(x_source), Y, wrap(x_target), 8)
        model.fit(data, validation_data=(wrap(x_source), Y), verbose=0)
        found.append([*model.get_weights(), model.predict(wrap(x_target), verbose=0)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("method", METHODS)
def test_texts_go_through_all_that_looks_at_a_model(method, tmp_path, capsys):
    model = build(method)
    callbacks = [
        tl.SelectEpoch("reverse_validation", TARGET, SOURCE, Y),
        tl.SelectEpoch("source_accuracy", x_source=SOURCE, y_source=Y),
        tl.OracleEpoch(SOURCE, Y),
        tl.DomainMonitor(SOURCE, Y, TARGET),
    ]
    start = model.encoder.get_weights()
    history = model.fit(batches(), validation_data=(TARGET, np.zeros(32, int)), verbose=0,
                        callbacks=callbacks).history  # fmt: skip
    assert {"val_accuracy", "val_reverse_validation", "val_oracle_accuracy"} <= set(history)
    assert any((a != b).any() for a, b in zip(start, model.encoder.get_weights(), strict=True))
    assert "Epoch 1: Domains told apart" in capsys.readouterr().out
    logits = model.predict(TARGET, verbose=0)
    assert logits.shape == (32, 2) and model.features_of(TARGET).shape == (32, 5)
    report = tl.evaluate(model, SOURCE, Y)
    assert report.accuracy == pytest.approx(model.evaluate(SOURCE, Y, verbose=0)[1])
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded.predict(TARGET, verbose=0), logits)


@pytest.mark.parametrize("make", [text_encoder, Reads])
def test_a_dataset_of_texts_will_do(make):
    pair = {"source": SOURCE, "target": {k: v[:24] for k, v in TARGET.items()}}
    data = tf.data.Dataset.from_tensor_slices((pair, Y)).batch(8)
    plain = tf.data.Dataset.from_tensor_slices((SOURCE, Y)).batch(8)
    model = build(tl.DANN, make())
    history = model.fit(data, validation_data=plain, epochs=2, verbose=0).history
    assert len(history["domain_accuracy"]) == len(history["val_accuracy"]) == 2
    assert model.predict(plain.map(lambda x, y: x), verbose=0).shape == (24, 2)


def test_an_encoder_that_is_a_layer_reads_them_too():
    class Layer(L.Layer):
        def build(self, shapes):
            self.scale = self.add_weight(shape=(6,), initializer="ones")

        def call(self, x):
            return keras.ops.cast(x["token_ids"], "float32") * self.scale

    model = build(tl.DANN, Layer())
    model.fit(batches(), verbose=0)
    expected = TARGET["token_ids"] * model.encoder.scale.numpy()
    np.testing.assert_allclose(model.features_of(TARGET), expected, rtol=1e-6)


def test_bert_is_adapted_saved_and_loaded(tmp_path):
    pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
    keras.utils.set_random_seed(0)
    bert = TinyBert().backbone
    x = {**SOURCE, "segment_ids": 0 * SOURCE["token_ids"]}
    with pytest.raises(ValueError, match=r"`encoder` must give one tensor.*a dict of 2. Choose"):
        build(tl.DANN, bert)(x)
    model = build(tl.DANN, keras.Model(bert.input, bert.output["pooled_output"]))
    model.fit(tl.paired_batches(x, Y, x, 8), verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    predictions = [m.predict(x, verbose=0) for m in (model, loaded)]
    np.testing.assert_allclose(*predictions, rtol=1e-5)


IDS = SOURCE["token_ids"]


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (SOURCE, IDS, "two dictionaries of the same arrays.*x_target of one array. Make both"),
        (SOURCE, {"token_ids": IDS}, "padding_mask, token_ids; x_target of token_ids"),
        (SOURCE, {**TARGET, "token_ids": TARGET["token_ids"][:, :5]},
         r"`x_source\['token_ids'\]` and .*one shape.*\(6,\), x_target \(5,\). Use one sequence"),
        (SOURCE, {**TARGET, "token_ids": TARGET["token_ids"] / 1},
         r"`x_target\['token_ids'\]` must have one type. Received: x_source int64, x_target float"),
        (SOURCE, {**TARGET, "token_ids": IDS}, "one length.*'token_ids': 24, 'padding_mask': 32"),
        (["a text"] * 24, ["another"] * 24, "must be an array of real numbers"),
    ],
)  # fmt: skip
def test_domains_of_texts_must_be_alike(source, target, message):
    with pytest.raises(ValueError, match=message):
        tl.paired_batches(source, Y, target, 8)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (IDS, "A dictionary of token_ids, padding_mask is required.*bert.preprocessor"),
        ({"token_ids": IDS}, "A dictionary of .*Received: token_ids"),
        ({k: v[:, :5] for k, v in SOURCE.items()}, r"token_ids of shape \(n, 6\) is required"),
    ],
)
def test_texts_that_the_encoder_cannot_read_are_refused(x, message):
    model = build(tl.DANN)
    with pytest.raises(ValueError, match="In the source: " + message):
        model.fit(tl.paired_batches(x, Y, x, 8), verbose=0)
    for call in (lambda: model.evaluate(x, Y, verbose=0), lambda: tl.evaluate(model, x, Y)):
        with pytest.raises(ValueError, match="^" + message):
            call()


def test_views_of_colour_are_for_images():
    model = tl.ConsistentDANN(text_encoder(), L.Dense(2))
    message = r"`images` must have shape \(n, height, width, channels\). Received: a dictionary"
    with pytest.raises(ValueError, match=message):
        model({"source": SOURCE, "target": SOURCE})
    with pytest.raises(ValueError, match=r"Received: shape=\(4, 3\)"):
        tl.RandomChannel()(np.zeros((4, 3)))
