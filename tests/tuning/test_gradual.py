import os
import signal
import subprocess
import sys
from pathlib import Path

from tlhelpers.tuning.gradual import GradualUnfreezing

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import GRADUAL_X as X
from toys import GRADUAL_Y as Y
from toys import fit_gradually as fit
from toys import make_perceptron as make_model

RNG = np.random.default_rng(0)


class Watch(keras.callbacks.Callback):
    """Note what trains and how fast, and raise at the end of a given epoch."""

    def __init__(self, stop=None):
        super().__init__()
        self.seen, self.rates, self.stop = [], [], stop

    def on_train_begin(self, logs=None):
        self.before = self.model.get_weights()

    def on_train_batch_end(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))
        if self.stop is not None and len(self.rates) == self.stop:
            raise KeyboardInterrupt

    def on_train_end(self, logs=None):
        pairs = zip(self.model.weights, self.before, self.model.get_weights(), strict=True)
        self.seen.append({v.path.split("/")[0] for v, a, b in pairs if (a != b).any()})


def test_each_phase_traces_its_step_once(traced_steps):
    result = fit(make_model())
    assert len(traced_steps) == len(result.phases) > 1, traced_steps


def test_one_block_per_phase_from_the_top_each_with_a_warm_up():
    watch = Watch()
    history = fit(make_model(), watch=watch, epochs=[1, 2, 1, 1])
    assert watch.seen == [
        {"out"},
        {"out", "d2"},
        {"out", "d2", "d1"},
        {"out", "d2", "d1", "d0"},
    ]
    assert [phase.name for phase in history.phases] == ["head", "d2", "d1", "d0"]
    assert [phase.epochs for phase in history.phases] == [1, 2, 1, 1]
    assert len(history.history["loss"]) == len(history.history["val_loss"]) == 5
    assert history.boundaries == [1, 3, 4]
    second = watch.rates[5:15]
    assert second[0] == pytest.approx(0.01)  # after the step with rate 0: warm-up of 1 in 10
    assert second[-1] == pytest.approx(0.0, abs=1e-6) and np.all(np.diff(second) < 0)
    assert watch.rates[15:] != watch.rates[5:10]


def test_rates_shrink_per_block():
    model = make_model()
    fit(model, epochs=1, decay="bert", optimizer=keras.optimizers.SGD(1.0))
    assert [f for _, _, f in model.optimizer.factors] == pytest.approx(
        [0.95**3] * 2 + [0.95**2] * 2 + [0.95] * 2 + [1.0] * 2
    )


@pytest.fixture(scope="module")
def whole():
    """A training that nothing interrupted: two phases of two epochs of five steps."""
    model = make_model()
    return model, fit(model, blocks=1)


def assert_same(whole, model, history):
    expected, its = whole
    assert history.history == its.history
    assert [p.name for p in history.phases] == [p.name for p in its.phases]
    for mine, theirs in [(expected, model), (expected.optimizer, model.optimizer)]:
        for a, b in zip(mine.variables, theirs.variables, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("stop", [3, 12, 18])  # before an epoch is kept, after a phase, within one
def test_interrupted_and_resumed_equals_uninterrupted(stop, whole, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(make_model(), tmp_path, Watch(stop), blocks=1)
    resumed = make_model(seed=stop > 5)  # once an epoch is kept, nothing of this may remain
    assert_same(whole, resumed, fit(resumed, tmp_path, blocks=1))
    assert not list(tmp_path.iterdir())


def test_a_killed_process_is_continued(whole, tmp_path):
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import keras
from toys import fit_gradually as fit, make_perceptron as make_model

class Kill(keras.callbacks.Callback):
    left = 3
    def on_epoch_end(self, epoch, logs=None):
        Kill.left -= 1
        if not Kill.left:
            os.kill(os.getpid(), signal.SIGKILL)

fit(make_model(), {str(tmp_path)!r}, Kill(), blocks=1)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL and os.listdir(tmp_path) == ["gradual.npz"]
    watch, resumed = Watch(), make_model(seed=1)
    assert_same(whole, resumed, fit(resumed, tmp_path, watch, blocks=1))
    assert len(watch.rates) == 5  # one epoch was left


class Early(Watch):
    """End each phase after its first epoch."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


def test_a_phase_that_was_ended_early_stays_ended(tmp_path):
    plain, resumed = make_model(), make_model()
    history = fit(plain, None, Early(), blocks=2)
    assert [phase.epochs for phase in history.phases] == [1, 1, 1]
    assert history.boundaries == [1, 2] and len(history.history["loss"]) == 3
    with pytest.raises(KeyboardInterrupt):
        fit(resumed, tmp_path, Early(7), blocks=2)  # in the second phase, of 5 steps like each
    watch = Early()
    again = fit(resumed, tmp_path, watch, blocks=2)
    assert len(watch.rates) == 10 and again.boundaries == [1, 2]
    assert again.history == history.history
    assert all(
        np.array_equal(a, b)
        for a, b in zip(plain.get_weights(), resumed.get_weights(), strict=True)
    )


def test_numbers_of_numpy_are_numbers(tmp_path):
    plain, model = make_model(), make_model()
    fit(plain, blocks=1, learning_rate=0.5, decay=0.5, seed=3)
    changes = {"learning_rate": np.float32(0.5), "decay": np.float64(0.5), "seed": np.int64(3)}
    fit(model, tmp_path, blocks=np.int64(1), **changes)
    assert all(
        np.array_equal(a, b) for a, b in zip(plain.get_weights(), model.get_weights(), strict=True)
    )


def test_a_folder_of_another_model_or_plan_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(make_model(), tmp_path, Watch(7))
    kept = (tmp_path / "gradual.npz").read_bytes()
    for words, model, changes in [
        ("another model", make_model(width=4), {}),
        ("another learning_rate", make_model(), {"learning_rate": 0.02}),
        ("another phases, decay", make_model(), {"blocks": 2, "decay": 0.9}),
    ]:
        before = model.get_weights()
        with pytest.raises(ValueError, match=words):
            fit(model, tmp_path, **changes)
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    assert (tmp_path / "gradual.npz").read_bytes() == kept


@pytest.mark.parametrize("keep_best", [True, False])
def test_the_best_epoch_is_kept_where_asked(keep_best, tmp_path):
    erratic = {"keep_best": keep_best, "optimizer": keras.optimizers.SGD(1.0), "epochs": 3}
    erratic |= {"learning_rate": 20.0, "decay": 1.0, "blocks": 1}
    model = make_model()
    history = fit(model, **erratic)
    values = history.history["val_accuracy"]
    wanted = max(values) if keep_best else values[-1]
    assert values[-1] < max(values)
    assert model.evaluate(X, Y, verbose=0)[1] == pytest.approx(wanted)
    assert history.best == (int(np.argmax(values)) if keep_best else None)
    with pytest.raises(KeyboardInterrupt):
        fit(make_model(), tmp_path, Watch(22), **erratic)
    resumed = make_model(seed=1)
    assert_same((model, history), resumed, fit(resumed, tmp_path, **erratic))


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="a file"):
        fit(make_model(), tmp_path / "file")
    for damage in (b"", b"PK no zip", b"text"):
        (tmp_path / "gradual.npz").write_bytes(damage)
        with pytest.raises(ValueError, match=r"gradual\.npz cannot be read. Delete it"):
            fit(make_model(), tmp_path)
        assert (tmp_path / "gradual.npz").read_bytes() == damage


def test_datasets_and_mixed_precision():
    batches = tf.data.Dataset.from_tensor_slices((X, X[:, :5])).batch(8)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        base = make_model(head=False)
    finally:
        keras.config.set_dtype_policy("float32")
    history = GradualUnfreezing(blocks=2).fit(base, batches, loss="mse")
    assert [phase.name for phase in history.phases] == ["head", "d1", "d0"]
    with pytest.raises(ValueError, match="must be finite"):
        GradualUnfreezing().fit(base, batches.repeat(), loss="mse")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"blocks": 4}, "between 1 and 3. Received: blocks=4"),
        ({"blocks": 0}, "Received: blocks=0"),
        ({"epochs": 0}, "Received: epochs=0"),
        ({"epochs": [1, 1]}, r"or 4 of them. Received: epochs=\[1, 1\]"),
        ({"decay": 0.0}, r"Received: decay=0\.0"),
        ({"decay": "ulm"}, "Did you mean 'ulmfit'"),
        ({"warmup": 1.0}, r"Received: warmup=1\.0"),
        ({"learning_rate": -1.0}, r"Received: peak=-1\.0"),
        ({"optimizer": keras.optimizers.Adagrad(0.1)}, "Received: optimizer=Adagrad"),
        ({"optimizer": keras.optimizers.Adam(0.1, use_ema=True)}, "Received: use_ema=True"),
        ({"seed": -1}, "Received: seed=-1"),
        ({"batchnorm": "thaw"}, "Received: batchnorm='thaw'"),
    ],
)
def test_bad_input_is_found_before_any_training(changes, words):
    model = make_model()
    before = model.get_weights()
    with pytest.raises(ValueError, match=words):
        fit(model, **changes)
    assert len(model.trainable_variables) == 8
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
