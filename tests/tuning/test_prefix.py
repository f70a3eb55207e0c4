"""Cached or not, the training is the same; augmented passes draw; the plan says what and why."""

from tlhelpers.models.anatomy import Anatomy
from tlhelpers.models.graph import Graph
from tlhelpers.tuning import prefix
from tlhelpers.tuning.batches import Shuffled
from tlhelpers.tuning.features import run_arrays
from tlhelpers.tuning.fine_tuning import fine_tune
from tlhelpers.tuning.freezing import top_of_the_base
from tlhelpers.tuning.prefix import augmentation_of

import hypothesis.strategies as st
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from toys import TRAIN, VALIDATION, X, Y, make, nested, small_base

L = keras.layers
LAYERS = [
    lambda: L.Conv2D(3, 3, padding="same", activation="relu"),
    lambda: L.Conv2D(3, 3, strides=2, padding="same", activation="tanh"),
    lambda: L.DepthwiseConv2D(3, padding="same"),
    lambda: L.BatchNormalization(),
    lambda: L.LayerNormalization(),
    lambda: L.MaxPooling2D(2, padding="same"),
]


def random_net(seed, depth, layout):
    """A stack of random layers, with shortcuts where the shapes allow them, and a head."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    x = inputs = keras.Input((6, 6, 3))
    for number in [0, *rng.integers(0, len(LAYERS), depth - 2), 1]:
        y = LAYERS[number]()(x)
        x = L.Add()([x, y]) if y.shape == x.shape and rng.random() < 0.5 else y
    if layout == "nested":
        base = keras.Model(inputs, x)
        inputs = keras.Input((6, 6, 3))
        x = base(inputs)
    return keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(x)))


@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    depth=st.integers(3, 7),
    layout=st.sampled_from(["nested", "inlined"]),
    fraction=st.floats(0.05, 0.6),
    batch_size=st.integers(3, 9),
)
def test_any_net_ends_with_the_same_weights_cached_or_not(
    seed, depth, layout, fraction, batch_size
):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(9, 6, 6, 3)).astype("float32")
    labels = rng.integers(0, 2, 9)

    def trained(cache):
        model = random_net(seed, depth, layout)
        start = model.get_weights()
        keras.utils.set_random_seed(seed)
        history = fine_tune(
            model, (images, labels), unfreeze={"fraction": fraction}, head_epochs=0, epochs=3,
            learning_rate=1e-2, batch_size=batch_size, cache_prefix=cache, verbose=0,
        )  # fmt: skip
        moved = sum((a != b).any() for a, b in zip(start, model.get_weights(), strict=True))
        return model.get_weights(), history.phases[0].cached_behind, moved

    (plain, nowhere, moved), (cached, _, _) = trained(False), trained(True)
    assert nowhere is None and moved
    for a, b in zip(plain, cached, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def augmenting():
    """A model that shifts its images in front of its base."""
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3))
    return keras.Model(images, nested()(L.RandomTranslation(0.5, 0.5, name="shift")(images)))


def seen_by_head(monkeypatch, *arguments, **options):
    """Return the features of each epoch, sorted, that a head was trained on."""
    seen = []
    real = Shuffled._order

    def order(self, epoch):
        seen.append((epoch, np.sort(self.copies[epoch % len(self.copies)][0].sum(axis=1))))
        return real(self, epoch)

    monkeypatch.setattr(Shuffled, "_order", order)
    result = fine_tune(*arguments, verbose=0, **options)
    return result, dict(seen)


def test_each_epoch_takes_the_next_augmented_copy(monkeypatch):
    model = augmenting()
    _, seen = seen_by_head(
        monkeypatch, model, TRAIN, VALIDATION, unfreeze=None, head_epochs=5, passes=3
    )
    assert np.allclose(seen[0], seen[3]) and np.allclose(seen[1], seen[4])
    assert not np.allclose(seen[0], seen[1]) and not np.allclose(seen[1], seen[2])


def test_validation_is_not_augmented_and_the_model_is_what_was_trained():
    model = augmenting()
    history = fine_tune(
        model, TRAIN, VALIDATION, head_epochs=2, epochs=2, passes=2, batch_size=6, verbose=0
    )
    assert history.phases[0].cached_behind == "pooling"
    assert history.phases[1].cached_behind.startswith("add")
    assert len(history.history["val_accuracy"]) == 4
    loss, accuracy = model.evaluate(*VALIDATION, verbose=0)
    assert accuracy == pytest.approx(history.history["val_accuracy"][history.best])
    assert loss == pytest.approx(history.history["val_loss"][history.best], rel=1e-4)


def test_what_a_dataset_draws_in_its_map_is_drawn_by_each_pass():
    def shift(x, y):
        return x + 50 * tf.random.uniform(()), y

    batches = tf.data.Dataset.from_tensor_slices(TRAIN).map(shift).batch(6)
    history = fine_tune(make(), batches, VALIDATION, head_epochs=3, epochs=0, passes=3, verbose=0)
    assert history.phases[0].cached_behind == "pooling"
    assert len(history.history["loss"]) == 3


def test_frozen_batchnorm_stands_still_while_the_augmentation_draws():
    model = augmenting()
    before = {v.path: v.numpy() for v in model.weights if "moving" in v.path}
    fine_tune(model, TRAIN, head_epochs=2, epochs=2, passes=2, verbose=0)
    assert before and all(
        np.array_equal(before[v.path], v.numpy()) for v in model.weights if "moving" in v.path
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"passes": 0}, "passes=0"),
        ({"passes": True}, "passes=True"),
        ({"passes": 2.0}, r"passes=2\.0"),
        ({"passes": 2, "cache_prefix": False}, "cache_prefix=False"),
        ({"passes": 2, "cache_prefix": "here"}, "cache_prefix='here'"),
        ({"passes": 2, "unfreeze": {"fraction": 1.0}, "head_epochs": 0}, "conv_1 on learns"),
        ({"passes": 2, "model": make}, "without a random layer"),
        ({"verbose": 3}, "verbose=3"),
    ],
)
def test_passes_are_refused_where_they_mean_nothing(options, words):
    model = options.pop("model", augmenting)()
    before = model.get_weights()
    with pytest.raises(ValueError, match=f"Received: .*{words}"):
        fine_tune(model, TRAIN, VALIDATION, **options)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_dataset_whose_passes_are_equal_is_found_out():
    model = make()
    batches = tf.data.Dataset.from_tensor_slices(TRAIN).shuffle(18).batch(6)
    with pytest.raises(ValueError, match="equal outputs"):
        fine_tune(model, batches, head_epochs=1, epochs=1, passes=2, verbose=0)


def test_the_plan_is_printed_before_anything_is_trained(capsys):
    model = make()
    total = model.layers[-1].count_params()
    fine_tune(model, TRAIN, VALIDATION, unfreeze=1, head_epochs=1, epochs=2)
    plan = capsys.readouterr().out.splitlines()
    assert plan[0] == "fine_tune keeps the epoch with the best val_accuracy"
    begin = f"head: 1 epochs, {total} weights (head) at 0.005, cached behind pooling"
    assert plan[1].strip() == f"{begin} (384.00 B in memory)"  # 24 samples, 4 float32 each
    assert plan[2].strip().startswith("fine-tuning: 2 epochs, ")
    assert "weights (block3, head) at 0.0001, cached behind add" in plan[2] and len(plan) == 3
    fine_tune(model, TRAIN, VALIDATION, unfreeze=1, head_epochs=0, epochs=0, verbose=0)
    assert capsys.readouterr().out == ""


def test_arrays_tell_what_features_of_any_size_take():
    keras.utils.set_random_seed(0)
    convolutions = [L.Conv2D(5, 3, strides=2), L.Conv2D(2, 1)]
    end = [L.GlobalMaxPooling2D(), L.Dense(3)]
    model = keras.Sequential([keras.Input((None, None, 3)), *convolutions, *end])
    cache = prefix.PrefixCache(Anatomy(model), True, 1, False)
    found = cache.find(top_of_the_base(cache.anatomy, layers=1))
    assert found.bytes_of(X, 7) == 7 * 7 * 7 * 5 * 4 == run_arrays(found.prefix, X[:7]).nbytes
    assert found.bytes_of(None, 7) is None


def in_batches(data, known=True):
    batches = tf.data.Dataset.from_tensor_slices(data).batch(6)
    return batches if known else batches.filter(lambda x, y: True)


def shaken(x, y):
    return x + tf.random.normal(tf.shape(x)), y


@pytest.mark.parametrize(("train", "validation", "options", "room"), [
    (TRAIN, None, {}, "288.00 B in memory"),  # 18 samples, 4 channels, 4 bytes
    (TRAIN, VALIDATION, {"folder": True}, "384.00 B on disk"),
    (in_batches(TRAIN), in_batches(VALIDATION), {}, "384.00 B in memory"),
    (in_batches(TRAIN).map(shaken), VALIDATION, {"passes": 3}, "960.00 B in memory"),
    (in_batches(TRAIN, known=False), VALIDATION, {}, ""),
])  # fmt: skip
def test_the_plan_says_what_the_features_take(
    train, validation, options, room, tmp_path, monkeypatch
):
    """It's said before, and it's what they take then."""
    folder = tmp_path if options.pop("folder", False) else True
    kept = []

    def run(cache, part, found, run=prefix.PrefixCache.run):
        done = run(cache, part, found)
        parts = [*done.copies, *([] if done.validation is None else [done.validation])]
        kept.append(sum(features.nbytes for features, _ in parts))
        return done

    monkeypatch.setattr(prefix.PrefixCache, "run", run)
    history = fine_tune(
        make(), train, validation, unfreeze=None, head_epochs=1, cache_prefix=folder, verbose=0,
        batch_size=None, **options,
    )  # fmt: skip
    assert history.phases[0].kept == room
    assert not room or float(room.split()[0]) == kept[0]


@pytest.mark.parametrize(
    ("model", "options", "reason"),
    [
        (make, {"cache_prefix": False}, "cache_prefix=False"),
        (augmenting, {}, "shift draws again in every epoch; passes=k would cache k such copies"),
        (make, {"unfreeze": {"fraction": 1.0}}, "everything from conv_1 on learns"),
    ],
)
def test_the_plan_says_why_nothing_is_cached(model, options, reason, capsys):
    fine_tune(model(), TRAIN, head_epochs=0, epochs=1, **options)
    assert f"not cached ({reason})" in capsys.readouterr().out


def test_augmentation_is_found_inside_nested_models():
    def augmentation(model):
        return augmentation_of(Graph(model))

    front = keras.Sequential([keras.Input((16, 16, 3)), L.RandomFlip(), L.Rescaling(2.0)])
    images = keras.Input((16, 16, 3))
    assert augmentation(keras.Model(images, nested()(front(images)))) == [front]
    inside = keras.Sequential([keras.Input((16, 16, 3)), L.RandomFlip(name="flip"), small_base()])
    images = keras.Input((16, 16, 3))
    outer = keras.Model(images, L.Dense(2)(L.GlobalAveragePooling2D()(inside(images))))
    assert [layer.name for layer in augmentation(outer)] == ["flip"]
    assert augmentation(nested()) == []  # the dropout of its head comes later


def test_shuffled_batches_depend_on_seed_and_epoch_alone():
    copies = [(X, Y), (X + 1, Y)]

    def epoch(start, number):
        data = Shuffled(copies, 7, (3,), range(start, 6))
        rows = [data[number * data.steps + i] for i in range(data.steps)]
        return np.concatenate([x for x, _ in rows]), np.concatenate([y for _, y in rows])

    (x, y), (again, _) = epoch(0, 3), epoch(3, 0)
    assert np.array_equal(x, again) and not np.array_equal(x, X + 1)
    assert np.array_equal(np.sort(x.ravel()), np.sort((X + 1).ravel())) and len(y) == len(Y)
