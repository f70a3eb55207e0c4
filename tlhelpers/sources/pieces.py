"""Texts as the numbers of their pieces: SentencePiece, for every script alike."""

from collections.abc import Iterable
from pathlib import Path

from tlhelpers.checks.words import check_texts, check_whole

import numpy as np


class Pieces:
    """Cut texts into pieces of words, and number them; "<s>" and "</s>" stand at the ends.

    A piece that the table lacks (a rare script, an emoji) is number 0, the unknown one. A text of
    spaces alone is its two ends. A text beyond the length loses its last pieces, but not its end.

    Args:
        path: a SentencePiece model.

    Raises:
        ValueError: sentencepiece is not installed; a file that is no such model.
    """

    def __init__(self, path: Path):
        try:
            import sentencepiece
        except ImportError:
            raise ValueError(
                "load_sentence_encoder needs sentencepiece. Received: no module 'sentencepiece'. "
                "Install it: pip install sentencepiece"
            ) from None
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (RuntimeError, OSError) as error:
            raise ValueError(
                f"{path.name} must be a SentencePiece model. Received: {str(error)[:80]}"
            ) from error

    def __len__(self) -> int:
        return len(self._processor)

    def __repr__(self) -> str:
        return f"Pieces({len(self):,})"

    def split(self, text: str) -> list[str]:
        """Return the pieces of a text as texts; "▁" begins a word."""
        return self._processor.encode(check_texts("texts", [text])[0], out_type=str)

    def encode(self, texts: Iterable[str], length: int = 256) -> list[list[int]]:
        """Return the numbers of the pieces of each text, both ends included.

        Args:
            texts: n texts.
            length: the most pieces of one, 3 or above.

        Raises:
            ValueError: no list of texts; a text with half a character (a lone surrogate).
        """
        length = check_whole("length", length, 3)
        texts = check_texts("texts", texts)
        rows = self._processor.encode(texts, add_bos=True, add_eos=True) if texts else []
        return [row if len(row) <= length else [*row[: length - 1], row[-1]] for row in rows]


def pad(rows: list[list[int]], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows as one array int32 `(n, length)`, and a mask that is True for real pieces.

    Example:
        >>> pad([[1, 7, 2], [1, 2]], 4)[0]
        array([[1, 7, 2, 0],
               [1, 2, 0, 0]], dtype=int32)
    """
    ids, mask = np.zeros((len(rows), length), "int32"), np.zeros((len(rows), length), bool)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
        mask[number, : len(row)] = True
    return ids, mask
