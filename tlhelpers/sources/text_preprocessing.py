"""Texts in, the arrays that an encoder reads out."""

from collections.abc import Callable, Iterable
from functools import cached_property

import keras
import numpy as np

_AT_ONCE = 256
_CONTROL = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127])  # not tab and line ends


class TextPreprocessor:
    """Turn texts into an encoder's inputs; what `bert.preprocessor(sequence_length)` returns.

    Texts are checked first. Control characters are dropped, as in BERT's own tokenizer. An empty
    text becomes the two markers alone. The KerasHub layer in `.layer` does the work; it also fits
    into `tf.data.Dataset.map` and takes pairs of texts.

    Args:
        layer: a KerasHub preprocessor of a text classifier.
    """

    def __init__(self, layer: keras.layers.Layer):
        self.layer = layer

    def __repr__(self) -> str:
        return f"TextPreprocessor({self.sequence_length} tokens)"

    @property
    def tokenizer(self) -> keras.layers.Layer:
        """The KerasHub tokenizer."""
        return self.layer.tokenizer

    @property
    def sequence_length(self) -> int:
        """Tokens per text, the two markers included."""
        return self.layer.sequence_length

    def __call__(self, texts: Iterable[str | bytes]) -> dict[str, np.ndarray]:
        """Return the encoder's inputs for texts.

        Args:
            texts: a list or array of n texts, `str` or bytes in UTF-8.

        Returns:
            A dictionary of arrays `(n, sequence_length)`: `token_ids`, `padding_mask` (True for a
            real token) and, for BERT, `segment_ids`. Longer texts are cut, shorter ones padded.

        Raises:
            ValueError: one text that is not in a list; no text; a set, which has no order;
                something else than texts in the list; bytes or characters that are not UTF-8.

        Example:
            >>> preprocessor = bert.preprocessor(sequence_length=6)
            >>> preprocessor(["a fine film"])["token_ids"]
            array([[2, 5, 6, 7, 3, 0]], dtype=int32)
        """
        plain = check_texts(texts)
        parts = [self._encode(plain[i : i + _AT_ONCE]) for i in range(0, len(plain), _AT_ONCE)]
        return {name: np.concatenate([np.asarray(p[name]) for p in parts]) for name in parts[0]}

    def tokens(self, texts: Iterable[str | bytes]) -> list[list[str]]:
        """Return the pieces that the encoder sees of each text, markers included.

        Example:
            >>> bert.preprocessor(sequence_length=6).tokens(["fine films"])
            [['[CLS]', 'fine', 'film', '##s', '[SEP]']]
        """
        inputs = self(texts)
        rows = zip(inputs["token_ids"], inputs["padding_mask"].astype(bool), strict=True)
        return [[self.tokenizer.id_to_token(int(i)) for i in ids[real]] for ids, real in rows]

    @cached_property
    def _encode(self) -> Callable:
        """The layer, traced once for TensorFlow Text, or as it is where that is not installed."""
        try:
            import tensorflow_text  # noqa: F401  (some systems have no wheel of it)
        except ImportError:
            return self.layer
        import tensorflow as tf

        traced = tf.function(self.layer, input_signature=[tf.TensorSpec([None], tf.string)])
        return lambda texts: traced(tf.constant(texts))


def check_texts(texts: Iterable[str | bytes]) -> list[str]:
    """Return texts as a list of `str` without control characters, or say what is wrong.

    Raises:
        ValueError: see `TextPreprocessor.__call__`.

    Example:
        >>> check_texts(["a film", b"in bytes"])
        ['a film', 'in bytes']
    """
    required, kind = "`texts` must be a list of texts", type(texts).__name__
    if isinstance(texts, set | frozenset):
        received = f"Received: texts of type {kind}, which has no order. Use sorted(texts)."
        raise ValueError(f"{required}, in the order of their labels. {received}")
    single = getattr(texts, "ndim", 1) == 0  # an array or a tensor around one text
    if isinstance(texts, str | bytes | dict) or not hasattr(texts, "__len__") or single:
        raise ValueError(f"{required}. Received: texts of type {kind}. Wrap a single text: [text].")
    given = list(np.asarray(texts) if keras.ops.is_tensor(texts) else texts)
    if not given:
        raise ValueError(f"{required}, at least one. Received: texts=[]. Add one.")
    return [_check_text(number, text) for number, text in enumerate(given)]


def _check_text(number: int, text) -> str:
    if not isinstance(text, str | bytes):
        raise ValueError(
            f"`texts` must hold str. Received: text {number} of type {type(text).__name__}, "
            f"{str(text)[:20]!r}. Leave out what is missing; turn numbers into text with str()."
        )
    try:
        encoded = text.encode() if isinstance(text, str) else text
        return encoded.decode().translate(_CONTROL)
    except (UnicodeEncodeError, UnicodeDecodeError) as error:
        cure = "Decode it with its own encoding, bytes.decode('latin-1')."
        if isinstance(text, str):
            cure = "Replace what is broken, text.encode('utf8', 'replace').decode()."
        received = f"Received: text {number} with {error.reason}"
        raise ValueError(f"`texts` must be UTF-8. {received}. {cure}") from None
