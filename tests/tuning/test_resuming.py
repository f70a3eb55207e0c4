"""A training that was killed ends as one that was never stopped, or is refused."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tlhelpers.models import state
from tlhelpers.tuning.fine_tuning import fine_tune

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import GRADUAL_X as X
from toys import GRADUAL_Y as Y
from toys import make_perceptron

PLAN = {"head_epochs": 2, "epochs": 2, "head_learning_rate": 0.1, "learning_rate": 0.02}
TRAIN, VALIDATION = (X[:30], Y[:30]), (X[30:], Y[30:])
FILE = "fine_tune.npz"


def train(model, folder, *callbacks, train=TRAIN, validation=VALIDATION, **changes):
    plan = {**PLAN, "batch_size": 8, "verbose": 0, **changes}
    return fine_tune(model, train, validation, folder=folder, callbacks=callbacks, **plan)


class Stop(keras.callbacks.Callback):
    """Raise in a step of the second phase, which has more weights."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == self.step and len(self.model.trainable_weights) > 2:
            raise KeyboardInterrupt


class Early(keras.callbacks.Callback):
    """End each phase after its first epoch, and change a weight."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True
        self.model.trainable_weights[-1].assign_add([1.0, 0.0])


def never_stopped(tmp_path, *callbacks, make=make_perceptron, **changes):
    """Return a model, its history, and the folders that a kill would leave behind each epoch."""
    folder, model, left, save = tmp_path / "run", make(seed=0), [], state.save

    def save_and_copy(*arguments):
        save(*arguments)
        left.append(shutil.copytree(folder, tmp_path / f"left{len(left)}"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "save", save_and_copy)
        history = train(model, folder, *callbacks, **changes)
    assert not list(folder.iterdir()) and len(left) == history.epochs
    return model, history, left


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training of two phases of two epochs of four steps, and what a kill leaves behind each."""
    return never_stopped(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def left(whole, tmp_path):
    """A copy of what a kill leaves behind the third epoch."""
    return shutil.copytree(whole[2][2], tmp_path / "left")


def assert_goes_on(whole, folder, *callbacks, make=make_perceptron, **changes):
    """Train another model on from a folder, and compare all that is left."""
    model, history, _ = whole
    resumed = make(seed=1)
    folder = shutil.copytree(folder, folder.parent / f"copy of {folder.name}")
    again = train(resumed, folder, *callbacks, **changes)
    assert (again.history, again.best, again.before) == (
        history.history,
        history.best,
        history.before,
    )
    for name in ("name", "epochs", "trainable"):
        mine, theirs = ([getattr(p, name) for p in h.phases] for h in (again, history))
        assert mine == theirs
    assert all(phase.seconds > 0 for phase in again.phases)
    assert_equal(model.variables, resumed.variables)
    assert_equal(model.optimizer.variables, resumed.optimizer.variables)
    assert not list(folder.iterdir())


def assert_equal(variables, others):
    for a, b in zip(variables, others, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("cache", [True, False])
def test_killed_behind_any_epoch_it_ends_as_one_that_was_never_stopped(cache, whole, tmp_path):
    """Uncached, the dropout of the base draws: its seeds are part of the state."""
    if not cache:
        whole = never_stopped(tmp_path, cache_prefix=False)
    assert len(whole[2]) == 4 and whole[1].history["loss"][-1] < whole[1].history["loss"][0]
    for folder in whole[2]:
        assert_goes_on(whole, folder, cache_prefix=cache)


def augmenting(seed):
    inputs = keras.Input((6,))
    noise = keras.layers.GaussianNoise(0.1, seed=seed)
    return keras.Model(inputs, make_perceptron(seed=seed)(noise(inputs)))


RATE = keras.optimizers.schedules.ExponentialDecay(0.1, 4, 0.5)


def batches(pair=TRAIN, shuffled=False):
    dataset = tf.data.Dataset.from_tensor_slices(pair)
    return (dataset.shuffle(30, seed=0) if shuffled else dataset).batch(8)


@pytest.mark.parametrize(
    ("behind", "changes"),
    [
        (3, {"validation": None, "class_weight": {np.int64(0): 1.0, np.int64(1): 2.0}}),
        (2, {"validation": None, "optimizer": keras.optimizers.SGD(momentum=0.9, use_ema=True)}),
        (2, {"head_epochs": 0, "epochs": 3, "learning_rate": 5.0}),  # the weights from before win
        (1, {"unfreeze": None}),
        (2, {"epochs": 0, "head_learning_rate": RATE}),
        (3, {"make": augmenting}),
        (3, {"train": batches(), "validation": batches(VALIDATION), "batch_size": None}),
        (3, {"train": batches(), "batch_size": None, "cache_prefix": False}),
    ],
)
def test_every_kind_of_training_goes_on(behind, changes, tmp_path):
    whole = never_stopped(tmp_path, **changes)
    assert_goes_on(whole, whole[2][behind - 1], **changes)


def test_a_phase_that_a_callback_has_ended_stays_ended(tmp_path):
    changes = {"head_epochs": 3, "validation": None}
    whole = never_stopped(tmp_path, Early(), **changes)
    assert [phase.epochs for phase in whole[1].phases] == [1, 1]
    for folder in whole[2]:
        assert_goes_on(whole, folder, Early(), **changes)


def test_an_interrupt_leaves_the_last_whole_epoch(whole, tmp_path, capsys):
    folder = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        train(make_perceptron(), folder, Stop(6))
    assert os.listdir(folder) == [FILE] and state.load(folder / FILE)[1]["epoch"] == 1
    assert_goes_on(whole, folder, verbose=1)
    assert f"\n  goes on behind epoch 3 of 4, from {tmp_path}" in capsys.readouterr().out


def test_a_killed_process_is_continued(whole, tmp_path):
    code = f"""
import os, signal, sys
sys.path[:0] = [{str(Path(__file__).parents[1])!r}, {str(Path(__file__).parent)!r}]
from test_resuming import keras, make_perceptron, train
class Kill(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)
train(make_perceptron(), {str(tmp_path)!r}, Kill())
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert state.load(tmp_path / FILE)[1]["epoch"] == 1  # the callback of the second came first
    assert_goes_on(whole, tmp_path)


OTHER = X[:30].copy()
OTHER[0, 0] += 1


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("train", {"train": (OTHER, Y[:30])}),
        ("train", {"train": (X[:30], 1 - Y[:30])}),
        ("train", {"train": batches()}),
        ("validation", {"validation": TRAIN}),
        ("passes, batch_size", {"batch_size": 5, "passes": 2, "train": batches(shuffled=True)}),
        ("unfreeze, trainable weights", {"unfreeze": 2}),
        ("head_epochs, epochs", {"head_epochs": 3, "epochs": 1}),
        ("head_learning_rate, learning_rate", {"head_learning_rate": 0.2, "learning_rate": 0.1}),
        ("learning_rate", {"learning_rate": RATE}),
        ("cache_prefix", {"cache_prefix": False}),
        ("optimizer", {"optimizer": keras.optimizers.SGD(0.02)}),
        ("optimizer", {"optimizer": keras.optimizers.Adam(clipnorm=1.0)}),
        ("monitor", {"monitor": "val_loss"}),
        ("class_weight", {"class_weight": {0: 1.0, 1: 2.0}}),
        ("model", {"width": 4}),
    ],
)
def test_another_plan_is_refused_and_changes_nothing(words, changes, left):
    changes = dict(changes)
    model = make_perceptron(width=changes.pop("width", 5), seed=1)
    before, kept = model.get_weights(), (left / FILE).read_bytes()
    with pytest.raises(ValueError, match=rf"with another (\w+, )*{words}") as error:
        train(model, left, **changes)
    assert f"folder={str(left)!r}" in str(error.value) and "delete this one" in str(error.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert len(model.trainable_variables) == 8 and (left / FILE).read_bytes() == kept


def test_the_same_plan_in_other_words_is_the_same(left, tmp_path):
    same = {
        "learning_rate": np.float64(0.02),
        "head_epochs": np.int64(2),
        "optimizer": keras.optimizers.Adam(7.0),  # its rate is not used
        "cache_prefix": tmp_path / "features",
    }
    assert train(make_perceptron(seed=1), left, **same).epochs == 4


def test_a_dataset_that_shuffles_goes_on_too(tmp_path):
    """Its first batch is another one each time, so that it tells nothing of the data."""
    shuffled = {"train": batches(shuffled=True), "batch_size": None, "cache_prefix": False}
    with pytest.raises(KeyboardInterrupt):
        train(make_perceptron(), tmp_path, Stop(6), **shuffled)
    assert train(make_perceptron(), tmp_path, **shuffled).epochs == 4


def test_copies_of_an_augmentation_are_drawn_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(augmenting(0), tmp_path, Stop(6), passes=2)
    assert train(augmenting(0), tmp_path, passes=2).epochs == 4 and not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match=r"`folder` must be a folder.*a file"):
        train(make_perceptron(), tmp_path / "file")
    for damage in (b"", b"PK no zip", b"text"):
        (tmp_path / FILE).write_bytes(damage)
        with pytest.raises(ValueError, match=r"fine_tune kept.*fine_tune\.npz cannot be read"):
            train(make_perceptron(), tmp_path)
        assert (tmp_path / FILE).read_bytes() == damage


def test_a_full_disk_raises_and_leaves_the_epoch_before(left, monkeypatch):
    kept = (left / FILE).read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        train(make_perceptron(), left)
    assert os.listdir(left) == [FILE] and (left / FILE).read_bytes() == kept


def test_without_a_folder_keras_draws_the_order_as_in_a_plain_fit(tmp_path):
    def plain(model):
        model.layers[1].trainable = False
        rate = keras.optimizers.schedules.CosineDecay(0.1, 8)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(rate), loss)
        model.fit(*TRAIN, epochs=2, batch_size=8, verbose=0)

    def tuned(model, folder=None):
        train(model, folder, validation=None, unfreeze=None, cache_prefix=False)

    models = []
    for run in (plain, tuned, lambda model: tuned(model, tmp_path)):
        models.append(make_perceptron())
        keras.utils.set_random_seed(2)
        run(models[-1])
    first, second, kept = ([v.numpy() for v in model.variables] for model in models)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[-1], kept[-1])  # in another order
