"""The time of a DANN step, relative to the same step written by hand in Keras, adapt and torch.

    python benchmarks/dann_step.py [turns]

The paper's small network, 64 + 64 images of 28 x 28 x 3, SGD with momentum, one core and one
thread. All take turns in one process, in changing order, so that the machine's other work slows
them all. A ratio is the median over the turns. Processor time stands beside the time on the clock:
other programs disturb it less. The package doesn't require its peers; those that aren't installed
are left out (`pip install adapt==0.4.5`, `pip install torch`).
"""

import os
import sys
import time
from importlib.util import find_spec

import tlhelpers as tl

import keras
import numpy as np
import tensorflow as tf

STEPS, BATCH = 60, 64
L = keras.layers
rng = np.random.default_rng(0)
XS, XT = (rng.normal(size=(STEPS * BATCH, 28, 28, 3)).astype("float32") for _ in range(2))
YS = rng.integers(0, 10, STEPS * BATCH)


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


def main(turns: int) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    makers = {"DANN": ours, "Keras by hand": by_hand}
    for name, module, maker in (("adapt", "adapt", adapt_dann), ("torch", "torch", torch_loop)):
        if find_spec(module):
            makers[name] = maker
        else:
            print(f"{name}: not installed, left out")
    epochs = {name: make() for name, make in makers.items()}
    for epoch in epochs.values():  # traces before the clock runs
        epoch()
        epoch()
    seconds = {name: [] for name in epochs}
    for turn in range(turns):
        order = list(epochs)[turn % len(epochs) :] + list(epochs)[: turn % len(epochs)]
        for name in order:
            begin = np.array([time.perf_counter(), time.process_time()])
            epochs[name]()
            seconds[name].append(np.array([time.perf_counter(), time.process_time()]) - begin)
    for name, its in seconds.items():
        ratios = np.divide(its, seconds["DANN"])
        clock, processor = np.median(ratios, axis=0)
        low, high = np.quantile(ratios[:, 0], [0.25, 0.75])
        print(
            f"{name}: {STEPS / np.median(its, axis=0)[0]:.1f} steps/s. In its time DANN does "
            f"{clock:.3f} steps (quartiles {low:.3f} to {high:.3f}); in its processor time "
            f"{processor:.3f}."
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
