"""Intents across languages: train on the texts of one language, use it in the others.

    python intents.py requests.csv --language language --train-on en --out result
    python intents.py --out result --predict "mach das Licht an" more_texts.txt

The right choice when you have labelled texts in one language, and users in several. Without a table
it makes an example of a voice assistant, and shows how yours should look.
"""

import sys
from pathlib import Path

import tlhelpers as tl

import keras
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

parser = tl.recipe_parser(__doc__, predicts="TEXT or FILE (a text in each line)")
add = parser.add_argument
add("table", nargs="?", help="a CSV file, a row for each text; none: an example")
add("--text", default="text", help="the name of the column of texts")
add("--label", default="label", help="the name of the column of classes")
add("--language", help="the name of the column of languages; none: all texts are in one")
add("--train-on", help="the language to train on; none: the one with the most texts")
add("--encoding", help="of the file, such as cp1252; UTF-8 unless it says otherwise")
add("--skip-empty", action="store_true", help="leave out rows without a text or a class")


def train(options, results):
    table, language = options.table, options.language
    if not table:
        size = 300 if options.quick else 900
        table, language = tl.make_example("languages", results.path / "example", size), "language"
    data = tl.load_languages(
        table, options.text, options.label, language, options.train_on, seed=options.seed,
        encoding=options.encoding, skip_empty=options.skip_empty,
    )  # fmt: skip
    results.note("data", f"{table}: {data}")
    encoder, names = tl.load_sentence_encoder(), data.class_names
    x, shrink = encoder(data.x_train), keras.regularizers.L2(0.05 / len(data.x_train))
    logits = keras.layers.Dense(len(names), kernel_regularizer=shrink)
    model = keras.Sequential([keras.Input((512,)), logits])
    model.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(True))
    model.fit(x, data.y_train, batch_size=len(x), epochs=300, verbose=0)
    held = tl.evaluate(model, encoder(data.x_validation), data.y_validation, names).accuracy
    results.note("training", f"{data.train_on}, validation: {held:.3f} right")
    counted = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    letters = make_pipeline(counted, LogisticRegression(C=10.0, max_iter=1000))
    letters.fit(data.x_train, data.y_train)
    reports = {}
    for tongue, (texts, y) in data.tests.items():
        reports[tongue] = tl.evaluate(model, encoder(texts), y, names)
        right = f"{reports[tongue].accuracy:.3f} right; letters {letters.score(texts, y):.3f}"
        results.note(tongue, f"{tongue}: {len(y)} texts, {right}", show=True)
    abroad = [tongue for tongue in reports if tongue != data.train_on] or [data.train_on]
    results.report(reports[abroad[0]])
    results.figure(f"confusion in {abroad[0]}", tl.plot_confusion(reports[abroad[0]]))
    results.compare({
        "encoder, linear": np.mean([reports[one].accuracy for one in abroad]),
        "letters, linear": np.mean([letters.score(*data.tests[one]) for one in abroad]),
        "always the largest class": np.mean([reports[one].majority_accuracy for one in abroad]),
    })  # fmt: skip
    tl.save_classifier(results.path / "head.keras", model, names)
    results.finish("Intents across languages", f"Learnt in {data.train_on} alone.")


def predict(options):
    head, encoder = tl.load_classifier(f"{options.out}/head.keras"), tl.load_sentence_encoder()
    for text in options.predict:
        file = Path(text) if len(text) < 255 and Path(text).is_file() else None
        lines = file.read_text("utf8").splitlines() if file else [text]
        for line, odds in zip(lines, head.probabilities(encoder(lines)), strict=True):
            print(f"{line}: {head.class_names[odds.argmax()]} ({odds.max():.2f})")


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
