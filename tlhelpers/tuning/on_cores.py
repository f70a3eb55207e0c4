"""Shards on the cores of this computer: processes that open the model once."""

import os
from collections.abc import Generator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tlhelpers.tuning.shard_work import ShardWork, pack_model, unpack_model

import keras

_MODELS: list[keras.Model] = []  # of this process, where it is a worker


def run_on_cores(
    work: ShardWork, model: keras.Model, files: list[Path], workers: int
) -> Generator[dict, None, None]:
    """Yield what the manifest says of each shard, in the order in which they are done.

    One worker is this process. More are fresh ones, which share the cores.

    Raises:
        ValueError: a shard that cannot be read; a worker that was killed.
    """
    if workers == 1:
        for file in files:
            yield work.run(model, file)
        return
    from joblib.externals.loky import ProcessPoolExecutor, as_completed

    threads = max(1, (os.cpu_count() or 1) // workers)
    pool = ProcessPoolExecutor(workers, initializer=_open, initargs=(pack_model(model), threads))
    finished = False
    try:
        for done in as_completed([pool.submit(_run, work, file) for file in files]):
            yield done.result()
        finished = True
    except BrokenProcessPool as error:
        raise ValueError(
            f"`workers` must fit into the memory. Received: workers={workers}, and one of them was "
            f"killed. Call again with fewer: workers={workers - 1}. What is done is kept."
        ) from error
    finally:
        pool.shutdown(kill_workers=not finished)


def _open(packed: bytes, threads: int) -> None:
    _MODELS[:] = [unpack_model(packed, threads)]


def _run(work: ShardWork, file: Path) -> dict:
    return work.run(_MODELS[0], file)
