"""An epoch of IMDb in batches of similar length, relative to padding each review to 256 tokens.

    python benchmarks/bucketing.py [reviews] [tokens]

The same encoder trains on the same reviews in both ways, in one process; all of it learns. The
ratio is that of the fastest epochs, on the clock and in processor time, which other programs
disturb less. Three more numbers stand beside it: the accuracy that both reach, the share of an
epoch that tokenizing and batching take, and the ratio that the number of tokens alone would give.
After so few steps the accuracy depends more on the order of the batches than on their width: to
compare it, give some thousand reviews.
"""

import sys
import time

import tlhelpers as tl

import keras
import numpy as np

EPOCHS, BATCH, TEST = 2, 32, 200


def build(bert, weights) -> keras.Model:
    tl.set_seed(0)
    bert.backbone.set_weights(weights)
    model = tl.build_text_classifier(bert, 2, sequence_length=None)
    tl.unfreeze(model, fraction=1.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-4), loss)
    return model


def seconds(action) -> np.ndarray:
    """Return the time on the clock and of the processor."""
    begin = np.array([time.perf_counter(), time.process_time()])
    action()
    return np.array([time.perf_counter(), time.process_time()]) - begin


def main(reviews: int, tokens: int) -> None:
    data = tl.load_dataset("imdb", train=reviews, test=TEST)
    bert = tl.load_bert()
    weights, preprocessor = bert.backbone.get_weights(), bert.preprocessor(tokens)
    preprocessor(["a first text"])
    tokenizing = seconds(lambda: preprocessor(data.x_train))
    x, x_test = preprocessor(data.x_train), preprocessor(data.x_test)
    batches = tl.bucket_by_length(x, data.y_train, BATCH)
    batching = seconds(lambda: list(batches))
    ways = {
        "padded": lambda model: model.fit(x, data.y_train, batch_size=BATCH, verbose=0),
        "bucketed": lambda model: model.fit(batches, shuffle=False, verbose=0),
    }
    spent, correct = {}, {}
    for name, epoch in ways.items():
        model = build(bert, weights)
        few = {key: part[:BATCH] for key, part in x.items()}
        warm = tl.bucket_by_length(few, data.y_train[:BATCH], BATCH)
        model.fit(warm, shuffle=False, verbose=0)  # what is traced and allocated only once
        epochs = [seconds(lambda m=model, e=epoch: e(m)) for _ in range(EPOCHS)]
        spent[name] = np.min(epochs, axis=0)
        correct[name] = tl.evaluate(model, x_test, data.y_test).accuracy
        print(f"{name}: {spent[name][0]:.1f} s an epoch, accuracy {correct[name]:.3f}", flush=True)
    lengths = x["padding_mask"].sum(axis=1)
    share = (tokenizing / EPOCHS + batching)[1] / spent["bucketed"][1]
    clock, processor = spent["padded"] / spent["bucketed"]
    print(f"ratio padded / bucketed: {clock:.2f}; in processor time {processor:.2f}")
    print(f"tokens padded / real:    {tokens / lengths.mean():.2f}")
    print(f"tokenizing (once) and batching: {100 * share:.1f} % of an epoch")
    print(f"accuracy bucketed - padded: {correct['bucketed'] - correct['padded']:+.3f} "
          f"(standard error of each {np.sqrt(0.25 / TEST):.3f})")  # fmt: skip


if __name__ == "__main__":
    main(*(int(a) for a in (sys.argv[1:3] + ["256", "256"][len(sys.argv) - 1 :])))
