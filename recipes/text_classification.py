"""Text classification: fine-tune a small BERT on labelled texts, and save it with its tokenizer.

The right choice from a few hundred texts on. Replace `data` by your own texts and integer labels,
and MiniLM by any BERT of KerasHub or a local folder.
"""

import tlhelpers as tl

tl.set_seed(0)
data = tl.load_dataset("rotten_tomatoes", train=500, test=300)
bert = tl.load_bert("minilm-l6")
preprocessor = bert.preprocessor(sequence_length=32)  # longer texts are cut

x, x_test = preprocessor(data.x_train), preprocessor(data.x_test)
train = {name: part[:400] for name, part in x.items()}, data.y_train[:400]
validation = {name: part[400:] for name, part in x.items()}, data.y_train[400:]

model = tl.build_text_classifier(bert, len(data.class_names), sequence_length=32)
print(tl.fine_tune(model, train, validation, unfreeze=2, epochs=3, learning_rate=2e-4))
print(tl.describe(model))

model = tl.calibrate(model, *validation)  # better on other texts than these, if you have enough
report = tl.evaluate(model, x_test, data.y_test, data.class_names)
print(report)
report.to_json("report.json")

tl.save_text_model("sentiment", model, preprocessor, data.class_names)
again = tl.load_text_model("sentiment")  # all that a new process needs
mine = ["I laughed until I cried.", "I want my evening back.", ""]
for text, name, odds in zip(mine, again.classify(mine), again.probabilities(mine), strict=True):
    print(f"{name} ({odds.max():.2f}): {text!r}")
