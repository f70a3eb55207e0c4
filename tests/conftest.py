"""What every unit test gets."""

import gc

from tlhelpers.checks import words

import keras
import pytest

gc.set_threshold(100_000, 50, 100)  # what a test leaves behind stays young: `swept` finds it


@pytest.fixture(autouse=True, scope="session")
def imported_for_good():
    """Keep what the imports made, half a million objects, out of every later search."""
    import tensorflow  # noqa: F401, the rest of it, which Keras imports late

    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def swept():
    """Free what a test leaves in circles.

    An iterator of tf.data in the frames of an error is one. Its end waits for a thread that
    sleeps for as long as the iterator has lived, up to a minute: a hundred old ones are minutes.
    """
    yield
    gc.collect(1)


@pytest.fixture(autouse=True)
def said_nothing_yet(monkeypatch):
    """Let each test hear where its data and weights come from, as a fresh process would."""
    monkeypatch.setattr(words, "_SAID", set())


@pytest.fixture
def traced_steps(monkeypatch):
    """List the model of every training step that is traced."""
    traced, step = [], keras.Model.train_step

    def counted(self, *arguments):
        traced.append(self.name)
        return step(self, *arguments)

    monkeypatch.setattr(keras.Model, "train_step", counted)
    return traced
