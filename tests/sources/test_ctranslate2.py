"""A file of CTranslate2 is read bit by bit, and refused by name where it is broken."""

from tlhelpers.sources.ctranslate2 import read_ctranslate2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some
from whisper_files import TYPES, write_ctranslate2

SHAPES = some.array_shapes(min_dims=0, max_dims=3, max_side=4)
ARRAYS = st.sampled_from([*TYPES]).flatmap(lambda kind: some.arrays(kind, SHAPES))


def test_what_was_written_is_read_bit_by_bit(tmp_path):
    @settings(max_examples=25, deadline=None)
    @given(st.dictionaries(st.text("abé/_0", min_size=1, max_size=9), ARRAYS, max_size=4))
    def check(arrays):
        path = write_ctranslate2(tmp_path / "model.bin", arrays, "AnySpec", aliases=[("b", "a")])
        file = read_ctranslate2(path)
        assert file.kind == "AnySpec"
        assert list(file.arrays) == list(arrays)
        for name, array in arrays.items():
            found = file.arrays[name]
            assert found.dtype == array.dtype and found.shape == array.shape
            assert found.tobytes() == array.tobytes()

    check()


def a_file(path):
    arrays = {"a": np.ones((2, 3), "float16"), "b/c": np.int8(7)}
    return write_ctranslate2(path, arrays, aliases=[("d", "a")])


def test_a_file_cut_anywhere_or_with_more_is_refused_by_name(tmp_path):
    whole = a_file(tmp_path / "whole.bin").read_bytes()
    cut = tmp_path / "cut.bin"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"`path` must have .*cut\.bin.*Download it again"):
            read_ctranslate2(cut)
    cut.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match=rf"of {len(whole)} bytes.*{len(whole) + 1} bytes"):
        read_ctranslate2(cut)


@pytest.mark.parametrize("version", [5, 7, 6 << 24])
def test_another_version_is_refused(version, tmp_path):
    path = write_ctranslate2(tmp_path / "other.bin", {}, version=version)
    with pytest.raises(ValueError, match=rf"of version 6.*other\.bin.*{version}"):
        read_ctranslate2(path)


@pytest.mark.parametrize(("at", "byte"), [(-11, 9), (-10, 200)])
def test_another_type_or_a_size_that_lies_is_refused(at, byte, tmp_path):
    path = write_ctranslate2(tmp_path / "odd.bin", {"a": np.zeros((), "float16")})
    raw = bytearray(path.read_bytes())
    raw[at] = byte  # behind it: four bytes of the size, two of the number, four of no alias
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"numbers in float32.*odd\.bin.*'a' of type"):
        read_ctranslate2(path)


@pytest.mark.parametrize("make", ["nothing", "folder", "empty", "another"])
def test_what_is_no_such_file_is_refused(make, tmp_path):
    path = tmp_path / "no.bin"
    if make == "folder":
        path.mkdir()
    if make == "empty":
        path.touch()
    if make == "another":
        path.write_bytes(b"PK\3\4 a wheel, say")
    with pytest.raises(ValueError, match=r"a file of CTranslate2.*no\.bin"):
        read_ctranslate2(path)
