"""Feature extraction: run a frozen network over your pictures once, and keep what it sees.

    python feature_extraction.py photographs/ --out result
    python feature_extraction.py --out result --predict new.jpg

The right choice for a few hundred pictures, and for trying many classifiers on the same features:
`result/features.npz` holds them, with labels, classes and file names. Without a folder it makes an
example, and shows how yours should look.
"""

import sys

import tlhelpers as tl

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

parser = tl.recipe_parser(__doc__, predicts="PICTURE")
add = parser.add_argument
add("folder", nargs="?", help="holds a folder of pictures for each class; none: an example")
add("--backbone", default="mobilenetv2-dogs", help="or one of keras.applications: resnet50")
add("--size", type=int, default=160, help="of the pictures, in pixels")
add("--skip-unreadable", action="store_true", help="leave out files that cannot be read")


def classifier():
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))


def train(options, results):
    folder = options.folder or tl.make_example("pictures", results.path / "example", 800)
    size = (96, 96) if options.quick else (options.size, options.size)
    data = tl.load_folder(
        folder, size, validation=0, test=0.2, skip_unreadable=options.skip_unreadable,
        seed=options.seed,
    )  # fmt: skip
    results.note("data", f"{folder}: {data}")

    base = tl.load_backbone(options.backbone, (*size, 3))
    encoder = tl.split_at(tl.build_classifier(base, len(data.class_names)), "pooling")[0]
    encoder.save(results.path / "encoder.keras")  # with its preprocessing: it takes 0..255
    kept = {}
    for part in ("train", "test"):
        images = getattr(data, f"x_{part}")
        kept[part] = tl.extract_features(encoder, images, cache=results.state)
        kept[f"{part}_labels"] = getattr(data, f"y_{part}")
        kept[f"{part}_files"] = np.array([str(file) for file in data.files[part]])
    np.savez(results.path / "features.npz", class_names=data.class_names, **kept)
    results.note("features", f"{kept['train'].shape[1]:,} for each picture, in features.npz")
    results.figure("map", tl.plot_embedding(kept["test"], data.y_test, data.class_names))

    pixels = [x[:, ::8, ::8].reshape(len(x), -1) / 255 for x in (data.x_train, data.x_test)]
    fitted = classifier().fit(kept["train"], data.y_train)
    results.compare({
        "linear classifier on the features": fitted.score(kept["test"], data.y_test),
        "linear classifier on small pictures": (
            classifier().fit(pixels[0], data.y_train).score(pixels[1], data.y_test)
        ),
        "always the largest class": np.bincount(data.y_test).max() / len(data.y_test),
    })  # fmt: skip
    results.finish("Features of photographs", "The scores are those of one split of the pictures.")


def predict(options):
    kept = np.load(f"{options.out}/features.npz")
    encoder = keras.models.load_model(f"{options.out}/encoder.keras")
    fitted = classifier().fit(kept["train"], kept["train_labels"])
    for file in options.predict:
        picture = tl.load_picture(file, encoder.input_shape[1:3])[None]
        odds = fitted.predict_proba(encoder.predict(picture, verbose=0))[0]
        print(f"{file}: {kept['class_names'][odds.argmax()]} ({odds.max():.2f})")


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
