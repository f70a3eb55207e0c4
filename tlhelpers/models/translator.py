r"""Words from pieces: the features of a frozen encoder, and a Transformer decoder that reads them.

pieces --> frozen encoder --> features --> bridge --> memory
                                                        |  looked at in each layer
[BEGIN] i like  -------------------------> decoder --> logits of: i like tea
"""

import warnings
from collections.abc import Callable

from tlhelpers.checks.vocabulary import BEGIN, PADDING, UNKNOWN
from tlhelpers.checks.words import check_number, check_whole
from tlhelpers.models.decoding import Step

import keras
import numpy as np
from keras import layers, ops


def build_translator(
    features: int,
    words: int,
    source_length: int = 24,
    length: int = 12,
    width: int = 160,
    depth: int = 2,
    heads: int = 4,
    dropout: float = 0.1,
) -> keras.Model:
    """Build the learning half of a translator: a bridge from features to a decoder of words.

    The features come from an encoder that stays as it is, so they are computed once. The bridge
    (one dense layer, positions, a normalization) makes the memory of them. Each layer of the
    decoder looks at the words so far, then at the memory.

    Args:
        features: numbers for each piece of the source.
        words: size of the vocabulary to write with, see `learn_words`.
        source_length, length: the most pieces to read and words to write, its end included.
        width: of the memory and of the decoder, a multiple of `heads`.
        depth: layers of the decoder, at least 1.
        heads: of each attention.
        dropout: in [0, 1).

    Returns:
        A functional `keras.Model`. It reads a dictionary: "features" `(n, m, features)`,
        "padding_mask" `(n, m)`, true for real pieces, m at most `source_length`; "words"
        `(n, t)`, the words so far, which begin with 1. It gives float32 logits `(n, t, words)` of
        the next word after each. Words that come later change nothing, nor does padding of the
        source. Its layer "memory" ends the bridge.

    Raises:
        ValueError: a number out of its range; a width that the heads don't divide.

    Example:
        >>> model = build_translator(8, 20, width=16)
        >>> inputs = {"features": np.ones((1, 5, 8)), "padding_mask": np.ones((1, 5), bool)}
        >>> model.predict(inputs | {"words": np.array([[1, 7, 4]])}, verbose=0).shape
        (1, 3, 20)

    Reference:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017, figure 1 (right half); Press,
        Wolf, "Using the Output Embedding to Improve Language Models", EACL 2017 (tied weights).
    """
    with warnings.catch_warnings():  # of progress bars that a notebook could show
        warnings.filterwarnings("ignore", message="IProgress not found")
        import keras_hub

    features, words = check_whole("features", features, 1), check_whole("words", words, 5)
    source_length = check_whole("source_length", source_length, 1)
    length, depth = check_whole("length", length, 2), check_whole("depth", depth, 1)
    heads, width = check_whole("heads", heads, 1), check_whole("width", width, 1)
    dropout = check_number("dropout", dropout, "[0, 1)")
    if width % heads:
        raise ValueError(
            f"`width` must be a multiple of `heads`. Received: width={width}, heads={heads}. Try "
            f"width={heads * (width // heads + 1)}."
        )
    pieces = keras.Input((None, features), name="features")
    mask = keras.Input((None,), dtype="bool", name="padding_mask")
    written = keras.Input((None,), dtype="int32", name="words")

    memory = layers.Dense(width, name="bridge")(pieces)
    places = keras_hub.layers.PositionEmbedding(source_length, name="bridge_places")(memory)
    memory = layers.Add(name="bridge_add")([memory, places])
    memory = layers.LayerNormalization(name="memory")(memory)
    read = layers.Dropout(dropout, name="memory_dropout")(memory)

    table = layers.ReversibleEmbedding(
        words, width, name="embedding",
        embeddings_initializer=keras.initializers.RandomNormal(stddev=width**-0.5),
    )  # fmt: skip
    x = table(written)
    places = keras_hub.layers.PositionEmbedding(length, name="embedding_places")(x)
    x = layers.Add(name="embedding_add")([x, places])
    x = layers.LayerNormalization(name="embedding_norm")(x)
    x = layers.Dropout(dropout, name="embedding_dropout")(x)
    for number in range(depth):
        decoder = keras_hub.layers.TransformerDecoder(
            2 * width, heads, dropout, normalize_first=True, name=f"decoder_{number}"
        )
        x = decoder(x, read, encoder_padding_mask=mask)
    x = layers.LayerNormalization(name="decoder_norm")(x)
    logits = table(x, reverse=True)
    inputs = {"features": pieces, "padding_mask": mask, "words": written}
    return keras.Model(inputs, logits, name="translator")


def steps_of(model: keras.Model, features, padding_mask, length: int) -> Callable[[int], Step]:
    """Return what `greedy_search` and `beam_search` ask for the next words of a translator.

    The keys and values of the words before are kept, and those of the memory, so that a word costs
    one step and not a whole sentence. Padding, begin and unknown are never written.

    Args:
        model: of `build_translator`.
        features, padding_mask: `(n, m, features)` and `(n, m)`.
        length: the most words that will be written.

    Raises:
        ValueError: a length beyond the model's.

    Example:
        >>> model = build_translator(8, 20, width=16)
        >>> begin = steps_of(model, np.ones((2, 5, 8)), np.ones((2, 5), bool), length=6)
        >>> begin(1)(np.array([1, 1]), None).shape  # the first word of two sentences
        (2, 20)
    """
    table, places = model.get_layer("embedding"), model.get_layer("embedding_places")
    length = check_whole("length", length, 1, places.sequence_length)
    decoders = [layer for layer in model.layers if type(layer).__name__ == "TransformerDecoder"]
    bridge = keras.Model(model.input["features"], model.get_layer("memory").output)
    memory = bridge(ops.cast(features, "float32"), training=False)
    mask = ops.convert_to_tensor(padding_mask, "bool")

    def begin(copies: int) -> Step:
        read, seen = (ops.repeat(part, copies, axis=0) for part in (memory, mask))
        width, heads = read.shape[-1], decoders[0].num_heads
        shape = (len(read), 2, length, heads, width // heads)
        across = (len(read), 2, read.shape[1], heads, width // heads)
        kept = [(ops.zeros(shape), ops.zeros(across)) for _ in decoders]
        place = 0

        def step(last: np.ndarray, parents: np.ndarray | None) -> np.ndarray:
            nonlocal place
            x = table(ops.convert_to_tensor(last[:, None], "int32"))
            x = model.get_layer("embedding_norm")(x + places(x, start_index=place))
            for number, (decoder, (own, other)) in enumerate(zip(decoders, kept, strict=True)):
                own = own if parents is None else ops.take(own, parents, axis=0)
                x, *kept[number] = decoder(
                    x, read, encoder_padding_mask=seen, training=False,
                    self_attention_cache=own, self_attention_cache_update_index=place,
                    cross_attention_cache=other,
                    cross_attention_cache_update_index=None if place else 0,
                )  # fmt: skip
            place += 1
            x = model.get_layer("decoder_norm")(x)
            odds = ops.log_softmax(table(x, reverse=True)[:, 0])
            odds = ops.convert_to_numpy(odds).astype("float64")
            odds[:, [PADDING, BEGIN, UNKNOWN]] = -np.inf
            return odds

        return step

    return begin
