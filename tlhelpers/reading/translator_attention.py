"""Where a translator looks while it writes."""

from typing import NamedTuple

from tlhelpers.checks.vocabulary import BEGIN, END
from tlhelpers.models.decoding import greedy_search
from tlhelpers.models.translator import steps_of
from tlhelpers.reading.translating import Translator

import keras
import numpy as np
from keras import ops


class Looks(NamedTuple):
    """The pieces of a text, the words of its translation, and `attention` (words, pieces)."""

    pieces: list[str]
    words: list[str]
    attention: np.ndarray


def attention_between(translator: Translator, text: str, layer: int = -1) -> Looks:
    """Return how much each written word looked at each piece of the source.

    Args:
        translator: with an encoder that has `pieces.split`, as `load_sentence_encoder` gives it.
        text: one text, which is translated greedily.
        layer: which layer of the decoder, by its number; -1 is the last.

    Returns:
        `Looks`. A row of `attention`, the mean over the heads, sums to 1. The pieces begin with
        "<s>" and end with "</s>", the words end with "[END]".

    Raises:
        ValueError: not one text; no such layer.

    Example:
        >>> looks = attention_between(translator, "Me gusta el té.")  # doctest: +SKIP
        >>> looks.words  # doctest: +SKIP
        ['i', 'like', 'tea', '.', '[END]']

    Reference:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.2.3.
    """
    model = translator.model
    features, mask = translator.encoder.features([text], translator.pieces)
    count = int(mask.sum())
    features, mask = features[:, :count], mask[:, :count]
    numbers, _ = greedy_search(
        steps_of(model, features, mask, translator.length), 1, translator.length
    )
    written = [*numbers[0][numbers[0] > 0]]
    decoders = [part for part in model.layers if type(part).__name__ == "TransformerDecoder"]
    if not -len(decoders) <= layer < len(decoders):
        raise ValueError(
            f"`layer` must be one of the decoder's {len(decoders)}. Received: layer={layer!r}. "
            "-1 is the last."
        )
    decoder = decoders[layer]
    parts = {part.name: part for part in decoder._flatten_layers()}
    entering = keras.Model(model.input, [decoder.input[0], model.get_layer("memory").output])
    so_far = np.array([[BEGIN, *written[:-1]]], "int32")
    x, memory = entering({"features": features, "padding_mask": mask, "words": so_far})
    causal = np.tril(np.ones((1, len(written), len(written)), bool))
    normal = parts["self_attention_layer_norm"](x)
    x = x + parts["self_attention"](normal, normal, attention_mask=causal)
    _, scores = parts["cross_attention"](
        parts["cross_attention_layer_norm"](x), memory, attention_mask=mask[:, None],
        return_attention_scores=True,
    )  # fmt: skip
    pieces = ["<s>", *translator.encoder.pieces.split(text)[: count - 2], "</s>"]
    words = ["[END]" if number == END else translator.words[number] for number in written]
    return Looks(pieces, words, ops.convert_to_numpy(scores[0]).mean(axis=0))
