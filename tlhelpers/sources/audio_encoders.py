"""Pretrained encoders of sound, frozen: log-mel pictures in, vectors out."""

from tlhelpers.checks.words import announce, check_choice
from tlhelpers.sources.assets import fetch, origin_and_licence
from tlhelpers.sources.speech_embedding import NAME, SpeechEmbedding, read_speech_embedding

import keras


def load_audio_encoder(name: str = NAME, weights: str | None = "pretrained") -> keras.Model:
    """Return a pretrained encoder of speech as a base: an ordinary model, frozen.

    It has learnt to tell 5,000 keywords apart, spoken by many people. So what people say stands in
    its vectors, and who says it hardly does. The first use downloads 2 MB; one printed line says
    from where, and the licence.

    Args:
        name: "speech-embedding" (Google's, 328,128 weights).
        weights: "pretrained", or None for random ones, a control.

    Returns:
        A functional model. It takes what `log_mel` makes of waves, `(n, rows, 32, 1)` with 76 rows
        (0.79 seconds) or more, and gives `(n, 1 + (rows - 76) // 8, 1, 96)`: a vector for each
        0.08 seconds. `base.origin` says where its weights come from.

    Raises:
        ValueError: an unknown name; no answer of the index.

    Example:
        >>> base = tl.load_audio_encoder(weights=None)
        speech-embedding: random weights
        >>> base(tl.log_mel(np.zeros((2, 16_000)))).shape
        TensorShape([2, 3, 1, 96])
        >>> model = tl.build_classifier(base, 10, preprocess=keras.layers.Identity())
        >>> tl.unfreeze(model, blocks=1)  # doctest: +ELLIPSIS
        block ...

    Reference:
        Lin, Kilgour, Roblek, Sharifi, "Training Keyword Spotters with Limited and Synthesized
        Speech Data", ICASSP 2020 (arXiv 2002.01322).
    """
    check_choice("name", name, (NAME,))
    check_choice("weights", weights or "random", ("pretrained", "random"))
    base = SpeechEmbedding()
    if weights == "pretrained":
        read_speech_embedding(base, fetch(name) / "embedding_model.onnx")
        base.origin = origin_and_licence(name)
    else:
        base.origin = "random weights"
    for layer in base._flatten_layers():
        layer.trainable = False
    announce(f"{name}: {base.origin}")
    return base
