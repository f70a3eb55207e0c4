"""Weight initialization: start a network of your own with weights that were learned elsewhere.

The right choice with thousands of images, or where the network must have its own shape: nothing is
frozen, the pretrained weights are only a better start than random ones. Replace `data` by your own
images, `(n, height, width, 3)`, 0..255, with integer labels.
"""

import tlhelpers as tl

import keras

tl.set_seed(0)
data = tl.load_dataset("cifar10", train=200, test=200)

# The first three blocks of VGG16, under their own names, and a head for this task.
layers = [keras.Input((32, 32, 3)), tl.Preprocess("caffe")]
for block, (convolutions, filters) in enumerate([(2, 64), (2, 128), (3, 256)], start=1):
    for n in range(1, convolutions + 1):
        name = f"block{block}_conv{n}"
        layers.append(keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name=name))
    layers.append(keras.layers.MaxPooling2D(name=f"block{block}_pool"))
model = keras.Sequential([*layers, tl.build_head(10, normalize=True)])

print(tl.transfer_weights(tl.load_backbone("vgg16", input_shape=(32, 32, 3)), model))

# All layers learn, the first ones more slowly than the head.
optimizer = tl.layerwise(keras.optimizers.Adam(1e-3), model, decay=0.3)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer, loss=loss)
model.fit(data.x_train, data.y_train, epochs=3, verbose=2)
print(tl.evaluate(model, data.x_test, data.y_test, data.class_names))
