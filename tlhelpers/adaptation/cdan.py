"""CDAN: the discriminator sees the features together with what the classifier makes of them."""

from tlhelpers.adaptation.dann import DANN
from tlhelpers.adaptation.trainer import flat

import keras
from keras import ops


@keras.saving.register_keras_serializable("tlhelpers")
class CDAN(DANN):
    r"""Conditional adversarial training: align the classes, not only the domains as a whole.

    As `DANN`, but the discriminator sees $f(x) \otimes \mathrm{softmax}(g(f(x)))$, one row of
    `features * classes` numbers. No gradient goes through the probabilities. The parts are used,
    not copied: see `DANN`.

    Args:
        encoder, classifier, discriminator, weight, gamma, sources: as in `DANN`; the classifier
            tells classes apart.

    Example:
        >>> model = tl.CDAN(encoder, classifier)

    Reference:
        Long et al. 2018, Conditional Adversarial Domain Adaptation (arXiv 1705.10667), equations
        2 and 5 (multilinear map, without entropy weights).
    """

    classifies_target = True

    def align(self, features, logits) -> dict:
        """Return the domain loss on the outer products of features and probabilities."""
        probabilities = ops.stop_gradient(ops.softmax(logits))
        outer = ops.expand_dims(flat(features), 2) * ops.expand_dims(probabilities, 1)
        return super().align(flat(outer), logits)
