"""What a classroom brings: weights, data and wheels in one folder of the course."""

import os
from collections.abc import MutableMapping
from pathlib import Path

FOLDER = "classroom"


def use_what_was_brought(root: Path, environ: MutableMapping[str, str] = os.environ) -> None:
    """Let weights and data come from the folder that a classroom brings, where there is one.

    What is set already stays. No network is asked then.
    """
    brought = (root / FOLDER).absolute()
    if (brought / "wheels").is_dir():
        environ.setdefault("TL_CACHE", str(brought / "cache"))
        environ.setdefault("TFDS_DATA_DIR", str(brought / "tfds"))
        environ.setdefault("TL_OFFLINE", "1")
