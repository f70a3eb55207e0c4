"""What is handed in as text: arrays for the encoder, or a sentence that says what is wrong."""

import copy
import pickle
import subprocess
import sys
from collections import UserDict, deque

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


class Column:
    """As a column of pandas: its index begins anywhere, its values are in `__array__`."""

    ndim = 1

    def __init__(self, values, first=7):
        self.values, self.first = values, first

    def __len__(self):
        return len(self.values)

    def __getitem__(self, label):
        return self.values[label - self.first]

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, object)


class Table:
    """As a table of pandas: it is as long as its rows, and iterates over the names of columns."""

    def __init__(self, **columns):
        self.columns = list(columns)
        self.shape = len(next(iter(columns.values()))), len(columns)

    def __len__(self):
        return self.shape[0]

    def __iter__(self):
        return iter(self.columns)


TEXTS = ["a fine film", "dull"]
FORMS = {
    "tuple": tuple(TEXTS),
    "array of str": np.array(TEXTS),
    "array of objects": np.array(TEXTS, object),
    "array of bytes": np.array(TEXTS, "S"),
    "array of variable str": np.array(TEXTS, np.dtypes.StringDType()),
    "tensor": keras.ops.convert_to_tensor(TEXTS),
    "column": Column(TEXTS),
    "column of an array": np.array([TEXTS, TEXTS]).T[:, 0],
    "queue": deque(TEXTS),
    "values": dict(enumerate(TEXTS)).values(),
    "str of numpy": list(np.array(TEXTS)),
}


@pytest.mark.parametrize("form", FORMS)
def test_texts_are_read_from_every_column_in_order(form):
    assert check_texts(FORMS[form]) == TEXTS


def ragged():
    import tensorflow as tf

    return tf.ragged.constant([["a"], ["b", "c"]])


def dataset(*parts):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0]).batch(2)


ODD = {
    "a table": (lambda: Table(text=TEXTS), r"type Table.*column of texts: df\['text'\]"),
    "a wide table": (lambda: Table(a=TEXTS, b=TEXTS), r"type Table.*df\['text'\]"),
    "columns of an array": (lambda: np.array([TEXTS]), r"ndarray.*x\[:, 0\]"),
    "rows of words": (ragged, r"RaggedTensor.*x\[:, 0\]"),
    "a matrix of counts": (lambda: sparse(), r"csr_matrix.*column of texts"),
    "a generator": (lambda: (text for text in TEXTS), r"generator. Read it to its end: list\("),
    "a map": (lambda: map(str, TEXTS), r"type map. Read it to its end: list\("),
    "a mapping": (lambda: UserDict(text=TEXTS), r"UserDict. Take.*texts\['text'\]"),
    "bytes to change": (lambda: bytearray(b"ab"), r"bytearray. Wrap a single text"),
    "a dataset": (lambda: dataset(TEXTS), r"dataset.map\(preprocessor.layer\)"),
    "a symbol": (lambda: keras.Input((), dtype="string"), r"dataset.map\(preprocessor.layer\)"),
    "a hole in a column": (lambda: Column(["a", float("nan")]), "text 1 of type float, 'nan'"),
    "a masked value": (lambda: np.ma.array(TEXTS, mask=[0, 1]), "text 1 of type MaskedConstant"),
    "words": (lambda: [["a", "film"]], r"text 0 of type list.*' '.join\(words\)"),
    "rows of pairs": (lambda: [("a", "b")] * 2, r"text 0 of type tuple.*map\(list, zip"),
    "pairs in a tuple": (lambda: (("a", "b"),) * 2, r"tuple of 2.*type tuple.*map\(list, zip"),
    "three lists": (lambda: (TEXTS,) * 3, r"two lists. Received: a tuple of 3.*type list"),
    "texts and labels": (lambda: (TEXTS, [0, 1]), "second text 0 of type int"),
    "a part missing": (lambda: (TEXTS, []), r"list of second texts, at least one"),
    "uneven pairs": (lambda: (TEXTS, TEXTS[:1]), "Received: 2 first and 1 second"),
    "nothing in a tuple": (tuple, r"at least one. Received: texts=\[\]"),
}  # fmt: skip


def sparse():
    from scipy.sparse import csr_matrix

    return csr_matrix((2, 3))


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_column_is_refused_with_its_cure(odd):
    make_it, message = ODD[odd]
    with pytest.raises(ValueError, match=rf"`texts` must.*Received: .*{message}|{message}"):
        PREPROCESSOR(make_it())


def test_a_preprocessor_in_a_dataset_names_its_layer():
    with pytest.raises(ValueError, match=r"Received: texts.*dataset.map\(preprocessor.layer\)"):
        dataset(TEXTS).map(PREPROCESSOR)


def test_pairs_keep_both_texts():
    first, second = ["a fine film", "", "dull"], ["dull film film", "a", ""]
    inputs = make(8)((first, second))
    assert inputs["token_ids"].tolist() == [
        [2, 5, 6, 7, 3, 9, 7, 3],  # of three and three words, the last one is cut
        [2, 3, 5, 3, 0, 0, 0, 0],
        [2, 9, 3, 3, 0, 0, 0, 0],
    ]
    assert inputs["segment_ids"].tolist() == [
        [0, 0, 0, 0, 0, 1, 1, 1],
        [0, 0, 1, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 0, 0],
    ]
    assert np.array_equal(inputs["padding_mask"], inputs["token_ids"] > 0)
    pieces = make(8).tokens((first, np.array(second)))
    assert pieces[0] == ["[CLS]", "a", "fine", "film", "[SEP]", "dull", "film", "[SEP]"]


def test_pairs_through_the_layer_have_no_label():
    first, second, labels = TEXTS, ["film", "!"], [1, 0]
    layer, expected = PREPROCESSOR.layer, PREPROCESSOR((first, second))
    batches = dataset(first, second).map(lambda *pair: layer(pair))
    labelled, label = next(iter(dataset((first, second), labels).map(layer)))
    for found in (layer((first, second)), next(iter(batches)), labelled):
        assert set(found) == set(expected)
        for name, part in expected.items():
            np.testing.assert_array_equal(found[name], part)
    assert label.numpy().tolist() == labels


def test_many_pairs_are_tokenized_in_parts():
    first, second = ["fine film"] * 600, [f"{'a ' * (i % 3)}" for i in range(600)]
    inputs = make(12)((first, second))
    assert inputs["segment_ids"].sum(axis=1).tolist() == [i % 3 + 1 for i in range(600)]


def test_pairs_need_room_for_their_markers():
    assert make(5).tokens((["a film"], ["fine"])) == [["[CLS]", "a", "[SEP]", "fine", "[SEP]"]]
    with pytest.raises(ValueError, match=r"`sequence_length` must be 5 .*pairs.*sequence_length=4"):
        make(4)((TEXTS, TEXTS))


WORDS = st.lists(st.sampled_from(["a", "fine", "films", "dull", "!"]), max_size=14).map(" ".join)


@settings(max_examples=12)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4))
def test_any_pair_with_and_without_tensorflow_text(rows):
    first, second = map(list, zip(*rows, strict=True))
    expected = LONG.layer((first, second), None)
    for name, part in LONG((first, second)).items():
        np.testing.assert_array_equal(part, np.asarray(expected[name]))
    pieces = [len(LONG.tokenizer(a)) + len(LONG.tokenizer(b)) for a, b in rows]
    assert LONG.cut((first, second)) == pytest.approx(np.mean([n > 9 - 3 for n in pieces]))


LONG = make(9)


@settings(max_examples=12)
@given(st.lists(WORDS, min_size=1, max_size=4), st.integers(1, 7))
def test_windows_hold_all_of_each_text(texts, stride):
    inputs, owners = LONG.windows(texts, stride)
    whole = [list(LONG.tokenizer(text)) for text in texts]
    assert LONG.cut(texts) == pytest.approx(np.mean([len(row) > 7 for row in whole]))
    assert owners.tolist() == sorted(owners.tolist()) and set(owners) == set(range(len(texts)))
    plain = LONG(texts)
    assert {name: part.dtype for name, part in inputs.items()} == {
        name: part.dtype for name, part in plain.items()
    }
    for number, row in enumerate(whole):
        mine = {name: part[owners == number] for name, part in inputs.items()}
        read = [ids[mask][1:-1].tolist() for ids, mask in
                zip(mine["token_ids"], mine["padding_mask"], strict=True)]  # fmt: skip
        assert read == [row[i * stride :][:7] for i in range(len(read))]
        assert len(read) == 1 or len(row) > (len(read) - 2) * stride + 7  # none too many
        assert (len(read) - 1) * stride + 7 >= len(row)  # nor too few
        if len(read) == 1:
            assert all(np.array_equal(mine[name][0], plain[name][number]) for name in plain)


@pytest.mark.parametrize("stride", [0, 5, 1.5, None])
def test_windows_need_a_stride_within_them(stride):
    with pytest.raises(ValueError, match=r"`stride` .*between 1 and 4. Received: .*no overlap"):
        PREPROCESSOR.windows(TEXTS, stride)
    with pytest.raises(ValueError, match=r"single texts for windows. Received: pairs. Join them"):
        PREPROCESSOR.windows((TEXTS, TEXTS), 2)


@pytest.mark.parametrize("way", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_a_used_preprocessor_can_be_copied(way):
    PREPROCESSOR(TEXTS)
    again = way(PREPROCESSOR)
    for texts in (TEXTS, (TEXTS, TEXTS)):
        assert again.tokens(texts) == PREPROCESSOR.tokens(texts)
    assert "segment_ids" in again.layer((TEXTS, TEXTS))


WITHOUT = """
import sys
sys.modules["tensorflow_text"] = None
sys.path.insert(0, sys.argv[1])
from toys import make_preprocessor as make
print(make()(["Fine films", ""])["token_ids"].tolist())
print(make()((["Fine"], ["film"]))["segment_ids"].tolist())
"""


def test_without_tensorflow_text_texts_are_tokenized_in_python(request):
    folder = request.path.parents[1]
    command = [sys.executable, "-c", WITHOUT, str(folder)]
    done = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True)
    ids, pair = "[[2, 6, 7, 8, 3, 0], [2, 3, 0, 0, 0, 0]]", "[[0, 0, 0, 1, 1, 0]]"
    assert done.stdout == f"{ids}\n{pair}\n", done.stderr
