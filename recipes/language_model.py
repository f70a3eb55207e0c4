"""A language model of your own: a GPT adapted to a text of yours, which never leaves the computer.

    python language_model.py diary.txt --out result
    python language_model.py --out result --predict "The weather" "Dear Ann,"
    python language_model.py diary.txt --out result --resume     after Ctrl-C

The right choice for a tone, not for facts. Paragraphs end at empty lines; small adapters (LoRA)
learn in the upper layers. Without a text it makes an example of film reviews.
"""

import json
import sys
import zlib

import tlhelpers as tl

import keras

parser = tl.recipe_parser(__doc__, predicts="BEGINNING")
add = parser.add_argument
add("text", nargs="?", help="a text file in UTF-8, or a folder of *.txt; none: an example")
add("--model", default="smollm2-135m", help="or a GGUF file, or a preset of KerasHub: gpt2_base_en")
add("--layers", type=int, default=10, help="that get adapters, from the top")
add("--rank", type=int, default=8, help="of the two small matrices beside each large one")
add("--length", type=int, default=64, help="pieces that are seen together in training")
add("--epochs", type=int, default=3, help="how often to go through the text")


def train(options, results):
    text = options.text or tl.make_example("paragraphs", results.path / "example", 300)
    most = 120 if options.quick else None
    data = [part[:most] for part in tl.load_paragraphs(text, seed=options.seed)]
    results.note("data", f"{text}: paragraphs to learn, choose, test: {list(map(len, data))}")
    language, test = tl.load_language_model(options.model), data[-1]
    body, end = language.model.backbone, language.model.backbone.num_layers
    if not 0 < options.layers < end:
        raise ValueError(f"`--layers` must be from 1 to {end - 1}. Received: {options.layers}.")
    layers = [f"transformer_layer_{n}" for n in range(end - options.layers - 1, end)]
    before = tl.evaluate_language_model(language, test)
    results.note("before", f"{before}; {tl.generate(language, test[0][:12], 30, 0.8)[0]!r}")

    done = sorted(results.state.glob("*.npz"))  # one for each epoch of a run that was ended
    targets = [f"{layer}/*" for layer in layers[1:]]
    tl.load_adapters(body, done[-1]) if done else tl.add_lora(body, options.rank, targets)
    lower, upper = tl.split_at(language.model, layers[0])  # the lower one is frozen: run it once
    rows = [language.encode_stream(part, options.length) for part in data[:2]]
    (x, y), kept = ((tl.extract_features(lower, ids), labels) for ids, labels in rows)
    epochs, steps = 1 if options.quick else options.epochs, -(-len(y) // 4)
    optimizer = keras.optimizers.Adam(tl.warmup_cosine(3e-3, epochs * steps))
    optimizer.iterations.assign(len(done) * steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    upper.compile(optimizer, loss=loss)
    results.state.mkdir(exist_ok=True)
    name = lambda n, logs: results.state / f"{n:04d} {logs['val_loss']:.6f}.npz"  # noqa: E731
    save = lambda n, logs: tl.save_adapters(body, name(n, logs))  # noqa: E731
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=save)]
    upper.fit(x, y, 4, epochs, 2, callbacks, validation_data=kept, initial_epoch=len(done))
    best = min(results.state.glob("*.npz"), key=lambda file: float(file.stem.split()[1]))
    tl.load_adapters(body, best)
    tl.save_adapters(body, results.path / "adapters.lora.npz")
    after = tl.evaluate_language_model(language, test)
    results.report(after)
    results.note("after", f"It writes: {tl.generate(language, test[0][:12], 30, 0.8)[0]!r}", True)
    packed = lambda part: 8 * len(zlib.compress("\n".join(part).encode(), 9))  # noqa: E731
    zipped = (packed(data[0] + test) - packed(data[0])) / after.characters
    results.compare({"characters for a bit, with adapters": 1 / after.bits_per_character,
                     "as it came": 1 / before.bits_per_character, "zlib": 1 / zipped})  # fmt: skip
    results.finish("A language model", "It knows a tone, and no facts. It may repeat your text.")


def predict(options):
    with open(f"{options.out}/run.json", encoding="utf8") as file:
        language = tl.load_language_model(json.load(file)["asked"]["model"])
    tl.load_adapters(language.model.backbone, f"{options.out}/adapters.lora.npz")
    for text in options.predict:
        print(tl.generate(language, text, 40, 0.8, seed=options.seed)[0])


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
