"""Train the forecaster of this folder on series of the Tourism competition: about a minute.

    python data/train_forecaster.py

Writes forecaster_tourism.npz, and prints its scores on the series that `part_tourism` keeps aside.
Nothing was tried out on these; the settings are those of lesson 32, with more epochs.
"""

import sys
from pathlib import Path

import tlhelpers as tl
from tlhelpers.sources.series import part_tourism

import keras

from build import sha256

HERE = Path(__file__).resolve().parent
QUANTILES = (0.1, 0.5, 0.9)
MOST, EPOCHS, BATCH, RATE = 100, 10, 256, 4e-3  # windows of a series; the training


def main() -> int:
    """Train, write, measure once."""
    source, aside = part_tourism()
    windows = tl.cut_windows(source, most=MOST)
    tl.set_seed(0)
    model = tl.build_forecaster(quantiles=QUANTILES)
    steps = EPOCHS * -(-len(windows.x) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    model.compile(keras.optimizers.Adam(rate), tl.QuantileLoss(QUANTILES))
    model.fit(windows.x, windows.y, batch_size=BATCH, epochs=EPOCHS, verbose=2)

    path = tl.save_forecaster(HERE / "forecaster_tourism.npz", tl.Forecaster(model, QUANTILES))
    print(f"{path.name}: size = {path.stat().st_size}, sha256 = {sha256(path)!r}", flush=True)
    print(f"{len(source)} series, {len(windows.x):,} windows; kept aside: {len(aside)}")
    known = [one.last(60) for one in aside]
    forecaster = tl.load_forecaster(path)
    print(tl.evaluate_forecasts(forecaster(known), known, QUANTILES))
    return 0


if __name__ == "__main__":
    sys.exit(main())
