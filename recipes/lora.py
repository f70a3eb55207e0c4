"""LoRA: train a few weights beside a frozen encoder, and keep only these and the head in a file.

The right choice when one large network serves many tasks, and each should cost a small file. It
works on images too: name convolutions or dense layers of the base in `targets`.
"""

import tlhelpers as tl

import keras

tl.set_seed(0)
data = tl.load_dataset("rotten_tomatoes", train=300, test=200)
bert = tl.load_bert("minilm-l6")
preprocessor = bert.preprocessor(sequence_length=32)
x_test = preprocessor(data.x_test)


def build() -> keras.Model:
    return tl.build_text_classifier(bert, len(data.class_names), sequence_length=None)


model = build()
print(tl.add_lora(model, rank=8, targets=["query", "value"]))

# Batches of texts of similar length, already shuffled: short texts need no long padding.
batches = tl.bucket_by_length(preprocessor(data.x_train), data.y_train, batch_size=32)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(2e-3), loss=loss, metrics=["accuracy"])
model.fit(batches, epochs=2, shuffle=False, verbose=2)
print(tl.evaluate(model, x_test, data.y_test, data.class_names))

tl.save_adapters(model, "reviews.lora.npz")
expected = model.predict(x_test, verbose=0)

tl.merge_lora(model)  # a plain model again, with the same predictions and no extra cost
print("merged, apart by at most", abs(model.predict(x_test, verbose=0) - expected).max())

bert = tl.load_bert("minilm-l6")  # the pretrained base and the file are all it needs
again = build()
tl.load_adapters(again, "reviews.lora.npz")
print("loaded, apart by at most", abs(again.predict(x_test, verbose=0) - expected).max())
