"""Gradual unfreezing: one block after the other joins the training, from the top.

The right choice where full fine-tuning forgets what the network knew: few images, or a task far
from ImageNet. Replace `data` by your own images, `(n, height, width, 3)`, 0..255, with integer
labels. Stop this script while it trains, and start it again: it goes on where it was.
"""

import tlhelpers as tl

tl.set_seed(0)
data = tl.load_dataset("cifar10", train=200, test=200)
train = data.x_train[:150], data.y_train[:150]
validation = data.x_train[150:], data.y_train[150:]  # decides which epoch is kept

base = tl.load_backbone("vgg16", input_shape=(32, 32, 3))
model = tl.build_classifier(base, len(data.class_names), normalize=True)

# Two epochs for the head, then one for each of two blocks. Every block learns 2.6 times more
# slowly than the one above it, and every phase begins with a warm-up.
plan = tl.GradualUnfreezing(epochs=[2, 1, 1], blocks=2, decay="ulmfit", folder="unfinished")
print(plan.fit(model, train, validation))

print(tl.describe(model))
print(tl.evaluate(model, data.x_test, data.y_test, data.class_names))
model.save("classifier.keras")
