"""The time of a VGG16 training step with `layerwise` and `FitGuard`, relative to plain Keras.

    python benchmarks/layerwise_step.py [turns]

Both kinds of step take short turns in one process, in changing order, so that the machine's other
work slows both. The ratio is the median over the pairs of turns. Beside it stand the same in
processor time and the ratio of the fastest turns: other programs disturb these less.
"""

import sys
import time

import tlhelpers as tl

import keras
import numpy as np

STEPS, BATCH = 2, 32


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
        optimizer, callbacks = tl.layerwise(optimizer, model, decay=0.5), [tl.FitGuard()]
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
    plain(), scaled()  # traces before the clock runs
    seconds = {plain: [], scaled: []}
    for turn in range(turns):
        for step in (plain, scaled) if turn % 2 else (scaled, plain):
            seconds[step].append(step())
    of_plain, of_scaled = (np.array(seconds[step]) for step in (plain, scaled))
    ratios = of_scaled / of_plain
    print(f"plain step: {1000 * np.median(of_plain[:, 0]):.0f} ms (median of {turns} turns)")
    for column, what in enumerate(["on the clock", "in processor time"]):
        low, middle, high = np.quantile(ratios[:, column], [0.25, 0.5, 0.75])
        fastest = of_scaled[:, column].min() / of_plain[:, column].min()
        print(
            f"layerwise + FitGuard / plain, {what}: {middle:.3f} "
            f"(quartiles {low:.3f} to {high:.3f}; fastest turns {fastest:.3f})"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
