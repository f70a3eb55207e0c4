"""DANN: features that a discriminator cannot tell apart by domain."""

from tlhelpers.adaptation.parts import check_logits
from tlhelpers.adaptation.trainer import Adaptation, pieces

import keras
from keras import ops


@keras.saving.register_keras_serializable("tlhelpers")
class DANN(Adaptation):
    r"""Domain-adversarial training: the discriminator learns the domain, the encoder to hide it.

    With encoder $f$, classifier $g$, discriminator $d$ (1 for target) and reversal $R_\lambda$,

    $L = \frac1b \sum_{source} \mathrm{CE}(g(f(x)), y)
    + \frac{1}{2b} \sum_{both} \mathrm{BCE}(d(R_\lambda(f(x))), domain)$.

    The discriminator itself always learns at full weight; only the gradient that goes on into the
    encoder is multiplied by $-\lambda$.

    The parts are used, not copied: a fit trains the encoder that you gave, and a second method on
    it begins where the first one ended. Build new parts for each method that you compare.

    Args:
        encoder: Keras model or layer from samples, an array or a dictionary of arrays (texts), to
            one tensor of features. `fit` refuses it frozen, as `tl.load_backbone` returns it.
        classifier: Keras model or layer from features to logits `(n, classes)`. What it ends in
            decides the label loss: `tl.build_head(1, task="regression")` learns numbers by their
            squared error, "binary" and "multilabel" are known too, anything else tells classes
            apart.
        discriminator: from features to one logit, `(n, 1)`. Defaults to the paper's: a hidden layer
            of 100 units, behind `Flatten`.
        weight: at the end of the training, 0 or above: $\lambda$, or the factor w of another loss.
        gamma: how fast it rises over the epochs of a fit, as in `reversal_schedule`; None for a
            constant weight.
        sources: how many sources `paired_batches` gives, each of which is to be aligned. The
            discriminator then has `sources + 1` logits, the target last, and a softmax over them;
            `CORAL` and `MMD` take the mean of their distances to the target. 1 takes several
            sources as one.

    Raises:
        ValueError: a part that is no layer or ends in an activation (a softmax over one unit, say);
            a discriminator of another output; a weight or a gamma out of its range.

    Example:
        >>> model = tl.DANN(encoder, classifier)
        >>> model.compile(keras.optimizers.SGD(0.01, momentum=0.9))
        >>> batches = tl.paired_batches(x_source, y_source, x_target, batch_size=6)
        >>> history = model.fit(batches, epochs=2, verbose=0)
        >>> logits = model.predict(x_target, verbose=0)
        >>> logits.shape
        (12, 3)
        >>> def fresh():  # the same layers with new weights, for a comparison
        ...     return keras.models.clone_model(encoder), keras.models.clone_model(classifier)
        >>> models = [method(*fresh()) for method in (tl.SourceOnly, tl.DANN)]
        >>> models[0].encoder is models[1].encoder
        False
        >>> start = encoder.get_weights()  # pretrained weights, before any fit
        >>> copy, head = fresh()
        >>> copy.build(encoder.input_shape)
        >>> copy.set_weights(start)

    Reference:
        Ganin et al. 2016, Domain-Adversarial Training of Neural Networks, JMLR 17(59)
        (arXiv 1505.07818), equations 9 and 18; several sources: Chen and Cardie 2018, Multinomial
        Adversarial Networks for Multi-Domain Text Classification (arXiv 1802.05694).
    """

    alignment_name = "domain_loss"
    paired: tuple = (("alignment", "alignment"), ("domain_right", "domain_accuracy"))
    reverses = True

    def __init__(
        self, encoder: keras.Layer, classifier: keras.Layer,
        discriminator: keras.Layer | None = None,
        weight: float = 1.0, gamma: float | None = 10.0, **kwargs,
    ):  # fmt: skip
        super().__init__(encoder, classifier, weight=weight, gamma=gamma, **kwargs)
        width = 1 if self.sources == 1 else self.sources + 1
        part = build_discriminator(width=width) if discriminator is None else discriminator
        self.discriminator = check_logits(part, "discriminator")
        self.domain_accuracy = keras.metrics.Mean("domain_accuracy")

    def align(self, features, logits) -> dict:
        """Return loss and logits of the discriminator on reversed features, and its hits."""
        logits = ops.cast(self.discriminator(self.reversal(features)), "float32")
        width = 1 if self.sources == 1 else self.sources + 1
        if len(logits.shape) != 2 or logits.shape[-1] != width:
            what = "one logit per sample" if width == 1 else "a logit per domain"
            raise ValueError(
                f"`discriminator` must give {what}, shape (n, {width}). Received: shape="
                f"{logits.shape}. End it in keras.layers.Dense({width}), behind Flatten."
            )
        source, target = pieces(logits)
        parts = [*pieces(source, self.sources), target]
        domain = [ops.full_like(part[:, :1], number) for number, part in enumerate(parts)]
        domain = ops.concatenate(domain)  # (2b, 1): 0 for a source, or 0, 1, ...; last the target
        if width == 1:
            losses = ops.binary_crossentropy(domain, logits, from_logits=True)
            says_target, right = logits, ops.equal(logits > 0, domain > 0)
        else:
            number = ops.cast(domain[:, 0], "int32")
            losses = ops.sparse_categorical_crossentropy(number, logits, from_logits=True)
            others = ops.logsumexp(logits[:, :-1], axis=1, keepdims=True)
            says_target = logits[:, -1:] - others
            right = ops.equal(ops.cast(ops.argmax(logits, axis=1), "int32"), number)
        return {
            "alignment": ops.mean(losses),
            "domain_logits": says_target,
            "domain_right": right,
        }


def build_discriminator(units: int = 100, width: int = 1) -> keras.Sequential:
    """Return the paper's domain head, without the reversal: one hidden layer, one logit."""
    hidden = keras.layers.Dense(units, activation="relu")
    last = keras.layers.Dense(width, dtype="float32")
    return keras.Sequential([keras.layers.Flatten(), hidden, last], name="discriminator")
