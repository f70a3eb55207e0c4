from tlhelpers.checks.backend import check_tensorflow

import keras
import pytest


def test_another_backend_is_told_what_to_do(monkeypatch):
    check_tensorflow("export")
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    required = r"must be TensorFlow for `export`\. Received: KERAS_BACKEND='torch'\. Save the model"
    with pytest.raises(ValueError, match=required):
        check_tensorflow("export")
