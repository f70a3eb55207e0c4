from tlhelpers.checks.vocabulary import BEGIN, END, PADDING, UNKNOWN
from tlhelpers.sources.words import Words, join_words, learn_words, split_words

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

WORDS = Words(["i", "don't", "like", "tea", ".", ","])


def test_a_sentence_comes_back():
    numbers = WORDS.encode(["I don't like tea.", "Tea, tea."], length=7)
    assert numbers.dtype == "int32" and numbers.shape == (2, 8)
    assert numbers[0].tolist() == [BEGIN, 4, 5, 6, 7, 8, END, PADDING]
    assert WORDS.decode(numbers[:, 1:]) == ["i don't like tea.", "tea, tea."]
    assert WORDS.encode(["Don\N{RIGHT SINGLE QUOTATION MARK}t"], 3)[0, 1] == 5


def test_an_unknown_word_has_its_number_and_reads_as_such():
    numbers = WORDS.encode(["I like coffee"], length=5)
    assert numbers[0, 3] == UNKNOWN and WORDS.decode(numbers) == ["i like [UNK]"]


@given(st.lists(st.sampled_from([*WORDS]), min_size=1, max_size=9))
def test_known_words_are_kept_whatever_they_are(words):
    numbers = WORDS.encode([" ".join(words)], length=10)
    assert split_words(WORDS.decode(numbers[:, 1:])[0]) == words


@given(st.text(max_size=40))
def test_any_text_is_split_and_joined_without_loss(text):
    words = split_words(text)
    assert split_words(join_words(words)) == words or "_" in text or any(
        split_words(word) != [word] for word in words
    )  # fmt: skip
    assert all(word.strip() == word and word for word in words)


@pytest.mark.parametrize(
    ("sentences", "why"),
    [
        (["tea", ""], r"1 to 4 words.*sentences\[1\]=''"),
        (["tea", " \t"], r"sentences\[1\]"),
        (["tea . tea . tea"], "with 5. Leave it out"),
        ("tea", "list of texts"),
        ([None], "must be a text"),
        (["Я люблю чай.", "Чай."], "must hold at least 50%"),
    ],
)
def test_what_does_not_fit_is_refused(sentences, why):
    with pytest.raises(ValueError, match=why):
        WORDS.encode(sentences, length=5)


def test_a_vocabulary_that_does_not_fit_may_be_asked_for():
    assert WORDS.share_known(["tea", "чай"]) == 0.5
    assert WORDS.encode(["чай"], 5, least_known=0).tolist() == [[BEGIN, UNKNOWN, END, 0, 0, 0]]
    assert WORDS.share_known([]) == 0 and WORDS.encode([], 5).shape == (0, 6)


def test_the_most_frequent_words_are_learnt():
    words = learn_words(["a b a", "c b a", "d"], size=6)
    assert [*words] == ["a", "b"] and len(words) == 6 and words[4] == "a"


@pytest.mark.parametrize("bad", [[], ["a", "a"], ["Tea"], ["two words"], [""]])
def test_words_are_each_once_and_whole(bad):
    with pytest.raises(ValueError, match="each once, in lower case"):
        Words(bad)


@pytest.mark.parametrize("bad", [[1, 2], [[10]], [[-1]], [[0.5]]])
def test_numbers_of_another_vocabulary_are_refused(bad):
    with pytest.raises(ValueError, match="rows of whole numbers"):
        WORDS.decode(np.array(bad))
