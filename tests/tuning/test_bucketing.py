"""Every text once in each epoch, in batches no longer than their longest text; seeded."""

from tlhelpers.models.heads import build_text_classifier
from tlhelpers.models.splitting import split_at
from tlhelpers.tuning.bucketing import bucket_by_length, predict_by_length
from tlhelpers.tuning.features import extract_features

import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from toys import TinyBert


def padded(lengths, width=12):
    """Number each text in its first token; the rest of its real tokens are ones."""
    mask = np.arange(width) < np.array(lengths)[:, None]
    ids = mask.astype("int32")
    ids[:, 0] = np.arange(len(lengths)) + 100
    return {"token_ids": ids, "padding_mask": mask, "segment_ids": 0 * ids}


def order(dataset):
    return [row - 100 for x, _ in dataset for row in x["token_ids"].numpy()[:, 0].tolist()]


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=40),
    st.integers(1, 9),
    st.integers(1, 10),
    st.booleans(),
)
def test_every_text_once_in_batches_of_its_kind(lengths, batch_size, buckets, shuffle):
    inputs, labels = padded(lengths), np.arange(len(lengths))
    batches = bucket_by_length(inputs, labels, batch_size, buckets, shuffle)
    seen = 0
    for x, y in batches:
        x, y = {name: part.numpy() for name, part in x.items()}, y.numpy()
        real = np.array(lengths)[y]
        assert x["token_ids"].shape == (len(y), real.max()) and len(y) <= batch_size
        for name, part in inputs.items():  # whole rows, beside their labels
            assert np.array_equal(x[name], part[y][:, : real.max()])
        seen += 1
    assert seen == int(batches.cardinality())
    assert sorted(order(batches)) == labels.tolist()


def test_padding_shrinks_with_the_number_of_buckets():
    lengths = np.random.default_rng(0).integers(2, 13, 200)

    def tokens(buckets):
        batches = bucket_by_length(padded(lengths), None, 10, buckets)
        return sum(x["token_ids"].numpy().size for x in batches)

    assert lengths.sum() <= tokens(8) < tokens(3) < tokens(1) <= 12 * 200
    assert tokens(8) < 1.2 * lengths.sum()


def test_epochs_differ_and_the_seed_tells_them():
    inputs, labels = padded(np.arange(40) % 11 + 2), np.zeros(40, int)
    first, again = (bucket_by_length(inputs, labels, 4, seed=3) for _ in range(2))
    epochs = [order(first), order(first)]
    assert epochs == [order(again), order(again)] and epochs[0] != epochs[1]
    assert order(bucket_by_length(inputs, labels, 4, seed=4)) != epochs[0]
    fixed = bucket_by_length(inputs, labels, 4, shuffle=False)
    assert order(fixed) == order(fixed)


def test_a_model_of_any_length_trains_and_predicts_as_on_padded_texts():
    keras.utils.set_random_seed(0)
    model = build_text_classifier(TinyBert(), 2, sequence_length=None)
    inputs = padded([3, 12, 5, 2, 7])
    inputs["token_ids"] %= 50
    expected = model.predict(inputs, verbose=0)
    batches = bucket_by_length(inputs, np.arange(5), 2, shuffle=False)
    for x, y in batches:
        assert np.allclose(model.predict_on_batch(x), expected[y.numpy()], atol=1e-5)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(
        bucket_by_length(inputs, np.arange(5) % 2, 2), epochs=2, shuffle=False, verbose=0
    )
    assert len(history.history["loss"]) == 2


def test_features_of_buckets_need_a_pooling():
    model = build_text_classifier(TinyBert(), 2, sequence_length=None)
    inputs = padded([3, 12, 5, 2, 7])
    inputs["token_ids"] %= 50
    batches = bucket_by_length(inputs, np.arange(5), 2)
    pooled, rows = extract_features(split_at(model, "pooling")[0], batches)
    expected = extract_features(split_at(model, "pooling")[0], inputs)
    assert np.allclose(pooled, expected[rows], atol=1e-5)
    with pytest.raises(ValueError, match=r"features of one shape.*Received.*cache_prefix=False"):
        extract_features(split_at(model, "transformer_layer_0")[0], batches)


@pytest.mark.parametrize(
    ("inputs", "labels", "settings", "message"),
    [
        (["a text"], [0], {}, "dictionary with a padding_mask"),
        ({"token_ids": np.ones((2, 3))}, [0, 1], {}, "dictionary with a padding_mask"),
        ({"padding_mask": np.array([[0, 1]])}, [0], {}, "padding in front"),
        ({**padded([2, 3]), "token_ids": np.ones((1, 12))}, [0, 1], {}, r"shapes=.*\(1, 12\)"),
        ({**padded([2, 3]), "token_ids": np.ones((2, 9))}, [0, 1], {}, r"shapes=.*\(2, 9\)"),
        (padded([2, 3]), [0], {}, "2 samples, 1 labels"),
        (padded([2, 3]), [0, 1], {"batch_size": 0}, "batch_size=0"),
        (padded([2, 3]), [0, 1], {"buckets": 1.5}, "buckets=1.5"),
        (padded([2, 3]), [0, 1], {"seed": -1}, "seed=-1"),
    ],
)
def test_bad_input(inputs, labels, settings, message):
    with pytest.raises(ValueError, match=f"Received: .*{message}|{message}.*Received"):
        bucket_by_length(inputs, labels, **settings)


def test_labels_of_tokens_are_cut_like_the_inputs():
    mask = np.arange(9) < np.array([3, 9, 5, 2])[:, None]
    inputs = {"token_ids": np.where(mask, 1, 0), "padding_mask": mask}
    labels = np.where(mask, np.arange(4)[:, None], -1)
    seen = []
    for x, y in bucket_by_length(inputs, labels, batch_size=1, buckets=4):
        assert y.shape == x["token_ids"].shape and np.array_equal(y >= 0, x["padding_mask"])
        seen += [(int(np.max(y)), y.shape[1])]
    assert sorted(seen) == [(0, 3), (1, 9), (2, 5), (3, 2)]
    with pytest.raises(ValueError, match="one for each token"):
        bucket_by_length(inputs, labels[:, :5])


def test_predictions_by_length_are_those_of_the_whole_width():
    keras.utils.set_random_seed(0)
    ids = keras.Input((None,), dtype="int32", name="token_ids")
    mask = keras.Input((None,), dtype="bool", name="padding_mask")
    x = keras.layers.Embedding(9, 4)(ids)
    model = keras.Model({"token_ids": ids, "padding_mask": mask}, {"a": x, "b": 2 * x})
    real = np.arange(10) < np.array([3, 10, 0, 6])[:, None]
    inputs = {"token_ids": np.where(real, 5, 0), "padding_mask": real}
    said, whole = predict_by_length(model, inputs, step=4), model.predict(inputs, verbose=0)
    for name in "ab":
        assert said[name].shape == (4, 10, 4)
        np.testing.assert_array_equal(said[name][real], whole[name][real])
    with pytest.raises(ValueError, match="padding_mask"):
        predict_by_length(model, inputs["token_ids"])
