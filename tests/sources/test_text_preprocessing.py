"""What is handed in as text: arrays for the encoder, or a sentence that says what is wrong."""

import subprocess
import sys

from tlhelpers.sources.text_preprocessing import check_texts

import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from toys import make_preprocessor as make

keras_hub = pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")


PREPROCESSOR = make()


def test_texts_become_arrays():
    inputs = PREPROCESSOR(["Fine films", "a dull film a dull film", b"a film"])
    ids = [[2, 6, 7, 8, 3, 0], [2, 5, 9, 7, 5, 3], [2, 5, 7, 3, 0, 0]]
    np.testing.assert_array_equal(inputs["token_ids"], ids)
    np.testing.assert_array_equal(inputs["padding_mask"], np.array(ids) > 0)
    assert not inputs["segment_ids"].any()
    assert all(type(part) is np.ndarray for part in inputs.values())
    assert PREPROCESSOR.tokens(["fine films!"]) == [["[CLS]", "fine", "film", "##s", "!", "[SEP]"]]


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\x00\x07\x1b", "\u200b"])
def test_nothing_to_read_gives_the_two_markers(text):
    assert PREPROCESSOR.tokens([text]) == [["[CLS]", "[SEP]"]]


@pytest.mark.parametrize("text", ["a" * 100_000, "dull " * 20_000, "日" * 1000, "🎬🍿", "مرحبا"])
def test_odd_texts_are_cut_to_the_length(text):
    inputs = PREPROCESSOR([text])
    assert inputs["token_ids"].shape == (1, 6) and inputs["token_ids"][0, 0] == 2


def test_control_characters_are_dropped():
    odd, plain = PREPROCESSOR(["a\x00 fine\x08 fi\x7flm", "a fine film"])["token_ids"]
    np.testing.assert_array_equal(odd, plain)


@settings(max_examples=60)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_any_text_with_and_without_tensorflow_text(texts):
    """KerasHub's tokenizer in Python is what runs where TensorFlow Text has no wheel."""
    try:
        expected = PREPROCESSOR.layer(check_texts(texts))
    except ValueError as error:
        assert "UTF-8" in str(error)
        return
    for name, part in PREPROCESSOR(texts).items():
        np.testing.assert_array_equal(part, np.asarray(expected[name]))


def test_many_texts_are_tokenized_in_parts():
    texts = [f"{'fine ' * (i % 4)}film" for i in range(600)]
    counts = PREPROCESSOR(np.array(texts, object))["padding_mask"].sum(axis=1)
    assert counts.tolist() == [i % 4 + 3 for i in range(600)]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            "one text",
            r"`texts` must be a list of texts. Received: texts of type str. Wrap a single text",
        ),
        (None, "Received: texts of type NoneType"),
        (5, "Received: texts of type int"),
        ({"a": 1}, "Received: texts of type dict"),
        (
            {"a", "b"},
            r"order of their labels. Received: texts of type set, which has no order.*sorted",
        ),
        (frozenset("a"), "Received: texts of type frozenset, which has no order"),
        (np.array("x"), "Received: texts of type ndarray. Wrap a single text"),
        (
            keras.ops.convert_to_tensor("x"),
            "Received: texts of type EagerTensor. Wrap a single text",
        ),
        ([], r"at least one. Received: texts=\[\]"),
        (["a", None], r"text 1 of type NoneType, 'None'. Leave out what is missing"),
        ([1.5], r"text 0 of type float, '1.5'.*str\(\)"),
        ([["a"]], "text 0 of type list"),
        (np.array([["a"], ["b"]]), r"list of texts.*type ndarray.*x\[:, 0\]"),
        ([b"a", b"\xff\xfe"], r"UTF-8. Received: text 1 with invalid start byte.*latin-1"),
        (["\ud800"], "UTF-8. Received: text 0 with surrogates not allowed"),
    ],
)
def test_what_is_no_text_is_named(texts, message):
    with pytest.raises(ValueError, match=message):
        PREPROCESSOR(texts)


WITHOUT = """
import sys
sys.modules["tensorflow_text"] = None
sys.path.insert(0, sys.argv[1])
from toys import make_preprocessor as make
print(make()(["Fine films", ""])["token_ids"].tolist())
"""


def test_without_tensorflow_text_texts_are_tokenized_in_python(request):
    folder = request.path.parents[1]
    command = [sys.executable, "-c", WITHOUT, str(folder)]
    done = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True)
    assert done.stdout == "[[2, 6, 7, 8, 3, 0], [2, 3, 0, 0, 0, 0]]\n", done.stderr
