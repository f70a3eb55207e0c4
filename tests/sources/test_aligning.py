import tlhelpers as tl
from tlhelpers.sources.aligning import case_features

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import make_preprocessor

pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
TAGS = ("O", "B-FILM", "I-FILM")
WORDS = ["a", "Fine", "films", "!", "日", "xyz", "\u200b", "🎬", "FILMS"]


@pytest.fixture(scope="module")
def aligner():
    return tl.WordAligner(make_preprocessor(8), TAGS)


def test_a_word_has_its_label_on_its_first_piece(aligner):
    inputs, labels = aligner([["Fine", "films", "!"]], [["O", "B-FILM", "O"]])
    assert aligner.preprocessor.tokens(["Fine films !"])[0] == [
        "[CLS]", "fine", "film", "##s", "!", "[SEP]",
    ]  # fmt: skip
    theirs = aligner.preprocessor(["Fine films !"])
    for name, part in theirs.items():
        assert np.array_equal(part, inputs[name]) and part.dtype == inputs[name].dtype
    assert labels.tolist() == [[-1, 0, 1, -1, 0, -1, -1, -1]]
    before, own, behind = (inputs["cases"][0, :6, n : n + 5].T for n in (5, 10, 15))
    assert own[0].tolist() == [0, 1, 1, 1, 1, 0]  # the pieces of words
    assert own[2].tolist() == [0, 1, 0, 0, 0, 0]  # "Fine" is a title
    assert own[4].tolist() == [0, 0, 0, 0, 1, 0]
    assert before[2].tolist() == [0, 0, 1, 1, 0, 0]  # behind "Fine" stand two pieces of one word
    assert behind[4].tolist() == [0, 0, 1, 1, 0, 0]
    assert behind[0].tolist() == [0, 1, 1, 1, 0, 0]  # nothing stands behind "!"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_labelled_is_read_back(aligner, data):
    sentences = data.draw(st.lists(st.lists(st.sampled_from(WORDS), max_size=9), min_size=1))
    tags = [[data.draw(st.sampled_from(TAGS)) for _ in words] for words in sentences]
    inputs, labels = aligner(sentences, tags)
    assert inputs["cases"].shape == (len(sentences), 8, 25)
    read = aligner.read(np.eye(3)[np.maximum(labels, 0)], sentences)
    seen = sum(int((row >= 0).sum()) for row in labels)
    assert seen + aligner.cut(sentences) == sum(map(len, sentences))
    for row, words, true, said in zip(labels, sentences, tags, read, strict=True):
        count = int((row >= 0).sum())
        assert said == true[:count] + ["O"] * (len(words) - count)


def test_odd_words_have_a_piece_and_long_sentences_lose_their_end(aligner):
    assert aligner.pieces([["\u200b", "🎬", "日", "q" * 300]]) == [
        [["[UNK]"], ["[UNK]"], ["日"], ["[UNK]"]]
    ]
    long = [["films"] * 4]  # eight pieces, room for six
    assert aligner.cut(long) == 1
    assert aligner.read(np.eye(3)[np.ones((1, 8), int)], long) == [["B-FILM"] * 3 + ["O"]]
    tokens = aligner(long)["padding_mask"].sum()
    assert tokens == 8  # both markers are there


def test_a_word_longer_than_the_sequence_keeps_its_first_piece():
    short = tl.WordAligner(make_preprocessor(3), TAGS)  # room for one piece
    inputs, labels = short([["films"], ["films", "a"]], [["B-FILM"], ["B-FILM", "O"]])
    assert labels.tolist() == [[-1, 1, -1], [-1, 1, -1]]
    assert inputs["padding_mask"].all() and short.cut([["films", "a"]]) == 1


@pytest.mark.parametrize(
    ("word", "flags"),
    [
        ("NATO", "1000"), ("Ada", "0100"), ("mp3", "0010"), ("...", "0001"), ("ada", "0000"),
        ("U.S.", "1100"), ("日本", "0000"), ("1996-08", "0010"),
    ],
)  # fmt: skip
def test_letters_of_words(word, flags):
    assert [str(int(flag)) for flag in case_features(word)] == ["1", *flags]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  \n", []),
        ("Ada's U.S. visit, 1996-08.", ["Ada", "'s", "U.S.", "visit", ",", "1996-08", "."]),
        ("«Привет», мир!", ["«", "Привет", "»", ",", "мир", "!"]),
        ("日本 🎬", ["日本", "🎬"]),
    ],
)  # fmt: skip
def test_texts_are_cut_into_words(text, words):
    assert tl.split_words(text) == words


@pytest.mark.parametrize(
    ("sentences", "tags", "says"),
    [
        ("a film", None, "type str"),
        (["a film"], None, "sentence 0 of type str"),
        ([["a film"]], None, "without spaces"),
        ([["a", ""]], None, "not empty"),
        ([["a", None]], None, "NoneType"),
        ([["a"]], [["O", "O"]], "one tag for each word"),
        ([["a"]], [["B-PLACE"]], "among O, B-FILM, I-FILM. Received: 'B-PLACE'"),
        ([["a"]], [["U-FILM"]], "'U-FILM' at word 0 of sentence 0"),
    ],
)
def test_what_is_no_sentence_is_refused(aligner, sentences, tags, says):
    with pytest.raises(ValueError, match=says):
        aligner(sentences, tags)


def test_what_does_not_fit_is_refused(aligner):
    with pytest.raises(ValueError, match=r"shape \(1, pieces, 3\)"):
        aligner.read(np.zeros((1, 8, 2)), [["a"]])
    with pytest.raises(ValueError, match="must be a TextPreprocessor"):
        tl.WordAligner("minilm", TAGS)
