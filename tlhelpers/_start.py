"""Import keras with TensorFlow's start-up log put aside.

TensorFlow writes some ten lines to the standard error of every process that imports it, before
any of its own log settings is read, and a notebook would keep them among its outputs. They are
caught here during the import, and shown only if the import fails. Of its later warnings one is
dropped: it takes the training step of each new model for a step that is traced again and again.

Before that: in an unpacked classroom weights and data come from its own folder.
"""

import logging
import os
import sys
import tempfile
from collections.abc import MutableMapping
from pathlib import Path


def use_what_was_brought(course: Path, environ: MutableMapping[str, str] = os.environ) -> None:
    """Take weights and data from `classroom/` in the course, where it is, and ask no network.

    What is set already stays.
    """
    brought = course.absolute() / "classroom"
    if (brought / "SHA256SUMS").is_file():
        environ.setdefault("TL_CACHE", str(brought / "cache"))
        environ.setdefault("TFDS_DATA_DIR", str(brought / "tfds"))
        environ.setdefault("TL_OFFLINE", "1")


use_what_was_brought(Path(__file__).parents[1])
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what fails still raises
# TensorFlow's fast convolutions; by itself it takes them only where the processor has AVX-512.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

logging.getLogger("tensorflow").addFilter(
    lambda record: "triggered tf.function retracing" not in record.getMessage()
)

if "tensorflow" not in sys.modules:
    sys.stderr.flush()
    with tempfile.TemporaryFile() as log:
        saved = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            import keras  # noqa: F401
            import tensorflow as tf

            tf.config.list_physical_devices()  # "no GPU here" is said now or never
        except BaseException:
            log.seek(0)
            os.write(saved, log.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
