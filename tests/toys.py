"""Toy models and data that several tests share; a test imports no other test."""

from tlhelpers.models.heads import build_head
from tlhelpers.tuning.gradual import GradualUnfreezing

import keras
import numpy as np
from PIL import Image

L = keras.layers


def small_base():
    """Three stages with BatchNormalization and a residual block."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((16, 16, 3))
    for stage in (1, 2, 3):
        x = L.Conv2D(4, 3, strides=2, padding="same", name=f"conv_{stage}")(x)
        x = L.BatchNormalization(name=f"bn_{stage}")(x)
        x = L.ReLU()(x)
        branch = L.Conv2D(4, 3, padding="same", name=f"branch_{stage}")(x)
        x = L.Add()([x, branch])
    return keras.Model(inputs, x, name="small")


def nested():
    base = small_base()
    images = keras.Input((16, 16, 3))
    return keras.Model(images, build_head(3)(base(images)))


def nested_with_flag():
    """As Keras' own guide writes it: the base called with training=False."""
    base = small_base()
    images = keras.Input((16, 16, 3))
    return keras.Model(images, build_head(3)(base(images, training=False)))


def inlined():
    base = small_base()
    return keras.Model(base.input, build_head(3)(base.output))


def in_sequential():
    return keras.Sequential([keras.Input((16, 16, 3)), small_base(), build_head(3)])


LAYOUTS = [nested, nested_with_flag, inlined, in_sequential]

Y = np.arange(24) % 3

X = (np.random.default_rng(0).normal(size=(24, 16, 16, 3)) + 4 * Y[:, None, None, None]).astype(
    "float32"
)

TRAIN, VALIDATION = (X[:18], Y[:18]), (X[18:], Y[18:])


def make(layout=nested, dropout=0.0):
    keras.utils.set_random_seed(1)
    model = layout()
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = dropout
    return model


def base_named(name="vgg16", size=12):
    """A small net under the name of a family, which decides its preprocessing."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Rescaling(1 / 127.5)] if name.startswith("efficient") else []
    layers += [keras.layers.Conv2D(4, 3, name="conv1"), keras.layers.BatchNormalization()]
    layers += [keras.layers.ReLU(), keras.layers.Conv2D(5, 3, name="conv2")]
    x = inputs = keras.Input((size, size, 3))
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x, name=name)


class TinyBert:
    """What load_bert returns, with random weights."""

    def __init__(self, layers=1):
        import keras_hub

        self.backbone = keras_hub.models.BertBackbone(
            vocabulary_size=50, num_layers=layers, num_heads=2, hidden_dim=8, intermediate_dim=16,
            max_sequence_length=12,
        )  # fmt: skip


def tokens(n):
    """Inputs of `TinyBert` for up to four texts of different lengths."""
    rng = np.random.default_rng(1)
    lengths = np.array([6, 2, 4, 3])[:n, None]
    mask = np.arange(6)[None] < lengths
    ids = np.where(mask, rng.integers(1, 50, (n, 6)), 0)
    return {"token_ids": ids, "padding_mask": mask, "segment_ids": 0 * ids}


MARKERS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

WORDS = [*MARKERS, "a", "fine", "film", "##s", "dull", "日", "!"]


def make_preprocessor(sequence_length=6):
    from tlhelpers.sources.text_preprocessing import TextPreprocessor

    import keras_hub

    tokenizer = keras_hub.models.BertTokenizer(WORDS, lowercase=True)
    layer = keras_hub.models.BertTextClassifierPreprocessor(
        tokenizer, sequence_length=sequence_length
    )
    return TextPreprocessor(layer)


ADAPTER_X = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")

ADAPTER_TOKENS = np.random.default_rng(0).integers(0, 20, size=(16, 6))

ADAPTER_Y = np.random.default_rng(1).integers(0, 3, size=16)

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_images(nested=True, classes=3, seed=0):
    keras.utils.set_random_seed(seed)
    stem = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", bias_initializer="normal", name="conv1")(stem)
    x = keras.layers.BatchNormalization(name="bn1")(x)
    x = keras.layers.Conv2D(6, 3, strides=2, groups=2, activation="relu", name="conv2")(x)
    if nested:
        base = keras.Model(stem, x, name="base")
        stem = keras.Input((8, 8, 3))
        x = base(stem)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.BatchNormalization(name="head_bn")(x)
    return keras.Model(stem, keras.layers.Dense(classes, name="out")(x))


def make_text(seed=0):
    keras.utils.set_random_seed(seed)
    stem = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(20, 8, name="tokens")(stem)
    for n in range(2):
        heads = keras.layers.MultiHeadAttention(2, 4, name=f"attention{n}")
        x = keras.layers.LayerNormalization(name=f"norm{n}")(x + heads(x, x))
        x = x + keras.layers.Dense(8, activation="gelu", name=f"mlp{n}")(x)
    base = keras.Model(stem, x, name="encoder")
    stem = keras.Input((6,), dtype="int32")
    x = keras.layers.GlobalAveragePooling1D()(base(stem))
    return keras.Model(stem, keras.layers.Dense(3, name="out")(x))


ADAPTER_CASES = {
    "nested": (
        lambda seed=0: make_images(True, seed=seed),
        ADAPTER_X,
        ["conv*"],
        {"conv1", "conv2"},
    ),
    "inlined": (lambda seed=0: make_images(False, seed=seed), ADAPTER_X, "conv2", {"conv2"}),
    "text": (make_text, ADAPTER_TOKENS, ["tokens", "*1/query", "value", "mlp?"], None),
}


def train_adapters(model, x, traced=False):
    model.compile(keras.optimizers.Adam(0.02), LOSS, run_eagerly=not traced)  # two steps: faster
    model.fit(x, ADAPTER_Y, epochs=2, batch_size=16, shuffle=False, verbose=0)


def weights_by_path(model):
    return {v.path: v.numpy() for v in model.weights}


GRADUAL_X = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")

GRADUAL_Y = (GRADUAL_X[:, 0] > 0).astype("int32")

GRADUAL_PLAN = {"epochs": 2, "learning_rate": 0.01, "decay": "ulmfit"}


def make_perceptron(width=5, seed=0, head=True):
    keras.utils.set_random_seed(seed)
    stem = keras.Input((6,))
    x = stem
    for n in range(3):
        x = keras.layers.Dense(width, activation="tanh", name=f"d{n}")(x)
        x = keras.layers.Dropout(0.2)(x)
    base = keras.Model(stem, x, name="base")
    if not head:
        return base
    stem = keras.Input((6,))
    return keras.Model(stem, keras.layers.Dense(2, name="out")(base(stem)))


def fit_gradually(model, folder=None, watch=None, **changes):
    plan = GradualUnfreezing(**{**GRADUAL_PLAN, "folder": folder, **changes})
    callbacks = [watch] if watch else []
    return plan.fit(
        model, (GRADUAL_X, GRADUAL_Y), (GRADUAL_X, GRADUAL_Y), batch_size=8, callbacks=callbacks
    )


def write_pictures(folder, counts):
    """Write so many smooth, different pictures of 24 x 24 for each class; return the folder."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3)).astype("uint8"))
            coarse.resize((24, 24)).save(folder / name / f"{number}.png")
    return folder
