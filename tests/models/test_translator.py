from tlhelpers.checks.vocabulary import BEGIN, PADDING, UNKNOWN
from tlhelpers.models.translator import build_translator, steps_of

import keras
import numpy as np
import pytest

pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(3, 5, 8)).astype("float32")
MASK = np.arange(5) < np.array([[5], [3], [1]])
NUMBERS = np.array([[1, 4, 5, 6], [1, 7, 7, 4], [1, 8, 4, 3]], "int32")


@pytest.fixture(scope="module")
def model():
    """A small one with weights large enough that everything matters."""
    keras.utils.set_random_seed(0)
    model = build_translator(8, 11, source_length=6, length=5, width=8, heads=2)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign_add(rng.normal(0, 0.4, weight.shape))
    return model


def logits(model, features=FEATURES, mask=MASK, numbers=NUMBERS):
    inputs = {"features": features, "padding_mask": mask, "words": numbers}
    return np.asarray(model(inputs, training=False))


def test_padding_of_the_source_changes_nothing(model):
    noise = np.where(MASK[..., None], FEATURES, 100 * RNG.normal(size=FEATURES.shape))
    np.testing.assert_allclose(logits(model, noise), logits(model), atol=1e-5)
    for row, count in enumerate(MASK.sum(axis=1)):
        short = logits(model, FEATURES[row : row + 1, :count], MASK[row : row + 1, :count],
                       NUMBERS[row : row + 1])  # fmt: skip
        np.testing.assert_allclose(short[0], logits(model)[row], atol=1e-5)


def test_words_to_come_change_nothing_and_those_before_do(model):
    before = logits(model)
    for place in range(1, 4):
        later = NUMBERS.copy()
        later[:, place:] = 9
        changed = np.abs(logits(model, numbers=later) - before).max(axis=(0, 2))
        assert changed[:place].max() < 1e-5 and changed[place:].min() > 1e-3


def test_every_real_piece_matters(model):
    for place in range(3):
        other = FEATURES.copy()
        other[1, place] += 1
        changed = np.abs(logits(model, other) - logits(model)).max(axis=(1, 2))
        assert changed[1] > 1e-3 and changed[0] == changed[2] == 0


def test_kept_keys_and_values_give_what_the_whole_sentence_gives(model):
    whole = np.asarray(keras.ops.log_softmax(logits(model)))
    step, parents = steps_of(model, FEATURES, MASK, 4)(1), None
    for place in range(4):
        odds = step(NUMBERS[:, place], parents)
        known = np.setdiff1d(np.arange(11), [PADDING, BEGIN, UNKNOWN])
        np.testing.assert_allclose(odds[:, known], whole[:, place, known], atol=1e-4)
        assert np.isneginf(odds[:, [PADDING, BEGIN, UNKNOWN]]).all()
        parents = np.arange(3)


def test_rows_go_on_from_their_parents(model):
    step = steps_of(model, FEATURES, MASK, 3)(2)
    step(np.full(6, BEGIN), None)
    step(np.array([4, 5, 4, 5, 4, 5]), np.arange(6))
    crossed = step(np.full(6, 6), np.array([1, 0, 3, 2, 5, 4]))
    straight = steps_of(model, FEATURES, MASK, 3)(2)
    straight(np.full(6, BEGIN), None)
    straight(np.array([5, 4, 5, 4, 5, 4]), np.arange(6))
    np.testing.assert_allclose(crossed, straight(np.full(6, 6), np.arange(6)), atol=1e-5)


def test_every_weight_learns(model):
    import tensorflow as tf

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    x = {"features": FEATURES, "padding_mask": MASK, "words": NUMBERS}
    with tf.GradientTape() as tape:
        lost = loss(np.roll(NUMBERS, -1, axis=1), model(x, training=False))
    weights = model.trainable_weights
    slopes = tape.gradient(lost, [weight.value for weight in weights])
    still = {w.path for w, g in zip(weights, slopes, strict=True) if np.abs(g).max() < 1e-9}
    assert all("attention/key/bias" in path for path in still)  # softmax doesn't see these


def test_a_saved_model_predicts_the_same(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(logits(loaded), logits(model))


@pytest.mark.parametrize(
    "bad",
    [{"features": 0}, {"words": 4}, {"width": 10, "heads": 4}, {"depth": 0}, {"dropout": 1},
     {"length": 1}, {"source_length": 0}, {"heads": 0}],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
        build_translator(**{"features": 8, "words": 11, **bad})


def test_more_words_than_the_model_has_places_are_refused(model):
    with pytest.raises(ValueError, match="`length` must be a whole number between 1 and 5"):
        steps_of(model, FEATURES, MASK, 6)
