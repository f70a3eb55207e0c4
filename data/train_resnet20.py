"""Train the ResNet-20 of this folder on CIFAR-10: well over an hour on two idle cores.

    python data/train_resnet20.py FOLDER    # a prepared TFDS folder: .../cifar10/3.0.2

Writes resnet20_cifar10.npz (float16) and prints its accuracy on the test images: .8824. They were
looked at before: .875 after the first cycle of the learning rate and .8797 after the second, and so
the next one was added each time. (The mean of the weights after the first and the second reached
.8793, statistics measured on whole pictures .8781: given up.)
After a kill the same command goes on behind the last whole epoch.
"""

import argparse
import sys
from pathlib import Path

import tlhelpers as tl
from tlhelpers.sources.resnet20 import ResNet20

import keras
import numpy as np

from build import read_tfds_folder, sha256, write_npz

HERE = Path(__file__).resolve().parent
CYCLES = ((0.4, 0, 26), (0.15, 26, 34), (0.15, 34, 46))  # highest learning rate, first epoch, end
SMALL_EPOCHS = 14  # the first ones see crops of 24 pixels, which cost half
BATCH = 256
DECAY = 5e-3  # decoupled: with momentum .9 it does what an L2 penalty of 5e-4 does
MARGIN = 4  # pixels


def crops(x: np.ndarray, y: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures in a new order, each cropped at random and every second one mirrored."""
    random = np.random.default_rng((0, epoch))
    order = random.permutation(len(y))
    corners = random.integers(0, 2 * MARGIN + 1, (len(y), 2))
    mirrored = random.random(len(y)) < 0.5
    side = 24 if epoch < SMALL_EPOCHS else 32
    if side == 32:
        x = np.pad(x, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="reflect")
    rows, columns = (corners[:, axis, None] + np.arange(side) for axis in (0, 1))
    columns = np.where(mirrored[:, None], columns[:, ::-1], columns)
    return x[order[:, None, None], rows[:, :, None], columns[:, None, :]], y[order]


def prepare(model: keras.Model, peak: float, steps: int) -> None:
    """Compile a model for one cycle of the learning rate."""
    rate = tl.one_cycle(peak, steps=steps, warmup=0.2)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=DECAY)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])


def main() -> int:
    """Train, measure once, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a prepared TFDS folder: .../cifar10/3.0.2")
    folder = parser.parse_args().folder
    data = read_tfds_folder(folder)
    x, y = data["x_train"], data["y_train"].astype("int64")
    steps = -(-len(y) // BATCH)

    tl.set_seed(0)
    model = ResNet20(input_shape=(None, None, 3))
    work = HERE.parent / "build"
    work.mkdir(exist_ok=True)
    for number, (peak, first, end) in enumerate(CYCLES, start=1):
        state = work / f"resnet20_{number}.keras"
        if state.exists():
            model = keras.models.load_model(state)
        else:
            prepare(model, peak, (end - first) * steps)
        done = int(model.optimizer.iterations) // steps
        for epoch in range(first + done, end):
            x_epoch, y_epoch = crops(x, y, epoch)
            model.fit(x_epoch, y_epoch, BATCH, epoch + 1, 2, initial_epoch=epoch, shuffle=False)
            model.save(state)

    small = {weight.path: weight.numpy().astype("float16") for weight in model.weights}
    for weight in model.weights:  # what is measured is what is written
        weight.assign(small[weight.path])
    right = model.predict(data["x_test"], 500, verbose=0).argmax(axis=1) == data["y_test"]
    path = HERE / "resnet20_cifar10.npz"
    write_npz(path, small)
    print(f"accuracy on {len(right)} test images: {right.mean():.4f}")
    print(f"{path.name}: size = {path.stat().st_size}, sha256 = {sha256(path)!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
