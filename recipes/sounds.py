r"""Sounds in folders: a frozen speech network hears your recordings, a small head names them.

    python sounds.py recordings/ --group '([^/]+)_\d+\.wav$' --out result
    python sounds.py --out result --predict new.wav

The right choice for words, calls and commands of about a second, from five recordings a class on.
`--group` finds the speaker in each path: the test hears new people. Without a folder: an example.
"""

import json
import sys

import tlhelpers as tl

import keras
import numpy as np
from scipy.fft import dct
from sklearn import linear_model, pipeline, preprocessing

parser = tl.recipe_parser(__doc__, predicts="SOUND")
add = parser.add_argument
add("folder", nargs="?", help="holds a folder of WAV files for each class; none: an example")
add("--group", help="a regular expression that finds the speaker in each path")
add("--seconds", type=float, default=1.0, help="of each sound that are heard, 0.8 at least")
add("--unfreeze", type=int, default=0, help="blocks that learn with the head, such as 1")
add("--skip-unreadable", action="store_true", help="leave out files that cannot be read")


def cepstra(pictures):
    """Return MFCC, thirteen numbers in each tenth of the sound: the classical features."""
    rows = dct(pictures[..., 0], axis=2, norm="ortho")[:, :, :13]
    return np.hstack([part.mean(axis=1) for part in np.array_split(rows, 10, axis=1)])


def train(options, results):
    if not options.seconds >= 0.8:  # no number is not above it
        raise ValueError(f"`--seconds` must be 0.8 or above. Received: {options.seconds}. Try 1.0.")
    folder, pattern = options.folder, options.group
    if not folder:
        size = 120 if options.quick else 480
        folder, pattern = tl.make_example("sounds", results.path / "example", size), r"(\w+)_\d+\."
    data = tl.load_sounds(
        folder, options.seconds, 0.2, 0.3, tl.group_by(pattern) if pattern else None,
        options.skip_unreadable, options.seed,
    )  # fmt: skip
    results.note("data", f"{folder}: {data}")
    x = {part: tl.log_mel(getattr(data, f"x_{part}")) for part in data.files}
    y = {part: getattr(data, f"y_{part}") for part in data.files}
    names, base, as_it_is = data.class_names, tl.load_audio_encoder(), keras.layers.Identity()
    model = tl.build_classifier(base, len(names), as_it_is)
    learn, check = ((x[part], y[part]) for part in ("train", "validation"))
    history = tl.fine_tune(model, learn, check, options.unfreeze or None, 60, batch_size=16,
                           monitor="val_loss", folder=results.state)  # fmt: skip
    results.note("training", str(history))
    results.report(report := tl.evaluate(model, x["test"], y["test"], names))
    results.figure("confusion", tl.plot_confusion(report))
    flat = {part: cepstra(pictures) for part, pictures in x.items()}
    linear = linear_model.LogisticRegression(C=0.1, max_iter=2000)
    classical = pipeline.make_pipeline(preprocessing.StandardScaler(), linear)
    classical.fit(flat["train"], y["train"])
    results.compare({
        "speech network": report.accuracy,
        "MFCC, linear": classical.score(flat["test"], y["test"]),
        "always the largest class": report.majority_accuracy,
    })  # fmt: skip
    tl.save_classifier(results.path / "classifier.keras", model, names)
    results.finish("Sounds in folders", "One split; speakers are kept apart only with --group.")


def predict(options):
    saved = tl.load_classifier(f"{options.out}/classifier.keras")
    with open(f"{options.out}/run.json", encoding="utf8") as run:
        seconds = json.load(run)["asked"]["seconds"]
    for file in options.predict:
        odds = saved.probabilities(tl.log_mel(tl.load_sound(file, seconds)[None]))[0]
        print(f"{file}: {saved.class_names[odds.argmax()]} ({odds.max():.2f})")


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
