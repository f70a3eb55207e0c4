"""Does the time grow as the data do?"""

import tempfile
import time

import tlhelpers as tl
from benchmarks.frame import Measured, Promise, Row
from benchmarks.pictures import CLASSES, PIXELS, draw_pictures, make_encoder

import keras

EPOCHS = 10


def growth(quick: bool) -> Measured:
    """Features with a cache, then a head, of n, 2n and 4n pictures, in turns."""
    samples = 128 if quick else 512
    x, y = draw_pictures(4 * samples, PIXELS["MobileNetV2"])
    encoder = make_encoder()
    head = keras.Sequential([keras.layers.Dense(CLASSES)])
    head.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def seconds(rows: int) -> float:
        begin = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            kept = tl.extract_features(encoder, x[:rows], y[:rows], cache=folder)
            head.fit(*kept, batch_size=64, epochs=EPOCHS, verbose=0)
        return time.perf_counter() - begin

    sizes = samples, 2 * samples, 4 * samples
    seconds(samples)
    turns = [[seconds(rows) for rows in sizes] for _ in range(3 if quick else 5)]
    twice = sorted(second / first / 2 for first, second, _ in turns)[len(turns) // 2]
    facts = {"images": "{}, {}, {}".format(*sizes), "from n to 2n": round(twice, 3)}
    return Measured([fourth / first / 4 for first, _, fourth in turns], facts)


ROWS = (
    Row(
        "growth",
        "features and head of 4n pictures: time over four times that of n",
        growth,
        Promise(1.1, least=False),
        full_only=True,
    ),
)
