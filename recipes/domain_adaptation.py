"""Domain adaptation: labels in one domain, images alone in the other.

The right choice when a new camera, clinic or city makes a trained classifier worse and nobody has
labelled its images; not when the new domain lacks classes of the old one. Replace the source by
your labelled images and the target by the others, both 0..255.
"""

import tlhelpers as tl

import keras
import numpy as np

tl.set_seed(0)
data = tl.load_dataset("mnist", train=4500, test=500)
rgb = np.repeat(data.x_train, 3, axis=-1)
x_source, y_source = rgb[:2000], data.y_train[:2000]
x_held, y_held = rgb[4000:], data.y_train[4000:]  # labelled too, kept out of the training
x_target = tl.make_mnist_m(data.x_train[2000:4000], seed=1)  # other digits, without labels

layers = keras.layers
encoder = keras.Sequential([keras.Input((28, 28, 3)), layers.Rescaling(1 / 255)])
encoder.add(layers.GroupNormalization(groups=-1, center=False, scale=False))  # each image, alone
for filters in (16, 32):
    encoder.add(layers.Conv2D(filters, 5))
    encoder.add(layers.MaxPooling2D())
    encoder.add(tl.DomainBatchNormalization())  # statistics of each domain, alone
    encoder.add(layers.ReLU())
encoder.add(layers.Flatten())
classifier = keras.Sequential([layers.Dense(100, activation="relu"), layers.Dense(10)])

batches = tl.paired_batches(x_source, y_source, x_target, batch_size=32)
epochs = 6
model = tl.ConsistentDANN(encoder, classifier)  # or tl.DANN, CDAN, CORAL, MMD, MCC
rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * len(batches))
model.compile(keras.optimizers.Adam(rate, beta_1=0.5, use_ema=True))
model.fit(batches, epochs=epochs, verbose=2)

# Without a target label: are the domains alike now, and do the predicted classes make sense?
print(tl.check_domains(model, x_held, y_held, x_target[:500]))
model.save("adapted.keras")

# If you have some target labels after all, keep them for this one line.
x_test = tl.make_mnist_m(data.x_test, seed=2)
print(tl.evaluate(model, x_test, data.y_test, data.class_names))
