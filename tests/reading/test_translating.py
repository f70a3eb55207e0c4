"""The course's own translator, and small ones that are made here."""

import io
import zipfile
from types import SimpleNamespace

from tlhelpers.models.translator import build_translator
from tlhelpers.reading import translating
from tlhelpers.reading.translating import Translator, load_translator, read_translator
from tlhelpers.reading.translator_attention import attention_between
from tlhelpers.sources.assets import fetch
from tlhelpers.sources.words import Words, learn_words

import keras
import numpy as np
import pytest

pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
WORDS = learn_words(["I like tea.", "You like the sea!"])
TEXTS = ["чай", "", "море " * 20, "🎬"]


class Letters:
    """An encoder whose pieces are letters."""

    pieces = SimpleNamespace(split=list)

    def features(self, texts, length=24):
        features, mask = (
            np.zeros((len(texts), length, 3), "float32"),
            np.zeros((len(texts), length), bool),
        )
        for row, text in enumerate(texts):
            for place, letter in enumerate(["<", *text[: length - 2], ">"]):
                features[row, place] = np.sin(ord(letter) * np.arange(1, 4))
                mask[row, place] = True
        return features, mask


@pytest.fixture(scope="module")
def small():
    keras.utils.set_random_seed(0)
    model = build_translator(3, len(WORDS), 16, 6, width=8, heads=2)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign_add(rng.normal(0, 0.5, weight.shape))
    return Translator(Letters(), model, WORDS, pieces=12, length=4)


@pytest.mark.parametrize("beam", [1, 3])
def test_every_text_has_a_translation_by_itself(small, beam, monkeypatch):
    together = small(TEXTS, beam)
    assert len(together) == 4 and together[1] == ""
    assert [small([text], beam)[0] for text in TEXTS[2:4]] == together[2:4]
    monkeypatch.setattr(translating, "_AT_ONCE", 2)
    assert small(iter(TEXTS), beam) == together and small([]) == []


def test_only_words_of_the_vocabulary_are_written(small):
    for text in small(["abc", "xyz", "любов"], beam=2):
        assert "[" not in text and WORDS.share_known([text]) in (0.0, 1.0)


def test_what_was_learnt_is_used(small):
    before, weights = small(["abc"]), small.model.get_weights()
    small.model.get_layer("embedding").embeddings.assign_add(10 * np.eye(len(WORDS), 8))
    after = small(["abc"])
    small.model.set_weights(weights)
    assert after != before == small(["abc"])


def test_attention_is_a_share_for_each_word(small):
    looks = attention_between(small, "чай")
    assert looks.pieces == ["<s>", *"чай", "</s>"] and looks.words
    assert looks.attention.shape == (len(looks.words), 5)
    np.testing.assert_allclose(looks.attention.sum(axis=1), 1, rtol=1e-5)
    ends = looks.words[-1] == "[END]"
    assert " ".join(looks.words[: -1 if ends else None]).replace(" .", ".").replace(
        " !", "!"
    ) == small(["чай"])[0]  # fmt: skip
    with pytest.raises(ValueError, match="`layer` must be one of the decoder's 2"):
        attention_between(small, "чай", layer=2)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"words": Words(["a"])}, "`words` must be the vocabulary that the model writes with"),
        ({"pieces": 17}, "`pieces` must be a whole number between 3 and 16"),
        ({"length": 7}, "`length` must be a whole number between 2 and 6"),
    ],
)
def test_parts_that_do_not_fit_are_refused(small, settings, why):
    given = {"words": WORDS, "pieces": 12, "length": 5, **settings}
    with pytest.raises(ValueError, match=why):
        Translator(Letters(), small.model, **given)
    for texts in ("чай", [None]):
        with pytest.raises(ValueError, match="`texts` must be"):
            small(texts)


def test_the_stored_translator_is_whole_and_begins_sentences_with_words():
    model, words = read_translator(fetch("translator-es-en"))
    assert len(words) == 3000 and model.count_params() == 1_311_520
    assert all(np.isfinite(weight.numpy()).all() for weight in model.weights)
    random, again = read_translator(fetch("translator-es-en"), filled=False)
    assert [*again] == [*words]
    assert not np.array_equal(random.get_layer("bridge").kernel, model.get_layer("bridge").kernel)


def test_a_name_or_a_word_for_weights_that_is_unknown_is_refused():
    with pytest.raises(ValueError, match="`name` must be one of"):
        load_translator("translator-uk-en")
    with pytest.raises(ValueError, match="`weights` must be one of"):
        load_translator(weights="imagenet")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda a: a.pop("words"), "must hold the weights of a translator"),
        (lambda a: a.pop("decoder_norm/beta"), "must hold the weights of a translator"),
        (lambda a: a.update(more=np.zeros(1)), r"\['more'\] left over"),
        (lambda a: a.update({"memory/beta": np.zeros(1)}), "other shapes"),
    ],
)
def test_an_altered_file_is_refused(tmp_path, change, why):
    with np.load(fetch("translator-es-en")) as file:
        arrays = dict(file)
    change(arrays)
    np.savez(tmp_path / "altered.npz", **arrays)
    with pytest.raises(ValueError, match=why):
        read_translator(tmp_path / "altered.npz")


def test_a_file_cut_short_is_an_error(tmp_path):
    (tmp_path / "cut.npz").write_bytes(fetch("translator-es-en").read_bytes()[:1000])
    with pytest.raises((ValueError, zipfile.BadZipFile, io.UnsupportedOperation)):
        read_translator(tmp_path / "cut.npz")
