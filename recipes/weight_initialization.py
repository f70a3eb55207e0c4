"""Weight initialization: a network of your own starts with weights that were learned elsewhere.

    python weight_initialization.py photographs/ --out result
    python weight_initialization.py --out result --predict new.jpg
    python weight_initialization.py photographs/ --out result --resume     after Ctrl-C

The right choice with thousands of pictures, or where the network must have its own shape: nothing
is frozen, the pretrained weights are only a better start than random ones. Without a folder it
makes an example, and shows how yours should look.
"""

import sys

import tlhelpers as tl

import keras

parser = tl.recipe_parser(__doc__, predicts="PICTURE")
add = parser.add_argument
add("folder", nargs="?", help="holds a folder of pictures for each class; none: an example")
add("--size", type=int, default=64, help="of the pictures, in pixels")
add("--epochs", type=int, default=6, help="how often to go through the pictures")
add("--skip-unreadable", action="store_true", help="leave out files that cannot be read")

CONVOLUTIONS = [(2, 64), (2, 128), (3, 256)]  # in each block, and their filters


def build(size, classes):
    """Return the first three blocks of VGG16, under their own names, with a head."""
    layers = [keras.Input((*size, 3)), tl.Preprocess("caffe")]
    for block, (convolutions, filters) in enumerate(CONVOLUTIONS, start=1):
        for n in range(1, convolutions + 1):
            name = f"block{block}_conv{n}"
            convolution = keras.layers.Conv2D(filters, 3, padding="same", name=name)
            layers += [convolution, keras.layers.ReLU()]
        layers.append(keras.layers.MaxPooling2D(name=f"block{block}_pool"))
    return keras.Sequential([*layers, tl.build_head(classes, normalize=True)])


def train(options, results):
    folder = options.folder or tl.make_example("pictures", results.path / "example", 300)
    size = (32, 32) if options.quick else (options.size, options.size)
    data = tl.load_folder(folder, size, skip_unreadable=options.skip_unreadable, seed=options.seed)
    results.note("data", f"{folder}: {data}")
    epochs, scores = 3 if options.quick else options.epochs, {}
    for start in ("random weights", "VGG16's weights"):
        tl.set_seed(options.seed)
        model = build(size, len(data.class_names))
        if start != "random weights":
            print(tl.transfer_weights(tl.load_backbone("vgg16", (*size, 3)), model))
        # All layers learn, the first ones more slowly than the head.
        optimizer = tl.layerwise(keras.optimizers.Adam(1e-3), model, decay=0.3)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss=loss, metrics=["accuracy"])
        history = model.fit(
            data.x_train, data.y_train, epochs=epochs, verbose=2,
            validation_data=(data.x_validation, data.y_validation),
            callbacks=[keras.callbacks.BackupAndRestore(results.state / start)],
        )  # fmt: skip
        report = tl.evaluate(model, data.x_test, data.y_test, data.class_names)
        scores = {start: report.accuracy, **scores}
    results.report(report)
    results.figure("history", tl.plot_history(history))
    results.compare({**scores, "always the largest class": report.majority_accuracy})
    tl.save_classifier(results.path / "classifier.keras", model, data.class_names)
    limits = f"It knows {', '.join(data.class_names)}, and calls every picture one of these."
    results.finish("A classifier of photographs", limits)


def predict(options):
    tl.classify_pictures(f"{options.out}/classifier.keras", options.predict)


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
