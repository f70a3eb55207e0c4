"""Shards on a Ray cluster: Ray Data hands them to actors that open the model once.

An actor takes one whole core, and there is no other task that waits for one: the list of shards is
made here, not read by tasks. An actor that is lost with its node is not restarted, since its task
would wait for ever where no other node has room. What is missing goes to what is left instead.
"""

import json
import logging
import socket
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from tlhelpers.tuning.shard_work import ShardWork, pack_model, unpack_model

import keras

_SECONDS_TO_ANSWER = 3
_ROUNDS_WITHOUT_A_SHARD = 3  # a node that has just died may still count as alive


def run_on_ray(
    work: ShardWork, model: keras.Model, files: list[Path], workers: int, cluster: str
) -> Generator[dict, None, None]:
    """Yield what the manifest says of each shard, in the order in which they are done.

    Raises:
        ImportError: Ray is not installed.
        ValueError: no cluster at this address; one with fewer cores than workers, or that has lost
            all of them; workers that die before they have done a shard; a shard that cannot be
            read.
    """
    with _connected(cluster) as ray:
        if _cores(ray) < workers:
            raise ValueError(
                f"`workers` must fit into the cluster, a whole core each. Received: workers="
                f"{workers}, and {_cores(ray)} cores on {_nodes(ray)} nodes. Take fewer workers, "
                "or add nodes: ray start --address=..."
            )
        packed = ray.put(pack_model(model))
        left = [str(file) for file in files]
        empty, error = 0, None
        while left:
            if empty == _ROUNDS_WITHOUT_A_SHARD or not _cores(ray):
                raise ValueError(
                    "`cluster` must have nodes with tlhelpers, and memory for a model in each "
                    f"worker. Received: {len(left)} shards that no worker finished, {_cores(ray)} "
                    f"cores left ({error}). What is done is kept: mend the cluster, and call again."
                ) from error
            before = len(left)
            try:
                for row in _round(ray, work, packed, left, min(workers, _cores(ray))):
                    left.remove(row["shard"])
                    yield row
            except ray.exceptions.RayError as lost:
                error = lost
            empty = 0 if len(left) < before else empty + 1
            if left:
                print(f"A worker was lost: {len(left)} shards go to the {_nodes(ray)} nodes left.")


@contextmanager
def _connected(cluster: str):
    """Join a cluster, unless this process has; Ray Data is quiet meanwhile."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(
            f"`cluster` needs Ray. Received: cluster={cluster!r}, and Ray is not installed. "
            "pip install 'tlhelpers[cluster]', or leave `cluster` out for the cores of this "
            "computer."
        ) from error
    joined = not ray.is_initialized()
    if joined:
        try:
            _knock(cluster)
            ray.init(cluster, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"`cluster` must be a Ray cluster's address. Received: cluster={cluster!r} "
                f"({error}). Start one, ray start --head, for 'auto'; or 'local' for a cluster of "
                "this computer alone."
            ) from error
    context, logger = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    quiet = {"enable_progress_bars": False, "print_on_execution_start": False,
             "max_errored_blocks": -1}  # fmt: skip
    before, level = {name: getattr(context, name) for name in quiet}, logger.level
    try:
        logger.setLevel(logging.CRITICAL)
        vars(context).update(quiet)
        yield ray
    finally:
        vars(context).update(before)
        logger.setLevel(level)
        if joined:
            ray.shutdown()


def _knock(cluster: str) -> None:
    """Ask at an address `host:port` whether anybody is there: Ray itself tries for minutes."""
    host, _, port = cluster.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER).close()
        except OSError as error:
            raise ConnectionError(f"nobody answers: {error}") from error


def _cores(ray) -> int:
    return sum(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])


def _nodes(ray) -> int:
    return sum(node["Alive"] for node in ray.nodes())


def _round(ray, work: ShardWork, packed, shards: list[str], workers: int) -> Iterator[dict]:
    """Give shards to so many actors; what one takes along when it dies is left out."""
    rows = [{"shard": shard} for shard in shards]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Ray 2.60 has no other max_restarts
        made = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Worker,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
            fn_constructor_args=(work, packed),
            num_cpus=1,
            max_restarts=0,
            max_task_retries=0,
        )
    for answer in made.iter_rows():
        row = json.loads(answer["row"])
        if "error" in row:
            raise ValueError(row["error"])
        yield row


class _Worker:
    """An actor: the model in memory, a shard at a time."""

    def __init__(self, work: ShardWork, packed):
        import ray

        self.work, self.model = work, unpack_model(ray.get(packed), threads=1)

    def __call__(self, batch: dict) -> dict:
        try:
            row = self.work.run(self.model, Path(batch["shard"][0]))
        except ValueError as error:  # of the data: no other node would do better
            row = {"error": str(error)}
        return {"row": [json.dumps(row)]}
