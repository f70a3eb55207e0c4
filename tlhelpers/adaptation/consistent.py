"""DANN that also learns from its own sure predictions, on other views of the same target images."""

from tlhelpers.adaptation.dann import DANN
from tlhelpers.adaptation.parts import check_part
from tlhelpers.adaptation.samples import check_pair, domains_of, is_pair
from tlhelpers.adaptation.trainer import pieces
from tlhelpers.checks.words import check_number

import keras
from keras import ops
from keras.src.losses.loss import scale_loss_for_distribution


@keras.saving.register_keras_serializable("tlhelpers")
class RandomChannel(keras.layers.Layer):
    """Show each image as one of its colour channels, drawn at random and repeated for all.

    What an image shows does not depend on its channel. A grey image stays as it is.

    Args:
        seed: of the draws.

    Raises:
        ValueError: what it is called with is no batch of images.

    Example:
        >>> view = RandomChannel(seed=0)(x)  # images (n, height, width, channels)
        >>> bool((view == view[..., :1]).numpy().all())
        True
    """

    def __init__(self, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images):
        if len(getattr(images, "shape", ())) != 4:
            received = "a dictionary" if isinstance(images, dict) else f"shape={images.shape}"
            raise ValueError(
                "`images` must have shape (n, height, width, channels). Received: "
                f"{received}. Give ConsistentDANN a view of your own, or use DANN."
            )
        shape = ops.shape(images)
        drawn = keras.random.randint((shape[0],), 0, images.shape[-1], seed=self.generator)
        chosen = ops.cast(ops.one_hot(drawn, images.shape[-1]), images.dtype)[:, None, None, :]
        channel = ops.cast(ops.sum(images * chosen, axis=-1, keepdims=True), images.dtype)
        return ops.repeat(channel, images.shape[-1], axis=-1)

    def get_config(self):
        """Return the settings."""
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable("tlhelpers")
class ConsistentDANN(DANN):
    r"""`DANN`, and the same answer on two views of a target image.

    To the loss of `DANN` it adds, over the target images $x$ of a batch and their views $v(x)$,

    $\frac{c}{b} \sum_x [\max p(x) > \tau] \; \mathrm{CE}(g(f(v(x))), \arg\max p(x))$,

    where $p = \mathrm{softmax}(g(f(x)))$ is taken as given. It needs an alignment to begin with:
    alone, it confirms what a model that knows the source only is sure and wrong about. The parts
    are used, not copied: see `DANN`.

    Args:
        encoder, classifier, discriminator, weight, gamma, sources: as in `DANN`; the classifier
            tells classes apart.
        view: Keras layer that keeps what target images show. Defaults to `RandomChannel`; texts
            need one from dictionary to dictionary.
        consistency: c, 0 or above.
        threshold: $\tau$ in 0..1, the probability from which on a prediction is trusted.

    Raises:
        ValueError: as in `DANN`; a view that is no layer, consistency or threshold out of range.

    Example:
        >>> model = tl.ConsistentDANN(encoder, classifier, threshold=0.9)

    Reference:
        Sohn et al. 2020, FixMatch (arXiv 2001.07685), equation 4, and Blum and Mitchell 1998,
        Combining Labeled and Unlabeled Data with Co-Training, COLT, for views; here on top of
        Ganin et al. 2016 (arXiv 1505.07818).
    """

    classifies_target = True
    paired = (*DANN.paired, ("consistency", "consistency_loss"))

    def __init__(
        self, encoder: keras.Layer, classifier: keras.Layer,
        discriminator: keras.Layer | None = None, view: keras.Layer | None = None,
        consistency: float = 1.0, threshold: float = 0.8, **kwargs,
    ):  # fmt: skip
        super().__init__(encoder, classifier, discriminator, **kwargs)
        self.view = check_part(RandomChannel() if view is None else view, "view")
        self.consistency = check_number("consistency", consistency, "[0, inf)", "0 leaves it out.")
        cure = "0.8 trusts predictions of 80 % or more."
        self.threshold: float = check_number("threshold", threshold, "[0, 1]", cure)
        self.consistency_loss: keras.metrics.Mean = keras.metrics.Mean("consistency_loss")

    def call(self, inputs, training=None):
        if not is_pair(inputs):
            return super().call(inputs)
        check_pair(inputs)
        domains = [*domains_of(inputs).values(), self.view(inputs["target"])]
        logits = self._classify(features := self._encode(*domains))
        source, target, *labelled, seen = pieces(logits, len(domains))
        p = ops.stop_gradient(ops.softmax(target))
        trusted = ops.cast(ops.max(p, axis=1) > self.threshold, "float32")
        answers = ops.argmax(p, axis=1)
        each = ops.sparse_categorical_crossentropy(answers, seen, from_logits=True)
        both = [ops.concatenate(pieces(x, len(domains))[:2]) for x in (features, logits)]
        return {
            "logits": ops.concatenate([source, *labelled]),
            **self.align(*both),
            "consistency": ops.mean(each * trusted),
        }

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if isinstance(y_pred, dict):
            more = self.consistency * y_pred["consistency"]
            loss = loss + scale_loss_for_distribution(more)
        return loss

    def get_config(self):
        """Return parts and settings, so that `keras.saving.load_model` makes the same model."""
        config = super().get_config()
        return {**config, "consistency": self.consistency, "threshold": self.threshold}
