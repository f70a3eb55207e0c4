"""Small GGUF files: a writer, and a language model with random weights."""

import struct
from pathlib import Path

import numpy as np

TYPES = {"u32": 4, "i32": 5, "f32": 6, "bool": 7, "string": 8, "u64": 10}
FORMS = {"u32": "<I", "i32": "<i", "f32": "<f", "bool": "<?", "u64": "<Q"}
WIDTH, HEADS, GROUPS, INNER, LAYERS = 32, 2, 1, 64, 2


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def value(kind: str, content) -> bytes:
    return string(content) if kind == "string" else struct.pack(FORMS[kind], content)


def setting(name: str, kind: str, content) -> bytes:
    """Return a setting; a list becomes an array of its kind."""
    if isinstance(content, list):
        items = b"".join(value(kind, item) for item in content)
        head = struct.pack("<IIQ", 9, TYPES[kind], len(content))
        return string(name) + head + items
    return string(name) + struct.pack("<I", TYPES[kind]) + value(kind, content)


def write_gguf(path, settings, tensors, version=3, magic=b"GGUF", alignment=32) -> Path:
    """Write settings (name, kind, value) and tensors name -> (kind, shape, bytes)."""
    head = magic + struct.pack("<IQQ", version, len(tensors), len(settings))
    head += b"".join(setting(*each) for each in settings)
    body = b""
    for name, (kind, shape, raw) in tensors.items():
        body += b"\0" * (-len(body) % alignment)
        head += string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape[::-1])
        head += struct.pack("<IQ", kind, len(body))
        body += raw
    Path(path).write_bytes(head + b"\0" * (-len(head) % alignment) + body)
    return Path(path)


def letters() -> list[str]:
    """Return GPT-2's 256 letters, one for each byte, a, b, c first."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    known = [chr(byte) for byte in plain] + [chr(256 + n) for n in range(len(rest))]
    return sorted(known, key=lambda letter: (letter not in "abc", letter))


def random_weights(pieces: int, seed=0, scale=0.3) -> dict[str, np.ndarray]:
    """Return tensors by their names in a file, a matrix (out, in), as Keras would have them."""
    rng = np.random.default_rng(seed)
    keys = WIDTH // HEADS * GROUPS
    shapes = {"attn_q": (WIDTH, WIDTH), "attn_k": (keys, WIDTH), "attn_v": (keys, WIDTH),
              "attn_output": (WIDTH, WIDTH), "ffn_up": (INNER, WIDTH),
              "ffn_gate": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}  # fmt: skip
    weights = {"token_embd.weight": rng.normal(0, 1, (pieces, WIDTH)),
               "output_norm.weight": rng.uniform(0.5, 1.5, WIDTH)}  # fmt: skip
    for n in range(LAYERS):
        for name, shape in shapes.items():
            weights[f"blk.{n}.{name}.weight"] = rng.normal(0, scale, shape)
        for name in ("attn_norm", "ffn_norm"):
            weights[f"blk.{n}.{name}.weight"] = rng.uniform(0.5, 1.5, WIDTH)
    return {name: array.astype("f4") for name, array in weights.items()}


def rotated(rows: np.ndarray, heads: int) -> np.ndarray:
    """Lay the rows of a query or key matrix as llama.cpp does: halves become neighbours."""
    size = len(rows) // heads
    order = [h * size + half * size // 2 + i
             for h in range(heads) for i in range(size // 2) for half in (0, 1)]  # fmt: skip
    return rows[order]


def settings_of(pieces: list[str], merges: list[str], **changes) -> list[tuple]:
    found = {
        "general.architecture": ("string", "llama"),
        "general.license": ("string", "mit"),
        "llama.block_count": ("u32", LAYERS),
        "llama.context_length": ("u32", 64),
        "llama.embedding_length": ("u32", WIDTH),
        "llama.feed_forward_length": ("u32", INNER),
        "llama.attention.head_count": ("u32", HEADS),
        "llama.attention.head_count_kv": ("u32", GROUPS),
        "llama.rope.freq_base": ("f32", 100.0),
        "llama.attention.layer_norm_rms_epsilon": ("f32", 1e-5),
        "tokenizer.ggml.model": ("string", "gpt2"),
        "tokenizer.ggml.tokens": ("string", pieces),
        "tokenizer.ggml.token_type": ("i32", [3] + [1] * (len(pieces) - 1)),
        "tokenizer.ggml.merges": ("string", merges),
        "tokenizer.ggml.eos_token_id": ("u32", 0),
    }
    found |= changes
    return [(name, *each) for name, each in found.items() if each is not None]


def write_language_model(path, weights=None, seed=0, drop=(), **changes) -> Path:
    """Write a language model of 2 blocks with random weights, which knows every byte."""
    merges = ["t h", "Ġ a", "th e"]
    pieces = ["<|endoftext|>", *letters(), *(merge.replace(" ", "") for merge in merges)]
    weights = random_weights(len(pieces), seed) if weights is None else weights
    stored = {}
    for name, array in weights.items():
        if "attn_q" in name or "attn_k" in name:
            array = rotated(array, HEADS if "attn_q" in name else GROUPS)
        stored[name] = (0, array.shape, array.astype("<f4").tobytes())
    for name in drop:
        del stored[name]
    return write_gguf(path, settings_of(pieces, merges, **changes), stored)
