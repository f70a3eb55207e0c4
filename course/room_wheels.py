"""Wheels for computers of a kind, for a room without an index: each package and what it needs.

requirements.txt -> [ download, read what each needs there ] -> a folder for pip's --find-links
"""

import email.parser
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import compatible_tags, cpython_tags, mac_platforms
from packaging.utils import canonicalize_name, parse_wheel_filename

_OLDER = ("manylinux2014", "manylinux2010", "manylinux1")


def _linux(machine: str) -> list[str]:
    """Return the tags of Debian 10, Ubuntu 20.04 and later: glibc 2.28."""
    tags = [f"manylinux_2_{n}_{machine}" for n in range(28, 4, -1)]
    return tags + [f"{name}_{machine}" for name in _OLDER]


KINDS = {  # name -> the tags of its wheels, and what markers ask for
    "linux": (_linux("x86_64"), ("linux", "Linux", "posix", "x86_64")),
    "linux-arm": (_linux("aarch64"), ("linux", "Linux", "posix", "aarch64")),
    "macos": ([*mac_platforms((14, 0), "arm64")], ("darwin", "Darwin", "posix", "arm64")),
    "windows": (["win_amd64"], ("win32", "Windows", "nt", "AMD64")),
}
_MARKERS = ("sys_platform", "platform_system", "os_name", "platform_machine")


def download_wheels(
    requirements: Iterable[str], folder: Path, kind: str, python: str
) -> list[Path]:
    """Download the wheels that a kind of computer needs, with all that they need themselves.

    What is installed here is taken in its version, where every such Python can have that.

    Args:
        requirements: lines of requirements.txt.
        folder: where; it is made. What lies in it is kept, so that several kinds can share it.
        kind: one of `KINDS`.
        python: "3.11" or "3.12"; the wheels suit each of them, up to 3.11.0.

    Returns:
        The wheels of this kind.

    Raises:
        ValueError: a package has no wheel for this kind; the index does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    platforms, values = KINDS[kind]
    whole = f"{python}.0"  # what asks for a later one of 3.11 would not install everywhere
    place = dict(zip(_MARKERS, values, strict=True))
    place |= {"python_version": ".".join(whole.split(".")[:2]), "python_full_version": whole}
    here: dict[str, str] = {
        canonicalize_name(one.name): f"=={one.version}"
        for one in distributions()
        if whole in SpecifierSet(str(one.metadata.json.get("requires_python", "")))
    }
    found: dict[str, Path] = {}
    done: set[tuple[str, str]] = set()  # a package, or an extra of it
    needs = [Requirement(line) for line in requirements if _applies(Requirement(line), place)]
    while needs:
        wanted: dict[str, str] = {canonicalize_name(one.name): str(one.specifier) for one in needs}
        lacking: dict[str, str] = {
            name: here.get(name, wanted[name]) for name in wanted.keys() - found.keys()
        }
        found |= _download(lacking, folder, platforms, whole)
        asked = {(canonicalize_name(one.name), e) for one in needs for e in ("", *one.extras)}
        needs = [one for name, extra in asked - done for one in _requires(found[name])
                 if _applies(one, {**place, "extra": extra})]  # fmt: skip
        done |= asked
    return sorted(found.values())


def _applies(one: Requirement, place: dict[str, str]) -> bool:
    return one.marker is None or one.marker.evaluate(place)


def _requires(wheel: Path) -> list[Requirement]:
    """Return what a wheel says that it needs."""
    with zipfile.ZipFile(wheel) as file:
        (about,) = [n for n in file.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)]
        text = file.read(about).decode("utf-8")
    listed = email.parser.Parser().parsestr(text, headersonly=True).get_all("Requires-Dist") or []
    return [Requirement(line) for line in listed]


def _download(
    wanted: dict[str, str], folder: Path, platforms: list[str], python: str
) -> dict[str, Path]:
    """Download these without what they need; what has no wheel and is Python alone is built."""
    if not wanted:
        return {}
    options = [f"--platform={platform}" for platform in platforms]
    lines = [name + specifier for name, specifier in wanted.items()]
    _pip("download", "--no-deps", "--dest", folder, "--python-version", python, *options, *lines)
    for archive in [*folder.glob("*.tar.gz"), *folder.glob("*.zip")]:
        _pip("wheel", "--no-deps", "--wheel-dir", folder, archive)
        archive.unlink()
    version = tuple(map(int, python.split(".")[:2]))
    tags = {*cpython_tags(version, platforms=platforms),
            *compatible_tags(version, "cp{}{}".format(*version), platforms)}  # fmt: skip
    found: dict[str, Path] = {}
    for wheel in sorted(folder.glob("*.whl")):
        name, number, _, its = parse_wheel_filename(wheel.name)
        if name in wanted and its & tags and SpecifierSet(wanted[name]).contains(number, True):
            found[name] = wheel
    if absent := sorted(wanted.keys() - found.keys()):
        raise ValueError(
            f"Each package must have a wheel for {platforms[0]} and Python {python}. Received: "
            f"none of {', '.join(absent)}. Leave this kind of computer out."
        )
    return found


def _pip(verb: str, *arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", verb, "--disable-pip-version-check", "-q"]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        reason = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise ValueError(
            "The package index must give every wheel. Received: "
            f"{(reason or [done.stderr.strip()])[-1]}. Connect to it, and run the same again."
        )
