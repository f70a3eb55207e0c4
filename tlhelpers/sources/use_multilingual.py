"""Universal Sentence Encoder, multilingual: a network of n-grams, no Transformer.

pieces 7 12 90 --> table of 512 ----------------------------+
                     |-> 2 neighbours, twice -> 256 --------+--> normalize --> sum / sqrt(count)
                     |-> 3 neighbours, twice -> 256 --------+    = features     --> dense --> vector
                     |-> 5 neighbours, twice -> 256 --------+       n x 1280                  512
"""

from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

NAME = "use-multilingual"
_ORDERS = (2, 3, 5)  # pieces that a convolution looks at
_EPSILON = 1e-12
_CHUNKS = 17  # row n of the table lies in chunk n % 17, each with its own scale


class SixBitTable(layers.Layer):
    """Look pieces up in a table of whole numbers 0..63, a quarter of the size of float32.

    A row is `numbers * scale + low`; scale and low are those of its chunk, the piece's number
    modulo how many chunks there are. Numbers can't learn: the table is frozen.

    Args:
        rows, width, chunks: sizes of the table.
    """

    def __init__(self, rows: int, width: int, chunks: int, **kwargs):
        super().__init__(trainable=False, **kwargs)
        self.chunks = chunks
        draw = keras.random.SeedGenerator()

        def numbers(shape, dtype):
            return ops.cast(keras.random.randint(shape, 0, 64, seed=draw), dtype)

        self.numbers = self.add_weight(
            (rows, width), numbers, "uint8", trainable=False, name="numbers"
        )
        self.scale = self.add_weight(
            (chunks, 1), keras.initializers.Constant(1 / 16), trainable=False, name="scale"
        )
        self.low = self.add_weight(
            (chunks, 1), keras.initializers.Constant(-2), trainable=False, name="low"
        )

    def call(self, pieces):
        """Return float32 rows `(..., width)` for whole numbers `(...)`."""
        chunk = pieces % self.chunks
        rows = ops.cast(ops.take(self.numbers, pieces, axis=0), self.scale.dtype)
        return rows * ops.take(self.scale, chunk, axis=0) + ops.take(self.low, chunk, axis=0)


class RootPooling(layers.Layer):
    """Apply a dense layer to each piece, add up and divide by the square root of their number.

    The sum comes first here, which gives the same and costs less. A piece of padding must be zeros.

    Args:
        units: numbers that come out.
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, features_shape, real_shape):
        self.kernel = self.add_weight((features_shape[-1], self.units), name="kernel")
        self.bias = self.add_weight((self.units,), "zeros", name="bias")

    def call(self, features, real):
        """Return `(n, units)` for features `(n, m, ...)`, and `(n, m, 1)`: 1 for real pieces."""
        root = ops.sqrt(ops.maximum(ops.sum(real, axis=1), 1))
        return ops.sum(features, axis=1) @ self.kernel / root + self.bias * root

    def compute_output_shape(self, features_shape, real_shape):
        """Return `(n, units)`."""
        return features_shape[0], self.units


def UseMultilingual(
    pieces: int = 128_010, width: int = 512, branch: int = 256, hidden: int = 320
) -> keras.Model:
    """Return the untrained network; `load_sentence_encoder` fills it.

    It reads a dictionary: "token_ids" `(n, m)` and "padding_mask" `(n, m)`, True for a real piece.
    It gives another one: "features" `(n, m, width + 3 * branch)`, zeros for padding, and
    "vectors" `(n, width)` of length 1.

    Args:
        pieces: rows of the table, a multiple of 17.
        width, branch, hidden: of the table and the vectors; of one convolution; of the two
            smaller dense layers.

    Reference:
        Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval", ACL 2020
        (arXiv 1907.04307), section 3: the convolutional model.
    """
    ids = keras.Input((None,), dtype="int32", name="token_ids")
    real = keras.Input((None,), dtype="bool", name="padding_mask")
    mask = _Mask(name="mask")(real)
    keep = layers.Multiply
    rows = keep(name="pieces")([SixBitTable(pieces, width, _CHUNKS, name="table")(ids), mask])
    parts = [rows]
    for order in _ORDERS:
        x = layers.Dense(branch, name=f"project_{order}")(rows)
        x = layers.LayerNormalization(epsilon=_EPSILON, name=f"normalize_{order}")(x)
        x = keep(name=f"projected_{order}")([x, mask])
        for turn in (1, 2):
            name = f"{turn}_{order}"
            wide = layers.Conv1D(
                branch, order, padding="same", activation="relu", name=f"conv{name}"
            )
            x = layers.Add(name=f"add{name}")([wide(x), x])
            x = keep(name=f"ngrams{name}")([x, mask])
        parts.append(x)
    x = layers.Concatenate(name="concatenate")(parts)
    x = layers.LayerNormalization(epsilon=_EPSILON, name="normalize")(x)
    features = keep(name="features")([x, mask])

    pooled = RootPooling(width, name="pool")(features, mask)
    first = _dense(hidden, "relu", "dense_1")(pooled)
    second = layers.Add(name="add_2")(
        [_dense(hidden, None, "skip_2")(pooled), _dense(hidden, None, "dense_2")(first)]
    )
    second = layers.ReLU(name="relu_2")(second)
    third = _dense(width, "relu", "dense_3")(second)
    last = layers.Add(name="add_4")(
        [_dense(width, None, "skip_4")(second), _dense(width, None, "dense_4")(third)]
    )
    last = layers.Activation("tanh", name="tanh")(last)
    vectors = layers.UnitNormalization(name="vectors")(last)
    inputs = {"token_ids": ids, "padding_mask": real}
    return keras.Model(inputs, {"features": features, "vectors": vectors}, name=NAME)


def read_use_multilingual(model: keras.Model, path: Path) -> None:
    """Fill the network from its .npz file; every array must have a layer.

    Raises:
        ValueError: arrays of other names or shapes.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    try:
        table = np.stack([arrays.pop(f"q{n + 1}") for n in range(_CHUNKS)], axis=1)
        _assign(
            model, "table", table.reshape(-1, table.shape[-1]),
            arrays.pop("scale")[:, None], arrays.pop("lo")[:, None],
        )  # fmt: skip
        for n in _ORDERS:
            _assign(model, f"project_{n}", arrays.pop(f"proj{n}"), arrays.pop(f"proj_b{n}"))
            _assign(model, f"normalize_{n}", arrays.pop(f"ln_g{n}"), arrays.pop(f"ln_b{n}"))
            for turn in (1, 2):  # (order * branch, branch) -> (order, branch, branch)
                kernel, bias = arrays.pop(f"w{turn}_{n}"), arrays.pop(f"b{turn}_{n}")
                _assign(model, f"conv{turn}_{n}", kernel.reshape(n, -1, kernel.shape[1]), bias)
        _assign(model, "normalize", arrays.pop("ln_g"), arrays.pop("ln_b"))
        _assign(model, "pool", arrays.pop("cnn_W"), arrays.pop("cnn_b"))
        for name, layer in _DENSE.items():
            _assign(model, layer, arrays.pop(name))
    except KeyError as error:
        raise ValueError(
            f"{path.name} must hold the array {error}. Received: {set(arrays)}."
        ) from None
    if left := set(arrays) - {"bits", "eps"}:
        raise ValueError(f"Every array of {path.name} must have a layer. Received: {left} left.")


_DENSE = {
    "d0": "dense_1", "p1": "skip_2", "d1": "dense_2", "d2": "dense_3", "p3": "skip_4",
    "d3": "dense_4",
}  # fmt: skip


class _Mask(layers.Layer):
    """True and False `(n, m)` as 1 and 0 `(n, m, 1)`."""

    def call(self, real):
        return ops.expand_dims(ops.cast(real, self.compute_dtype), axis=-1)


def _dense(units: int, activation: str | None, name: str) -> layers.Dense:
    return layers.Dense(units, activation, use_bias=False, name=name)


def _assign(model: keras.Model, name: str, *values: np.ndarray) -> None:
    layer = model.get_layer(name)
    shapes, received = [tuple(w.shape) for w in layer.weights], [v.shape for v in values]
    if shapes != received:
        raise ValueError(f"Layer {name!r} needs weights of shape {shapes}. Received: {received}.")
    layer.set_weights(list(values))
