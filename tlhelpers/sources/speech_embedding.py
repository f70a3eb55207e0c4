"""Google's speech embedding: twenty small convolutions, along pitch and along time in turn.

log-mel 97 x 32 --> [ pitch, time, pitch, time, half the pitches ] x 5 --> 3 vectors of 96
"""

from pathlib import Path

from tlhelpers.sources.log_mel import BANDS

import keras
import numpy as np
from keras import layers, ops

NAME = "speech-embedding"
_BOTH, _PITCH, _TIME = (3, 3), (1, 3), (3, 1)  # kernels: rows of time, bands of pitch
_STAGES = (  # filters, kernels, and the pool behind them
    (24, (_BOTH, _PITCH, _TIME), (2, 2)),
    (48, (_PITCH, _TIME, _PITCH, _TIME), (1, 2)),
    (72, (_PITCH, _TIME, _PITCH, _TIME), (2, 2)),
    (96, (_PITCH, _TIME, _PITCH, _TIME), (1, 2)),
    (96, (_PITCH, _TIME, _PITCH, _TIME), (2, 2)),
)
_WIDTH = 96
_LAST = "embedding"


def SpeechEmbedding() -> keras.Model:
    """Return the untrained network; `load_audio_encoder` fills it.

    It slides along time: 76 rows give one vector, 97 (a second) give three, the first of them that
    of the first 76. Zeros are added at both ends of the pitches, none at the ends of time. The
    BatchNormalization of the original's training is part of its kernels.

    Returns:
        A functional model, log-mel pictures `(n, rows, 32, 1)` with 76 rows or more to features
        `(n, 1 + (rows - 76) // 8, 1, 96)`.

    Reference:
        Lin, Kilgour, Roblek, Sharifi, "Training Keyword Spotters with Limited and Synthesized
        Speech Data", ICASSP 2020 (arXiv 2002.01322), section 2.
    """
    x = pictures = keras.Input((None, BANDS, 1), name="log_mel")
    for stage, (filters, kernels, pool) in enumerate(_STAGES, start=1):
        for number, kernel in enumerate(kernels, start=1):
            name = f"block{stage}_conv{number}"
            if kernel is not _TIME:
                x = layers.ZeroPadding2D((0, 1), name=f"{name}_pad")(x)
            x = layers.Conv2D(filters, kernel, kernel_initializer="he_normal", name=name)(x)
            x = layers.LeakyReLU(0.2, name=f"{name}_relu")(x)
            x = ops.maximum(x, -0.4)
        x = layers.MaxPooling2D(pool, name=f"block{stage}_pool")(x)
    vectors = layers.Conv2D(_WIDTH, _TIME, use_bias=False, name=_LAST)(x)
    return keras.Model(pictures, vectors, name=NAME.replace("-", "_"))


def read_speech_embedding(model: keras.Model, path: Path) -> None:
    """Fill the network from its ONNX file, convolution by convolution (OIHW; Keras wants HWIO).

    Raises:
        ValueError: another number of convolutions, or another shape.
    """
    import onnx

    graph = onnx.load(path).graph
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    stored = [node.input[1:] for node in graph.node if node.op_type == "Conv"]
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    if len(stored) != len(convolutions):
        raise ValueError(
            f"{path.name} must hold {len(convolutions)} convolutions. Received: {len(stored)}."
        )
    for layer, (kernel, *bias) in zip(convolutions, stored, strict=True):
        values = [tensors[kernel].transpose(2, 3, 1, 0), *(tensors[name] for name in bias)]
        shapes, received = [tuple(w.shape) for w in layer.weights], [v.shape for v in values]
        if shapes != received:
            raise ValueError(
                f"Layer {layer.name!r} needs weights of shape {shapes}. Received: {received}."
            )
        layer.set_weights([np.ascontiguousarray(value) for value in values])
