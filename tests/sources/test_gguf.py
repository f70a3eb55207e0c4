"""A GGUF file is decoded bit by bit as its format says, and refused by name where it is broken."""

import struct

from tlhelpers.sources.gguf import read_gguf

import numpy as np
import pytest
from gguf_files import setting, write_gguf
from hypothesis import given, settings
from hypothesis import strategies as st


def half(raw: bytes) -> np.float32:
    return np.float32(np.frombuffer(raw, "<f2")[0])


def slow_q4_0(block: bytes) -> list:
    scale = half(block[:2])
    nibble = lambda i: block[2 + i % 16] >> 4 * (i // 16) & 15  # noqa: E731
    return [scale * np.float32(nibble(i) - 8) for i in range(32)]


def slow_q4_1(block: bytes) -> list:
    scale, least = half(block[:2]), half(block[2:4])
    nibble = lambda i: block[4 + i % 16] >> 4 * (i // 16) & 15  # noqa: E731
    return [np.float32(scale * np.float32(nibble(i))) + least for i in range(32)]


def slow_q8_0(block: bytes) -> list:
    whole = struct.unpack("<32b", block[2:])
    return [half(block[:2]) * np.float32(number) for number in whole]


def slow_q6_k(block: bytes) -> list:
    """Follow ggml's loop over halves of 128: l, l + 32, l + 64, l + 96."""
    low, high, scales = block[:128], block[128:192], struct.unpack("<16b", block[192:208])
    scale, found = half(block[208:]), [None] * 256
    for n in (0, 1):
        for i in range(32):
            bits = high[32 * n + i]
            fours = (low[64 * n + i] & 15, low[64 * n + 32 + i] & 15,
                     low[64 * n + i] >> 4, low[64 * n + 32 + i] >> 4)  # fmt: skip
            for j, four in enumerate(fours):
                whole = (four | (bits >> 2 * j & 3) << 4) - 32
                step = scale * np.float32(scales[8 * n + i // 16 + 2 * j])
                found[128 * n + 32 * j + i] = np.float32(step) * np.float32(whole)
    return found


SLOW = {2: (18, (0,), slow_q4_0), 3: (20, (0, 2), slow_q4_1), 8: (34, (0,), slow_q8_0),
        14: (210, (208,), slow_q6_k)}  # fmt: skip


@pytest.mark.parametrize("kind", SLOW)
def test_blocks_are_decoded_bit_by_bit(kind, tmp_path):
    size, halves, slow = SLOW[kind]

    @settings(max_examples=15, deadline=None)
    @given(st.binary(min_size=2 * size, max_size=2 * size), st.floats(-4, 4, width=16))
    def check(raw, scale):
        raw = bytearray(raw)
        for block in (0, size):
            for place in halves:
                raw[block + place : block + place + 2] = np.float16(scale).tobytes()
        slowly = [w for b in (0, size) for w in slow(bytes(raw[b : b + size]))]
        shape = (2, len(slowly) // 2)
        path = write_gguf(tmp_path / "a.gguf", [], {"w": (kind, shape, bytes(raw))})
        found = read_gguf(path).read("w")
        assert found.dtype == np.float32 and found.shape == shape
        assert found.tobytes() == np.array(slowly, "f4").tobytes()

    check()


def test_whole_and_half_floats_settings_and_places(tmp_path):
    whole = np.arange(6, dtype="<f4").reshape(2, 3)
    halves = np.array([0.5, -2.0], "<f2")
    told = [("general.alignment", "u32", 64), ("name", "string", "é"), ("yes", "bool", True),
            ("words", "string", ["a", ""]), ("numbers", "i32", [-1, 2]),
            ("none", "f32", [])]  # fmt: skip
    tensors = {"a": (0, (2, 3), whole.tobytes()), "b": (1, (2,), halves.tobytes())}
    file = read_gguf(write_gguf(tmp_path / "a.gguf", told, tensors, version=2, alignment=64))
    assert file.metadata == {name: content for name, _, content in told}
    np.testing.assert_array_equal(file.read("a"), whole)
    np.testing.assert_array_equal(file.read("b", (2,)), halves)
    with pytest.raises(ValueError, match=r"a tensor 'b' of shape \(3,\).*a\.gguf.*shape \(2,\)"):
        file.read("b", (3,))
    with pytest.raises(ValueError, match=r"a tensor 'c'.*no such tensor"):
        file.read("c")
    with pytest.raises(ValueError, match="a setting 'llama'"):
        file.setting("llama")


def a_file(path):
    told = [("words", "string", ["one", "two"]), ("n", "u64", 3)]
    return write_gguf(path, told, {"w": (8, (32,), bytes(34)), "v": (0, (4,), bytes(16))})


def test_a_file_cut_anywhere_is_refused_by_name(tmp_path):
    whole = a_file(tmp_path / "whole.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"`path` must have .*cut\.gguf.*Download it again"):
            read_gguf(cut)
    cut.write_bytes(whole)
    assert set(read_gguf(cut).tensors) == {"w", "v"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"magic": b"PK\3\4"}, r"first bytes are b'GGUF'.*PK"),
        ({"version": 1}, "of version 2 or 3.*version 1"),
        ({"version": 1 << 24}, "of version 2 or 3"),  # the other order of bytes
        ({"tensors": {"w": (12, (256,), bytes(144))}}, "F32, F16, Q4_0.*'w' of type 12"),
        ({"tensors": {"w": (8, (33,), bytes(68))}}, "whole blocks of 32 for Q8_0"),
        ({"tensors": {"w": (0, (1,) * 5, bytes(4))}}, "up to 4 axes"),
    ],
)
def test_another_type_version_or_quantization_is_refused(changes, says, tmp_path):
    parts = {"settings": [], "tensors": {}, **changes}
    path = write_gguf(tmp_path / "other.gguf", **parts)
    with pytest.raises(ValueError, match=f"{says}.*|other.gguf.*{says}") as error:
        read_gguf(path)
    assert "other.gguf" in str(error.value) and "Q8_0" in str(error.value)


def test_counts_that_lie_take_no_memory(tmp_path):
    lying = setting("words", "string", ["a"])
    at = lying.index(struct.pack("<Q", 1), 13)
    lying = lying[:at] + struct.pack("<Q", 1 << 60) + lying[at + 8 :]
    path = tmp_path / "lying.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + lying)
    with pytest.raises(ValueError, match=r"a whole file.*lying\.gguf"):
        read_gguf(path)


@pytest.mark.parametrize("make", ["nothing", "folder", "empty"])
def test_what_is_no_file_is_refused(make, tmp_path):
    path = tmp_path / "no.gguf"
    if make == "folder":
        path.mkdir()
    if make == "empty":
        path.touch()
    with pytest.raises(ValueError, match=r"a GGUF file.*no\.gguf"):
        read_gguf(path)
