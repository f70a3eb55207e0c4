"""On what a benchmark ran: ratios of another machine differ."""

import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

VERSIONS = ("tlhelpers", "tensorflow", "keras", "numpy", "adapt", "torch", "skada")


def describe_machine(cores: int) -> dict:
    """Return processor, cores, system and versions."""
    return {
        "processor": _processor(),
        "cores": cores,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in VERSIONS if (found := _version(name))},
    }


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    if told.exists() and (model := re.search(r"model name\s*: (.+)", told.read_text())):
        return " ".join(model[1].split())
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
