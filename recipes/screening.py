r"""Screening: yes or no from a picture, tested on patients that the model has never seen.

    python screening.py photographs/ --group 'patient\d+' --positive ill --out result
    python screening.py --out result --predict new.jpg

The right choice where a patient, camera or module has several pictures: whole groups are on one
side, and validation groups give the threshold. Without a folder it shows how yours should look.
"""

import json
import sys

import tlhelpers as tl

import numpy as np
from sklearn import linear_model, metrics

parser = tl.recipe_parser(__doc__, predicts="PICTURE")
add = parser.add_argument
add("folder", nargs="?", help="holds a folder of pictures for each of two classes; none: example")
add(
    "--group",
    help="a regular expression that finds the patient in each path; needed beside a folder",
)
add("--positive", help="the class to find; none: the rarer one")
add("--cost", type=float, nargs=2, default=[10, 1], help="of a miss, and of a false alarm")
add("--sensitivity", type=float, help="the share to find at least, instead of the costs")
add("--backbone", default="efficientnet-lite0", help="or one of keras.applications: resnet50")
add("--size", type=int, default=160, help="of the pictures, in pixels")
add("--unfreeze", type=int, default=0, help="blocks that learn with the head")


def train(options, results):
    group = tl.group_by(options.group if options.folder else r"camera\d+")
    folder = options.folder or tl.make_example("groups", results.path / "example")
    size = 96 if options.quick else options.size
    data = tl.load_folder(folder, (size, size), 0.2, 0.3, group, seed=options.seed)
    groups = {part: [group(file) for file in files] for part, files in data.files.items()}
    tl.check_groups(**groups)
    x, y = ({part: getattr(data, f"{axis}_{part}") for part in groups} for axis in "xy")
    ill = options.positive or data.class_names[np.bincount(y["train"]).argmin()]
    if len(data.class_names) != 2 or ill not in data.class_names:
        raise ValueError("`folder` must hold two classes, and --positive name one. Received: "
                         f"{data.class_names}, {ill!r}. Join those not to be found.")  # fmt: skip
    at, names = data.class_names.index(ill), sorted(data.class_names, key=ill.__eq__)
    truth = {part: (labels == at).astype(int) for part, labels in y.items()}
    results.note("data", f"{folder}: {data}; {len(set(groups['test']))} groups to test on")
    model = tl.build_classifier(tl.load_backbone(options.backbone, (size, size, 3)), 2)
    learn, check = ((x[part], truth[part]) for part in ("train", "validation"))
    history = tl.fine_tune(model, learn, check, unfreeze=options.unfreeze or None,
                           head_epochs=10, monitor="val_loss", folder=results.state)  # fmt: skip
    results.note("training", str(history))
    odds = {part: tl.evaluate(model, x[part], truth[part]).probabilities[:, 1] for part in groups}
    how = {"sensitivity": options.sensitivity} if options.sensitivity else {"cost": options.cost}
    cut = tl.choose_threshold(truth["validation"], odds["validation"], **how)
    test = {"threshold": cut, "groups": groups["test"], "cost": options.cost}
    report = tl.evaluate_decisions(truth["test"], odds["test"], class_names=names, **test)
    results.report(report)
    results.figure("decisions", tl.plot_decisions(report))
    pixels = {part: x[part][:, ::8, ::8].reshape(len(x[part]), -1) / 255 for part in groups}
    linear = linear_model.LogisticRegression(C=0.01, max_iter=1000)
    linear.fit(pixels["train"], truth["train"])
    small = metrics.roc_auc_score(truth["test"], linear.predict_proba(pixels["test"])[:, 1])
    results.compare({"AUC of the network": report.auc, "of small pictures": small, "a coin": 0.5})
    results.note("where 1 % are", f"A yes is right in {report.at_prevalence(0.01).positive:.1%}.")
    tl.save_classifier(results.path / "classifier.keras", model, names)
    results.finish("A screening", "No diagnosis. At another place the threshold is another one.")


def predict(options):
    with open(f"{options.out}/report.json") as file:
        cut = json.load(file)["report"]["threshold"]
    saved = tl.load_classifier(f"{options.out}/classifier.keras")
    for file in options.predict:
        odds = saved.probabilities(tl.load_picture(file, saved.model.input_shape[1:3])[None])[0, 1]
        print(f"{file}: {saved.class_names[int(odds >= cut)]} ({odds:.2f}, cut at {cut:.2f})")


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
