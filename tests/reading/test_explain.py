"""Importance in closed form where the model is linear; attention that is the layer's own."""

from tlhelpers.models.heads import build_text_classifier
from tlhelpers.reading.explain import attention_maps, token_importance

import keras
import numpy as np
import pytest
from toys import TinyBert, make_preprocessor

keras_hub = pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")


@pytest.fixture(scope="module")
def preprocessor():
    return make_preprocessor(6)


def linear(classes):
    """Embed, add up what is real, multiply: every token's share of a logit is known."""
    keras.utils.set_random_seed(0)
    names = ("token_ids", "padding_mask", "segment_ids")
    inputs = {name: keras.Input((6,), dtype="int32", name=name) for name in names}
    vectors = keras.layers.Embedding(12, 4, name="embedding")(inputs["token_ids"])
    mask = inputs["padding_mask"] + 0 * inputs["segment_ids"]
    real = keras.ops.expand_dims(keras.ops.cast(mask, "float32"), -1)
    summed = keras.ops.sum(vectors * real, axis=1)
    return keras.Model(inputs, keras.layers.Dense(classes, name="logits")(summed))


@pytest.mark.parametrize("target", [None, 0, 2])
def test_a_linear_model_is_explained_exactly(preprocessor, target):
    model, texts = linear(3), ["a fine film", "dull films !"]
    inputs = preprocessor(texts)
    logits = model.predict(inputs, verbose=0)
    kernel = model.get_layer("logits").get_weights()[0]
    vectors = model.get_layer("embedding").get_weights()[0]
    found = token_importance(model, preprocessor, texts, target)
    for row, pieces in enumerate(found):
        wanted = logits[row].argmax() if target is None else target
        contrast = kernel[:, wanted] - np.delete(kernel, wanted, axis=1).mean(axis=1)
        expected = vectors[inputs["token_ids"][row]] @ contrast
        assert np.allclose([value for _, value in pieces], expected[: len(pieces)], atol=1e-5)
        assert pieces[0][0] == "[CLS]" and pieces[-1][0] == "[SEP]"


def test_one_logit_speaks_for_class_1_and_against_class_0(preprocessor):
    model = linear(1)
    for_1, for_0 = (token_importance(model, preprocessor, ["a fine film"], t)[0] for t in (1, 0))
    kernel = model.get_layer("logits").get_weights()[0][:, 0]
    ids = preprocessor(["a fine film"])["token_ids"][0, :5]
    expected = model.get_layer("embedding").get_weights()[0][ids] @ kernel
    assert np.allclose([value for _, value in for_1], expected, atol=1e-6)
    assert np.allclose([value for _, value in for_0], -expected, atol=1e-6)


@pytest.mark.parametrize(("loss", "target"), [("binary_crossentropy", None),
    ("binary_crossentropy", 2), ("mse", 0)])  # fmt: skip
def test_what_has_no_rivals_is_explained_alone(preprocessor, loss, target):
    """Labels that go together, and numbers: the score is the output, not a contrast."""
    model, text = linear(3), "a fine film"
    model.compile("adam", loss)
    inputs = preprocessor([text])
    wanted = model.predict(inputs, verbose=0)[0].argmax() if target is None else target
    kernel = model.get_layer("logits").get_weights()[0][:, wanted]
    expected = model.get_layer("embedding").get_weights()[0][inputs["token_ids"][0, :5]] @ kernel
    (found,) = token_importance(model, preprocessor, [text], target)
    assert np.allclose([value for _, value in found], expected, atol=1e-6)


def test_one_number_is_explained_without_a_target(preprocessor):
    model = linear(1)
    model.compile("adam", "mse")
    alone, first = (token_importance(model, preprocessor, ["a"], t) for t in (None, 0))
    assert alone == first
    with pytest.raises(ValueError, match=r"`target` .*between 0 and 0. Received: target=1"):
        token_importance(model, preprocessor, ["a"], 1)


def test_what_cannot_be_explained_says_why(preprocessor):
    numbers = linear(3)
    numbers.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"one of the 3 numbers.*Received: target=None.*target=0"):
        token_importance(numbers, preprocessor, ["a"])
    for end in (keras.layers.Softmax(), keras.layers.Activation("sigmoid")):
        model = keras.Model(numbers.input, end(numbers.output), name="sure")
        with pytest.raises(ValueError, match=r"end in logits. Received: model='sure'.*without its"):
            token_importance(model, preprocessor, ["a"])


@pytest.fixture(scope="module")
def bert():
    keras.utils.set_random_seed(0)
    return TinyBert(layers=2)


def test_importance_is_the_slope_along_the_embedding(bert, preprocessor):
    """Scaling the embedding of one word by 1 + h changes the score by h times its importance."""
    model, text = build_text_classifier(bert, 2, sequence_length=6), "a fine film"
    importance = dict(token_importance(model, preprocessor, [text], target=1)[0])["fine"]
    table, h = bert.backbone.get_layer("token_embedding").embeddings, 1e-2
    values, number = table.numpy(), preprocessor.tokenizer.token_to_id("fine")

    def score(factor):
        changed = values.copy()
        changed[number] *= factor
        table.assign(changed)
        logits = model.predict(preprocessor([text]), verbose=0)[0]
        return logits[1] - logits[0]

    try:
        slope = (score(1 + h) - score(1 - h)) / (2 * h)
    finally:
        table.assign(values)
    assert importance == pytest.approx(slope, rel=0.02, abs=1e-4)


def test_a_plain_model_on_the_encoder_is_explained_as_the_built_one(bert, preprocessor):
    """BERT as it is has two outputs; the built classifier has taken one of them alone."""
    built = build_text_classifier(bert, 2, sequence_length=6, dropout=0.0)
    arrays = {name: keras.Input((6,), dtype="int32", name=name) for name in built.input}
    tokens = bert.backbone(arrays)["sequence_output"]
    plain = keras.Model(arrays, built.get_layer("head")(tokens, mask=arrays["padding_mask"]))
    expected = token_importance(built, preprocessor, ["a fine film"])[0]
    found = token_importance(plain, preprocessor, ["a fine film"])[0]
    assert [piece for piece, _ in found] == [piece for piece, _ in expected]
    assert np.allclose([v for _, v in found], [v for _, v in expected], atol=1e-6)


def test_attention_is_what_the_layers_compute(bert, preprocessor):
    model = build_text_classifier(bert, 2, sequence_length=6)
    pieces, maps = attention_maps(model, preprocessor, "fine film")
    assert pieces == ["[CLS]", "fine", "film", "[SEP]"] and maps.shape == (2, 2, 4, 4)
    assert np.allclose(maps.sum(axis=-1), 1, atol=1e-6) and (maps > 0).all()
    again = attention_maps(bert.backbone, preprocessor, "fine film")[1]
    assert np.array_equal(maps, again)
    layer = bert.backbone.get_layer("transformer_layer_0")
    inputs = {name: part[:, :4] for name, part in preprocessor(["fine film"]).items()}
    entering = bert.backbone.get_layer("embeddings_layer_norm").output
    x = keras.Model(bert.backbone.input, entering)(inputs)
    attention = layer._self_attention_layer
    query, key = (getattr(attention, f"_{n}_dense")(x).numpy()[0] for n in ("query", "key"))
    scores = np.einsum("qhd,khd->hqk", query, key) / np.sqrt(query.shape[-1])
    expected = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    assert np.allclose(maps[0], expected, atol=1e-5)


def test_pairs_are_explained_as_they_are_read(bert):
    preprocessor = make_preprocessor(8)
    model, pair = build_text_classifier(bert, 2, sequence_length=8), ("a film", "dull")
    (importance,) = token_importance(model, preprocessor, (["a film"], ["dull"]))
    pieces, maps = attention_maps(model, preprocessor, pair)
    assert pieces == ["[CLS]", "a", "film", "[SEP]", "dull", "[SEP]"]
    assert [piece for piece, _ in importance] == pieces and maps.shape == (2, 2, 6, 6)
    alone = attention_maps(model, preprocessor, "a film")[1]
    assert not np.allclose(maps[0, :, :3, :3], alone[0, :, :3, :3], atol=1e-3)


def test_half_precision_explains_the_same(bert, preprocessor):
    plain = build_text_classifier(bert, 2, sequence_length=6)
    expected = token_importance(plain, preprocessor, ["a fine film"], 1)[0]
    expected_maps = attention_maps(plain, preprocessor, "a fine film")[1]
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = build_text_classifier(TinyBert(layers=2), 2, sequence_length=6)
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(plain.get_weights())
    found = token_importance(half, preprocessor, ["a fine film"], 1)[0]
    assert np.allclose([v for _, v in found], [v for _, v in expected], rtol=0.02, atol=2e-3)
    maps = attention_maps(half, preprocessor, "a fine film")[1]
    assert maps.dtype == "float32" and np.allclose(maps, expected_maps, atol=2e-3)


def test_bad_input(bert, preprocessor):
    model = build_text_classifier(bert, 2, sequence_length=6)
    for target in (2, -1, 0.5, True):
        with pytest.raises(ValueError, match=r"`target` must be.* 0 and 1. Received: target="):
            token_importance(model, preprocessor, ["a"], target)
    longer = build_text_classifier(bert, 2, sequence_length=8)
    with pytest.raises(ValueError, match=r"\(n, 8\).*Received: .*1, 6\)"):
        token_importance(longer, preprocessor, ["a"])
    with pytest.raises(ValueError, match="list of texts"):
        token_importance(model, preprocessor, "a")
    images = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    for helper in (token_importance, attention_maps):
        with pytest.raises(ValueError, match="Received: model='sequential"):
            helper(images, preprocessor, ["a"] if helper is token_importance else "a")
