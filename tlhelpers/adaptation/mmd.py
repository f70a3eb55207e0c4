"""MMD: the same mean of the features in a space of many kernels."""

from tlhelpers.adaptation.coral import check_features
from tlhelpers.adaptation.trainer import Adaptation, flat

import keras
from keras import ops

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the mean squared distance, as in Long et al. 2015, 5.1


def mmd_loss(a, b):
    r"""Return the squared maximum mean discrepancy under a mean of Gaussian kernels.

    $\frac{1}{n^2} \sum_{ij} k(a_i, a_j) + \frac{1}{m^2} \sum_{ij} k(b_i, b_j)
    - \frac{2}{nm} \sum_{ij} k(a_i, b_j)$ with $k(x, y) = \frac15 \sum_s
    \exp(-\|x - y\|^2 / (s \bar d))$, where $\bar d$ is the mean squared distance of all pairs of
    different rows, taken as given (no gradient), and $s$ runs over 1/4, 1/2, 1, 2, 4.

    Args:
        a, b: features `(n, d)` and `(m, d)`, two rows or more each; arrays or tensors.

    Returns:
        A scalar tensor, 0 or above up to rounding; 0 for the same rows.

    Raises:
        ValueError: not two-dimensional, different widths, fewer than two rows.

    Example:
        >>> float(tl.mmd_loss(np.eye(3), np.eye(3)))
        0.0

    Reference:
        Gretton et al. 2012, A Kernel Two-Sample Test, JMLR 13, equation 5; Long et al. 2015,
        Learning Transferable Features with Deep Adaptation Networks (arXiv 1502.02791).
    """
    a, b = check_features(a, b)
    joined = ops.concatenate([a, b])
    squares = ops.sum(ops.square(joined), axis=1)
    products = ops.matmul(joined, ops.transpose(joined))
    distances = ops.relu(squares[:, None] + squares[None, :] - 2 * products)
    rows = ops.cast(ops.shape(joined)[0], "float32")
    width = ops.stop_gradient(ops.sum(distances)) / (rows * (rows - 1)) + 1e-12
    kernels = sum(ops.exp(-distances / (scale * width)) for scale in SCALES) / len(SCALES)
    n = ops.shape(a)[0]
    within = ops.mean(kernels[:n, :n]) + ops.mean(kernels[n:, n:])
    return within - 2 * ops.mean(kernels[:n, n:])


@keras.saving.register_keras_serializable("tlhelpers")
class MMD(Adaptation):
    r"""Train with $L = L_\text{label} + w \cdot \mathrm{MMD}^2(f(source), f(target))$.

    As in Long et al. 2015 (see `mmd_loss`), but with one layer of features and fixed kernels.
    The parts are used, not copied: see `DANN`.

    Args:
        encoder, classifier, weight, gamma, sources: as in `CORAL`; so are the errors.

    Example:
        >>> model = tl.MMD(encoder, classifier, weight=1.0)
    """

    alignment_name = "mmd_loss"
    least_rows = 2

    def align(self, features, logits) -> dict:
        """Return the MMD loss of source and target, the mean over several sources."""
        losses = [mmd_loss(*pair) for pair in self.pairs(flat(features))]
        return {"alignment": sum(losses) / len(losses)}
