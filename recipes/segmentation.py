"""Segmentation: a class for each pixel of your own pictures, from masks that you have drawn.

    python segmentation.py tissue/ --classes background nucleus --out result
    python segmentation.py --out result --predict new.jpg       writes result/masks/new.png
    python segmentation.py tissue/ --out result --resume        after Ctrl-C

The folder holds `pictures/` and `masks/` with files of the same names. A mask is a grey PNG of its
picture's size, with a number for each pixel. Some thirty pictures are a beginning. Without a folder
it makes an example, and shows how yours should look.
"""

import sys

import tlhelpers as tl

import keras
import numpy as np
from sklearn.tree import DecisionTreeClassifier

parser = tl.recipe_parser(__doc__, predicts="PICTURE")
add = parser.add_argument
add("folder", nargs="?", help="holds pictures/ and masks/; none: an example")
add("--backbone", default="efficientnet-lite0", help="or one of keras.applications: resnet50")
add("--size", type=int, default=128, help="of the pictures, in pixels, a multiple of 32")
add("--classes", nargs="+", help="a name for each value in the masks, in rising order")
add("--unfreeze", type=int, default=2, help="blocks that learn in the end; 0 for the decoder alone")
add("--group", help="a regular expression; paths in which it finds the same stay together")


def train(options, results):
    folder = options.folder or tl.make_example("masks", results.path / "example", 120)
    size = (64, 64) if options.quick else (options.size, options.size)
    group = options.group and tl.group_by(options.group)
    data = tl.load_masks(folder, size, options.classes, group=group, seed=options.seed)
    results.note("data", f"{folder}: {data}")
    mirrored = [np.concatenate([a, a[:, :, ::-1]]) for a in (data.x_train, data.y_train)]

    base = tl.load_backbone(options.backbone, (*size, 3))
    model = tl.build_segmenter(base, len(data.class_names))
    iou = keras.metrics.MeanIoU(len(data.class_names), name="iou", sparse_y_pred=False)
    history = tl.fine_tune(
        model, mirrored, (data.x_validation, data.y_validation), options.unfreeze or None,
        head_epochs=5 if options.quick else 20, epochs=0 if options.quick else 10, batch_size=8,
        loss=tl.SegmentationLoss(), metrics=[iou], monitor="val_iou", folder=results.state,
        verbose=2,
    )  # fmt: skip
    results.note("training", str(history))
    results.figure("history", tl.plot_history(history))

    report = tl.evaluate_masks(model, data.x_test, data.y_test, data.class_names)
    results.report(report)
    shown = {"true": data.y_test[:4], "predicted": report.predicted[:4]}
    results.figure("masks", tl.plot_masks(data.x_test[:4], shown, data.class_names))
    tree = DecisionTreeClassifier(max_leaf_nodes=32, random_state=0)  # thresholds of the colours
    tree.fit(data.x_train.reshape(-1, 3)[::5], data.y_train.ravel()[::5])
    by_colour = tree.predict(data.x_test.reshape(-1, 3)).reshape(data.y_test.shape)
    results.compare({
        "segmenter": report.mean_iou,
        "thresholds of the colours": (
            tl.compare_masks(by_colour, data.y_test, data.class_names).mean_iou
        ),
        "always the largest class": report.majority_iou,
    })  # fmt: skip

    tl.save_classifier(results.path / "segmenter.keras", model, data.class_names)
    limits = f"It knows {', '.join(data.class_names)}. The scores are the mean IoU of one split."
    results.finish("A segmenter of pictures", limits)


def predict(options):
    tl.segment_pictures(f"{options.out}/segmenter.keras", options.predict, f"{options.out}/masks")


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
