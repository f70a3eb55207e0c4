"""What needs processes of its own: the import, and whether memory stays flat as the data grow.

`python -m benchmarks.processes IMAGES` prints two peaks of the memory, in bytes. The first is what
counts: the memory that the process needs. The second adds the pages of its mapped files, which the
system keeps while there is room, and takes back when there is none.
"""

import subprocess
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path

from benchmarks.frame import Measured, Promise, Row, take_turns

import psutil

FEW = 1000
SECONDS_BETWEEN_LOOKS = 0.01


def streaming(images: int, quick: bool) -> Measured:
    """The peak with this many pictures over that with a thousand."""

    def peaks(count: int) -> tuple[int, int]:
        command = [sys.executable, "-m", "benchmarks.processes", str(count)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        needed, resident = map(int, done.stdout.split()[-2:])
        return needed, resident

    pairs = [(peaks(images), peaks(FEW)) for _ in range(1 if quick else 3)]
    ratios = [many[0] / few[0] for many, few in pairs]
    with_files = round(pairs[-1][0][1] / pairs[-1][1][1], 2)
    return Measured(ratios, {"with the pages of mapped files": with_files})


def importing(quick: bool) -> Measured:
    """In fresh processes."""

    def start(statement: str):
        command = [sys.executable, "-c", statement]
        return lambda: subprocess.run(command, check=True, stderr=subprocess.DEVNULL)

    faster = take_turns(start("import tlhelpers"), start("import keras"), 2 if quick else 5, 0)
    return Measured([1 / ratio for ratio in faster])


class Peaks(threading.Thread):
    """Look at this process's memory until it is stopped."""

    def __init__(self):
        super().__init__(daemon=True)
        self.needed = self.resident = 0
        self.over = threading.Event()

    def run(self) -> None:
        process = psutil.Process()
        while not self.over.wait(SECONDS_BETWEEN_LOOKS):
            now = process.memory_info()
            mapped = getattr(now, "shared", 0)  # told on Linux
            self.needed = max(self.needed, now.rss - mapped)
            self.resident = max(self.resident, now.rss)


def main(images: int) -> None:
    import tlhelpers as tl

    import keras
    import numpy as np

    base = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    encoder = keras.Model(base.input, keras.layers.GlobalAveragePooling2D()(base.output))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pictures"
        x = np.memmap(file, "uint8", "w+", shape=(images, 32, 32, 3))
        peaks = Peaks()
        peaks.start()
        tl.extract_features(encoder, x, cache=folder)
        peaks.over.set()
        peaks.join()
    print(peaks.needed, peaks.resident)


ROWS = (
    Row(
        "import",
        "`import tlhelpers`: time over `import keras` with TensorFlow",
        importing,
        Promise(1.1, least=False),
        why="Of 4.0 s Keras and TensorFlow take 3.7; the package's own files take 0.3.",
    ),
    *(
        Row(
            name,
            f"`extract_features` of {images:,} pictures with a cache: peak memory over that of "
            f"{FEW:,}",
            partial(streaming, images),
            Promise(1.1, least=False),
            full_only=images > 10_000,
        )
        for name, images in (("memory", 10_000), ("memory-50000", 50_000))
    ),
)

if __name__ == "__main__":
    main(int(sys.argv[1]))
