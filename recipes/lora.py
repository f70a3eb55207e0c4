"""LoRA: train a few weights beside a frozen encoder of texts; they are one small file.

    python lora.py reviews.csv --text review --label stars --out result
    python lora.py --out result --predict "A fine film." more_texts.txt
    python lora.py reviews.csv --out result --resume     after Ctrl-C

The right choice when one large network serves many tasks, and each should cost a small file.
Without a table it makes an example of film reviews, and shows how yours should look.
"""

import sys

import tlhelpers as tl

import keras
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

parser = tl.recipe_parser(__doc__, predicts="TEXT or FILE (a text in each line)")
add = parser.add_argument
add("table", nargs="?", help="a CSV file, a row for each text; none: an example")
add("--text", default="text", help="the name of the column of texts")
add("--label", default="label", help="the name of the column of classes")
add("--most", type=int, default=5000, help="texts to take, drawn by class")
add("--model", default="minilm-l6", help="or a BERT of KerasHub, or a folder with one")
add("--length", type=int, default=64, help="tokens of a text; longer ones are cut")
add("--rank", type=int, default=8, help="of the two small matrices beside each large one")
add("--epochs", type=int, default=3, help="how often to go through the texts")


def train(options, results):
    table = options.table or tl.make_example("texts", results.path / "example", 600)
    data = tl.load_table(table, options.text, options.label, most=options.most, seed=options.seed)
    results.note("data", f"{table}: {data}")
    bert = tl.load_bert(options.model)
    preprocessor = bert.preprocessor(32 if options.quick else options.length)
    x, x_val, x_test = map(preprocessor, (data.x_train, data.x_validation, data.x_test))
    model = tl.build_text_classifier(bert, len(data.class_names), preprocessor.sequence_length)
    kept = (x_val, data.y_validation)  # decides which epoch of the head is kept
    done = sorted(results.state.glob("*.npz"))  # a file for each epoch of a run that was ended
    if done:
        tl.load_adapters(model, done[-1])  # and the head
    else:  # first the head, on the frozen encoder
        tl.fine_tune(model, (x, data.y_train), kept, unfreeze=None)
        tl.add_lora(model, options.rank, targets=["query", "value"])
    epochs, steps = 1 if options.quick else options.epochs, -(-len(data.y_train) // 32)
    optimizer = keras.optimizers.Adam(tl.warmup_cosine(1e-3, epochs * steps))
    optimizer.iterations.assign(len(done) * steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss=loss, metrics=["accuracy"])
    results.state.mkdir(exist_ok=True)
    save = lambda n, _: tl.save_adapters(model, results.state / f"{n:05d}.npz")  # noqa: E731
    model.fit(
        x, data.y_train, validation_data=kept, initial_epoch=len(done), epochs=epochs, verbose=2,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=save)],
    )  # fmt: skip
    tl.save_adapters(model, results.path / "adapters.lora.npz")  # for tl.load_adapters
    tl.merge_lora(model)  # a plain model again, with the same predictions and no extra cost

    report = tl.evaluate(model, x_test, data.y_test, data.class_names)
    results.report(report)
    results.figure("confusion", tl.plot_confusion(report))
    words = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(data.x_train, data.y_train)
    results.compare({
        "network with adapters": report.accuracy,
        "counted words (TF-IDF), linear": words.score(data.x_test, data.y_test),
        "always the largest class": report.majority_accuracy,
    })  # fmt: skip
    tl.save_text_model(results.path / "classifier", model, preprocessor, data.class_names)
    tl.export(model, results.path / "served", class_names=data.class_names)
    results.finish("A classifier of texts", f"It knows {', '.join(data.class_names)}, no other.")


def predict(options):
    tl.classify_texts(f"{options.out}/classifier", options.predict)


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
