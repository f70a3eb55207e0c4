"""MCC: a classifier that does not confuse its classes on the target."""

from tlhelpers.adaptation.trainer import Adaptation, pieces
from tlhelpers.checks.words import check_number

import keras
from keras import ops


def mcc_loss(logits, temperature: float = 2.5):
    r"""Return the minimum class confusion of unlabelled predictions.

    With $P = \mathrm{softmax}(logits / T)$ and weights $w_i \propto 1 + \exp(-H(P_i))$ of mean 1,
    the confusion $C = P^\top \mathrm{diag}(w) P$, its rows divided by their sums, gives
    $\frac1k \sum_{j \ne j'} C_{jj'}$: 0 when each prediction is sure of one class.

    Args:
        logits: `(n, classes)`, array or tensor.
        temperature: T, above 0; 2.5 is that of section 4 of the paper.

    Returns:
        A scalar tensor in 0..1.

    Raises:
        ValueError: not two-dimensional, fewer than two classes, a temperature not above 0.

    Example:
        >>> float(tl.mcc_loss(np.zeros((4, 2))))  # undecided between two classes
        0.5

    Reference:
        Jin et al. 2020, Minimum Class Confusion for Versatile Domain Adaptation
        (arXiv 1912.03699), equations 2 to 6.
    """
    logits = ops.cast(ops.convert_to_tensor(logits), "float32")
    temperature = check_number("temperature", temperature, "(0, inf)", "Use 2.5.")
    if len(logits.shape) != 2 or logits.shape[1] < 2:
        raise ValueError(
            "`logits` must have shape (n, classes), two classes or more. Received: "
            f"shape={tuple(logits.shape)}. Give what the classifier returns for a batch."
        )
    logs = ops.log_softmax(logits / temperature)
    p = ops.exp(logs)
    weights = 1 + ops.exp(ops.sum(p * logs, axis=1, keepdims=True))  # 1 + exp(-entropy)
    confusion = ops.matmul(ops.transpose(p), p * weights / ops.mean(weights))
    confusion = confusion / (ops.sum(confusion, axis=1, keepdims=True) + 1e-12)
    return (ops.sum(confusion) - ops.trace(confusion)) / logits.shape[1]


@keras.saving.register_keras_serializable("tlhelpers")
class MCC(Adaptation):
    r"""Train with $L = L_\text{label}(source) + w \cdot \mathrm{MCC}(target)$, see `mcc_loss`.

    It moves the classifier as well: the encoder may be frozen. The parts are used, not copied: see
    `DANN`.

    Args:
        encoder, classifier, weight, gamma: as in `DANN`; the classifier tells classes apart.

    Example:
        >>> model = tl.MCC(encoder, classifier, weight=1.0)
    """

    alignment_name = "confusion_loss"
    classifies_target = True
    moves_encoder_alone = False

    def align(self, features, logits) -> dict:
        """Return the class confusion of the target half."""
        return {"alignment": mcc_loss(pieces(logits)[1])}
