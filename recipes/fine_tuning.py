"""Fine-tuning: train a head on a frozen network, then its last block with it, and save the model.

The right choice from a few hundred images on. Replace `data` by your own images, `(n, height,
width, 3)`, 0..255, with integer labels, and VGG16 by any network of keras.applications.
"""

import tlhelpers as tl

import keras

tl.set_seed(0)
data = tl.load_dataset("cifar10", train=600, test=300)
train = data.x_train[:500], data.y_train[:500]
validation = data.x_train[500:], data.y_train[500:]  # decides which epoch is kept

base = tl.load_backbone("vgg16", input_shape=(32, 32, 3))
model = tl.build_classifier(base, len(data.class_names), normalize=True, dropout=0.3)
print(tl.fine_tune(model, train, validation, unfreeze=1, head_epochs=5, epochs=2))
print(tl.describe(model))

report = tl.evaluate(model, data.x_test, data.y_test, data.class_names)
print(report)
report.to_json("report.json")

model.save("classifier.keras")  # with its preprocessing: it takes your images as they are
again = keras.models.load_model("classifier.keras")
print("predicted classes:", again.predict(data.x_test[:5], verbose=0).argmax(axis=1))
