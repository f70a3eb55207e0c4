"""Several devices of one machine give what one device gives; several machines are refused."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).parent
TRIALS = ("features", "cached", "uncached", "kept_in_a_folder", "dann", "consistent", "layerwise",
          "lora", "gradual", "tail", "rates")  # fmt: skip


def run(folder, *words):
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    environment.pop("TF_CONFIG", None)
    done = subprocess.run(
        [sys.executable, str(TESTS / "two_devices.py"), *words],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return pickle.loads((folder / "said.pickle").read_bytes())


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    return run(tmp_path_factory.mktemp("devices"))


@pytest.mark.parametrize("trial", TRIALS)
def test_two_devices_end_where_one_does(said, trial):
    one, two = said[trial]
    assert len(one) == len(two) > 1
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("sources", "one source and the target.*sources=2, 2 devices.*for one device"),
        ("labelled", "one source and the target.*'labelled'.*for one device"),
        ("optimizer", "`optimizer` must be made in the strategy's scope.*strategy.scope()"),
        ("compile_once", "`model` must be on one device.*on 2.*tl.fine_tune"),
    ],
)
def test_what_devices_cannot_share_is_refused(said, what, words):
    with pytest.raises(ValueError, match=words):
        raise ValueError(said["refused"][what])


def test_a_strategy_of_several_machines_is_refused(tmp_path):
    told = run(tmp_path, "machines")["machines"]
    assert set(told) == {"fine_tune", "extract_features", "DANN"}
    for message in told.values():
        for part in ("MultiWorker", "#20585", "MirroredStrategy()", "extract_shards", "jax"):
            assert part in message
