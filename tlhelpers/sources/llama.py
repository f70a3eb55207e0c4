"""Llama's architecture out of a GGUF file: the network in Keras, and the tokenizer."""

from tlhelpers.sources.bert import import_keras_hub
from tlhelpers.sources.gguf import Gguf, refused

import keras
import numpy as np

_SPECIAL = 3  # the type of a piece that marks something, and is no text
_BEGINNINGS = ("<|endoftext|>", "<s>", "<|begin_of_text|>")  # what stood between texts in training


def build_llama(file: Gguf) -> keras.Model:
    """Return KerasHub's `Llama3CausalLM` with the weights of a file.

    Raises:
        ValueError: another architecture; tensors that lack or have other shapes.
    """
    hub = import_keras_hub()
    kind = file.setting("general.architecture")
    if kind != "llama":
        raise refused(file.path, "a network of the architecture 'llama'", f"one of {kind!r}")
    setting = lambda name, default=None: file.setting(f"llama.{name}", default)  # noqa: E731
    heads, width = setting("attention.head_count"), setting("embedding_length")
    sizes = {
        "vocabulary_size": len(file.setting("tokenizer.ggml.tokens")),
        "num_layers": setting("block_count"),
        "num_query_heads": heads,
        "num_key_value_heads": setting("attention.head_count_kv", heads),
        "hidden_dim": width,
        "intermediate_dim": setting("feed_forward_length"),
    }
    wrong = [f"{name}={size!r}" for name, size in sizes.items()
             if not isinstance(size, int) or size < 1]  # fmt: skip
    if wrong or heads % sizes["num_key_value_heads"] or width % (2 * heads):
        found = ", ".join(wrong) or f"{heads} heads, {sizes['num_key_value_heads']} of keys"
        raise refused(file.path, "sizes that fit each other", f"{found}, {width} wide")
    tied = "output.weight" not in file.tensors
    backbone = hub.models.Llama3Backbone(
        **sizes,
        rope_max_wavelength=setting("rope.freq_base", 10_000.0),
        layer_norm_epsilon=setting("attention.layer_norm_rms_epsilon"),
        tie_word_embeddings=tied,
    )
    shape = (sizes["vocabulary_size"], width)
    backbone.token_embedding.embeddings.assign(file.read("token_embd.weight", shape))
    if not tied:
        reverse = file.read("output.weight", shape).T
        backbone.token_embedding.reverse_embeddings.assign(reverse)
    backbone.layer_norm.scale.assign(file.read("output_norm.weight", (width,)))
    for number, layer in enumerate(backbone.transformer_layers):
        _fill_layer(layer, file, f"blk.{number}.", width)
    return hub.models.Llama3CausalLM(backbone=backbone, preprocessor=None)


def build_tokenizer(file: Gguf) -> tuple[keras.layers.Layer, str]:
    """Return the byte-pair tokenizer that a file describes, and the piece before each text.

    That is the mark which stood between the texts of the pretraining, if the vocabulary has one of
    the usual ones, or else the file's own.

    Raises:
        ValueError: a tokenizer of another kind; merges of pieces that the vocabulary lacks.
    """
    kind = file.setting("tokenizer.ggml.model")
    if kind != "gpt2":
        raise refused(file.path, "a byte-pair tokenizer, 'gpt2'", f"one of the kind {kind!r}")
    pieces = file.setting("tokenizer.ggml.tokens")
    types = file.setting("tokenizer.ggml.token_type", [1] * len(pieces))
    special = [piece for piece, type_ in zip(pieces, types, strict=False) if type_ == _SPECIAL]
    numbers = {piece: number for number, piece in enumerate(pieces)}
    if len(numbers) != len(pieces):
        found = f"{len(pieces):,} pieces, {len(pieces) - len(numbers):,} of them twice"
        raise refused(file.path, "a vocabulary of different pieces", found)
    begin = next((piece for piece in _BEGINNINGS if piece in numbers), None)
    if begin is None:
        number = file.setting("tokenizer.ggml.bos_token_id")
        if not 0 <= number < len(pieces):
            raise refused(file.path, "a first piece of its vocabulary", f"number {number}")
        begin = pieces[number]
    try:
        tokenizer = import_keras_hub().tokenizers.BytePairTokenizer(
            numbers, file.setting("tokenizer.ggml.merges"), unsplittable_tokens=special
        )
    except ValueError as error:  # a merge of what the vocabulary doesn't have
        raise refused(file.path, "a vocabulary that fits its merges", str(error)) from error
    return tokenizer, begin


def unrotate(rows: np.ndarray, heads: int) -> np.ndarray:
    """Return the rows of a query or key matrix as Keras' rotary embedding wants them.

    It turns number i of a head with number i + half. llama.cpp turns neighbours, and has laid the
    rows `(heads * size, width)` so: 0, half, 1, half + 1, ...  Back: the even ones, then the odd.
    """
    size, width = len(rows) // heads, rows.shape[1]
    return rows.reshape(heads, size // 2, 2, width).swapaxes(1, 2).reshape(rows.shape)


def _fill_layer(layer: keras.Layer, file: Gguf, prefix: str, width: int) -> None:
    """Give a block its weights; a matrix of the file is (out, in), a kernel of Keras (in, out)."""
    attention = layer._self_attention_layer
    for name, dense, turned in (
        ("attn_q", attention._query_dense, True),
        ("attn_k", attention._key_dense, True),
        ("attn_v", attention._value_dense, False),
    ):
        _, heads, size = dense.kernel.shape
        rows = file.read(f"{prefix}{name}.weight", (heads * size, width))
        rows = unrotate(rows, heads) if turned else rows
        dense.kernel.assign(rows.T.reshape(width, heads, size))
    output = attention._output_dense.kernel
    rows = file.read(f"{prefix}attn_output.weight", (width, width))
    output.assign(rows.T.reshape(output.shape))
    for name, dense in (
        ("ffn_up", layer._feedforward_intermediate_dense),
        ("ffn_gate", layer._feedforward_gate_dense),
        ("ffn_down", layer._feedforward_output_dense),
    ):
        dense.kernel.assign(file.read(f"{prefix}{name}.weight", dense.kernel.shape[::-1]).T)
    for name, norm in (
        ("attn_norm", layer._self_attention_layernorm),
        ("ffn_norm", layer._feedforward_layernorm),
    ):
        norm.scale.assign(file.read(f"{prefix}{name}.weight", (width,)))
