"""Whisper out of a file of CTranslate2: the network in Keras, and the tokenizer."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from tlhelpers.sources.bert import import_keras_hub
from tlhelpers.sources.ctranslate2 import CTranslate2, refused

import keras
import numpy as np

_KIND = "WhisperSpec"
_SETTINGS = {  # how the numbers are used; any other way is another network
    "decoder/activation": 3,  # the exact GELU
    "decoder/alibi": 0,
    "decoder/pre_norm": 1,
    "decoder/scale_embeddings": 0,
    "decoder/start_from_zero_embedding": 0,
}
_UNUSED = ("decoder/alignment_heads", "decoder/alignment_layer")  # of timestamps for words
Take = Callable[..., np.ndarray]  # name, and the shape that it must have


def build_whisper(file: CTranslate2, filled: bool = True) -> keras.Model:
    """Return KerasHub's `WhisperBackbone` with the weights of a file, or with random ones.

    Raises:
        ValueError: another kind of network; weights that lack, are left over, have another shape
            or are stored in whole numbers.
    """
    if file.kind != _KIND:
        raise refused(file.path, f"a network of the kind {_KIND!r}", f"{file.kind!r}")
    left = set(file.arrays) - set(_UNUSED)

    def take(name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
        found = file.arrays.get(name)
        if found is None or (shape is not None and found.shape != tuple(shape)):
            wanted = f"numbers {name!r}" + ("" if shape is None else f" of shape {tuple(shape)}")
            raise refused(file.path, wanted, "none" if found is None else f"shape {found.shape}")
        if found.ndim and found.dtype.kind != "f":
            wanted = "weights in float32 or float16"
            raise refused(file.path, wanted, f"{name!r} in {found.dtype.name}")
        left.discard(name)
        return found.astype("float32")

    for name, wanted in _SETTINGS.items():
        if (found := take(name, ())) != wanted:
            raise refused(file.path, f"a setting {name!r} of {wanted}", f"{found:.0f}")
    backbone = _build(take, file)
    if filled:
        _fill(backbone, take, file)
        if left:
            raise refused(file.path, "the parts of a Whisper and no others", f"{sorted(left)[:3]}")
    return backbone


def read_whisper_tokenizer(path: Path, pieces: int) -> keras.layers.Layer:
    """Return KerasHub's `WhisperTokenizer` out of a `tokenizer.json` of Hugging Face.

    Args:
        path: the file.
        pieces: how many the network knows; OpenAI's networks of one language know 51,864.

    Raises:
        ValueError: no such file; one of another kind; marks of Whisper that lack.
    """
    try:
        told = json.loads(path.read_text(encoding="utf8"))
        vocabulary, merges = told["model"]["vocab"], told["model"]["merges"]
        marks = {one["content"]: one["id"] for one in told["added_tokens"]}
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
        return import_keras_hub().tokenizers.WhisperTokenizer(
            vocabulary, merges, marks, language_tokens=_languages(marks, pieces)
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            "`path` must be the tokenizer.json of a Whisper. Received: "
            f"path={str(path)!r}: {type(error).__name__}: {str(error)[:80]}. Take it from where "
            "the weights come from."
        ) from error


def _languages(marks: dict[str, int], pieces: int) -> dict[str, int] | None:
    """Return the marks of languages of a network of many, such as "<|en|>"."""
    if pieces <= 51_864:
        return None
    return {mark: number for mark, number in marks.items() if 2 <= len(mark.strip("<|>")) <= 3}


def _build(take: Take, file: CTranslate2) -> keras.Model:
    """Return the network that a file's shapes describe, with random weights."""
    names = "\n".join(file.arrays)
    layers, heads = set(), set()
    for side in ("encoder", "decoder"):
        layers.add(len(set(re.findall(rf"^{side}/layer_\d+/", names, re.MULTILINE))))
        heads.add(int(take(f"{side}/num_heads", ())))
    pieces, width = take("decoder/embeddings/weight").shape
    if len(layers) > 1 or len(heads) > 1 or min(heads) < 1 or width % min(heads):
        found = f"{layers} layers, {heads} heads, {width} wide"
        raise refused(file.path, "an encoder and a decoder of the same sizes", found)
    return import_keras_hub().models.WhisperBackbone(
        vocabulary_size=pieces,
        num_layers=layers.pop(),
        num_heads=heads.pop(),
        hidden_dim=width,
        intermediate_dim=len(take("encoder/layer_0/ffn/linear_0/bias")),
        num_mels=take("encoder/conv1/weight").shape[1],
        max_encoder_sequence_length=2 * len(take("encoder/position_encodings/encodings")),
        max_decoder_sequence_length=len(take("decoder/position_encodings/encodings")),
    )


def _fill(backbone: keras.Model, take: Take, file: CTranslate2) -> None:
    """Give a network its weights; a matrix of the file is (out, in), a kernel (in, out)."""
    convolutions = (backbone.encoder_conv_layer_1, backbone.encoder_conv_layer_2)
    for number, layer in enumerate(convolutions, 1):
        _dense(layer, take, f"encoder/conv{number}")
    embedding, both = backbone.decoder_embeddings, ("encoder", "decoder")
    tables = (backbone.encoder_position_embedding, embedding.position_embedding)
    for side, table in zip(both, tables, strict=True):
        rows = table.position_embeddings
        rows.assign(take(f"{side}/position_encodings/encodings", rows.shape))
    rows = embedding.token_embedding.embeddings
    rows.assign(take("decoder/embeddings/weight", rows.shape))
    _norm(backbone.encoder_layer_norm, take, "encoder/layer_norm")
    _norm(backbone.decoder_layer_norm, take, "decoder/layer_norm")
    for side in both:
        for number, layer in enumerate(getattr(backbone, f"{side}_transformer_layers")):
            at = f"{side}/layer_{number}"
            attention, heads = layer._self_attention_layer, f"{at}/self_attention"
            _attention(attention, take, file, heads, {"linear_0": "qkv", "linear_1": "o"})
            _norm(layer._self_attention_layer_norm, take, f"{heads}/layer_norm")
            if side == "decoder":
                attention, heads = layer._cross_attention_layer, f"{at}/attention"
                parts = {"linear_0": "q", "linear_1": "kv", "linear_2": "o"}
                _attention(attention, take, file, heads, parts)
                _norm(layer._cross_attention_layer_norm, take, f"{heads}/layer_norm")
            _dense(layer._feedforward_intermediate_dense, take, f"{at}/ffn/linear_0")
            _dense(layer._feedforward_output_dense, take, f"{at}/ffn/linear_1")
            _norm(layer._feedforward_layer_norm, take, f"{at}/ffn/layer_norm")


def _dense(layer: keras.layers.Layer, take: Take, at: str) -> None:
    layer.kernel.assign(take(f"{at}/weight", tuple(layer.kernel.shape)[::-1]).T)
    layer.bias.assign(take(f"{at}/bias", layer.bias.shape))


def _norm(layer: keras.layers.Layer, take: Take, at: str) -> None:
    layer.gamma.assign(take(f"{at}/gamma", layer.gamma.shape))
    layer.beta.assign(take(f"{at}/beta", layer.beta.shape))


def _attention(
    layer: keras.layers.Layer, take: Take, file: CTranslate2, at: str, parts: dict[str, str]
) -> None:
    """Give an attention its weights: queries, keys, values lie below each other in the file."""
    dense = {"q": layer._query_dense, "k": layer._key_dense,
             "v": layer._value_dense, "o": layer._output_dense}  # fmt: skip
    width = dense["o"].kernel.shape[-1]
    for name, letters in parts.items():
        rows = take(f"{at}/{name}/weight", (width * len(letters), width))
        biases = take(f"{at}/{name}/bias", (width * len(letters),))
        for letter, row, bias in zip(
            letters, np.split(rows, len(letters)), np.split(biases, len(letters)), strict=True
        ):
            dense[letter].kernel.assign(row.T.reshape(dense[letter].kernel.shape))
            if dense[letter].bias is not None:
                dense[letter].bias.assign(bias.reshape(dense[letter].bias.shape))
            elif bias.any():
                raise refused(file.path, "keys without a bias", f"one in {at}/{name}/bias")
