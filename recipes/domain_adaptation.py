"""Domain adaptation: labels in one folder of pictures, none in the other.

    python domain_adaptation.py old_camera/ new_camera/ --out result
    python domain_adaptation.py --out result --predict new.jpg

The right choice when a new camera, clinic or city makes a classifier worse, and nobody has labels
there; not when it lacks classes of the old one. Without folders it makes an example of digits.
"""

import sys

import tlhelpers as tl

import keras

parser = tl.recipe_parser(__doc__, predicts="PICTURE")
add = parser.add_argument
add("source", nargs="?", help="a folder of pictures for each class; none: an example")
add("target", nargs="?", help="a folder of pictures of the new domain, without classes")
add("--test", help="a folder for each class, as in source, of the new domain: for the score alone")
add("--backbone", help="a pretrained network in front, frozen; none: a small one learns here")
add("--size", type=int, default=28, help="of the pictures, in pixels; 96 with a backbone")


def build(options, classes):
    shape, layers = (options.size, options.size, 3), keras.layers
    norm = tl.DomainBatchNormalization  # each domain has its own mean and spread
    if options.backbone:
        base = tl.load_backbone(options.backbone, shape)
        steps = [tl.preprocessing(base), base, layers.GlobalAveragePooling2D(), norm()]
    else:  # each picture is brought to one contrast, then two convolutions
        steps = [layers.GroupNormalization(groups=-1, center=False, scale=False)]
        for filters in (16, 32):
            steps += [layers.Conv2D(filters, 5), layers.MaxPooling2D(), norm(), layers.ReLU()]
    encoder = keras.Sequential([keras.Input(shape), *steps, layers.Flatten()])
    return encoder, keras.Sequential([layers.Dense(100, activation="relu"), layers.Dense(classes)])


def train(options, results):
    folders = options.source, options.target or "the second folder", options.test
    if not options.source:
        folder = tl.make_example("domains", results.path / "example", 1000)
        folders = (folder / part for part in ("source", "target", "test"))
    (source, target, test), size = folders, (options.size, options.size)
    data = tl.load_folder(source, size, test=0, seed=options.seed)
    x_target = tl.load_pictures(target, size)[0]
    results.note("data", f"{source}: {data}\n{target}: {len(x_target):,} pictures without labels")
    held = data.x_validation, data.y_validation, x_target[::10]  # neither is trained on
    rest = x_target[[number for number in range(len(x_target)) if number % 10]]
    batches = tl.paired_batches(data.x_train, data.y_train, rest, 32, seed=options.seed)
    seen = test and tl.load_folder(test, size, validation=0, test=0)
    if test and seen.class_names != data.class_names:
        raise ValueError(f"--test must have the classes of source. Received: {seen.class_names}.")
    epochs, scores = 6 if options.quick else 12, {}
    adapted = tl.DANN if options.backbone else tl.ConsistentDANN  # or CDAN, CORAL, MMD, MCC
    for name, kind in {"source only": tl.SourceOnly, "adapted": adapted}.items():
        model = kind(*build(options, len(data.class_names)))
        rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * len(batches))
        model.compile(keras.optimizers.Adam(rate, beta_1=0.5, use_ema=True))
        keep = keras.callbacks.BackupAndRestore(results.state / name)
        model.fit(batches, epochs=epochs, callbacks=keep, verbose=2)
        results.note(name, str(tl.check_domains(model, *held)), show=True)
        if test:
            report = tl.evaluate(model, seen.x_train, seen.y_train, seen.class_names)
            scores = {name: report.accuracy, **scores}
    if test:
        results.report(report)
        results.figure("confusion", tl.plot_confusion(report))
        results.compare({**scores, "always the largest class": report.majority_accuracy})
    both = keras.Sequential([model.encoder, model.classifier])
    tl.save_classifier(results.path / "classifier.keras", both, data.class_names)
    results.finish("A classifier for another domain", "Only --test says how often it is right.")


def predict(options):
    tl.classify_pictures(f"{options.out}/classifier.keras", options.predict)


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
