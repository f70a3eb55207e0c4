"""Measure one row in a process of its own: ours and one peer in memory, cores and threads pinned.

The process is `python -m benchmarks.running MODULE ROW quick|full CORES FILE`.
"""

import dataclasses
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks.frame import Measured, Row

ROOT = Path(__file__).resolve().parents[1]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
           "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")  # fmt: skip
VERDICTS = KEPT, SHORT, OPEN, LEFT_OUT, FAILED = (
    "kept", "falls short", "no promise", "left out", "failed",
)  # fmt: skip
LAST_LINES = 15


def run_row(module: str, row: Row, quick: bool) -> dict:
    """Measure a row, and return what `judge` returns, or the verdict "left out" or "failed"."""
    lacking = [peer for peer in row.needs if not find_spec(peer)]
    if lacking:
        return describe(row) | {"verdict": LEFT_OUT, "reason": f"no {', '.join(lacking)}"}
    cores = available_cores()[: row.threads]
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "measured.json"
        told = [module, row.name, "quick" if quick else "full", ",".join(map(str, cores)), file]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.running", *map(str, told)],
            cwd=ROOT,
            env={**os.environ, **dict.fromkeys(THREADS, str(len(cores)))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if done.returncode:
            last = [f"exit status {done.returncode}", *done.stdout.splitlines()[-LAST_LINES:]]
            return describe(row) | {"verdict": FAILED, "reason": "\n".join(last)}
        measured = Measured(**json.loads(file.read_text("utf-8")))
    seconds = round(time.perf_counter() - begin, 1)
    return judge(row, measured) | {"threads": len(cores), "seconds": seconds}


def describe(row: Row) -> dict:
    promise = row.promise and dataclasses.asdict(row.promise)
    return {"name": row.name, "title": row.title, "promise": promise}


def judge(row: Row, measured: Measured) -> dict:
    """Return median, quartiles and verdict of the ratios, with the facts beside them."""
    ratios = sorted(measured.ratios)
    median = statistics.median(ratios)
    low, high = median, median
    if len(ratios) > 1:
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    kept = row.promise is None or row.promise.kept(median)
    verdict = (KEPT if row.promise else OPEN) if kept else SHORT
    numbers = {"median": median, "quartiles": [low, high], "turns": len(ratios)}
    return describe(row) | numbers | {
        "verdict": verdict, "facts": measured.facts, "why": "" if kept else row.why,
    }  # fmt: skip


def available_cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def main(module: str, name: str, form: str, cores: str, file: str) -> None:
    if hasattr(os, "sched_setaffinity"):  # not on macOS; threads are pinned there alone
        os.sched_setaffinity(0, set(map(int, cores.split(","))))
    rows = importlib.import_module(module).ROWS
    row = next(row for row in rows if row.name == name)
    measured = row.measure(form == "quick")
    Path(file).write_text(json.dumps(dataclasses.asdict(measured)), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
