"""What every unit test gets."""

from tlhelpers.checks import words

import keras
import pytest


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
