"""What do the transferability scores cost, next to the least that they have to do?

    python benchmarks/scores.py

LogME of 100 classes stands against one thin SVD of the same 5,000 x 512 features (paired, in
turns). LEEP of 50,000 x 1,000 probabilities is measured in seconds, and in memory beyond those
probabilities.
"""

import time
import tracemalloc

import tlhelpers as tl

import numpy as np


def seconds(call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def time_logme(n: int = 5000, dimensions: int = 512, classes: int = 100, rounds: int = 7) -> None:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(n) % classes)
    features = rng.normal(size=(n, dimensions)) + rng.normal(size=(classes, dimensions))[labels]
    pairs = [
        (
            seconds(lambda: tl.logme(features=features, labels=labels)),
            seconds(lambda: np.linalg.svd(features, full_matrices=False)),
        )
        for _ in range(rounds + 1)
    ][1:]  # the first round warms up
    ours, svd = np.median(pairs, axis=0)
    ratio = np.median([a / b for a, b in pairs])
    print(f"logme {n:,} x {dimensions}, {classes} classes: {ours:.2f} s; one SVD {svd:.2f} s")
    print(f"ratio {ratio:.2f} (median of {rounds} pairs)")


def time_leep(n: int = 50_000, source_classes: int = 1000, classes: int = 100) -> None:
    rng = np.random.default_rng(0)
    theta = rng.random((n, source_classes), dtype="float32")
    theta /= theta.sum(axis=1, keepdims=True)
    labels = rng.integers(0, classes, n)

    def call():
        tl.leep(source_probabilities=theta, labels=labels)

    took = min(seconds(call) for _ in range(3))
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"leep {n:,} x {source_classes:,}, {classes} classes: {took:.2f} s")
    print(f"memory {peak / 1e6:.0f} MB beyond {theta.nbytes / 1e6:.0f} MB of probabilities")


if __name__ == "__main__":
    time_logme()
    time_leep()
