"""Feature extraction: run a frozen network once, then train something small on its features.

The right choice for a few hundred images, and for trying many classifiers on the same features.
Replace `data` by your own images, `(n, height, width, 3)`, 0..255, with integer labels.
"""

import tlhelpers as tl

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

data = tl.load_dataset("cifar10", train=500, test=300)
base = tl.load_backbone("vgg16", input_shape=(32, 32, 3))

# cache="a folder" keeps the features: the network never runs over the same images twice.
features, labels = tl.extract_features(base, data.x_train, data.y_train)
test_features = tl.extract_features(base, data.x_test)

classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
classifier.fit(features.reshape(len(features), -1), labels)
accuracy = classifier.score(test_features.reshape(len(test_features), -1), data.y_test)
print(f"{data.name}: accuracy {accuracy:.3f} on {len(data.y_test)} test images")
