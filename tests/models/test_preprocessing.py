"""Images are prepared as keras.applications does it, for every family."""

import inspect

from tlhelpers.models import preprocessing as pre

import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from hypothesis import given, settings

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


RENAMED = {
    "source_mobilenetv2_1.00_96": "tf",
    "teacher_resnet101": "caffe",
    "resnet50v2_1": "tf",
    "vgg16_1": "caffe",
    "vgg16_block2_prefix": "caffe",
    "mobilenet_0.25_None": "tf",
    "mobilenetv2": "tf",
    "inception_resnet_v2": "tf",
    "MobileNetV3Large": "identity",
    "efficientnetv2-s_2": "identity",
}


@pytest.mark.parametrize("name", RENAMED)
def test_renamed_bases_are_recognised(name):
    assert pre.preprocessing(named(name, keras.layers.Rescaling(1.0))).mode == RENAMED[name]


FOREIGN = [  # a part of the name is known, but the weights or the net are not
    "vggface_resnet50", "vggface_vgg16", "vggface2_senet50", "senet50", "resnet50_dino",
    "dino_resnet50", "resnet50_moco", "simclr_resnet50", "clip_resnet50", "resnet18", "resnet34",
    "resnet50d", "se_resnet50", "wide_resnet50_2", "resnet50_v1_5", "resnet_50", "iresnet100",
    "places365_vgg16", "vgg16_places365", "vgg16_hybrid1365", "vgg11", "vgg13", "vgg161",
    "chexnet_densenet121", "densenet121_chexpert", "densenet161", "mobilefacenet",
    "mobilenet_v2", "mobilenetv4", "mobilenet_v3_small", "mobilevit_s", "efficientnet_lite0",
    "efficientnetb8", "noisy_student_efficientnetb0", "convnextv2_tiny", "inception_v4",
    "inception_resnet_v1", "facenet_inception_resnet_v2", "xception41", "nasnet_a", "mynet",
]  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_a_part_of_a_name_is_not_enough(name):
    with pytest.raises(ValueError, match=f"Received: base='{name}'.*preprocess='caffe'"):
        pre.preprocessing(named(name, keras.layers.Rescaling(1.0)))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(set(map(default_name, MEMBERS.values())))), st.text("abz-_", min_size=1)
)
def test_no_word_may_stand_before_or_behind_a_name(name, word):
    foreign = word.strip("_-") and not word.strip("_-").isdigit()
    for other in (word + name, name + word):
        if foreign:
            with pytest.raises(ValueError, match="must be named after"):
                pre.preprocessing(named(other, keras.layers.Rescaling(1.0)))


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


class Reads(keras.Model):
    """A subclassed model: its parts say what comes in."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def shown(*sizes):
    """Return a functional part with `Preprocess`, of one input or more."""
    inputs = [keras.Input((*size, 3)) for size in sizes]
    return keras.Model(inputs, pre.Preprocess("tf")(inputs[0]))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"encoder": shown((8, 8))}, (8, 8, 3)),
        ({"other": keras.layers.Dense(2), "net": shown((None, None))}, (None, None, 3)),
        ({"first": pre.Preprocess("tf")}, (None, None, 3)),
        ({"encoder": Reads(inside=shown((4, 4)))}, (4, 4, 3)),
        ({"encoder": shown((8, 8), (4, 4))}, None),
        ({"encoder": keras.layers.Dense(2), "net": shown((8, 8))}, (8, 8, 3)),
        ({"net": keras.layers.Dense(2)}, None),
    ],
)
def test_the_images_of_a_subclassed_model(parts, expected):
    assert pre.images_of(Reads(**parts)) == expected
