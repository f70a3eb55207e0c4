"""What a model or a layer makes of an array, batch by batch, in inference mode."""

from tlhelpers.checks.features import to_numpy

import keras
import numpy as np


def outputs_of(part: keras.Layer, x: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """Return the outputs for all rows of `x` as one array."""
    if isinstance(part, keras.Model):
        return part.predict(x, batch_size=batch_size, verbose=0)
    starts = range(0, len(x), batch_size)
    batches = [part(x[i : i + batch_size], training=False) for i in starts]
    return np.concatenate([keras.ops.convert_to_numpy(batch) for batch in batches])


def features_of(encoder: keras.Layer, x: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """Return the features for all rows of `x`, one flat row each."""
    features = to_numpy(outputs_of(encoder, x, batch_size))
    return features.reshape(len(features), -1)
