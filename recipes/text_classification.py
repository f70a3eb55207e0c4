"""Text classification: fine-tune a small BERT on your own texts, a table with two columns.

    python text_classification.py reviews.csv --text review --label stars --out result
    python text_classification.py --out result --predict "A fine film." more_texts.txt
    python text_classification.py reviews.csv --out result --resume     after Ctrl-C

The right choice from a few hundred texts on. Without a table it makes an example of film reviews,
and shows how yours should look.
"""

import sys

import tlhelpers as tl

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

parser = tl.recipe_parser(__doc__, predicts="TEXT or FILE (a text in each line)")
add = parser.add_argument
add("table", nargs="?", help="a CSV file, a row for each text; none: an example")
add("--text", default="text", help="the name of the column of texts")
add("--label", default="label", help="the name of the column of classes")
add("--group", help="a column: rows with one value (author, patient) stay on one side")
add("--encoding", help="of the file, such as cp1252; UTF-8 unless it says otherwise")
add("--separator", help="between columns; none: found in the first row")
add("--skip-empty", action="store_true", help="leave out rows without a text or a class")
add("--most", type=int, default=5000, help="texts to take, drawn by class")
add("--model", default="minilm-l6", help="or a BERT of KerasHub, or a folder with one")
add("--length", type=int, default=64, help="tokens of a text; longer ones are cut")
add("--unfreeze", type=int, default=2, help="blocks that learn with the head; 0 for the head alone")


def train(options, results):
    table = options.table or tl.make_example("texts", results.path / "example", size=1000)
    data = tl.load_table(
        table, options.text, options.label, group=options.group, most=options.most,
        encoding=options.encoding, separator=options.separator, skip_empty=options.skip_empty,
        seed=options.seed,
    )  # fmt: skip
    results.note("data", f"{table}: {data}")
    bert = tl.load_bert(options.model)
    preprocessor = bert.preprocessor(sequence_length=32 if options.quick else options.length)
    x, x_val, x_test = map(preprocessor, (data.x_train, data.x_validation, data.x_test))

    model = tl.build_text_classifier(bert, len(data.class_names), preprocessor.sequence_length)
    history = tl.fine_tune(
        model, (x, data.y_train), (x_val, data.y_validation), unfreeze=options.unfreeze or None,
        epochs=1 if options.quick else 3, learning_rate=2e-4, folder=results.state, verbose=2,
    )  # fmt: skip
    results.note("training", str(history))
    results.figure("history", tl.plot_history(history))
    model = tl.calibrate(model, x_val, data.y_validation)

    report = tl.evaluate(model, x_test, data.y_test, data.class_names)
    results.report(report)
    results.figure("confusion", tl.plot_confusion(report))
    words = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(data.x_train, data.y_train)
    results.compare({
        "fine-tuned network": report.accuracy,
        "counted words (TF-IDF), linear": words.score(data.x_test, data.y_test),
        "always the largest class": report.majority_accuracy,
    })  # fmt: skip

    tl.save_text_model(results.path / "classifier", model, preprocessor, data.class_names)
    tl.export(model, results.path / "served", class_names=data.class_names)
    limits = f"It knows {', '.join(data.class_names)}, and calls every text one of these."
    results.finish("A classifier of texts", limits)


def predict(options):
    tl.classify_texts(f"{options.out}/classifier", options.predict)


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
