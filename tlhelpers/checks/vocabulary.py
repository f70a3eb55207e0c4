"""Which tokenizer a text model was built for: another one of the same length means other words."""

import hashlib

import keras

_MARK = "vocabulary_sha256"
PADDING, BEGIN, END, UNKNOWN = range(4)  # the first numbers of a translator's vocabulary


def remember_vocabulary(encoder: keras.Model, tokenizer) -> None:
    """Note on an encoder which tokenizer makes its inputs; it stays in models that hold it.

    The note lasts in this process: a file of Keras does not keep it.
    """
    if hasattr(tokenizer, "get_vocabulary"):
        setattr(encoder, _MARK, _digest(tokenizer))


def check_vocabulary(model: keras.Model, tokenizer) -> None:
    """Refuse a tokenizer with other words, or in another order, than the model was built for.

    Raises:
        ValueError: it differs from the one that `remember_vocabulary` noted.
    """
    noted = {getattr(layer, _MARK, None) for layer in model._flatten_layers()} - {None}
    if noted and _digest(tokenizer) not in noted:
        raise ValueError(
            "`preprocessor` must have the tokenizer that the model was built with. Received: "
            f"{len(tokenizer.get_vocabulary()):,} words, others or in another order. Use "
            "bert.preprocessor(sequence_length) of the same bert."
        )


def _digest(tokenizer) -> str:
    settings = [getattr(tokenizer, name, None) for name in ("lowercase", "strip_accents")]
    words = "\n".join(map(str, tokenizer.get_vocabulary()))
    return hashlib.sha256(f"{settings}\n{words}".encode()).hexdigest()
