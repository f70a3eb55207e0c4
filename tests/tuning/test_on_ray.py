"""A cluster of two Ray nodes on this computer: the same bits, and a dead node loses nothing."""

import json
import logging
import os
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

from tlhelpers.tuning.shards import extract_shards

import numpy as np
import pytest
from toys import base_named

ray = pytest.importorskip("ray", reason="pip install 'tlhelpers[cluster]'")
RNG = np.random.default_rng(0)
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_log_monitor": False}
SHARDS, ROWS = 12, 7
NAMES = [f"{number:02}.npz" for number in range(SHARDS)]
ATTEMPTS = 4
PATIENCE = 300  # seconds, of a busy machine


@pytest.fixture(scope="module")
def cluster():
    """Start a head and a second node with a core each, and end both whatever happens."""
    from ray.cluster_utils import Cluster

    logging.getLogger("ray").setLevel(logging.ERROR)
    short = tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True)
    with short as folder, pytest.MonkeyPatch.context() as patch:
        # JupyterLab brings a package that each process of Ray imports for seconds, if it is there.
        (Path(folder) / "rfc3987_syntax.py").write_text("raise ImportError")
        patch.setenv("PYTHONPATH", os.pathsep.join([folder, *sys.path]))
        patch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        head = NODE | {"include_dashboard": False, "no_monitor": True}
        head["temp_dir"] = folder  # a socket's path has at most 107 bytes
        nodes = insist(lambda: Cluster(head_node_args=head, initialize_head=True))
        try:
            insist(lambda: nodes.add_node(**NODE))
            nodes.wait_for_nodes(PATIENCE)
            yield nodes
        finally:
            ray.shutdown()
            nodes.shutdown()


def insist(start):
    """Start a node. Ray gives its agent 15 s to start: on a busy machine not the first may do."""
    for _ in range(ATTEMPTS - 1):
        try:
            return start()
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
    return start()


@pytest.fixture(scope="module")
def base():
    return base_named("mobilenetv2")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for number, name in enumerate(NAMES):
        x = RNG.integers(0, 256, (ROWS, 12, 12, 3)).astype("uint8")
        np.savez(folder / name, x=x, y=np.arange(ROWS) + 100 * number)
    return folder


@pytest.fixture(scope="module")
def expected(base, shards, tmp_path_factory):
    return extract_shards(base, shards, tmp_path_factory.mktemp("one"), batch_size=5).load()


def rows_of(out):
    return json.loads((out / "manifest.json").read_text())["shards"]


def same(found, expected):
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_cluster_too_small_is_refused_at_once(cluster, base, shards, tmp_path):
    with pytest.raises(ValueError, match=r"workers=3, and 2 cores on 2 nodes"):
        extract_shards(base, shards, tmp_path / "out", workers=3, cluster=cluster.address)
    assert not list(tmp_path.glob("out/*.npz.*")) and not ray.is_initialized()


def test_no_cluster_at_an_address_is_said(base, shards, tmp_path):
    with pytest.raises(ValueError, match=r"`cluster` must be a Ray cluster's address"):
        extract_shards(base, shards, tmp_path / "out", cluster="nonsense://here")


def test_nobody_at_an_address_is_said_at_once(base, shards, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # free again, once the server is closed
    with pytest.raises(ValueError, match=f"cluster='127.0.0.1:{port}' \\(nobody answers"):
        extract_shards(base, shards, tmp_path / "out", cluster=f"127.0.0.1:{port}")


def test_two_nodes_make_the_same_bits(cluster, base, shards, expected, tmp_path):
    """Every core is taken by an actor: no task that reads waits for one."""
    out = tmp_path / "out"
    made = extract_shards(
        base, shards, out, batch_size=5, workers=2, cluster=cluster.address, format="parquet"
    )
    assert made.made == SHARDS and same(made.load(), expected)
    rows = rows_of(out)
    assert [Path(row["shard"]).name for row in rows] == NAMES
    assert len({row["worker"] for row in rows}) == 2
    assert extract_shards(base, shards, out, batch_size=5, format="parquet").made == 0


def test_a_damaged_shard_is_named(cluster, base, tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match=r"bad\.npz.*Write it again"):
        extract_shards(base, tmp_path / "bad.npz", tmp_path / "out", cluster=cluster.address)


def test_a_node_killed_in_the_middle_loses_nothing(cluster, base, shards, expected, tmp_path):
    """Runs last: the second node is gone afterwards."""
    out, before = tmp_path / "out", {}
    node = next(iter(cluster.worker_nodes))

    def kill():
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not before:
            before.update({p.name: p.stat().st_mtime_ns for p in out.glob("*.npz.*.npy")})
            time.sleep(0.01)
        cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    made = extract_shards(base, shards, out, batch_size=5, workers=2, cluster=cluster.address)
    killer.join()
    assert 0 < len(before) < 2 * SHARDS  # labels and features: it was the middle
    assert len(made) == SHARDS * ROWS and same(made.load(), expected)
    files = {p.name: p.stat().st_mtime_ns for p in out.glob("*.npz.*.npy")}
    assert len(files) == 2 * SHARDS and not list(out.glob("*.part"))
    done = {name: when for name, when in before.items() if "labels" not in name}
    assert done.items() <= files.items()  # what was whole is not made again
    assert [Path(row["shard"]).name for row in rows_of(out)] == [
        f"{n:02}.npz" for n in range(SHARDS)
    ]
