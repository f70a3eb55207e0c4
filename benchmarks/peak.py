"""How much of what the processor can do reaches the features of a frozen base.

VGG16's convolutions at 64 px with drawn weights: time doesn't depend on their values.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import tlhelpers as tl
from benchmarks.frame import Measured, Promise, Row, take_turns

import keras
import numpy as np
import tensorflow as tf

BATCH, SIZE = 64, 64


def vgg16() -> keras.Model:
    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(SIZE, SIZE, 3))
    base.trainable = False
    return base


def flops_of(base: keras.Model) -> int:
    """Return the floating-point operations of the convolutions for one image."""
    convolutions = [x for x in base.layers if isinstance(x, keras.layers.Conv2D)]
    return sum(
        2 * x.kernel.shape.num_elements() * np.prod(x.output.shape[1:3]) for x in convolutions
    )


def seconds_of(call, turns: int) -> float:
    """Return the median time of a call that has run before."""
    call()
    spent = []
    for _ in range(turns):
        begin = time.perf_counter()
        call()
        spent.append(time.perf_counter() - begin)
    return float(np.median(spent))


def matmul_rate(turns: int, side: int = 2048) -> float:
    """Return the operations per second of a float32 product of two square matrices."""
    a = tf.random.normal((side, side))
    return 2 * side**3 / seconds_of(lambda: tf.linalg.matmul(a, a).numpy(), turns)


def mapped_images(folder: str, images: int) -> np.memmap:
    """Return pictures in a file, as a large data set comes."""
    x = np.memmap(Path(folder) / "pictures", "uint8", "w+", shape=(images, SIZE, SIZE, 3))
    x[:] = np.random.default_rng(0).integers(0, 256, x.shape, "uint8")
    x.flush()
    return x


def extraction(quick: bool) -> Measured:
    images, turns = (192, 3) if quick else (1024, 5)
    base = vgg16()
    run = tf.function(lambda x: base(x, training=False), jit_compile=False)
    batch = tf.random.uniform((BATCH, SIZE, SIZE, 3), 0, 255)

    def bare():
        for _ in range(images // BATCH):
            run(batch).numpy()

    with TemporaryDirectory() as folder:
        x = mapped_images(folder, images)

        def ours():
            with TemporaryDirectory(dir=folder) as cache:
                tl.extract_features(base, x, batch_size=BATCH, cache=cache)

        ratios = take_turns(ours, bare, turns)
        peak = matmul_rate(turns)
        rate = flops_of(base) * BATCH / seconds_of(lambda: run(batch).numpy(), turns)
    of_bare = rate / peak
    facts = {
        "GFLOP/s of a 2,048 x 2,048 matmul": round(peak / 1e9, 1),
        "bare network, share of it": round(of_bare, 3),
        "end to end, share of it": round(of_bare * float(np.median(ratios)), 3),
    }
    return Measured(ratios, facts)


def bfloat16(quick: bool) -> Measured:
    """The rate of the copy over that of the base, and a probe on the features of both."""
    images, turns = (512, 3) if quick else (2000, 7)
    data = tl.load_dataset("cifar10", train=images, test=500)
    base = tl.load_backbone("vgg16", (32, 32, 3))
    sides = {"float32": base, "bfloat16": tl.to_bfloat16(base)}
    ratios = take_turns(
        lambda: tl.extract_features(sides["bfloat16"], data.x_train, batch_size=BATCH),
        lambda: tl.extract_features(sides["float32"], data.x_train, batch_size=BATCH),
        turns,
    )
    facts: dict[str, object] = {"instructions": ", ".join(instructions()) or "none for bfloat16"}
    for name, model in sides.items():
        parts = [tl.extract_features(model, x) for x in (data.x_train, data.x_test)]
        train, test = (part.mean(axis=(1, 2)) for part in parts)
        facts[f"probe, {name}"] = round(accuracy_of(train, data.y_train, test, data.y_test), 4)
    return Measured(ratios, facts)


def accuracy_of(x, y, x_test, y_test) -> float:
    """Return what a linear classifier of standardised features reaches."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    return float(probe.fit(x, y).score(x_test, y_test))


def instructions() -> list[str]:
    """Return what the processor has for bfloat16, as Linux names it."""
    file = Path("/proc/cpuinfo")
    words = set(file.read_text().split()) if file.exists() else set()
    return sorted(words & {"amx_bf16", "avx512_bf16", "bf16"})


ROWS = (
    Row(
        "extraction",
        "Features of VGG16 (64 px, batches of 64) from a mapped file into a cache: "
        "tl.extract_features against the bare network on batches in memory",
        extraction,
        Promise(0.85),
    ),
    Row(
        "bfloat16",
        "Features of VGG16 at 32 px: tl.to_bfloat16(base) against float32",
        bfloat16,
        full_only=True,
    ),
)
