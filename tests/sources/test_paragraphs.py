import tlhelpers as tl

import pytest
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.lists(
    st.text("abé 語.", min_size=1).filter(str.strip),
    min_size=3,
    unique_by=lambda text: " ".join(text.split()),
)


def test_the_parts_are_apart_and_hold_all(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")

    @given(TEXT, st.integers(0, 9), st.sampled_from(["\n\n", "\r\n\r\n", "\n \t\n\n"]))
    def check(texts, seed, between):
        (folder / "a.txt").write_bytes(between.join([*texts, texts[0]]).encode())
        parts = tl.load_paragraphs(folder, seed=seed)
        every = [text for part in parts for text in part]
        assert len(every) == len(set(every))
        assert set(every) == {" ".join(text.split()) for text in texts}
        assert all(parts) or len(every) < 3
        assert parts == tl.load_paragraphs(folder, seed=seed)

    check()


def test_a_folder_is_read_at_any_depth_and_lines_are_joined(tmp_path):
    (tmp_path / "in/it").mkdir(parents=True)
    (tmp_path / "in/it/b.txt").write_text("\ufeffone\ntwo\n\nthree", encoding="utf8")
    (tmp_path / "a.txt").write_text("four\n")
    (tmp_path / "c.md").write_text("no\n")
    parts = tl.load_paragraphs(tmp_path, validation=0, test=0.3)
    assert parts.validation == [] and len(parts.test) == 1
    assert sorted(parts.train + parts.test) == ["four", "one two", "three"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "which does not exist"),
        (b"", "3 different paragraphs .*with 0"),
        (b"one\n\none\n\n\n", "with 1"),
        ("Zw\u00f6lf\n\nb".encode("cp1252"), "not UTF-8 in line 1"),
        ("eins\n\nZw\u00f6lf".encode("cp1252"), "not UTF-8 in line 3"),
        (b"PK\0\n\na\n\nb", "which is no text"),
    ],
)
def test_what_is_no_text_is_refused_by_name(content, says, tmp_path):
    if content is not None:
        (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(ValueError, match=says) as error:
        tl.load_paragraphs(tmp_path / "mine.txt")
    assert "mine.txt" in str(error.value)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a folder without a \.txt file"):
        tl.load_paragraphs(tmp_path)
