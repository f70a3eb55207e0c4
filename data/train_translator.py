"""Train the translator of this folder, Spanish to English: about ten minutes on one idle core.

    python data/train_translator.py

The encoder stays as it is; its features of the Spanish sentences are computed once (1.9 GB).
Writes translator_es_en.npz (float16, with the vocabulary), and prints its scores on 500 pairs that
it never saw: BLEU 44.2, chrF 58.9. (Width and learning rate were tried in short trainings on 300
pairs drawn at random. Some of them may be among the 500.) No English sentence that `tl.held_out`
keeps for testing is among the training pairs, whichever language it stands beside.
"""

import sys
from pathlib import Path

import tlhelpers as tl
from tlhelpers.sources.words import split_words

import keras
import numpy as np

from build import sha256, write_npz

HERE = Path(__file__).resolve().parent
PAIRS, TEST, WORDS = 30_000, 500, 3_000
PIECES, LENGTH = 24, 12
EPOCHS, BATCH, RATE = 8, 64, 2e-3


def choose(test: bool, count: int) -> tuple[list[str], list[str]]:
    """Return so many Spanish sentences and their English ones, held out or not."""
    pairs = tl.load_pairs("spanish", words=(3, 8))
    rows = np.flatnonzero(tl.held_out(pairs.english) == test)
    short = [n for n in rows if len(split_words(pairs.english[n])) < LENGTH][:count]
    return [pairs.other[n] for n in short], [pairs.english[n] for n in short]


def batches(features, mask, numbers, seed: int):
    """Return the batches of an epoch: pairs with English sides of like length, in a new order."""
    random, lengths = np.random.default_rng((0, seed)), (numbers > 0).sum(axis=1)
    order = random.permutation(len(numbers))
    order = order[np.argsort(lengths[order], kind="stable")]
    for start in random.permutation(np.arange(0, len(order), BATCH)):
        rows = np.sort(order[start : start + BATCH])
        pieces, words = mask[rows].sum(axis=1).max(), lengths[rows].max()
        inputs = {
            "features": features[rows, :pieces].astype("float32"),
            "padding_mask": mask[rows, :pieces],
            "words": numbers[rows, : words - 1],
        }
        yield inputs, numbers[rows, 1:words]


def train(model: keras.Model, features, mask, numbers) -> None:
    """Fit the model; one graph serves all lengths."""
    import tensorflow as tf

    steps = -(-len(numbers) // BATCH)
    rate = tl.warmup_cosine(RATE, EPOCHS * steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=0.01, clipnorm=1.0), loss)
    inputs = {
        "features": tf.TensorSpec((None, None, features.shape[-1]), "float32"),
        "padding_mask": tf.TensorSpec((None, None), "bool"),
        "words": tf.TensorSpec((None, None), "int32"),
    }
    for epoch in range(EPOCHS):
        dataset = tf.data.Dataset.from_generator(
            lambda epoch=epoch: batches(features, mask, numbers, epoch),
            output_signature=(inputs, tf.TensorSpec((None, None), "int32")),
        )
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(2)
        model.fit(dataset, initial_epoch=epoch, epochs=epoch + 1, shuffle=False, verbose=2)


def main() -> int:
    """Train, measure once, write."""
    spanish, english = choose(False, PAIRS)
    encoder = tl.load_sentence_encoder("use-multilingual")
    words = tl.learn_words(english, WORDS)
    features, mask = encoder.features(spanish, PIECES, "float16")

    tl.set_seed(0)
    model = tl.build_translator(features.shape[-1], len(words), PIECES, LENGTH)
    train(model, features, mask, words.encode(english, LENGTH))

    small = {weight.path: weight.numpy().astype("float16") for weight in model.weights}
    for weight in model.weights:  # what is measured is what is written
        weight.assign(small[weight.path])
    path = HERE / "translator_es_en.npz"
    write_npz(path, {**small, "words": np.frombuffer("\n".join(words).encode(), "uint8")})
    print(f"{path.name}: size = {path.stat().st_size}, sha256 = {sha256(path)!r}", flush=True)
    spanish, english = choose(True, TEST)
    translate = tl.Translator(encoder, model, words, PIECES, LENGTH)
    print(tl.evaluate_translations(translate(spanish), english))
    return 0


if __name__ == "__main__":
    sys.exit(main())
