"""What every unit test gets."""

from tlhelpers import names

import pytest


@pytest.fixture(autouse=True)
def said_nothing_yet(monkeypatch):
    """Let each test hear where its data and weights come from, as a fresh process would."""
    monkeypatch.setattr(names, "_SAID", set())
