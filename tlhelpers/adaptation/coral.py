"""CORAL: the same covariance of the features in both domains."""

from tlhelpers.adaptation.trainer import Adaptation, flat

import keras
from keras import ops


def coral_loss(a, b):
    r"""Return the squared distance of two covariance matrices, $\frac{1}{4d^2} \|C_a - C_b\|_F^2$.

    Args:
        a, b: features `(n, d)` and `(m, d)`, two rows or more each; arrays or tensors. Inside a
            traced step, where the number is not known, one row counts as covariance 0.

    Returns:
        A scalar tensor, 0 or above; 0 for equal covariances.

    Raises:
        ValueError: not two-dimensional, different widths, fewer than two rows.

    Example:
        >>> round(float(tl.coral_loss(np.eye(3), 2 * np.eye(3))), 3)  # C_b = 4 C_a
        0.125

    Reference:
        Sun and Saenko 2016, Deep CORAL (arXiv 1607.01719), equations 1 to 3.
    """
    a, b = check_features(a, b)
    difference = _covariance(a) - _covariance(b)
    return ops.sum(ops.square(difference)) / (4 * a.shape[1] ** 2)


@keras.saving.register_keras_serializable("tlhelpers")
class CORAL(Adaptation):
    r"""Train with $L = L_\text{label} + w \cdot \mathrm{CORAL}(f(source), f(target))$.

    See `coral_loss`. A last batch of one pair has covariances of 0 and aligns nothing. The parts
    are used, not copied: see `DANN`.

    The loss is divided by $4 d^2$ for d features, so that at a weight of 1 it is often too small to
    move anything. Choose w as the paper does: $w \cdot \mathrm{CORAL}$ about as large as the label
    loss at the end of the training. The history has both losses, each without its weight.

    Args:
        encoder, classifier, weight, gamma, sources: as in `DANN`; features are flattened.

    Raises:
        ValueError: as in `DANN`; in `fit`, batches of one sample per domain.

    Example:
        >>> model = tl.CORAL(encoder, classifier, weight=0.0)  # a first look at both losses
        >>> model.compile("adam")
        >>> batches = tl.paired_batches(x_source, y_source, x_target, batch_size=6)
        >>> losses = model.fit(batches, epochs=2, verbose=0).history
        >>> weight = losses["label_loss"][-1] / losses["coral_loss"][-1]
        >>> copies = keras.models.clone_model(encoder), keras.models.clone_model(classifier)
        >>> model = tl.CORAL(*copies, weight=weight)

    Reference:
        Sun and Saenko 2016, Deep CORAL (arXiv 1607.01719), equation 6; the weight: its experiments.
    """

    alignment_name = "coral_loss"
    least_rows = 2

    def align(self, features, logits) -> dict:
        """Return the CORAL loss of source and target, the mean over several sources."""
        losses = [coral_loss(*pair) for pair in self.pairs(flat(features))]
        return {"alignment": sum(losses) / len(losses)}


def _covariance(x):
    centred = x - ops.mean(x, axis=0)
    rows = ops.cast(ops.shape(x)[0], "float32")
    return ops.matmul(ops.transpose(centred), centred) / ops.maximum(rows - 1, 1)


def check_features(a, b) -> tuple:
    """Return `a` and `b` as float32 tensors, or say that they must be `(n, d)` and `(m, d)`."""
    a, b = (ops.cast(ops.convert_to_tensor(x), "float32") for x in (a, b))
    short = [x.shape[0] for x in (a, b) if len(x.shape) == 2 and x.shape[0] in (0, 1)]
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[1] or short:
        raise ValueError(
            "`a` and `b` must be features of one width, (n, d) and (m, d) with at least two rows. "
            f"Received: a.shape={tuple(a.shape)}, b.shape={tuple(b.shape)}. Flatten maps first: "
            "keras.ops.reshape(x, (len(x), -1))."
        )
    return a, b
