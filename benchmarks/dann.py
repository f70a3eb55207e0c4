"""The time of a DANN step, relative to the same step by hand in Keras, adapt, torch and skada.

The paper's small network, 64 + 64 images of 28 x 28 x 3, SGD with momentum, one core and one
thread. A turn is an epoch of 60 steps. The ratios are of processor time, which other programs
disturb less than the clock; those of the clock stand beside them.
"""

import time

import tlhelpers as tl
from benchmarks.frame import Measured, Promise, Row, take_turns

import keras
import numpy as np
import tensorflow as tf

STEPS, BATCH = 60, 64
L = keras.layers
RNG = np.random.default_rng(0)
XS, XT = (RNG.normal(size=(STEPS * BATCH, 28, 28, 3)).astype("float32") for _ in range(2))
YS = RNG.integers(0, 10, STEPS * BATCH)


def parts() -> list[keras.Sequential]:
    """Return encoder, classifier and discriminator of Ganin et al. 2016, figure 4a."""
    convolutions = [L.Conv2D(32, 5, activation="relu"), L.MaxPooling2D()]
    convolutions += [L.Conv2D(48, 5, activation="relu"), L.MaxPooling2D(), L.Flatten()]
    hidden = [L.Dense(100, activation="relu") for _ in range(3)]
    return [
        keras.Sequential([keras.Input((28, 28, 3)), *convolutions]),
        keras.Sequential([keras.Input((768,)), *hidden[:2], L.Dense(10)]),
        keras.Sequential([keras.Input((768,)), hidden[2], L.Dense(1)]),
    ]


def sgd() -> keras.optimizers.SGD:
    return keras.optimizers.SGD(0.01, momentum=0.9)


def ours():
    model = tl.DANN(*parts())
    model.compile(sgd())
    data = tl.paired_batches(XS, YS, XT, BATCH)
    return lambda: model.fit(data, shuffle=False, verbose=0)


def by_hand():
    """The same batches; one tape, one pass over the joined batch, the schedule in the graph."""
    classes = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    domains = keras.losses.BinaryCrossentropy(from_logits=True)

    @tf.custom_gradient
    def reverse(x, weight):
        return tf.identity(x), lambda upstream: (-weight * upstream, None)

    class ByHand(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder, self.classifier, self.discriminator = parts()
            self.loss_metric = keras.metrics.Mean("loss")
            self.label_metric = keras.metrics.SparseCategoricalAccuracy("accuracy")
            self.domain_metric = keras.metrics.BinaryAccuracy("domain_accuracy", threshold=0.0)

        def train_step(self, data):
            pair, y = data
            progress = tf.cast(self.optimizer.iterations % STEPS, "float32") / STEPS
            weight = 2 / (1 + tf.exp(-10 * progress)) - 1
            domain = tf.concat([tf.zeros((BATCH, 1)), tf.ones((BATCH, 1))], 0)
            with tf.GradientTape() as tape:
                both = tf.concat([pair["source"], pair["target"]], 0)
                features = self.encoder(both, training=True)
                logits = self.classifier(features[:BATCH], training=True)
                told = self.discriminator(reverse(features, weight), training=True)
                loss = classes(y, logits) + domains(domain, told)
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            self.loss_metric.update_state(loss)
            self.label_metric.update_state(y, logits)
            self.domain_metric.update_state(domain, told)
            return {m.name: m.result() for m in self.metrics}

    model = ByHand()
    model.compile(sgd())
    data = tl.paired_batches(XS, YS, XT, BATCH)
    return lambda: model.fit(data, shuffle=False, verbose=0)


def adapt_dann():
    from adapt.feature_based import DANN

    encoder, classifier, discriminator = parts()
    model = DANN(
        encoder,
        keras.Sequential([classifier, L.Softmax()]),
        keras.Sequential([discriminator, L.Activation("sigmoid")]),
        loss="categorical_crossentropy",
        optimizer=sgd(),
        optimizer_enc=sgd(),
        optimizer_disc=sgd(),
        metrics=["accuracy"],
        verbose=0,
    )
    labels = np.eye(10, dtype="float32")[YS]
    return lambda: model.fit(XS, labels, XT, batch_size=BATCH, shuffle=False, verbose=0)


def torch_loop():
    import torch
    from torch import nn

    torch.set_num_threads(1)

    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(context, x, weight):
            context.weight = weight
            return x.view_as(x)

        @staticmethod
        def backward(context, upstream):
            return -context.weight * upstream, None

    encoder = nn.Sequential(
        nn.Conv2d(3, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 48, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    )  # fmt: skip
    hidden = (nn.Linear(768, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU())
    classifier = nn.Sequential(*hidden, nn.Linear(100, 10))
    discriminator = nn.Sequential(nn.Linear(768, 100), nn.ReLU(), nn.Linear(100, 1))
    parameters = [p for part in (encoder, classifier, discriminator) for p in part.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9)
    x_source, x_target = (torch.from_numpy(x.transpose(0, 3, 1, 2).copy()) for x in (XS, XT))
    y, domain = torch.from_numpy(YS), torch.cat([torch.zeros(BATCH, 1), torch.ones(BATCH, 1)])

    def epoch():
        rows = [torch.randperm(len(x)).split(BATCH) for x in (x_source, x_target)]
        for step, (source, target) in enumerate(zip(*rows, strict=True)):
            features = encoder(torch.cat([x_source[source], x_target[target]]))
            told = discriminator(Reverse.apply(features, tl.reversal_schedule(step / STEPS)))
            loss = nn.functional.cross_entropy(classifier(features[:BATCH]), y[source])
            loss = loss + nn.functional.binary_cross_entropy_with_logits(told, domain)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    return epoch


def skada_dann():
    import torch
    from skada.deep import DANN
    from torch import nn

    torch.set_num_threads(1)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(
                nn.Conv2d(3, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(32, 48, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            )  # fmt: skip
            hidden = (nn.Linear(768, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU())
            self.classifier = nn.Sequential(*hidden, nn.Linear(100, 10))

        def forward(self, x, sample_weight=None):
            return self.classifier(self.encoder(x))

    discriminator = nn.Sequential(
        nn.Linear(768, 100), nn.ReLU(), nn.Linear(100, 1), nn.Sigmoid(), nn.Flatten(0)
    )
    net = DANN(
        Network(),
        layer_name="encoder",
        domain_classifier=discriminator,
        num_features=768,
        batch_size=BATCH,  # of each domain
        max_epochs=1,
        warm_start=True,
        lr=0.01,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        train_split=None,
        verbose=0,
    )
    x = np.concatenate([XS, XT]).transpose(0, 3, 1, 2).copy()
    y = np.concatenate([YS, np.full(len(XT), -1)])
    domain = np.concatenate([np.ones(len(XS)), np.full(len(XT), -2)])
    return lambda: net.fit(x, y, sample_domain=domain)


def against(peer, turns: int, reverse: bool = False) -> Measured:
    """Return their processor time over ours of an epoch, or ours over theirs."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    sides = (peer(), ours()) if reverse else (ours(), peer())
    both = take_turns(*sides, turns, clock=clocks)
    processor, clock = np.transpose(both)
    return Measured(processor.tolist(), {"by the clock": round(float(np.median(clock)), 3)})


def clocks() -> np.ndarray:
    return np.array([time.process_time(), time.perf_counter()])


ROWS = (
    Row(
        "dann-hand",
        "A DANN step: our time over that of the same step by hand in Keras",
        lambda quick: against(by_hand, 2 if quick else 10, reverse=True),
        Promise(1.05, least=False),
        threads=1,
    ),
    Row(
        "dann-adapt",
        "A DANN step: ours against adapt's",
        lambda quick: against(adapt_dann, 2 if quick else 10),
        Promise(1),
        needs=("adapt",),
        threads=1,
        why="A tie: runs gave 0.96 to 1.02. Both spend nine tenths of a step inside TensorFlow, on "
        "the same convolutions and their gradients; beginning a fit takes ours 0.03 s longer.",
    ),
    Row(
        "dann-torch",
        "A DANN step: ours against a loop in torch",
        lambda quick: against(torch_loop, 1 if quick else 5),
        Promise(1.5),
        needs=("torch",),
        threads=1,
    ),
    Row(
        "dann-skada",
        "A DANN step: ours against skada's (torch, skorch)",
        lambda quick: against(skada_dann, 1 if quick else 5),
        Promise(1),
        needs=("skada", "torch"),
        threads=1,
        full_only=True,
    ),
)
