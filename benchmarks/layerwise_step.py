"""The time of a VGG16 training step with `layerwise` and `FitGuard`, relative to plain Keras.

    python benchmarks/layerwise_step.py [turns]

Both kinds of step take turns on the same weights in one process, in changing order, so that what
else the machine does falls on both; the ratio is the median over the pairs. Processor time, which
other programs disturb less, is given beside the time on the clock.
"""

import sys
import time

from tlhelpers.guard import FitGuard
from tlhelpers.layerwise import layerwise

import keras
import numpy as np

STEPS, BATCH = 4, 32


def build() -> keras.Model:
    keras.utils.set_random_seed(0)
    base = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    features = keras.layers.Flatten()(base.output)
    return keras.Model(base.input, keras.layers.Dense(10, name="logits")(features))


def prepare(with_rates: bool):
    """Return a function that runs one fit of a few steps and says how long a step took."""
    model = build()
    optimizer = keras.optimizers.Adam(1e-5)
    callbacks = []
    if with_rates:
        optimizer, callbacks = layerwise(optimizer, model, decay=0.5), [FitGuard()]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS * BATCH, 32, 32, 3)).astype("float32")
    y = rng.integers(0, 10, size=STEPS * BATCH)

    def run() -> np.ndarray:
        begin = np.array([time.perf_counter(), time.process_time()])
        model.fit(x, y, batch_size=BATCH, verbose=0, callbacks=callbacks)
        return (np.array([time.perf_counter(), time.process_time()]) - begin) / STEPS

    return run


def main(turns: int) -> None:
    plain, scaled = prepare(False), prepare(True)
    plain(), scaled()  # traced before the clock runs
    ratios, seconds = [], []
    for turn in range(turns):
        order = (plain, scaled) if turn % 2 else (scaled, plain)
        took = {step: step() for step in order}
        ratios.append(took[scaled] / took[plain])
        seconds.append(took[plain])
    clock, processor = np.median(ratios, axis=0)
    low, high = np.quantile(ratios, [0.25, 0.75], axis=0)[:, 0]
    print(f"plain step: {1000 * np.median(seconds, axis=0)[0]:.0f} ms (median of {turns})")
    print(f"layerwise + FitGuard / plain: {clock:.3f} (quartiles {low:.3f} to {high:.3f})")
    print(f"the same in processor time: {processor:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
