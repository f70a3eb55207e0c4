r"""What is each word? A pretrained encoder as the reader of a tagger.

words      Ada     | Lovelace smiled      each word is cut into pieces
pieces     ada     | love ##lace smiled
encoder    a vector for each piece, which has seen the whole sentence
beside it  is the word capital? a title? has it digits? is it punctuation? and its neighbours?
head       a logit for each tag; only the first piece of a word counts
"""

from collections.abc import Sequence

from tlhelpers.checks.tags import IGNORED, LETTERS, check_tag_names
from tlhelpers.checks.vocabulary import remember_vocabulary
from tlhelpers.checks.words import check_number, check_whole
from tlhelpers.models.heads import encoder_of

import keras
from keras import layers


def build_token_classifier(
    bert,
    tags: Sequence[str],
    depth: int | None = None,
    sequence_length: int | None = None,
    dropout: float = 0.2,
) -> keras.Model:
    """Build a tagger on a BERT encoder: pieces of words in, logits of tags for each of them out.

    The encoder may be uncased: capitals are lost in it, and they say much about names. So what
    the letters of a word and of two neighbours on each side say stands beside the encoder's vector.

    Args:
        bert: what `load_bert` returns; its encoder is used, not copied.
        tags: names of the tags, O and B- and I- of each kind: `data.tags`.
        depth: how many layers of the encoder are used, from the first on; None for all. The upper
            ones of a sentence encoder know less about single words, and each costs time.
        sequence_length: pieces of a sentence; None for any number (for `bucket_by_length`).
        dropout: rate in [0, 1) in front of the logits.

    Returns:
        A functional `keras.Model` over what a `WordAligner` makes: `token_ids`, what else the
        encoder reads, and `cases`, `(n, pieces, 25)`; to float32 logits `(n, pieces, tags)`. It is
        made of two models, the encoder (`find_base`) and the "head", and of Keras' own layers. So
        its file `.keras` loads with `safe_mode=True`, and where only KerasHub is installed.
        Train it with `token_loss()`: labels of -1 don't count.

    Raises:
        ValueError: something else than `load_bert` returns; tags that break the scheme, occur
            twice or lack O; a depth that the encoder doesn't have; a number out of its range.

    Example:
        >>> model = tl.build_token_classifier(bert, ["O", "B-PER", "I-PER"], depth=1)
        >>> aligner = tl.WordAligner(bert.preprocessor(8), ["O", "B-PER", "I-PER"])
        >>> model.predict(aligner([["fine", "films", "!"]]), verbose=0).shape
        (1, 8, 3)

    Reference:
        Devlin et al., "BERT", NAACL 2019, section 5.3 (the first piece of each word).
    """
    encoder, inputs = encoder_of(bert)
    tags = check_tag_names(tags)
    dropout = check_number("dropout", dropout, "[0, 1)")
    if sequence_length is not None:
        longest = getattr(encoder, "max_sequence_length", None) or 512
        cure = "Two of them are markers. Use None for any length."
        sequence_length = check_whole("sequence_length", sequence_length, 3, longest, cure)
    reader = keras.Model(encoder.input, _vectors(encoder, depth), name=encoder.name)
    remember_vocabulary(reader, getattr(bert, "tokenizer", None))
    given = {
        name: keras.Input((sequence_length,), dtype=tensor.dtype, name=name)
        for name, tensor in inputs.items()
    }
    cases = keras.Input((sequence_length, LETTERS), name="cases")
    width = reader.output.shape[-1]
    logits = _head(width, sequence_length, len(tags), dropout)([reader(given), cases])
    return keras.Model({**given, "cases": cases}, logits, name=f"{encoder.name}_tagger")


def token_loss() -> keras.losses.Loss:
    """Return the loss of a tagger: mean cross-entropy over the pieces whose label is not -1.

    Example:
        >>> float(tl.token_loss()(np.array([[1, -1]]), np.array([[[0.0, 0.0], [9.0, -9.0]]])))
        0.693...
    """
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)


def _head(width: int, length: int | None, tags: int, dropout: float) -> keras.Model:
    vectors = keras.Input((length, width), name="vectors")
    cases = keras.Input((length, LETTERS), name="letters")
    x = layers.Concatenate(name="joined")([vectors, cases])
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Dense(tags, dtype="float32", name="logits")(x)
    return keras.Model([vectors, cases], x, name="head")


def _vectors(encoder: keras.Model, depth: int | None) -> keras.KerasTensor:
    """Return the vectors of the pieces behind so many layers."""
    output = encoder.output
    output = output["sequence_output"] if isinstance(output, dict) else output
    blocks = [layer for layer in encoder.layers if layer.name.startswith("transformer_layer_")]
    if depth is None:
        return output
    if not blocks:
        raise ValueError(
            "`depth` must be None for an encoder without layers named transformer_layer_0, ... "
            f"Received: depth={depth!r}, encoder={encoder.name!r}. Leave it out for all layers."
        )
    depth = check_whole("depth", depth, 1, len(blocks), "These are the encoder's layers.")
    return output if depth == len(blocks) else blocks[depth - 1].output
