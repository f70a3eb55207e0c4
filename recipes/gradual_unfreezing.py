"""Gradual unfreezing: one block after the other joins the training, from the top.

    python gradual_unfreezing.py photographs/ --out result
    python gradual_unfreezing.py --out result --predict new.jpg
    python gradual_unfreezing.py photographs/ --out result --resume     after Ctrl-C

The right choice where full fine-tuning forgets what the network knew: few pictures, or a task far
from ImageNet. Without a folder it makes an example, and shows how yours should look.
"""

import sys

import tlhelpers as tl

parser = tl.recipe_parser(__doc__, predicts="PICTURE")
add = parser.add_argument
add("folder", nargs="?", help="holds a folder of pictures for each class; none: an example")
add("--backbone", default="vgg16", help="one of keras.applications, or mobilenetv2-dogs")
add("--size", type=int, default=64, help="of the pictures, in pixels")
add("--blocks", type=int, default=2, help="how many join the training in the end")
add("--skip-unreadable", action="store_true", help="leave out files that cannot be read")


def train(options, results):
    folder = options.folder or tl.make_example("pictures", results.path / "example")
    size = (32, 32) if options.quick else (options.size, options.size)
    data = tl.load_folder(folder, size, skip_unreadable=options.skip_unreadable, seed=options.seed)
    results.note("data", f"{folder}: {data}")
    training = data.x_train, data.y_train
    validation = data.x_validation, data.y_validation  # decides which epoch is kept

    # First the head on the frozen base, over which the pictures run only once.
    base = tl.load_backbone(options.backbone, (*size, 3))
    head = results.state / "head.keras"
    if not head.exists():
        model = tl.build_classifier(base, len(data.class_names))
        tl.fine_tune(model, training, validation, unfreeze=None, head_epochs=10)
        tl.save_classifier(head, model)
    model = tl.load_classifier(head).model
    frozen = tl.evaluate(model, data.x_test, data.y_test)

    blocks = 1 if options.quick else options.blocks
    # Then a phase for each block. Each learns 2.6 times more slowly than the one above it, and
    # every phase begins with a warm-up.
    plan = tl.GradualUnfreezing(
        [1] + [2] * blocks, blocks, learning_rate=3e-4, decay="ulmfit",
        folder=results.state, seed=options.seed,
    )  # fmt: skip
    history = plan.fit(model, training, validation, verbose=2)
    results.note("training", str(history))
    results.figure("history", tl.plot_history(history))

    report = tl.evaluate(model, data.x_test, data.y_test, data.class_names)
    results.report(report)
    results.figure("confusion", tl.plot_confusion(report))
    results.compare({
        "gradually unfrozen": report.accuracy,
        "the head alone, on the frozen network": frozen.accuracy,
        "always the largest class": report.majority_accuracy,
    })  # fmt: skip
    tl.save_classifier(results.path / "classifier.keras", model, data.class_names)
    limits = f"It knows {', '.join(data.class_names)}, and calls every picture one of these."
    results.finish("A classifier of photographs", limits)


def predict(options):
    tl.classify_pictures(f"{options.out}/classifier.keras", options.predict)


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
