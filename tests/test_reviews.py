"""The benchmark of the reviews can be killed at any time, and goes on from what it has written."""

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

FILE = Path(__file__).parent.parent / "benchmarks/accuracy/reviews.py"


class Backbone:
    """An encoder that is killed while it is saved, as often as it is told."""

    def __init__(self, deaths):
        self.deaths = deaths

    def get_weights(self):
        return []

    def set_weights(self, weights):
        pass

    def save_weights(self, path):
        if self.deaths:
            self.deaths -= 1
            raise KeyboardInterrupt
        Path(path).write_text("weights")


@pytest.fixture
def benchmark(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("benchmark_of_reviews", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pool = {"x_train": ["fine"] * 4, "x_test": ["dull"] * 4}
    data = SimpleNamespace(**pool, y_train=np.ones(4, int), y_test=np.zeros(4, int))
    monkeypatch.setattr(module.tl, "load_dataset", lambda name: data)
    monkeypatch.setattr(module, "train", lambda bert, reviews, options, seed: {"seed": seed})
    monkeypatch.setattr(module, "word_counts", lambda *parts: 0.5)
    monkeypatch.chdir(tmp_path)
    return module


def run(module, monkeypatch, seeds, deaths=0):
    def tokens(texts):
        return {"token_ids": np.zeros((len(texts), 3), int)}

    bert = SimpleNamespace(backbone=Backbone(deaths), preprocessor=lambda length: tokens)
    monkeypatch.setattr(module.tl, "load_bert", lambda: bert)
    options = ["r.json", "--validation", "0", "--keep", "w.weights.h5", "--seeds"]
    monkeypatch.setattr(sys, "argv", ["reviews.py", *options, *map(str, seeds)])
    module.main()


def test_a_run_killed_while_it_saves_the_encoder_does_that_seed_again(benchmark, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        run(benchmark, monkeypatch, [0], deaths=1)
    run(benchmark, monkeypatch, [0])
    assert Path("w.weights.h5").read_text() == "weights"
    assert [r["seed"] for r in json.loads(Path("r.json").read_text())] == [0]


def test_results_are_never_half_written(benchmark, monkeypatch):
    run(benchmark, monkeypatch, [0])
    before = Path("r.json").read_text()

    def killed(path, text):
        path.write_bytes(text[:5].encode())
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "write_text", lambda path, text, **_: killed(path, text))
        patch.setattr(Backbone, "save_weights", lambda self, path: None)
        run(benchmark, monkeypatch, [1])
    assert Path("r.json").read_text() == before
    run(benchmark, monkeypatch, [1])
    assert [r["seed"] for r in json.loads(Path("r.json").read_text())] == [0, 1]
    assert not list(Path().glob("*.new"))
