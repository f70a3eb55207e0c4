"""Execute the lessons in order, then build the book from them: `make course`."""

import contextlib
import os
import platform
import threading
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from course.book import build_book, duration

import nbformat
import psutil
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.provisioning import LocalProvisioner
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm import tqdm

CELL_SECONDS = 1800  # the longest that one cell may take
INLINE = "module://matplotlib_inline.backend_inline"
FOLDERS = ("TFDS_DATA_DIR", "TL_CACHE", "KERAS_HOME")


@dataclass(frozen=True)
class Entry:
    """How one notebook's execution went."""

    name: str
    seconds: float
    peak_bytes: int
    failure: str = ""

    @property
    def facts(self) -> str:
        """Status, time and peak memory in one line."""
        status = "failed" if self.failure else "passed"
        return f"{status} · {duration(self.seconds)} · peak memory {self.peak_bytes / 2**20:.0f} MB"


def anchor_folders(environ: MutableMapping[str, str] = os.environ) -> None:
    """Make relative folders among the settings absolute: a kernel starts in another folder."""
    for name in FOLDERS:
        if environ.get(name) and "://" not in environ[name]:
            environ[name] = os.path.abspath(os.path.expanduser(environ[name]))


class _ThisPython(KernelSpecManager):
    """Knows one kernel: the interpreter that runs now."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(**get_kernel_dict())


class _PeakMemory(threading.Thread):
    """Watches the resident memory of a kernel, from `watch` until `done` is set."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes, self.done = 0, threading.Event()

    def watch(self, manager: AsyncKernelManager) -> None:
        assert isinstance(manager.provisioner, LocalProvisioner)  # a process on this computer
        self.process = psutil.Process(manager.provisioner.pid)
        self.start()

    def run(self) -> None:
        with contextlib.suppress(psutil.Error):  # the kernel is gone
            while True:
                self.bytes = max(self.bytes, self.process.memory_info().rss)
                if self.done.wait(0.2):
                    return


def _describe(nb: nbformat.NotebookNode, index: int, error: Exception) -> str:
    """Say which cell failed, why, and how it begins; see that the page shows the reason too."""
    cell, lines = nb.cells[index], nb.cells[index].source.splitlines()
    if isinstance(error, CellExecutionError):
        name, reason = error.ename, error.evalue
    else:  # a time-out, or a kernel that died: the notebook doesn't show it yet
        name, reason = type(error).__name__, str(error).strip().split("\n")[0]
        said = {"ename": name, "evalue": reason, "traceback": [f"{name}: {reason}"]}
        if cell.cell_type == "code":
            cell.outputs.append(nbformat.v4.new_output("error", **said))
    first = [f"    {line}" for line in lines[:4]] + ["    ..."] * (len(lines) > 4)
    return "\n".join([f"cell {index + 1} of {len(nb.cells)}: {name}: {reason}", *first])


def execute(
    nb: nbformat.NotebookNode, folder: Path, on_cell: Callable[[], object] = lambda: None
) -> tuple[str, int]:
    """Execute a notebook in place, from top to bottom, up to the first cell that fails.

    Args:
        nb: the notebook; outputs that it already has are dropped first.
        folder: the kernel's working folder.
        on_cell: called after each cell.

    Returns:
        What failed ("" for nothing) and the kernel's peak resident memory in bytes.
    """
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    manager = AsyncKernelManager(kernel_spec_manager=_ThisPython(), transport_encryption="auto")
    client = NotebookClient(
        nb, km=manager, timeout=CELL_SECONDS, iopub_timeout=60, coalesce_streams=True
    )
    environment = {**os.environ, "MPLBACKEND": INLINE}
    index, memory = 0, _PeakMemory()
    try:
        with client.setup_kernel(cwd=str(folder), env=environment, cleanup_kc=True):
            memory.watch(manager)
            try:
                for index, cell in enumerate(nb.cells):
                    client.execute_cell(cell, index)
                    on_cell()
            except BaseException:
                client.shutdown_kernel = "immediate"
                raise
            finally:
                memory.done.set()
    except Exception as error:
        return _describe(nb, index, error), memory.bytes
    return "", memory.bytes


def _run_lesson(path: Path, build: Path) -> Entry:
    """Execute one notebook into `build`, and say how it went."""
    nb = nbformat.read(path, as_version=4)
    start = time.perf_counter()
    with tqdm(total=len(nb.cells), desc=path.stem, unit="cell", leave=False, disable=None) as bar:
        failure, peak = execute(nb, path.parent, on_cell=bar.update)
    seconds = time.perf_counter() - start
    nbformat.write(nb, build / path.name)
    return Entry(path.stem, seconds, peak, failure)


def execute_all(notebooks: Path, build: Path) -> list[Entry]:
    """Execute every lesson into `build`; one that fails doesn't stop the others.

    The notebooks themselves stay as they are.

    Args:
        notebooks: folder of the lessons, `[0-9]*.ipynb`.
        build: folder to write to; made when missing.

    Returns:
        How it went, one entry for each.

    Raises:
        ValueError: `notebooks` holds no lesson.
        KeyboardInterrupt: Ctrl-C; how many were executed is printed before.
    """
    lessons = sorted(notebooks.glob("[0-9]*.ipynb"))
    if not lessons:
        raise ValueError(
            f"`notebooks` must be a folder with notebooks named like 01_name.ipynb. Received: "
            f"notebooks={str(notebooks)!r}. Run this where README.md is, or name the folder."
        )
    build.mkdir(parents=True, exist_ok=True)
    anchor_folders()
    entries: list[Entry] = []
    try:
        for path in lessons:
            entries.append(_run_lesson(path, build))
            print(f"{len(entries)}/{len(lessons)} {path.name}: {entries[-1].facts}", flush=True)
            if entries[-1].failure:
                print(f"  {entries[-1].failure}", flush=True)
    except KeyboardInterrupt:
        print(f"Stopped after {len(entries)} of {len(lessons)} notebooks.", flush=True)
        raise
    return entries


def run_course(notebooks: Path, build: Path) -> int:
    """Execute every lesson into `build`, and build the book from them in `build/book`.

    Args:
        notebooks, build: as in `execute_all`.

    Returns:
        The exit code: 0, 1 when a notebook failed, 130 when stopped by Ctrl-C.

    Raises:
        ValueError: `notebooks` holds no lesson.
    """
    try:
        entries = execute_all(notebooks, build)
    except KeyboardInterrupt:
        return 130
    failed = [e.name for e in entries if e.failure]
    total = duration(sum(e.seconds for e in entries))
    print(f"{len(entries) - len(failed)} of {len(entries)} notebooks passed in {total}.")
    if failed:
        print(f"Failed: {', '.join(failed)}")
    when = f"Python {platform.python_version()}, {time.strftime('%Y-%m-%d %H:%M')}"
    facts = {e.name: f"{e.facts} · {when}" for e in entries}
    print(f"Look at {build_book(build, build / 'book', facts)}")
    return 1 if failed else 0
