"""fine_tune: phases, caching that changes nothing, the best epoch kept, errors before training."""

from tlhelpers.models.heads import build_classifier, build_head, build_text_classifier
from tlhelpers.reading.evaluation import evaluate
from tlhelpers.tuning.fine_tuning import fine_tune
from tlhelpers.tuning.gradual import GradualUnfreezing
from tlhelpers.tuning.guard import FitGuard

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import (
    LAYOUTS,
    TRAIN,
    VALIDATION,
    TinyBert,
    X,
    Y,
    base_named,
    in_sequential,
    make,
    nested,
    nested_with_flag,
    small_base,
    tokens,
)

RNG = np.random.default_rng(0)


def weights(model):
    return [v.numpy() for v in model.weights]


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_phases_with_their_own_weights_leave_a_model_with_its_optimizer(layout, tmp_path):
    model = make(layout)
    history = fine_tune(model, TRAIN, VALIDATION, unfreeze=1, head_epochs=2, epochs=3)
    assert [p.name for p in history.phases] == ["head", "fine-tuning"]
    assert history.phases[0].trainable < history.phases[1].trainable
    assert history.boundaries == [2] and len(history.history["val_loss"]) == 5
    assert history.phases[0].cached_behind == "pooling"
    assert model.compiled and f"epoch {history.best + 1}" in str(history)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    saved = [v.numpy() for v in again.optimizer.variables]
    assert len(saved) == 1 + 2 * len(model.trainable_variables)
    now = model.optimizer.variables
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(saved, now, strict=True))
    again.fit(*TRAIN, verbose=0, callbacks=[FitGuard()])


def test_a_training_step_is_traced_once(traced_steps):
    """Keras traces twice when the optimizer or a metric makes its variables in the first step."""
    fine_tune(make(), TRAIN, unfreeze=1, head_epochs=2, epochs=2, verbose=0)
    assert len(traced_steps) == 2, traced_steps  # one for each phase


def test_a_metric_begins_each_phase_and_what_follows_at_zero():
    """Keras does not reset a metric that another fit has used, until its own first step."""
    model, other = make(), (X[Y == 0], Y[Y == 0])  # all right, or all wrong
    for metrics in (None, [keras.metrics.SparseCategoricalAccuracy("accuracy")]):
        history = fine_tune(
            model, TRAIN, other, unfreeze=1, head_epochs=1, epochs=1, head_learning_rate=1e-9,
            learning_rate=1e-9, metrics=metrics,
        )  # fmt: skip
        right = np.mean(model.predict(TRAIN[0], verbose=0).argmax(axis=1) == TRAIN[1])
        assert history.history["accuracy"] == pytest.approx([right, right])  # nothing is learned
        assert model.evaluate(*TRAIN, verbose=0)[1] == pytest.approx(right)


@pytest.mark.parametrize("layout", [nested_with_flag, in_sequential])
def test_the_cache_changes_nothing(layout):  # any net, nested or inlined: tests/test_caching.py
    def trained(cache):
        model = make(layout)
        keras.utils.set_random_seed(2)
        fine_tune(model, TRAIN, None, unfreeze=2, head_epochs=2, epochs=3, cache_prefix=cache,
                  learning_rate=1e-3)  # fmt: skip
        return weights(model)

    for a, b in zip(trained(False), trained(True), strict=True):
        assert np.allclose(a, b, atol=1e-4)


def test_the_cache_may_live_in_a_folder(tmp_path):
    model = make()
    fine_tune(model, TRAIN, VALIDATION, head_epochs=1, epochs=1, cache_prefix=tmp_path)
    files = {p.name for p in tmp_path.glob("*.npy")}
    assert len(files) >= 4
    fine_tune(make(), TRAIN, VALIDATION, head_epochs=1, epochs=1, cache_prefix=tmp_path)
    assert {p.name for p in tmp_path.glob("*.npy")} == files  # the same base: nothing run again


@pytest.mark.parametrize("cache", [True, False])
def test_a_second_phase_that_harms_is_undone(cache):
    """With a learning rate that destroys the model, the weights of the head phase come back."""
    model = make()
    history = fine_tune(
        model, TRAIN, TRAIN, head_epochs=20, epochs=2, head_learning_rate=0.1,
        learning_rate=1e6, cache_prefix=cache,
    )  # fmt: skip
    assert history.best < 20 and history.history["val_accuracy"][-1] < 0.5
    loss, accuracy = model.evaluate(*TRAIN, verbose=0)
    assert accuracy == pytest.approx(history.history["val_accuracy"][history.best])
    assert accuracy == pytest.approx(max(history.history["val_accuracy"])) and np.isfinite(loss)


def test_without_a_head_phase_the_weights_from_before_are_kept_if_they_are_better():
    model = make()
    fine_tune(model, TRAIN, TRAIN, unfreeze=None, head_epochs=20, head_learning_rate=0.1)
    before, score = weights(model), model.evaluate(*TRAIN, verbose=0)[1]
    history = fine_tune(model, TRAIN, TRAIN, unfreeze=1, head_epochs=0, epochs=2, learning_rate=1e6)
    assert history.best == -1 and history.before == pytest.approx(score)
    assert max(history.history["val_accuracy"]) < score
    assert f"the weights from before (val_accuracy {score:.3f})" in str(history)
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(model), strict=True))


def test_training_continues_from_the_kept_head():
    model = make()
    first = fine_tune(model, TRAIN, VALIDATION, unfreeze=None, head_epochs=3)
    assert [p.name for p in first.phases] == ["head"]
    before = model.evaluate(*VALIDATION, verbose=0)[1]
    fine_tune(model, TRAIN, VALIDATION, unfreeze={"from_layer": "conv_3"}, head_epochs=0, epochs=2)
    assert model.evaluate(*VALIDATION, verbose=0)[1] >= before  # the better one is kept


def test_datasets_train_as_arrays_do():
    def dataset(pair):
        return tf.data.Dataset.from_tensor_slices(pair).batch(6)

    history = fine_tune(make(), dataset(TRAIN), dataset(VALIDATION), head_epochs=1, epochs=1)
    assert history.phases[0].cached_behind == "pooling"
    history = fine_tune(
        make(), dataset(TRAIN), dataset(VALIDATION), head_epochs=1, epochs=1, cache_prefix=False
    )
    assert history.phases[0].cached_behind is None and len(history.history["loss"]) == 2


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (Y + 0.5, "dtype=float"),
        (Y + 5, "0..2"),
        (np.eye(3)[Y], "one-hot"),
        (Y.astype(str), "dtype="),
        (None, "batches of such pairs"),
    ],
)
@pytest.mark.parametrize("train", [fine_tune, GradualUnfreezing(epochs=1, blocks=1).fit])
def test_labels_of_a_dataset_are_checked_too(train, labels, message):
    model = make()
    before = weights(model)
    pair = X if labels is None else (X, labels)
    with pytest.raises(ValueError, match=message) as error:
        train(model, tf.data.Dataset.from_tensor_slices(pair).batch(6))
    assert "Received" in str(error.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(model), strict=True))


def test_an_empty_dataset_is_called_empty():
    with pytest.raises(ValueError, match="Received: an empty dataset"):
        fine_tune(make(), tf.data.Dataset.from_tensor_slices(TRAIN).take(0).batch(6))


def test_whole_numbers_are_labels_whatever_their_type():
    pair = X, Y.astype("float32")
    fine_tune(make(), tf.data.Dataset.from_tensor_slices(pair).batch(6), head_epochs=1, epochs=0)


def test_augmentation_in_front_is_not_cached_away():
    images = keras.Input((16, 16, 3))
    model = keras.Model(images, nested()(keras.layers.RandomFlip()(images)))
    history = fine_tune(model, TRAIN, VALIDATION, head_epochs=1, epochs=1)
    assert [p.cached_behind for p in history.phases] == [None, None]
    assert "not cached" in str(history)


def test_a_binary_model_gets_a_binary_loss():
    base = base_named("mobilenetv2", size=32)
    model = build_classifier(base, 2, task="binary")
    images = RNG.integers(0, 256, (6, 32, 32, 3)).astype("uint8")
    labels = np.arange(6) % 2
    history = fine_tune(model, (images, labels), (images, labels), head_epochs=1, epochs=0)
    accuracy = history.history["val_accuracy"][0]
    logits = model.predict(images, verbose=0)[:, 0]
    assert accuracy == pytest.approx(np.mean((logits > 0) == labels))


def test_a_text_model_trains_on_its_dictionary():
    bert = TinyBert()
    model = build_text_classifier(bert, 2, sequence_length=6)
    ids = RNG.integers(1, 50, (8, 6))
    x = {"token_ids": ids, "padding_mask": np.ones_like(ids), "segment_ids": 0 * ids}
    labels = np.arange(8) % 2
    history = fine_tune(model, (x, labels), (x, labels), unfreeze=1, head_epochs=1, epochs=1)
    assert [p.cached_behind for p in history.phases] == ["pooling", "embeddings_dropout"]
    assert history.phases[0].trainable < history.phases[1].trainable
    assert evaluate(model, x, labels).accuracy == pytest.approx(
        max(history.history["val_accuracy"])
    )


BAD = [
    ({"unfreeze": 4}, "between 1 and 3"),
    ({"unfreeze": 0}, "between 1 and 3"),
    ({"unfreeze": {"from_layer": "conv3"}}, "conv_3"),
    ({"unfreeze": {}}, "Exactly one"),
    ({"unfreeze": "block3"}, "dict of the arguments"),
    ({"epochs": -1}, "0 or above"),
    ({"batch_size": 0}, "1 or above"),
    ({"head_epochs": 1.5}, "0 or above"),
    ({"learning_rate": 0}, "above 0"),
    ({"head_learning_rate": float("nan")}, "above 0"),
    ({"train": X}, "pair"),
    ({"train": (X, np.eye(3)[Y])}, "one-hot"),
    ({"train": (X, Y + 1)}, "0..2"),
    ({"train": (X, Y[:5])}, "One label"),
    ({"validation": (X[:0], Y[:0])}, "(?i)at least one"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_found_before_any_training(arguments, message):
    model = make()
    before = weights(model)
    with pytest.raises(ValueError, match=message) as error:
        fine_tune(**{"model": model, "train": TRAIN, "validation": VALIDATION, **arguments})
    assert "Received" in str(error.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(model), strict=True))


def test_the_rate_falls_to_zero_at_the_end_whatever_the_batches_are():
    dataset = tf.data.Dataset.from_tensor_slices(TRAIN).batch(9)  # cached, it trains in eights
    model = make()
    fine_tune(model, dataset, None, head_epochs=1, epochs=3, batch_size=8)
    schedule = model.optimizer._learning_rate
    assert int(model.optimizer.iterations) == schedule.decay_steps == 9


def test_augmentation_inlined_with_the_base_is_not_cached_away():
    base = small_base()
    images = keras.Input((16, 16, 3))
    x = keras.layers.RandomFlip()(images)
    for layer in base.layers[1:4]:
        x = layer(x)
    x = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))
    history = fine_tune(keras.Model(images, x), TRAIN, unfreeze=None, head_epochs=1)
    assert history.phases[0].cached_behind is None


def test_a_nested_base_without_a_graph_is_cached_as_a_whole_or_not_at_all():
    class Sub(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = keras.layers.Conv2D(4, 3)
            self.second = keras.layers.Conv2D(4, 3)

        def call(self, x):
            return self.second(self.conv(x))

    def trained(cache):
        keras.utils.set_random_seed(0)
        images = keras.Input((16, 16, 3))
        model = keras.Model(images, build_head(3, dropout=0)(Sub()(images)))
        settings = {"head_epochs": 1, "epochs": 1, "cache_prefix": cache}
        history = fine_tune(model, TRAIN, VALIDATION, **settings, batch_size=18)  # in no order
        return [phase.cached_behind for phase in history.phases], weights(model)

    (places, cached), (_, plain) = trained(True), trained(False)
    assert places == ["dropout", None]  # whose rate is 0
    for one, other in zip(cached, plain, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_base_alone_and_a_model_without_a_graph_are_refused():
    with pytest.raises(ValueError, match="build_classifier"):
        fine_tune(small_base(), TRAIN)

    class Net(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="functional or a built Sequential"):
        fine_tune(Net(), TRAIN)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (lambda x: x / 255, "Multiply by 255"),
        (lambda x: x - 127.0, "0..255"),
        (lambda x: x[..., :1], "shape"),
        (lambda x: x[:, :16], "shape"),
        (lambda x: x * np.nan, "finite"),
    ],
)
def test_images_that_the_model_would_misread(images, message):
    base = base_named("mobilenetv2", size=32)
    good = RNG.integers(1, 256, (6, 32, 32, 3)).astype("float32")
    with pytest.raises(ValueError, match=message):
        fine_tune(build_classifier(base, 3), (images(good), np.arange(6) % 3))


def test_the_cache_changes_nothing_for_a_text_model_either(tmp_path):

    x, labels = tokens(4), np.arange(4) % 2

    def trained(cache):
        keras.utils.set_random_seed(3)
        model = build_text_classifier(TinyBert(layers=3), 2, sequence_length=6, dropout=0.0)
        _without_dropout(model)
        history = fine_tune(model, (x, labels), unfreeze=2, head_epochs=2, epochs=3,
                            cache_prefix=cache, learning_rate=1e-3)  # fmt: skip
        return weights(model), [p.cached_behind for p in history.phases]

    plain, nowhere = trained(False)
    for cache in (True, tmp_path):
        cached, behind = trained(cache)
        assert behind == ["dropout", "transformer_layer_0"] and nowhere == [None, None]
        assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(plain, cached, strict=True))
    files = sorted(p.name for p in tmp_path.glob("*.npy"))
    trained(tmp_path)
    assert len(files) == 3 and sorted(p.name for p in tmp_path.glob("*.npy")) == files


def _without_dropout(model):
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
        if isinstance(layer, keras.layers.MultiHeadAttention):
            layer._dropout = 0.0


def test_texts_that_were_not_tokenized_are_refused():
    model = build_text_classifier(TinyBert(), 2, sequence_length=6)
    for x in (["a fine film"] * 2, np.array(["a fine film"] * 2)):
        with pytest.raises(ValueError, match=r"dictionary of .*padding_mask.*preprocessor"):
            fine_tune(model, (x, [0, 1]))
        with pytest.raises(ValueError, match="Received: type"):
            evaluate(model, x, [0, 1])
    ids = np.ones((2, 6), "int32")
    tokens = {"token_ids": ids, "padding_mask": ids, "segment_ids": 0 * ids}
    for wrong in ({"token_ids": ids}, {**tokens, "more": ids}):
        with pytest.raises(ValueError, match=f"Received: {', '.join(wrong)}"):
            evaluate(model, wrong, [0, 1])
    with pytest.raises(ValueError, match=r"of one length.*'token_ids': 1"):
        evaluate(model, {**tokens, "token_ids": ids[:1]}, [0, 1])
