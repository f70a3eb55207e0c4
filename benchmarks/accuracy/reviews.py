r"""Fine-tune the BERT encoder on all film reviews there are, over several seeds.

Word counts (TF-IDF) with logistic regression learn on the same reviews, for comparison. The
`--validation` reviews are kept out of the training: choose settings by them, and read the result
off the test reviews. With `--redraw` each seed draws all three sets again, so that the spread is
also that of the reviews. Each result is written to a file at once, and an interrupted run goes on
from it.

    python benchmarks/accuracy/reviews.py r.json --redraw --train 1000 --tokens 48 \
        --blocks 4 --decay 1
    python benchmarks/accuracy/reviews.py r.json --redraw --validation 0
    python benchmarks/accuracy/reviews.py r.json --data imdb --tokens 256 --words 180 --batch 32 \
        --epochs 1 --dtype mixed_bfloat16 --seeds 0 --keep short.weights.h5
    python benchmarks/accuracy/reviews.py r.json --data imdb --tokens 512 --words 370 --batch 32 \
        --epochs 1 --dtype mixed_bfloat16 --seeds 0 --rate 1e-4 --start short.weights.h5 \
        --keep imdb.weights.h5
    python benchmarks/accuracy/reviews.py r.json --redraw --validation 0 --rate 1e-4 --epochs 3 \
        --dtype mixed_bfloat16 --start imdb.weights.h5

A long review often says at its end what it comes to. With `--words`, a review that is longer keeps
a quarter of that number of words from its beginning, and three quarters from its end.

The encoder learns IMDb's reviews at half their length first, then at all of it (the third and the
fourth command). That takes about 50 and 75 minutes on one core with bfloat16 instructions.
"""

import argparse
import json
import time
from pathlib import Path

import tlhelpers as tl

import keras
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


def shorten(text: str, words: int | None) -> str:
    """Return the beginning and the end of a long text, without the line breaks of web pages."""
    parts = text.replace("<br />", " ").split()
    if words is None or len(parts) <= words:
        return " ".join(parts)
    first = words // 4
    return " ".join(parts[:first] + parts[first - words :])


def train(bert, reviews, options, seed: int) -> dict:
    """Fine-tune the encoder as it is with one seed; return its accuracies and the seconds."""
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
    for part in ("validation", "test") if options.validation else ("test",):
        one_by_one = tl.bucket_by_length(*reviews[part], batch_size=64, shuffle=False)
        result[part] = round(tl.evaluate(model, one_by_one).accuracy, 4)
    return result


def word_counts(texts, labels, train, test) -> float:
    """Return the test accuracy of the classic without a network."""
    counts = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    classic = make_pipeline(counts, LogisticRegression(C=10, max_iter=1000))
    return classic.fit(texts[train], labels[train]).score(texts[test], labels[test])


def draw(options, pool: int, total: int, seed: int) -> dict[str, np.ndarray]:
    """Return which reviews are for what: the first `pool` of them to learn from, or as drawn."""
    order = np.arange(total)
    if options.redraw:
        order = np.random.default_rng(seed).permutation(order)
    cut = options.validation
    learning = order[cut:pool][: options.train]
    return {"train": learning, "validation": order[:cut], "test": order[pool:]}


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--data", choices=("rotten_tomatoes", "imdb"), default="rotten_tomatoes")
    parser.add_argument("--train", type=int, help="reviews to train on; all that there are")
    parser.add_argument("--validation", type=int, default=800, help="0: train on all")
    parser.add_argument("--redraw", action="store_true", help="other reviews with each seed")
    parser.add_argument("--start", help="a .weights.h5 of an encoder that learned another task")
    parser.add_argument("--keep", help="write the encoder of the last seed to this .weights.h5")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--words", type=int, help="of a longer review, from both ends; all")
    parser.add_argument("--dtype", default="float32", help="float32 or mixed_bfloat16")
    parser.add_argument("--blocks", type=int, default=6, help="layers that learn, from the top")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--decay", type=float, default=0.85, help="of the rate, per layer")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    return parser.parse_args()


def main():
    options = read_options()
    settings = {
        k: value for k, value in vars(options).items() if k not in ("results", "seeds", "keep")
    }
    keras.mixed_precision.set_dtype_policy(options.dtype)
    data = tl.load_dataset(options.data)
    bert = tl.load_bert()
    if options.start:
        bert.backbone.load_weights(options.start)
    pretrained = bert.backbone.get_weights()
    texts = np.array([shorten(t, options.words) for t in [*data.x_train, *data.x_test]], object)
    x, y = bert.preprocessor(options.tokens)(texts), np.concatenate([data.y_train, data.y_test])
    done = json.loads(options.results.read_text()) if options.results.exists() else []
    for seed in options.seeds:
        if any(r["settings"] == settings and r["seed"] == seed for r in done):
            continue
        places = draw(options, len(data.x_train), len(texts), seed)
        reviews = {p: ({k: v[at] for k, v in x.items()}, y[at]) for p, at in places.items()}
        counted = word_counts(texts, y, places["train"], places["test"])
        bert.backbone.set_weights(pretrained)
        done.append(train(bert, reviews, options, seed))
        done[-1] |= {"word counts": round(counted, 4), "settings": settings}
        if options.keep:
            bert.backbone.save_weights(options.keep)
        beside = options.results.with_name(f"{options.results.name}.new")
        beside.write_text(json.dumps(done, indent=1))
        beside.replace(options.results)
        print(done[-1], flush=True)


if __name__ == "__main__":
    main()
