"""Fine-tune the BERT encoder on all film reviews there are, over several seeds.

The settings that are given decide; `--validation` reviews, kept out of the training, are there to
choose between settings, and the test reviews for the result. Each result is written to a file as
soon as it is there, and a run that was interrupted goes on from it.

    python benchmarks/accuracy/reviews.py results.json --data rotten_tomatoes --tokens 64
    python benchmarks/accuracy/reviews.py results.json --data imdb --tokens 256
"""

import argparse
import json
import time
from pathlib import Path

import tlhelpers as tl

import keras

POOLS = {"rotten_tomatoes": (6_820, 1_700), "imdb": (20_000, 5_000)}  # to train on, to test on


def train(bert, reviews, options, seed: int) -> dict:
    """Fine-tune the pre-trained encoder with one seed; return its accuracies and the seconds."""
    tl.set_seed(seed)
    model = tl.build_text_classifier(bert, num_classes=2, sequence_length=None)
    tl.unfreeze(model, blocks=options.blocks)
    batches = tl.bucket_by_length(*reviews["train"], batch_size=options.batch, seed=seed)
    rate = tl.warmup_cosine(options.rate, options.epochs * len(batches))
    optimizer = tl.layerwise(keras.optimizers.AdamW(rate), model, decay=options.decay)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    optimizer.build(model.trainable_variables)
    begin = time.time()
    model.fit(batches, epochs=options.epochs, shuffle=False, verbose=2)
    seconds = time.time() - begin
    result = {"seed": seed, "seconds": round(seconds)}
    for part in ("validation", "test"):
        one_by_one = tl.bucket_by_length(*reviews[part], batch_size=64, shuffle=False)
        result[part] = tl.evaluate(model, one_by_one).accuracy
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--data", choices=POOLS, default="rotten_tomatoes")
    parser.add_argument("--train", type=int, help="reviews to train on; all that there are")
    parser.add_argument("--validation", type=int, default=800)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=6, help="layers that learn, from the top")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--decay", type=float, default=0.85, help="of the rate, per layer")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    options = parser.parse_args()
    settings = {k: value for k, value in vars(options).items() if k not in ("results", "seeds")}
    pool, test = POOLS[options.data]
    train_size = options.train or pool - options.validation
    data = tl.load_dataset(options.data, train=train_size + options.validation, test=test)
    bert = tl.load_bert()
    pretrained, preprocessor = bert.backbone.get_weights(), bert.preprocessor(options.tokens)
    x, y = preprocessor(data.x_train), data.y_train
    cut = options.validation
    reviews = {
        "validation": ({name: part[:cut] for name, part in x.items()}, y[:cut]),
        "train": ({name: part[cut:] for name, part in x.items()}, y[cut:]),
        "test": (preprocessor(data.x_test), data.y_test),
    }
    done = json.loads(options.results.read_text()) if options.results.exists() else []
    for seed in options.seeds:
        if any(r["settings"] == settings and r["seed"] == seed for r in done):
            continue
        bert.backbone.set_weights(pretrained)
        done.append({**train(bert, reviews, options, seed), "settings": settings})
        options.results.write_text(json.dumps(done, indent=1))
        print(done[-1], flush=True)


if __name__ == "__main__":
    main()
