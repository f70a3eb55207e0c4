"""Fine-tuning: a classifier for your own photographs, from a folder for each class.

    python fine_tuning.py photographs/ --out result
    python fine_tuning.py --out result --predict new.jpg
    python fine_tuning.py photographs/ --out result --resume     after Ctrl-C

The right choice from a few hundred pictures on: a head is trained on a pretrained network, then
the last block with it. Without a folder it makes an example, and shows how yours should look.
"""

import re
import sys

import tlhelpers as tl

from sklearn.linear_model import LogisticRegression

parser = tl.recipe_parser(__doc__, predicts="PICTURE")
add = parser.add_argument
add("folder", nargs="?", help="holds a folder of pictures for each class; none: an example")
add("--backbone", default="mobilenetv2-dogs", help="or one of keras.applications: resnet50")
add("--size", type=int, default=160, help="of the pictures, in pixels")
add("--unfreeze", type=int, default=1, help="blocks that learn with the head; 0 for the head alone")
add("--group", help="a regular expression; paths in which it finds the same stay together")
add("--skip-unreadable", action="store_true", help="leave out files that cannot be read")


def train(options, results):
    folder = options.folder or tl.make_example("pictures", results.path / "example")
    size = (96, 96) if options.quick else (options.size, options.size)
    group = options.group and (lambda path: (re.search(options.group, str(path)) or [None])[0])
    skip = options.skip_unreadable
    data = tl.load_folder(folder, size, group=group, skip_unreadable=skip, seed=options.seed)
    results.note("data", f"{folder}: {data}")
    training = data.x_train, data.y_train
    validation = data.x_validation, data.y_validation  # decides which epoch is kept

    base = tl.load_backbone(options.backbone, (*size, 3))
    model = tl.build_classifier(base, len(data.class_names))
    history = tl.fine_tune(
        model, training, validation, unfreeze=options.unfreeze or None,
        head_epochs=10, epochs=2 if options.quick else 5, learning_rate=1e-4,
        folder=results.state, verbose=2,
    )  # fmt: skip
    results.note("training", str(history))
    results.figure("history", tl.plot_history(history))

    report = tl.evaluate(model, data.x_test, data.y_test, data.class_names)
    results.report(report)
    results.figure("confusion", tl.plot_confusion(report))
    pixels = [x[:, ::8, ::8].reshape(len(x), -1) / 255 for x in (data.x_train, data.x_test)]
    linear = LogisticRegression(C=0.01, max_iter=1000).fit(pixels[0], data.y_train)
    results.compare({
        "fine-tuned network": report.accuracy,
        "linear classifier on small pictures": linear.score(pixels[1], data.y_test),
        "always the largest class": report.majority_accuracy,
    })  # fmt: skip

    tl.save_classifier(results.path / "classifier.keras", model, data.class_names)
    tl.export(model, results.path / "served", class_names=data.class_names)
    limits = f"It knows {', '.join(data.class_names)}, and calls every picture one of these."
    results.finish("A classifier of photographs", limits)


def predict(options):
    tl.classify_pictures(f"{options.out}/classifier.keras", options.predict)


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
