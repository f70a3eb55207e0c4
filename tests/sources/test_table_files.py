"""Tables as programs write them: encodings, separators, quotation marks, and what is refused."""

from tlhelpers.sources.table_files import read_table

import pytest

COLUMNS = {"text": "text", "label": "label"}


@pytest.fixture
def read(tmp_path):
    def read(content, columns=COLUMNS, separator=None, encoding=None):
        file = tmp_path / "t.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(file, columns, separator, encoding)

    return read


def test_a_row_has_the_line_where_it_begins(read):
    table = read('text,label\n"two\nlines",a\n\n"a ""fine"" film, 2",b\r\n"x\r\ny",a\nz, b \n')
    assert list(table.rows) == [2, 5, 6, 8]
    assert table.texts == ["two\nlines", 'a "fine" film, 2', "x\r\ny", "z"]
    assert list(table.labels) == [0, 1, 0, 1] and table.codes == {"a": 0, "b": 1}


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("given", [True, False])
def test_the_separator_is_the_one_that_makes_the_columns(read, separator, given):
    others = "".join({",", ";", "\t", "|"} - {separator})
    rows = [["id", '"label"', "text", f"other {others}"], ["1", "a", f'"x{separator}y"', others]]
    content = "\n".join(separator.join(row) for row in rows)
    table = read(content, separator=separator if given else None)
    assert table.texts == [f"x{separator}y"] and list(table.codes) == ["a"]


@pytest.mark.parametrize(
    ("written", "given"),
    [("utf-8", None), ("utf-8-sig", None), ("utf-8-sig", "utf-8"), ("utf-16", None),
     ("utf-32", None), ("cp1252", "cp1252"), ("utf-16-le", "utf-16-le"), ("utf-8", "UTF8")],
)  # fmt: skip
def test_an_encoding_is_read(read, written, given):
    table = read('"text",label\nschön für 5 €,gut\n'.encode(written), encoding=given)
    assert table.texts == ["schön für 5 €"] and list(table.codes) == ["gut"]


def test_bytes_of_another_encoding_are_told_with_their_line(read):
    told = r"line 3 of 't\.csv', which is not utf-8\. Pass encoding=\"cp1252\" \(Excel on Windows"
    with pytest.raises(ValueError, match=told):
        read(b"text,label\nx,a\nsch\xf6n,a\nx,a\n")
    with pytest.raises(ValueError, match=r'not cp1252\. Pass encoding="utf-8"'):
        read(b"text,label\n\x81,a\n", encoding="cp1252")


def test_the_line_is_exact_among_thousands(read):
    content = "text,label\n" + "schön \ufffd,b\n" * 5000
    with pytest.raises(ValueError, match=r"line 5002 of"):
        read(content.encode() + b"sch\xf6n,a\n" + b"x,a\n" * 5000)
    with pytest.raises(ValueError, match=r"line 5002 of .* is not utf-16"):
        read(content.encode("utf-16") + b"x")  # half a character at the end
    with pytest.raises(ValueError, match=r"line 5002 of .* is not utf-16"):
        read(content.encode("utf-16") + b"\x00\xd8\n\x00x\x00,\x00a\x00\n\x00")


def test_an_encoding_without_its_mark_is_told(read):
    content = "text,label\nx,a\n".encode("utf-16-le")
    with pytest.raises(ValueError, match=r'line 1 of .* a zero byte.*encoding="utf-16-le"'):
        read(content)
    with pytest.raises(ValueError, match=r"line 1 of .* is not utf-16"):
        read(content[4:], encoding="utf-16")


@pytest.mark.parametrize("name", ["utf-9", "base64", "", 8, "x\0"])
def test_an_unknown_encoding_is_refused(read, name):
    with pytest.raises(ValueError, match=r'`encoding` must be one .*encoding=.*"cp1252"'):
        read("text,label\n", encoding=name)


@pytest.mark.parametrize("separator", ["", ",,", '"', "\n", 5, "\\t"])
def test_a_separator_that_is_none_is_refused(read, separator):
    with pytest.raises(ValueError, match="`separator` must be one character"):
        read("text,label\n", separator=separator)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("Text,label", r"`text` must be a column\. Received: text='text', but .* 'Text', 'label'\. "
                       r"Did you mean 'Text'\? The first row must hold their names"),
        ("id;text;lable", "`label` must be a column.*'id', 'text', 'lable'. Did you mean 'lable'"),
        ("a fine film,good", "the columns are 'a fine film', 'good'. The first row must hold"),
        ("\n\n", "`text` must be a column"),
        ("text,label,text", "`text` must be one column.*text='text', 2 times"),
        ("x" * 200_000, "`text` must be a column"),
        (",".join(f"c{i}" for i in range(20)) , "'c7' and 12 more"),
    ],
)  # fmt: skip
def test_columns_that_are_not_there_are_refused(read, header, told):
    with pytest.raises(ValueError, match=told):
        read(f"{header}\nx,y,z\n")


def test_a_group_must_be_a_column_too(read):
    columns = {**COLUMNS, "group": "who"}
    with pytest.raises(ValueError, match=r"`group` must be a column.*group='who'"):
        read("text;label\n", columns)
    assert read("who;text;label\n Ann ;x;a\n;y;b\n", columns).groups == ["Ann", None]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("x,a\n\nx\n", "Received: 1 in line 4 of 't.csv', 3 in the first row.*quotation marks"),
        ("x,a,1,2\n", "Received: 4 in line 2 of"),
        ('x,a\n"y\n', "row in line 3 of 't.csv': unexpected end of data.*Write a mark"),
        ('"x\ny",a\n"y" z,a\n', "row in line 4 of"),
        ("x,a\n" + "x" * 200_000 + ",a\n", "row in line 3 of .*field limit"),
        ("x,a\ny\0,a\n", "line 3 of 't.csv' with a zero byte"),
    ],
)
def test_a_broken_row_is_told_with_its_line(read, rows, told):
    with pytest.raises(ValueError, match=told):
        read(f"text,label,more\n{rows}")


def test_fields_without_anything_may_be_lacking_or_too_many(read):
    assert read("text,label,more\nx,a\ny,a,,,\n").texts == ["x", "y"]


def test_what_is_no_table_is_refused(tmp_path, read):
    for name, told in ((".", "a folder"), ("nowhere.csv", "which does not exist")):
        with pytest.raises(ValueError, match=f"`path` must be a table.*{told}"):
            read_table(tmp_path / name, COLUMNS, None, None)
    contents = {
        b"": "is empty",
        b"PK\3\4...": "workbook or a zip.*Save as",
        b"\x1f\x8b\0": "Unpack",
    }
    for content, told in contents.items():
        with pytest.raises(ValueError, match=told):
            read(content)
