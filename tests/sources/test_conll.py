import tlhelpers as tl
from tlhelpers.sources.conll import Tagged, read_conll, write_conll

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WORD = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1)
ROW = st.lists(st.tuples(WORD, st.sampled_from(["O", "B-PER", "I-PER"])), min_size=1, max_size=5)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(ROW, min_size=1, max_size=4))
def test_what_is_written_is_read(tmp_path, rows):
    rows = [row for row in rows if row[0][0] != "-DOCSTART-"]
    if rows:
        sentences = Tagged([[w for w, _ in r] for r in rows], [[t for _, t in r] for r in rows])
        write_conll(tmp_path / "a.txt", sentences)
        assert read_conll(tmp_path / "a.txt") == sentences


def test_columns_documents_and_empty_lines(tmp_path):
    text = (
        "-DOCSTART- -X- O\n\n\nAda NNP B-PER\r\n\tsmiled VBD O \n\n-DOCSTART- -X- O\n日本\tN\tB-LOC"
    )
    (tmp_path / "a.txt").write_text(f"\ufeff{text}", encoding="utf8", newline="")
    read = read_conll(tmp_path / "a.txt")
    assert read.words == [["Ada", "smiled"], ["日本"]] and read.tags == [["B-PER", "O"], ["B-LOC"]]
    with pytest.raises(ValueError, match="something of 3 letters in line 4"):
        read_conll(tmp_path / "a.txt", column=1)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "a sentence at least"),
        (b"\n-DOCSTART- -X- O\n\n", "a sentence at least"),
        (b"Ada B-PER\nsmiled\n", "1 columns in line 2"),
        (b"Ada B-PER\nSecretword E-PER\n", "'E-PER' in line 2"),
        (b"Ada B-PER\nNobody Secretword\n", "something of 10 letters in line 2"),
        (b"Ada B-PER\ncaf\xe9 O\n", "UTF-8.*in line 2"),
    ],
)
def test_errors_name_file_and_line_and_no_word_of_the_text(tmp_path, content, says):
    (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(ValueError, match=says) as told:
        read_conll(tmp_path / "mine.txt")
    assert "mine.txt" in str(told.value) and "Secretword" not in str(told.value)


def test_no_file_and_a_folder(tmp_path):
    for path, what in ((tmp_path, "a folder"), (tmp_path / "no.txt", "does not exist")):
        with pytest.raises(ValueError, match=what):
            read_conll(path)


def test_the_example_shares_no_name_between_its_files(tmp_path):
    folder = tl.make_example("entities", tmp_path / "named", size=300)
    names = []
    for part in ("train", "valid", "test"):
        words, tags = read_conll(folder / f"{part}.txt")
        names.append({w for row in zip(words, tags, strict=True)
                      for w, t in zip(*row, strict=True) if t != "O"})  # fmt: skip
    assert all(names) and not (names[0] & names[1] | names[0] & names[2] | names[1] & names[2])
