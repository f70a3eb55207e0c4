from tlhelpers.sources.pair_files import load_pairs_file

import pytest


@pytest.fixture
def write(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "pairs.tsv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_pairs_are_read(write, end, encoding):
    lines = ["I like tea.\tЯ люблю чай.", "你好吗 \t ¿Cómo estás?\tCC BY, its author"]
    pairs = load_pairs_file(write(end.join([*lines, ""]), encoding))
    assert pairs.english == ["I like tea.", "你好吗"]
    assert pairs.other == ["Я люблю чай.", "¿Cómo estás?"]
    assert load_pairs_file(write(end.join(lines), encoding)) == pairs  # without a last end


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no line at all"),
        ("a\tb\n\nc\td\n", "line 2: empty"),
        ("a\tb\nc d\n", "line 2: no tab in 'c d'"),
        ("a\t\n", "line 1: a side without a word"),
        ("...\n", "line 1: no tab"),
        ("a b c d e\tb\n", "line 1: 5 words, more than 4, in 'a b c d e'"),
        ("a\tb\nx\ty\na\tb\n", "line 3: the same pair as in line 1"),
        ("\n" * 9 + "a\tb", "line 5: empty; and 4 more"),
    ],
)
def test_a_bad_line_is_named(write, text, why):
    with pytest.raises(ValueError, match=r"pairs\.tsv must have") as error:
        load_pairs_file(write(text), most_words=4)
    assert why in str(error.value)


def test_a_file_that_is_no_text_is_named(write, tmp_path):
    with pytest.raises(ValueError, match="not UTF-8"):
        load_pairs_file(write("a\tя", "cp1251"))
    with pytest.raises(ValueError, match=r"'none\.tsv': No such file"):
        load_pairs_file(tmp_path / "none.tsv")
