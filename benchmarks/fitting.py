"""Training a head, training the last block, and what `fine_tune` and `layerwise` add to a fit."""

import tempfile
import time
from collections.abc import Callable
from functools import partial

import tlhelpers as tl
from benchmarks.frame import Measured, Promise, Row, take_turns
from benchmarks.pictures import CLASSES, PIXELS, draw_pictures, make_base, make_encoder, way_back

import keras

L = keras.layers
BATCH = 64
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compile_plain(model: keras.Model, rate: float) -> None:
    model.compile(keras.optimizers.Adam(rate), LOSS, metrics=["accuracy"])


def features_and_head(epochs: int, quick: bool) -> Measured:
    """Ours reads the features from a folder; the guide's loop runs the frozen base each epoch."""
    pixels = PIXELS["MobileNetV2"]
    x, y = draw_pictures(512 if quick else 1000, pixels)
    x_test, y_test = draw_pictures(200, pixels, seed=1)
    encoder = make_encoder()
    layers = [L.BatchNormalization(momentum=0.9), L.Dropout(0.2), L.Dense(CLASSES)]
    head = keras.Sequential([keras.Input(encoder.output_shape[1:]), *layers])
    guides = keras.Model(encoder.input, head(encoder.output))
    fit = {"batch_size": BATCH, "verbose": 0}
    back: dict = {}
    learned: dict = {}
    for model in (head, guides):
        compile_plain(model, 1e-3)
        back[model] = way_back(model)

    def ours(epochs=epochs):
        back[head]()
        with tempfile.TemporaryDirectory() as folder:
            head.fit(*tl.extract_features(encoder, x, y, cache=folder), epochs=epochs, **fit)
        learned["accuracy"] = head.get_weights()

    def peer(epochs=epochs):
        back[guides]()
        guides.fit(x, y, epochs=epochs, **fit)
        learned["accuracy of the guide's loop"] = head.get_weights()

    ours(1), peer(1)
    ratios = take_turns(ours, peer, 2 if quick else 3, warm_ups=0)
    facts = {"images": len(x), "epochs": epochs}
    return Measured(ratios, facts | accuracies(guides, head, learned, x_test, y_test))


def accuracies(model: keras.Model, part: keras.Model, learned: dict, x, y) -> dict[str, float]:
    """Return the accuracy of the model with each of the weights that its part has learned."""
    reached = {}
    for name, weights in learned.items():
        part.set_weights(weights)
        reached[name] = round(float((model.predict(x, verbose=0).argmax(1) == y).mean()), 3)
    return reached


def last_block(quick: bool) -> Measured:
    """Head, then the last block: behind the cached prefix, and through the base each epoch."""
    pixels, size, head_epochs, epochs = PIXELS["VGG16"], 32, 7, 4
    x, y = draw_pictures(256 if quick else 1000, pixels)
    x_test, y_test = draw_pictures(200, pixels, seed=1)
    model = tl.build_classifier(make_base("VGG16"), CLASSES, normalize=True)
    back = way_back_of_weights(model)
    learned: dict = {}

    def ours(x=x, y=y, head_epochs=head_epochs, epochs=epochs):
        back()
        tl.fine_tune(model, (x, y), unfreeze=1, head_epochs=head_epochs, epochs=epochs,
                     batch_size=size, verbose=0)  # fmt: skip
        learned["accuracy"] = model.get_weights()

    def peer(x=x, y=y, head_epochs=head_epochs, epochs=epochs):
        back()
        for block, epochs_of_phase, rate in ((None, head_epochs, 5e-3), ("block5", epochs, 1e-4)):
            set_trainable(model, block)
            compile_plain(model, falling(rate, epochs_of_phase * -(-len(x) // size)))
            model.fit(x, y, batch_size=size, epochs=epochs_of_phase, verbose=0)
        learned["accuracy of the guide's loop"] = model.get_weights()

    few = x[:size], y[:size], 1, 1
    ours(*few), peer(*few)
    ratios = take_turns(ours, peer, 2 if quick else 3, warm_ups=0)
    facts = {"images": len(x), "epochs": f"{head_epochs} + {epochs}"}
    return Measured(ratios, facts | accuracies(model, model, learned, x_test, y_test))


def falling(rate: float, steps: int) -> keras.optimizers.schedules.CosineDecay:
    """Return the schedule that `fine_tune` uses."""
    return keras.optimizers.schedules.CosineDecay(rate, steps)


def set_trainable(model: keras.Model, block: str | None) -> None:
    """As the guide does: the base is frozen, but for the layers of one block."""
    base = model.get_layer("vgg16")
    base.trainable = block is not None
    for layer in base.layers:
        layer.trainable = block is not None and layer.name.startswith(block)


def way_back_of_weights(model: keras.Model) -> Callable[[], None]:
    """Return a function that gives the model the weights of now, and the same draws as before."""
    weights = model.get_weights()

    def go_back() -> None:
        keras.utils.set_random_seed(0)
        model.set_weights(weights)

    return go_back


def overhead(quick: bool) -> Measured:
    """In processor time of one thread, which other programs disturb little."""
    pixels, epochs = PIXELS["VGG16"], 2 if quick else 4
    x, y = draw_pictures(64 if quick else 256, pixels)
    model = tl.build_classifier(make_base("VGG16"), CLASSES, normalize=True)
    back = way_back_of_weights(model)

    def ours():
        back()
        tl.fine_tune(model, (x, y), unfreeze=1, head_epochs=0, epochs=epochs,
                     batch_size=BATCH, cache_prefix=False, verbose=0)  # fmt: skip

    def peer():
        back()
        set_trainable(model, "block5")
        compile_plain(model, falling(1e-4, epochs * -(-len(x) // BATCH)))
        model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)

    faster = take_turns(ours, peer, 2 if quick else 5, clock=time.process_time)
    return Measured([1 / ratio for ratio in faster], {"images": len(x), "epochs": epochs})


def layerwise(quick: bool) -> Measured:
    """A step of all of VGG16, in processor time of one thread."""
    steps, size = 2, 32
    x, y = draw_pictures(steps * size, PIXELS["VGG16"])

    def prepare(with_rates: bool):
        base = make_base("VGG16")
        base.trainable = True
        model = keras.Model(base.input, L.Dense(CLASSES)(L.Flatten()(base.output)))
        optimizer, callbacks = keras.optimizers.Adam(1e-5), []
        if with_rates:
            optimizer = tl.layerwise(optimizer, model, decay=0.5)
            callbacks.append(tl.FitGuard())
        model.compile(optimizer, LOSS)
        return lambda: model.fit(x, y, batch_size=size, verbose=0, callbacks=callbacks)

    faster = take_turns(prepare(True), prepare(False), 5 if quick else 10, clock=time.process_time)
    return Measured([1 / ratio for ratio in faster], {"steps a turn": steps})


ROWS = (
    Row(
        "head",
        "features once, then a head, 10 epochs: times faster than the guide's loop",
        partial(features_and_head, 10),
        Promise(6),
    ),
    Row(
        "head-30",
        "the same, 30 epochs",
        partial(features_and_head, 30),
        Promise(6),
        full_only=True,
    ),
    Row(
        "last-block",
        "head and last block by `fine_tune`: times faster than the guide's loop",
        last_block,
        Promise(3),
    ),
    Row(
        "overhead",
        "`fine_tune` without its cache: time over a bare `fit`",
        overhead,
        Promise(1.03, least=False),
        threads=1,
    ),
    Row(
        "layerwise",
        "a step with `layerwise` and `FitGuard`: time over plain Adam",
        layerwise,
        threads=1,
        full_only=True,
    ),
)
