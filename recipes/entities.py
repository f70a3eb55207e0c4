"""Entities: find names in texts, from sentences in which you have marked them.

    python entities.py named/ --out result
    python entities.py --out result --predict "Ada Tindrel visits Oslo." more_texts.txt
    python entities.py named/ --out result --resume     after Ctrl-C

The folder holds train.txt, valid.txt and test.txt, or you name one file, which is split by
sentences: a word and its tag in each line (O, B-KIND, I-KIND), an empty line behind a sentence.
Some hundred sentences are a beginning. Without one it makes an example of invented sentences.
"""

import json
import sys
from pathlib import Path

import tlhelpers as tl

from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

parser = tl.recipe_parser(__doc__, predicts="TEXT or FILE (a text in each line)")
add = parser.add_argument
add("folder", nargs="?", help="with tagged sentences, or one file; none: an example")
add("--column", type=int, default=-1, help="of the tag in each line, from 0; -1 is the last")
add("--model", default="minilm-l6", help="or a BERT of KerasHub, or a folder with one")
add("--depth", type=int, default=4, help="layers of it that are used, from the first; 0 for all")
add("--unfreeze", type=int, default=2, help="of these, how many learn with the head; 0 for none")
add("--length", type=int, default=64, help="pieces of a sentence; what is longer isn't seen")


def train(options, results):
    folder = options.folder or tl.make_example("entities", results.path / "example", size=600)
    data = tl.load_entities(folder, column=options.column, seed=options.seed)
    results.note("data", f"{folder}: {data}")
    bert = tl.load_bert(options.model)
    aligner = tl.WordAligner(bert.preprocessor(options.length), data.tags)
    unseen = sum(map(aligner.cut, (data.train.words, data.validation.words, data.test.words)))
    results.note("length", f"{unseen} words are behind piece {options.length}, and not seen")
    parts = (aligner(*data.train), aligner(*data.validation))
    batches = [tl.bucket_by_length(*part, 16, seed=options.seed) for part in parts]
    model = tl.build_token_classifier(bert, data.tags, depth=options.depth or None)
    history = tl.fine_tune(
        model, *batches, unfreeze=options.unfreeze or None, head_epochs=3 if options.quick else 6,
        epochs=2 if options.quick else 5, head_learning_rate=1e-2, learning_rate=3e-4,
        loss=tl.token_loss(), cache_prefix=False, folder=results.state, verbose=2,
    )  # fmt: skip
    results.note("training", str(history))
    results.figure("history", tl.plot_history(history))

    tagger = tl.save_tagger(results.path / "tagger", model, aligner)
    report = tl.evaluate_entities(data.test.tags, tagger.tag(data.test.words))
    results.report(report)
    linear = make_pipeline(DictVectorizer(), LogisticRegression(max_iter=100))
    rows = [features(row, n) for row in data.train.words for n in range(len(row))]
    linear.fit(rows, [tag for row in data.train.tags for tag in row])
    by_hand = [[*linear.predict([features(r, n) for n in range(len(r))])] for r in data.test.words]
    control = tl.evaluate_entities(data.test.tags, by_hand).f1
    results.compare({"fine-tuned network": report.f1, "features by hand, linear": control})
    limits = f"It knows {', '.join(report.per_kind)}. The score is the F1 of whole names."
    results.finish("A finder of names", limits)


def features(words, n):
    near = {step: words[n + step] if 0 <= n + step < len(words) else "" for step in range(-2, 3)}
    told = {f"{step} word": word.lower() for step, word in near.items()}
    return told | {"title": words[n].istitle(), "capitals": words[n].isupper(),
                   "begins": words[n][:3].lower(), "ends": words[n][-3:].lower()}  # fmt: skip


def predict(options):
    tagger = tl.load_tagger(Path(options.out, "tagger"))
    for text in options.predict:
        is_file = len(text) < 255 and Path(text).is_file()
        for line in Path(text).read_text("utf8").splitlines() if is_file else [text]:
            print(json.dumps({"text": line, "names": [vars(n) for n in tagger.find([line])[0]]}))


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
