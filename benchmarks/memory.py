"""Does memory stay flat while the data grow?

Each size runs in a process of its own: `python -m benchmarks.memory IMAGES` prints the peak.
"""

import resource
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.frame import Measured, Promise, Row

FEW = 1000


def streaming(images: int, quick: bool) -> Measured:
    """The peak with this many pictures over that with a thousand."""

    def peak(count: int) -> int:
        command = [sys.executable, "-m", "benchmarks.memory", str(count)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return int(done.stdout.split()[-1])

    ratios = [peak(images) / peak(FEW) for _ in range(1 if quick else 3)]
    return Measured(ratios, {"images": images, "against": FEW})


def main(images: int) -> None:
    import tlhelpers as tl

    import keras
    import numpy as np

    base = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    encoder = keras.Model(base.input, keras.layers.GlobalAveragePooling2D()(base.output))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pictures"
        x = np.memmap(file, "uint8", "w+", shape=(images, 32, 32, 3))
        tl.extract_features(encoder, x, cache=folder)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


ROWS = tuple(
    Row(
        name,
        f"`extract_features` of {images:,} pictures with a cache: peak memory over that of {FEW:,}",
        partial(streaming, images),
        Promise(1.1, least=False),
        full_only=images > 10_000,
    )
    for name, images in (("memory", 10_000), ("memory-50000", 50_000))
)

if __name__ == "__main__":
    main(int(sys.argv[1]))
