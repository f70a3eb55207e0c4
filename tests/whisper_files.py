"""Small files of CTranslate2: a writer, and a Whisper with random weights that knows every byte."""

import json
import struct
from pathlib import Path

import numpy as np
from gguf_files import letters

TYPES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
MARKS = ("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>",
         "<|notimestamps|>")  # fmt: skip
MERGES = ["t h", "Ġ a", "th e"]
PIECES = [*letters(), *(merge.replace(" ", "") for merge in MERGES), *MARKS]
SIZES = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 24, "num_mels": 80,
         "max_encoder_sequence_length": 200, "max_decoder_sequence_length": 110}  # fmt: skip


def word(text: str) -> bytes:
    return struct.pack("<H", len(text.encode()) + 1) + text.encode() + b"\0"


def write_ctranslate2(path, arrays, kind="WhisperSpec", version=6, aliases=()) -> Path:
    """Write arrays by their names, each in its own type; a type number may stand in for one."""
    raw = struct.pack("<I", version) + word(kind) + struct.pack("<II", 3, len(arrays))
    for name, array in arrays.items():
        array = np.asarray(array)
        raw += word(name) + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        raw += struct.pack("<BI", TYPES[array.dtype.name], array.nbytes) + array.tobytes()
    raw += struct.pack("<I", len(aliases)) + b"".join(word(a) + word(b) for a, b in aliases)
    Path(path).write_bytes(raw)
    return Path(path)


def build(seed=0, **sizes):
    """Return KerasHub's network with weights that no initializer draws: biases, norms, all."""
    import keras_hub

    sizes = {"vocabulary_size": len(PIECES), **SIZES, **sizes}
    model, rng = keras_hub.models.WhisperBackbone(**sizes), np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.3, weight.shape) + (weight.path.endswith("gamma")))
    return model


def arrays_of(model, kind="float16") -> dict[str, np.ndarray]:
    """Return a network's arrays as CTranslate2 names and lays them: (out, in), queries first."""
    found = {}
    width = model.hidden_dim

    def add(name, array):
        found[name] = np.ascontiguousarray(array).astype(kind)

    def dense(name, layer):
        add(f"{name}/weight", layer.kernel.numpy().T)
        add(f"{name}/bias", layer.bias.numpy())

    def norm(name, layer):
        add(f"{name}/gamma", layer.gamma.numpy())
        add(f"{name}/beta", layer.beta.numpy())

    def side_by_side(name, layers):
        kernels = [one.kernel.numpy().reshape(-1, width) for one in layers]
        add(f"{name}/weight", np.concatenate([one.T for one in kernels]))
        none = np.zeros(width)
        biases = [none if one.bias is None else one.bias.numpy().ravel() for one in layers]
        add(f"{name}/bias", np.concatenate(biases))

    dense("encoder/conv1", model.encoder_conv_layer_1)
    dense("encoder/conv2", model.encoder_conv_layer_2)
    positions = model.encoder_position_embedding.position_embeddings.numpy()
    add("encoder/position_encodings/encodings", positions)
    table = model.decoder_embeddings
    add(
        "decoder/position_encodings/encodings", table.position_embedding.position_embeddings.numpy()
    )
    add("decoder/embeddings/weight", table.token_embedding.embeddings.numpy())
    norm("encoder/layer_norm", model.encoder_layer_norm)
    norm("decoder/layer_norm", model.decoder_layer_norm)
    for side in ("encoder", "decoder"):
        for n, layer in enumerate(getattr(model, f"{side}_transformer_layers")):
            at, own = f"{side}/layer_{n}", layer._self_attention_layer
            side_by_side(f"{at}/self_attention/linear_0",
                         [own._query_dense, own._key_dense, own._value_dense])  # fmt: skip
            side_by_side(f"{at}/self_attention/linear_1", [own._output_dense])
            norm(f"{at}/self_attention/layer_norm", layer._self_attention_layer_norm)
            if side == "decoder":
                other = layer._cross_attention_layer
                side_by_side(f"{at}/attention/linear_0", [other._query_dense])
                parts = [other._key_dense, other._value_dense]
                side_by_side(f"{at}/attention/linear_1", parts)
                side_by_side(f"{at}/attention/linear_2", [other._output_dense])
                norm(f"{at}/attention/layer_norm", layer._cross_attention_layer_norm)
            dense(f"{at}/ffn/linear_0", layer._feedforward_intermediate_dense)
            dense(f"{at}/ffn/linear_1", layer._feedforward_output_dense)
            norm(f"{at}/ffn/layer_norm", layer._feedforward_layer_norm)
    for side in ("encoder", "decoder"):
        found[f"{side}/num_heads"] = np.int16(model.num_heads)
    settings = {"activation": 3, "alibi": 0, "pre_norm": 1, "scale_embeddings": 0,
                "start_from_zero_embedding": 0}  # fmt: skip
    found |= {f"decoder/{name}": np.int8(value) for name, value in settings.items()}
    found |= {"decoder/alignment_heads": np.int16(1), "decoder/alignment_layer": np.int16(-1)}
    return found


def write_tokenizer(path, pairs=False, **changes) -> None:
    """Write a `tokenizer.json`; newer ones hold merges as pairs."""
    vocabulary = {piece: n for n, piece in enumerate(PIECES) if piece not in MARKS[1:]}
    told = {
        "added_tokens": [{"content": mark, "id": PIECES.index(mark)} for mark in MARKS],
        "model": {"vocab": vocabulary,
                  "merges": [merge.split(" ") for merge in MERGES] if pairs else MERGES},
    }  # fmt: skip
    Path(path).write_text(json.dumps(told | changes), encoding="utf8")


def write_recognizer(folder, model=None, kind="float16", **changes) -> Path:
    """Write a recognizer's two files; `changes` are other arrays, None for one that lacks."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    arrays = arrays_of(model or build(), kind) | changes
    arrays = {name: array for name, array in arrays.items() if array is not None}
    write_ctranslate2(folder / "model.bin", arrays)
    write_tokenizer(folder / "tokenizer.json")
    return folder
