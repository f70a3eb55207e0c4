"""The lower end of every comparison: train on the source, look away from the target."""

from tlhelpers.adaptation.trainer import Adaptation

import keras


@keras.saving.register_keras_serializable("tlhelpers")
class SourceOnly(Adaptation):
    r"""Train on the source alone, on the same batches and by the same computation as the others.

    $L = L_\text{label}(source)$. The target half goes through the encoder, where BatchNormalization
    sees it, and no further: the weights are bit-equal to those of a `DANN` of weight 0; only the
    alignment differs. A plain `fit` on the source gives the same up to rounding, in half the time.
    With a frozen encoder it trains the classifier alone. The parts are used, not copied: see
    `DANN`.

    Args:
        encoder, classifier: as in `DANN`.

    Example:
        >>> model = tl.SourceOnly(encoder, classifier)
        >>> model.compile("adam")
        >>> batches = tl.paired_batches(x_source, y_source, x_target, batch_size=6)
        >>> history = model.fit(batches, epochs=2, verbose=0)
        >>> history.history["weight"]
        [0.0, 0.0]
    """

    alignment_name, paired = None, ()

    def __init__(self, encoder: keras.Layer, classifier: keras.Layer, **kwargs):
        super().__init__(encoder, classifier, **{"gamma": None, **kwargs, "weight": 0.0})
