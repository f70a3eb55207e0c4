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
