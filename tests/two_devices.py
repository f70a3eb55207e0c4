"""Each trial on one device and on two, run by test_several_devices.py in a process of its own.

TensorFlow divides the processor in two only before it starts.
"""

import contextlib
import pickle
import sys

import tlhelpers as tl

import keras
import numpy as np
import tensorflow as tf
from toys import base_named

L = keras.layers
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (24, 12, 12, 3)).astype("uint8")
LABELS = np.arange(24) % 3
PIXELS = IMAGES.astype("float32") / 255
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def batches(x=IMAGES):
    return tf.data.Dataset.from_tensor_slices((x, LABELS)).batch(8)


def classifier():
    keras.utils.set_random_seed(1)
    return tl.build_classifier(base_named(), 3, dropout=0.0)


def whole_state(model, history):
    return [*model.get_weights(), *map(np.array, history.values())]


def features(scope):
    with scope():
        base = base_named()
    labelled = tl.extract_features(base, batches().unbatch().batch(23))  # 23, and a row alone
    return [tl.extract_features(base, IMAGES[:21], batch_size=8), *labelled]


def fine_tune(scope, data, **settings):
    with scope():
        model = classifier()
    history = tl.fine_tune(
        model, data, (IMAGES, LABELS), head_epochs=2, epochs=2, head_learning_rate=0.01,
        learning_rate=0.001, optimizer=keras.optimizers.SGD(), verbose=0, **settings,
    )  # fmt: skip
    return whole_state(model, history.history)


def cached(scope):
    return fine_tune(scope, batches())


def uncached(scope):
    return fine_tune(scope, batches(), cache_prefix=False)


def kept_in_a_folder(scope):
    return fine_tune(scope, (IMAGES, LABELS), folder="run", batch_size=8)


def adapted(scope, method, **settings):
    keras.utils.set_random_seed(1)
    with scope():
        hidden = L.Dense(8, "relu", kernel_regularizer="l2")
        model = method(keras.Sequential([L.Flatten(), hidden]), L.Dense(3), **settings)
        model.compile(keras.optimizers.SGD(0.1))
    pairs = tl.paired_batches(PIXELS, LABELS, PIXELS[::-1], batch_size=8)
    history = model.fit(pairs, epochs=2, validation_data=(PIXELS, LABELS), verbose=0)
    return whole_state(model, history.history)


def dann(scope):
    return adapted(scope, tl.DANN)


def consistent(scope):
    return adapted(scope, tl.ConsistentDANN, view=L.Identity(), threshold=0.0)


def layerwise(scope):
    with scope():
        model = classifier()
    tl.unfreeze(model, blocks=2)
    optimizer = tl.layerwise(keras.optimizers.AdamW(0.01, weight_decay=0.5), model, decay=0.5)
    with scope():
        model.compile(optimizer, LOSS)
    history = model.fit(batches(), epochs=2, callbacks=[tl.FitGuard()], verbose=0, shuffle=False)
    return whole_state(model, history.history)


def lora(scope):
    with scope():
        model = classifier()
    tl.add_lora(model, 2, "conv*")
    with scope():
        model.compile(keras.optimizers.SGD(0.1), LOSS)
    history = model.fit(batches(), epochs=2, callbacks=[tl.FitGuard()], verbose=0, shuffle=False)
    tl.merge_lora(model)
    return whole_state(model, history.history)


def gradual(scope):
    with scope():
        model = classifier()
    plan = tl.GradualUnfreezing(epochs=1, optimizer=keras.optimizers.SGD())
    return whole_state(model, plan.fit(model, batches(), (IMAGES, LABELS)).history)


def tail(scope):
    with scope():
        model = classifier()
    tl.freeze(model)
    prefix, rest = tl.split_at(model, "conv1")
    kept = tl.extract_features(prefix, IMAGES)
    with scope():
        rest.compile(keras.optimizers.SGD(0.1), LOSS)
    assert rest.distribute_strategy is model.distribute_strategy
    return whole_state(model, rest.fit(batches(kept), verbose=0, shuffle=False).history)


def rates(scope):
    with scope():
        model = classifier()
        model.compile(keras.optimizers.SGD(), LOSS)
    before = model.get_weights()
    found = tl.find_learning_rate(model, IMAGES, LABELS, steps=12, batch_size=8)
    return [found.losses, *(a == b for a, b in zip(before, model.get_weights(), strict=True))]


TRIALS = [features, cached, uncached, kept_in_a_folder, dann, consistent, layerwise, lora, gradual,
          tail, rates]  # fmt: skip


def message(does, *given, **named):
    try:
        return str(does(*given, **named) and "")
    except ValueError as error:
        return str(error)


def refused(strategy):
    """Return what is said to what several devices can't do."""
    with strategy.scope():
        model, tuned = tl.DANN(L.Flatten(), L.Dense(3), sources=2), classifier()
        model.compile(keras.optimizers.SGD())
        one = tl.DANN(L.Flatten(), L.Dense(3))
        one.compile(keras.optimizers.SGD())
    two = tl.paired_batches([PIXELS, PIXELS], [LABELS, LABELS], PIXELS, batch_size=8)
    few = tl.paired_batches(PIXELS, LABELS, PIXELS, 8, labelled_target=(PIXELS[:3], LABELS[:3]))
    return {
        "sources": message(model.fit, two),
        "labelled": message(one.fit, few),
        "optimizer": message(one.compile, keras.optimizers.Adam()),
        "compile_once": message(tl.compile_once, tuned),
    }


def on_several_machines():
    """Return what is said to a strategy of several machines; it can be made on one."""
    with tf.distribute.MultiWorkerMirroredStrategy().scope():
        model, dann = classifier(), tl.DANN(L.Flatten(), L.Dense(3))
        return {
            "fine_tune": message(tl.fine_tune, model, (IMAGES, LABELS)),
            "extract_features": message(tl.extract_features, base_named(), IMAGES),
            "DANN": message(dann.compile, "sgd"),
        }


def main():
    """Write what each trial gives on one device and on two."""
    said = {"machines": on_several_machines()} if sys.argv[1:] == ["machines"] else {}
    if not said:
        parts = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        for trial in TRIALS:
            one = trial(contextlib.nullcontext)
            said[trial.__name__] = one, trial(strategy.scope)
        said["refused"] = refused(strategy)
    with open("said.pickle", "wb") as file:
        pickle.dump(said, file)


if __name__ == "__main__":
    main()
