"""How much faster is fine-tuning when the frozen prefix is run once instead of once per epoch?

    python benchmarks/cached_prefix.py [images]

The two phases of notebook 01 (head, then block 5 of VGG16, 32 px), on random images, with and
without the cache, in one process. Both end with the same weights but for rounding.
"""

import sys
import time

import tlhelpers as tl

import keras
import numpy as np


def run(images: int, cache: bool) -> tuple[float, list[np.ndarray]]:
    """Return the seconds of both phases and the weights that they end with."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, images)
    x = rng.integers(0, 128, (images, 32, 32, 3)) + labels[:, None, None, None] * 12
    validation = x[: images // 4].astype("uint8"), labels[: images // 4]
    tl.set_seed(0)
    base = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    model = tl.build_classifier(base, 10, normalize=True, dropout=0.0)
    begin = time.perf_counter()
    tl.fine_tune(
        model, (x.astype("uint8"), labels), validation, head_epochs=7, epochs=4,
        batch_size=64, cache_prefix=cache,
    )  # fmt: skip
    return time.perf_counter() - begin, model.get_weights()


def main(images: int) -> None:
    run(64, True), run(64, False)  # what is loaded or traced only once
    cached, weights = run(images, True)
    plain, expected = run(images, False)
    apart = max(np.abs(a - b).max() for a, b in zip(weights, expected, strict=True))
    print(f"{images} images: through the frozen base {plain:.0f} s, prefix run once {cached:.0f} s")
    print(f"ratio {plain / cached:.1f}; largest difference of a weight {apart:.1e}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
