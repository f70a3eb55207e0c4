"""What a word or a number must be."""

from tlhelpers.checks.words import check_choice, check_number, check_texts, check_whole

import numpy as np
import pytest


@pytest.mark.parametrize(("borders", "says"), [((1,), "1 or above"), ((1, 3), "between 1 and 3")])
def test_whole_numbers_of_numpy_are_taken_within_borders(borders, says):
    for value in (1, 3, np.int64(2)):
        found = check_whole("epochs", value, *borders)
        assert type(found) is int and found == value
    for value in (0, True, 2.0, "2", None, float("nan")):
        with pytest.raises(ValueError, match=rf"`epochs` .*{says}\. Received: epochs=.* Take"):
            check_whole("epochs", value, *borders, cure="Take more.")


def test_a_number_lies_in_its_interval():
    assert [check_number("rate", value, "(0, 1]") for value in (np.float32(0.5), 1)] == [0.5, 1.0]
    for value in (0, 1.5, True, "1", float("nan")):
        with pytest.raises(ValueError, match=r"`rate` must be .* in \(0, 1\]\. Received: rate="):
            check_number("rate", value, "(0, 1]")


def test_a_choice_is_known_or_its_neighbours_are_named():
    assert check_choice("task", "binary", ("binary", "multiclass")) == "binary"
    with pytest.raises(ValueError, match=r"Received: task='binery'\. Did you mean 'binary'\?"):
        check_choice("task", "binery", ("binary", "multiclass"))


def test_texts_are_a_list_or_it_is_said_which_one_is_none():
    found = check_texts("found", (text for text in ("a", np.str_("b"))))
    assert found == ["a", "b"] and {type(text) for text in found} == {str}


@pytest.mark.parametrize(("texts", "says"), [
    ("ab", r"Received: found='ab'\. Put a single one in brackets"),
    (b"ab", r"Received: found=b'ab'\. Put a single one in brackets"),
    (None, "Received: found of type NoneType"),
    (["a", 3], r"Received: found\[1\]=3 of type int"),
])  # fmt: skip
def test_what_is_no_list_of_texts_is_named(texts, says):
    with pytest.raises(ValueError, match=f"`found` must be a list of texts. {says}"):
        check_texts("found", texts)
