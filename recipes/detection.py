"""Detection: where is it in the picture, and what is it? A detector from pictures with boxes.

    python detection.py boxed/ --out result
    python detection.py --out result --predict new.jpg

The folder holds a Pascal VOC XML file beside each picture, or one COCO JSON file. From a dozen
pictures on: a frozen pretrained network, and a pyramid on it that learns where the centres are.
Without a folder it makes an example, and shows how yours should look.
"""

import json
import sys
from pathlib import Path

import tlhelpers as tl
from tlhelpers.reading.detecting import Found
from tlhelpers.scores.boxes import box_grid

import keras
import numpy as np

parser = tl.recipe_parser(__doc__, predicts="PICTURE")
add = parser.add_argument
add("folder", nargs="?", help="pictures with VOC or COCO boxes; none: an example")
add("--backbone", default="efficientnet-lite0", help="or one of keras.applications: resnet50")
add("--side", type=int, default=256, help="of the crops, in pixels, a multiple of 32")
add("--rounds", type=int, default=4, help="times that new crops are cut")


def train(options, results):
    folder = options.folder or tl.make_example("boxes", results.path / "example", size=60)
    data = tl.load_boxes(folder)
    results.note("data", f"{folder}: {data}")
    if not (fifth := len(data) // 5):
        raise ValueError(f"{folder} must hold five pictures at least. Received: {len(data)}.")
    order = np.random.default_rng(options.seed).permutation(len(data))
    train, validation, test = map(data.part, np.split(order, [-2 * fifth, -fifth]))

    least = min(min(picture.shape[:2]) for picture in data.pictures)  # a crop fits into each
    side = min(96 if options.quick else options.side, int(least / 1.25) // 32 * 32)
    base = tl.load_backbone(options.backbone, (None, None, 3))
    filters, rounds = (32, 1) if options.quick else (64, options.rounds)
    model = tl.build_detector(base, len(data.class_names), filters)
    history = tl.fit_detector(model, train.pictures, train.boxes, train.labels, side, crops=80,
                              rounds=rounds, epochs=6, seed=options.seed)  # fmt: skip
    results.figure("history", tl.plot_history(history))

    found = [tl.detect(model, picture, side) for picture in validation.pictures]
    threshold = tl.threshold_for(found, validation.boxes, validation.labels)
    found = [tl.detect(model, picture, side) for picture in test.pictures]
    truth = (test.boxes, test.labels, data.class_names)
    results.report(report := tl.evaluate_boxes(found, *truth, threshold=threshold))
    first = test.pictures[0], found[0], test.boxes[0], data.class_names, threshold
    results.figure("boxes", tl.plot_boxes(*first))
    sides = np.median(np.concatenate([box[:, 2:] - box[:, :2] for box in train.boxes]), axis=0)
    label = np.bincount(np.concatenate(train.labels)).argmax()  # the commonest, everywhere
    grids = [box_grid(picture.shape[:2], sides) for picture in test.pictures]
    grids = [Found(grid, np.ones(len(grid)), np.full(len(grid), label)) for grid in grids]
    control = tl.evaluate_boxes(grids, *truth).average_precision
    results.compare({"detector": report.average_precision[0.4], "a grid of boxes": control[0.4]})

    model.save(results.path / "detector.keras")
    about = json.dumps({"class_names": data.class_names, "side": side, "threshold": threshold})
    (results.path / "detector.json").write_text(about)
    results.finish("A detector", f"It knows {', '.join(data.class_names)}, of sizes like these.")


def predict(options):
    about = json.loads(Path(options.out, "detector.json").read_text())
    model = keras.models.load_model(Path(options.out, "detector.keras"), compile=False)
    for file in options.predict:
        picture, names = tl.load_picture(file, size=None), about["class_names"]
        found = tl.detect(model, picture, about["side"], threshold=about["threshold"])
        print(json.dumps({"file": file, "boxes": found.told(names)}))
        drawn = tl.plot_boxes(picture, found, None, names, threshold=0)
        drawn.savefig(Path(options.out, f"{Path(file).stem}.boxes.png"))


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
