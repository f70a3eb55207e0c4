"""Import keras with TensorFlow's start-up log put aside.

TensorFlow writes some ten lines to the standard error of every process that imports it, before
any of its own log settings is read, and a notebook would keep them among its outputs. They are
caught here during the import, and shown only if the import fails. Of its later warnings one is
dropped: it takes the training step of each new model for a step that is traced again and again.
"""

import logging
import os
import sys
import tempfile

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
