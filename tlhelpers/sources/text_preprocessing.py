"""Texts in, the arrays that an encoder reads out."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

from tlhelpers.checks.words import check_whole

import keras
import numpy as np

_AT_ONCE = 256
_CONTROL = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127])  # not tab and line ends
_JOINED = "[a + ' ' + b for a, b in zip(first, second)]"
_PAIRS = "For pairs: first, second = map(list, zip(*texts)), then (first, second)."


class TextPreprocessor:
    """Turn texts into an encoder's inputs; what `bert.preprocessor(sequence_length)` returns.

    Texts are checked first. Control characters are dropped, as in BERT's own tokenizer. An empty
    text becomes the two markers alone. The KerasHub layer in `.layer` does the work; it also fits
    into `tf.data.Dataset.map`, as `.layer(texts, labels)`. It takes pairs of texts as
    `.layer((first, second))`, where KerasHub alone would take the second texts for labels.

    It can be copied and pickled, also after its first use.

    Args:
        layer: a KerasHub preprocessor of a text classifier.
    """

    def __init__(self, layer: keras.layers.Layer):
        layer._call_accepts_labels = False  # of one tuple; those of a second argument it does
        self.layer = layer

    def __repr__(self) -> str:
        return f"TextPreprocessor({self.sequence_length} tokens)"

    def __reduce__(self):
        return type(self), (self.layer,)  # what is traced belongs to this process

    @property
    def tokenizer(self) -> keras.layers.Layer:
        """The KerasHub tokenizer."""
        return self.layer.tokenizer

    @property
    def sequence_length(self) -> int:
        """Tokens per text, the two markers included."""
        return self.layer.sequence_length

    def __call__(self, texts: Iterable[str | bytes] | tuple) -> dict[str, np.ndarray]:
        """Return the encoder's inputs for texts, or for pairs of texts.

        Args:
            texts: a list, array or column of n texts, `str` or bytes in UTF-8. Pairs are a tuple
                of two of these, `(first, second)`, n texts each.

        Returns:
            A dictionary of arrays `(n, sequence_length)`: `token_ids` and, if the encoder reads
            them, `padding_mask` (True for a real token) and `segment_ids` (1 for a second text).
            Longer texts are cut, of a pair the longer one first; shorter ones are padded.

        Raises:
            ValueError: one text that is not in a list; no text; a set, which has no order; a table
                or a dictionary; something else than texts in the list; bytes or characters that
                are not UTF-8; pairs in another form, not as many second texts as first ones, or
                more markers between them than tokens.

        Example:
            >>> preprocessor = bert.preprocessor(sequence_length=6)
            >>> preprocessor(["a fine film"])["token_ids"]
            array([[2, 5, 6, 7, 3, 0]], dtype=int32)
            >>> preprocessor((["a film"], ["fine"]))["segment_ids"]
            array([[0, 0, 0, 0, 1, 1]], dtype=int32)
        """
        segments = _check_segments(texts)
        if len(segments) > 1:
            self._check_pairs()
        encode = self._encoders[len(segments) - 1]
        parts = [
            encode(*(segment[i : i + _AT_ONCE] for segment in segments))
            for i in range(0, len(segments[0]), _AT_ONCE)
        ]
        return {name: np.concatenate([np.asarray(p[name]) for p in parts]) for name in parts[0]}

    def tokens(self, texts: Iterable[str | bytes] | tuple) -> list[list[str]]:
        """Return the pieces that the encoder sees of each text or pair, markers included.

        Example:
            >>> bert.preprocessor(sequence_length=6).tokens(["fine films"])
            [['[CLS]', 'fine', 'film', '##s', '[SEP]']]
        """
        inputs = self(texts)
        rows = zip(inputs["token_ids"], self._real(inputs), strict=True)
        return [[self.tokenizer.id_to_token(int(i)) for i in ids[real]] for ids, real in rows]

    def cut(self, texts: Iterable[str | bytes] | tuple) -> float:
        """Return the share of texts or pairs, 0..1, of which the encoder doesn't see the end.

        Example:
            >>> bert.preprocessor(sequence_length=6).cut(["a fine film", "a fine , fine film !"])
            0.5
        """
        inputs = self._longer(texts)
        return float(self._real(inputs)[:, -1].mean())

    def windows(
        self, texts: Iterable[str | bytes], stride: int
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the encoder's inputs for all of each text, in windows that may overlap.

        Args:
            texts: n texts, of any length.
            stride: how many tokens further the next window begins; `sequence_length` without its
                two markers is the most, and leaves no overlap.

        Returns:
            The inputs of m windows, arrays `(m, sequence_length)`, and the number of the text that
            each belongs to, `(m,)`, from 0 and in order. A text that fits is one window, the same
            as without windows. To score a text, take the mean over its windows.

        Raises:
            ValueError: what is refused as texts; pairs; a stride out of its range.

        Example:
            >>> inputs, owner = bert.preprocessor(6).windows(["a fine , fine film !"], stride=4)
            >>> owner, inputs["token_ids"].shape
            (array([0, 0]), (2, 6))
        """
        plain, *second = _check_segments(texts)
        if second:
            raise ValueError(
                "`texts` must be single texts for windows. Received: pairs. Join them: "
                f"{_JOINED}, or let preprocessor(pairs) cut the longer one."
            )
        one = self([""])
        room = self.sequence_length - int(self._real(one).sum())
        stride = check_whole("stride", stride, 1, room, f"{room} leaves no overlap.")
        rows = [list(row) for i in range(0, len(plain), _AT_ONCE)
                for row in self.tokenizer(plain[i : i + _AT_ONCE])]  # fmt: skip
        counts = [1 + -(-max(len(row) - room, 0) // stride) for row in rows]
        owners = np.repeat(np.arange(len(rows)), counts)
        starts = [i * stride for count in counts for i in range(count)]
        parts = [rows[n][i : i + room] for n, i in zip(owners, starts, strict=True)]
        packed = self.layer.packer(parts)  # one segment for each
        ids, segments = packed if isinstance(packed, tuple) else (packed, None)
        ids = np.asarray(ids)
        made = {"token_ids": ids, "padding_mask": ids != self.tokenizer.pad_token_id,
                "segment_ids": segments}  # fmt: skip
        inputs = {name: np.asarray(made[name]).astype(part.dtype) for name, part in one.items()}
        return inputs, owners

    def _check_pairs(self) -> None:
        """Refuse pairs where the encoder has no mark between two texts, or no room behind it."""
        self._encoders[0]([""])  # builds the packer
        packer = self.layer.packer
        marks = [getattr(packer, f"{name}_value", None) for name in ("start", "sep", "end")]
        lengths = [len(mark) for mark in marks if mark is not None]
        if len(lengths) < len(marks):
            raise ValueError(
                f"`texts` must be single texts for {type(self.layer).__name__}. Received: pairs. "
                f"Join them: {_JOINED}."
            )
        if (least := sum(lengths) + 2) > self.sequence_length:
            raise ValueError(
                f"`sequence_length` must be {least} or above for pairs. Received: sequence_length="
                f"{self.sequence_length}. Make a preprocessor for more tokens."
            )

    def _real(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return what the padding mask is, also of inputs that have none."""
        mask = inputs.get("padding_mask")
        ids = inputs["token_ids"]
        return ids != self.tokenizer.pad_token_id if mask is None else mask.astype(bool)

    @cached_property
    def _longer(self) -> "TextPreprocessor":
        """The same for one token more: where that is a real one, a text is cut."""
        settings = {**self.layer.get_config(), "tokenizer": self.tokenizer}
        settings["sequence_length"] = self.sequence_length + 1
        return TextPreprocessor(type(self.layer).from_config(settings))

    @cached_property
    def _encoders(self) -> tuple[Callable, Callable]:
        """The layer, for texts and for pairs of them."""
        return self._encoder(1), self._encoder(2)

    def _encoder(self, segments: int) -> Callable:
        """Trace the layer for TensorFlow Text; where that is not installed it runs as it is."""

        def encode(*texts):
            return self.layer(texts if len(texts) > 1 else texts[0], None)

        try:
            import tensorflow_text  # noqa: F401  (some systems have no wheel of it)
        except ImportError:
            return encode
        import tensorflow as tf

        traced = tf.function(encode, input_signature=[tf.TensorSpec([None], tf.string)] * segments)
        return lambda *texts: traced(*map(tf.constant, texts))


def _check_segments(texts) -> tuple[list[str], ...]:
    """Return the texts, or for pairs first and second ones, each as `check_texts` returns them."""
    parts = texts if isinstance(texts, tuple) and texts and all(map(_is_many, texts)) else ()
    if not parts:
        return (check_texts(texts),)
    if len(parts) != 2 or any(isinstance(part, tuple) for part in parts):
        raise ValueError(
            "`texts` must be a list of texts, or for pairs a tuple of two lists. Received: a tuple "
            f"of {len(parts)}, the first of type {type(parts[0]).__name__}. {_PAIRS}"
        )
    first, second = check_texts(parts[0], "first "), check_texts(parts[1], "second ")
    if len(first) != len(second):
        raise ValueError(
            "`texts` must be as many second texts as first ones. Received: "
            f"{len(first)} first and {len(second)} second. Give each text its partner."
        )
    return first, second


def _is_many(part) -> bool:
    return hasattr(part, "__len__") and not isinstance(part, str | bytes)


def check_texts(texts: Iterable[str | bytes], which: str = "") -> list[str]:
    """Return texts as a list of `str` without control characters, or say what is wrong.

    Raises:
        ValueError: see `TextPreprocessor.__call__`; `which` says in an error which texts they are.

    Example:
        >>> check_texts(["a film", b"in bytes"])
        ['a film', 'in bytes']
    """
    required, kind = f"`texts` must be a list of {which}texts", type(texts).__name__
    if isinstance(texts, set | frozenset):
        received = f"Received: texts of type {kind}, which has no order. Use sorted(texts)."
        raise ValueError(f"{required}, in the order of their labels. {received}")
    if cure := _how_to_list(texts):
        raise ValueError(f"{required}. Received: texts of type {kind}. {cure}")
    given = list(texts if isinstance(texts, np.ndarray) else _as_array(texts))
    if not given:
        raise ValueError(f"{required}, at least one. Received: texts=[]. Add one.")
    return [_check_text(f"{which}text {number}", text) for number, text in enumerate(given)]


def _how_to_list(texts) -> str:
    """Return the cure for what is no list, array or column of texts; nothing if it is one."""
    unread = keras.ops.is_tensor(texts) and not hasattr(texts, "numpy")  # in a traced function
    if unread or isinstance(texts, keras.KerasTensor) or hasattr(texts, "element_spec"):
        return "In a dataset use its layer: dataset.map(preprocessor.layer)."
    if isinstance(texts, Mapping):
        return "Take the texts out of it by their name: texts['text']."
    shape = getattr(texts, "shape", None)
    dimensions = getattr(_as_array(texts), "ndim", 1) if shape is None else len(shape)
    if dimensions > 1 or hasattr(texts, "columns"):
        return "Take its column of texts: df['text'] of a table, x[:, 0] of an array."
    if hasattr(texts, "__iter__") and not hasattr(texts, "__len__"):
        return "Read it to its end: list(texts)."
    single = isinstance(texts, str | bytes | bytearray) or not hasattr(texts, "__len__")
    return "Wrap a single text: [text]." if single or dimensions == 0 else ""


def _as_array(texts):
    """Return a column or a tensor as an array of its values; a list as it is."""
    return np.asarray(texts) if hasattr(texts, "__array__") else texts


def _check_text(name: str, text) -> str:
    if not isinstance(text, str | bytes):
        cure = "Leave out what is missing; turn numbers into text with str()."
        if isinstance(text, list | tuple):
            cure = f"Join words: ' '.join(words). {_PAIRS}"
        raise ValueError(
            f"`texts` must hold str. Received: {name} of type {type(text).__name__}, "
            f"{str(text)[:20]!r}. {cure}"
        )
    try:
        encoded = text.encode() if isinstance(text, str) else text
        return encoded.decode().translate(_CONTROL)
    except (UnicodeEncodeError, UnicodeDecodeError) as error:
        cure = "Decode it with its own encoding, bytes.decode('latin-1')."
        if isinstance(text, str):
            cure = "Replace what is broken, text.encode('utf8', 'replace').decode()."
        received = f"Received: {name} with {error.reason}"
        raise ValueError(f"`texts` must be UTF-8. {received}. {cure}") from None
