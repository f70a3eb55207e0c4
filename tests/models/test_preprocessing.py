import importlib
import inspect

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

pre = importlib.import_module("tlhelpers.models.preprocessing")

MEMBERS = {  # one member of each module of keras.applications
    "vgg16": "VGG16",
    "vgg19": "VGG19",
    "resnet": "ResNet50",
    "resnet_v2": "ResNet50V2",
    "mobilenet": "MobileNet",
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3": "MobileNetV3Small",
    "densenet": "DenseNet121",
    "inception_v3": "InceptionV3",
    "inception_resnet_v2": "InceptionResNetV2",
    "xception": "Xception",
    "nasnet": "NASNetMobile",
    "efficientnet": "EfficientNetB0",
    "efficientnet_v2": "EfficientNetV2B0",
    "convnext": "ConvNeXtTiny",
}


def named(name, *layers):
    return keras.Sequential([keras.Input((8, 8, 3)), *layers], name=name)


def default_name(constructor):
    """Return the name that Keras gives the model, without building it."""
    name = inspect.signature(getattr(keras.applications, constructor)).parameters["name"].default
    return name or f"{constructor.lower()}_1.00_96"


def test_every_application_has_a_known_family():
    for constructor in dir(keras.applications):
        if inspect.isfunction(getattr(keras.applications, constructor)):
            base = named(default_name(constructor), keras.layers.Rescaling(1.0))
            assert pre.preprocessing(base).mode in pre.MODES


@pytest.mark.parametrize("module", MEMBERS)
def test_same_values_as_keras(module):
    layer = pre.preprocessing(named(default_name(MEMBERS[module]), keras.layers.Rescaling(1.0)))
    images = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3)).astype("uint8")
    theirs = getattr(keras.applications, module).preprocess_input(images.astype("float32"))
    for x in (images, images.astype("float32")):
        before = x.copy()
        np.testing.assert_allclose(np.asarray(layer(x)), theirs, rtol=1e-6, atol=2e-6)
        np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("module", ["mobilenet", "mobilenet_v2", "efficientnet_v2", "convnext"])
def test_real_bases_are_recognised(module):
    base = getattr(keras.applications, MEMBERS[module])(
        weights=None, include_top=False, input_shape=(32, 32, 3)
    )
    x = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)).astype("float32")
    theirs = getattr(keras.applications, module).preprocess_input(x.copy())
    np.testing.assert_allclose(np.asarray(pre.preprocessing(base)(x)), theirs, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("source_mobilenetv2_1.00_96", "tf"),
        ("resnet50v2_1", "tf"),
        ("teacher_resnet101", "caffe"),
        ("inception_resnet_v2", "tf"),
        ("MobileNetV3Large", "identity"),
    ],
)
def test_renamed_bases_are_recognised(name, mode):
    assert pre.preprocessing(named(name, keras.layers.Rescaling(1.0))).mode == mode


def test_unknown_family_says_what_to_pass():
    with pytest.raises(ValueError, match=r"Received: base='my_net'.*Preprocess\('caffe'"):
        pre.preprocessing(named("my_net"))


def test_identity_needs_a_base_that_rescales():
    base = keras.applications.MobileNetV3Small(
        weights=None, include_top=False, input_shape=(32, 32, 3), include_preprocessing=False
    )
    with pytest.raises(ValueError, match="include_preprocessing=True"):
        pre.preprocessing(base)


def test_layer_refuses_unknown_mode_and_grey_images():
    with pytest.raises(ValueError, match="Received: mode='imagenet'"):
        pre.Preprocess("imagenet")
    with pytest.raises(ValueError, match=r"Received: shape=\(1, 4, 4, 1\)"):
        pre.Preprocess("caffe")(np.zeros((1, 4, 4, 1), "uint8"))


@pytest.mark.parametrize("mode", pre.MODES)
def test_a_saved_model_gives_equal_predictions(mode, tmp_path):
    model = named("m", pre.Preprocess(mode))
    x = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("uint8")
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    assert again.layers[-1].mode == mode
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))


def test_output_has_the_compute_dtype():
    layer = pre.Preprocess("tf", dtype="mixed_float16")
    assert keras.backend.standardize_dtype(layer(np.zeros((1, 2, 2, 3), "uint8")).dtype) == (
        "float16"
    )
    assert not layer.trainable


@given(
    hnp.arrays("uint8", st.tuples(*[st.integers(1, 4)] * 3, st.just(3))),
    st.sampled_from(["uint8", "float32", "int64"]),
)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_bytes_are_always_accepted_unless_scaled(x, dtype):
    """Whatever a camera gives passes; the float copy does too, unless it looks like 0..1."""
    if dtype != "float32" or x.max() > 1 or x.max() == 0:
        pre.check_images(x.astype(dtype))
    if x.max() > 0:
        with pytest.raises(ValueError, match=r"values in \[.*Multiply by 255"):
            pre.check_images((x / 255).astype("float32"))
        with pytest.raises(ValueError, match="before preprocess_input"):
            pre.check_images(x / 127.5 - 1 - 1e-3)


def test_dark_bytes_are_not_refused():
    pre.check_images(np.full((2, 4, 4, 3), 1, "uint8"))
    pre.check_images(keras.ops.ones((2, 4, 4, 3), "uint8"))


@pytest.mark.parametrize(
    ("x", "kwargs", "message"),
    [
        (np.zeros((0, 4, 4, 3), "uint8"), {}, r"At least one image.*shape=\(0, 4, 4, 3\)"),
        (np.zeros((4, 4, 3), "uint8"), {}, r"shape \(n, any, any, 3\).*x\[None\]"),
        (np.zeros((2, 4, 4, 1), "uint8"), {}, "np.repeat"),
        (np.zeros((2, 4, 4, 3), "uint8"), {"input_shape": (8, 8, 3)}, "Resize"),
        (np.zeros((2, 4, 4, 3), "uint8"), {"input_shape": (None, None, 8, 3)}, "any, 8, 3"),
        (np.full((1, 4, 4, 3), np.nan), {}, "NaN"),
        (np.array([[[[0, 3, np.inf]]]]), {}, "infinity"),
        (np.full((1, 4, 4, 3), 256), {}, r"values in \[256, 256\]"),
        (np.full((1, 4, 4, 3), "a"), {}, "dtype=<U1"),
        (keras.ops.ones((1, 4, 4, 3)) / 2, {}, r"\[0.5, 0.5\].*Multiply by 255"),
    ],
)
def test_bad_images_are_refused(x, kwargs, message):
    with pytest.raises(ValueError, match=message):
        pre.check_images(x, **kwargs)


def test_large_arrays_are_sampled_evenly(monkeypatch):
    monkeypatch.setattr(pre, "_MOST_VALUES", 480)
    x = np.full((10, 4, 4, 3), 9.0)
    x[5] = -1
    with pytest.raises(ValueError, match=r"\[-1, 9\]"):
        pre.check_images(np.repeat(x, 3, axis=0))


@pytest.mark.parametrize(
    ("y", "kwargs", "message"),
    [
        (np.eye(3), {}, "argmax"),
        (np.zeros((4, 1), int), {}, "np.ravel"),
        ([], {}, "empty"),
        ([0, 1], {"n": 3}, "3 samples, 2 labels"),
        ([0.0, 1.0], {}, "astype"),
        (["cat", "dog"], {}, "return_inverse"),
        ([0, 3], {"num_classes": 3}, r"in 0\.\.2. Received: labels in 0\.\.3"),
        ([-1, 0], {}, "from 0 on"),
    ],
)
def test_bad_labels_are_refused(y, kwargs, message):
    with pytest.raises(ValueError, match=message):
        pre.check_labels(y, **kwargs)


def test_good_labels_come_back_as_an_array():
    y = pre.check_labels(keras.ops.convert_to_tensor([2, 0, 1]), num_classes=3, n=3)
    np.testing.assert_array_equal(y, [2, 0, 1])


def of_tokens(length):
    inputs = {n: keras.Input((length,), dtype="int32", name=n) for n in ("mask", "token_ids")}
    embedded = keras.layers.Embedding(9, 2)(inputs["token_ids"] * inputs["mask"])
    return keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(embedded))


def test_tokens_of_another_length_are_refused():
    def tokens(length, other=None):
        return {"mask": np.ones((2, other or length), int), "token_ids": np.ones((2, length), int)}

    pre.check_tokens(of_tokens(16), tokens(16))
    pre.check_tokens(of_tokens(16), {k: v.tolist() for k, v in tokens(16).items()})
    for length in (3, 24):
        pre.check_tokens(of_tokens(None), tokens(length))
    for x in (tokens(24), tokens(16, 24), {k: keras.ops.array(v) for k, v in tokens(24).items()}):
        with pytest.raises(ValueError, match=r"mask of shape \(n, 16\) is.*\(2, 24\).*Turn"):
            pre.check_tokens(of_tokens(16), x)
