"""An epoch of texts in batches of similar length, and padded to the longest."""

from types import SimpleNamespace

import tlhelpers as tl
from benchmarks.frame import Measured, Row, take_turns

import keras
import numpy as np

LONGEST, BATCH = 256, 32


def bucketing(quick: bool) -> Measured:
    """A small BERT, all of which learns. The lengths are as uneven as those of reviews."""
    import keras_hub

    rng = np.random.default_rng(0)
    texts = 160 if quick else 512
    lengths = np.exp(rng.normal(4.2, 0.7, texts)).clip(8, LONGEST).astype(int)
    lengths[0] = LONGEST
    mask = np.arange(LONGEST) < lengths[:, None]
    ids = np.where(mask, rng.integers(1, 1000, mask.shape), 0)
    inputs = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": mask.astype(int)}
    labels = rng.integers(0, 2, texts)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=1000, num_layers=2, num_heads=4, hidden_dim=128, intermediate_dim=512,
        max_sequence_length=LONGEST,
    )  # fmt: skip
    bert = SimpleNamespace(backbone=backbone)
    model = tl.build_text_classifier(bert, 2, sequence_length=None)
    tl.unfreeze(model, fraction=1.0)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def ours():
        batches = tl.bucket_by_length(inputs, labels, BATCH)
        model.fit(batches, shuffle=False, verbose=0)

    def peer():
        model.fit(inputs, labels, batch_size=BATCH, verbose=0)

    ratios = take_turns(ours, peer, 3 if quick else 5)
    fewer = f"{LONGEST / lengths.mean():.2f}"
    return Measured(ratios, {"texts": texts, "tokens padded / real": fewer})


ROWS = (
    Row(
        "text",
        "an epoch of texts by `bucket_by_length`: times faster than padded to the longest",
        bucketing,
        full_only=True,
    ),
)
