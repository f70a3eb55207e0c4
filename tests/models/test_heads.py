"""Heads keep their contract: shapes, float32 logits, masks, names, save and load elsewhere."""

import subprocess
import sys
import zipfile

from tlhelpers.models.heads import GlobalPooling, build_classifier, build_head
from tlhelpers.models.heads import build_text_classifier as build_text
from tlhelpers.models.preprocessing import MODES, Preprocess, images_of, modes_of
from tlhelpers.tuning.describing import describe

import keras
import numpy as np
import pytest
from toys import TinyBert, base_named

MAPS = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_poolings_against_numpy():
    assert np.allclose(numbers(GlobalPooling("avg")(MAPS)), MAPS.mean((1, 2)), atol=1e-6)
    assert np.array_equal(numbers(GlobalPooling("max")(MAPS)), MAPS.max((1, 2)))
    both = np.hstack([MAPS.mean((1, 2)), MAPS.max((1, 2))])
    assert np.allclose(numbers(GlobalPooling("avgmax")(MAPS)), both, atol=1e-6)
    assert numbers(build_head(7, pooling="flatten")(MAPS)).shape == (2, 7)


def test_a_mask_leaves_padding_out():
    tokens = np.arange(12.0, dtype="float32").reshape(2, 3, 2) - 20
    mask = np.array([[1, 1, 0], [0, 0, 0]], bool)
    pooled = numbers(GlobalPooling("avgmax")(tokens, mask=mask))
    assert np.array_equal(pooled, [[-19, -18, -18, -17], [0, 0, 0, 0]])
    assert np.array_equal(numbers(GlobalPooling("avg")(tokens)), tokens.mean(1))


@pytest.mark.parametrize(
    ("task", "classes", "units"),
    [("multiclass", 4, 4), ("binary", 2, 1), ("multilabel", 1, 1), ("regression", 3, 3)],
)
def test_every_task_ends_in_logits(task, classes, units):
    head = build_head(classes, task=task)
    assert head(MAPS).shape == (2, units)
    assert head.get_layer("logits").get_config()["activation"] == "linear"


def test_head_ends_in_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        head = build_head(3, hidden=(8,), normalize=True)
        output = head(MAPS)
        assert keras.backend.standardize_dtype(output.dtype) == "float32"
        assert head.get_layer("hidden_1").compute_dtype == "float16"
    finally:
        keras.config.set_dtype_policy("float32")


def test_layers_are_named_and_ordered():
    head = build_head(3, hidden=(8, 4), normalize=True)
    names = [layer.name for layer in head.layers]
    assert names == ["pooling", "normalization", "dropout", "hidden_1", "dropout_1", "hidden_2",
                     "dropout_2", "logits"]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1}, "2 or above"),
        ({"num_classes": 2.0}, "whole number"),
        ({"num_classes": True}, "whole number"),
        ({"num_classes": 3, "task": "binary"}, "must be 2 for a binary task"),
        ({"num_classes": 3, "task": "multi-class"}, "'multiclass'"),
        ({"num_classes": 3, "pooling": "average"}, "`pooling` must be one of"),
        ({"num_classes": 3, "dropout": 1.0}, "in \\[0, 1\\)"),
        ({"num_classes": 3, "dropout": -0.1}, "in \\[0, 1\\)"),
        ({"num_classes": 3, "hidden": 64}, "sequence of units"),
        ({"num_classes": 3, "hidden": None}, "sequence of units"),
        ({"num_classes": 3, "hidden": (0,)}, "1 or above"),
        ({"num_classes": 3, "hidden": (8, 4.0)}, "`hidden` must be a whole number"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=f"{message}.*Received: "):
        build_head(**arguments)


def test_numbers_of_numpy_are_welcome_and_saved(tmp_path):
    head = build_head(np.int64(3), hidden=np.array([8]), dropout=np.float32(0.5))
    model = keras.Sequential([keras.Input((2, 2, 4)), head])
    model.save(tmp_path / "head.keras")
    loaded = keras.models.load_model(tmp_path / "head.keras", safe_mode=True)
    expected = model.predict(MAPS[:, :2, :2, :4], verbose=0)
    assert np.array_equal(loaded.predict(MAPS[:, :2, :2, :4], verbose=0), expected)


def mobilenet():
    return base_named("mobilenetv2", size=32)


def test_a_classifier_preprocesses_as_keras_does():
    base = mobilenet()
    model = build_classifier(base, 3)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    by_hand = keras.applications.mobilenet_v2.preprocess_input(images.astype("float32"))
    expected = model.get_layer("head")(base(by_hand, training=False), training=False)
    assert np.allclose(model.predict(images, verbose=0), numbers(expected), atol=1e-5)


def test_two_classifiers_of_one_family_live_in_one_model():
    images = keras.Input((32, 32, 3))
    one, two = build_classifier(mobilenet(), 3), build_classifier(mobilenet(), 3)
    two.name = "second"
    model = keras.Model(images, keras.layers.Average()([one(images), two(images)]))
    assert model.count_params() == 2 * one.count_params()


def test_a_base_with_a_top_is_refused():
    with pytest.raises(ValueError, match=r"`base` must have no top.*include_top=False"):
        build_classifier(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), 3)


def own_base(shape=(8, 8, 3), **settings):
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3, **settings)]
    return keras.Sequential([keras.Input(shape), *layers], name="ours")


PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("uint8")
POOLINGS = ("avg", "max", "avgmax", "flatten", "token")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_classifier_is_made_of_stock_layers_that_do_what_ours_do(mode, pooling, tmp_path):
    base = own_base()
    model = build_classifier(base, 3, preprocess=mode, pooling=pooling)
    images = keras.Input((8, 8, 3))
    ours = build_head(3, pooling=pooling, normalize=True)
    twin = keras.Model(images, ours(base(Preprocess(mode)(images))))
    twin.set_weights(model.get_weights())
    expected = twin.predict(PIXELS, verbose=0)
    assert np.array_equal(model.predict(PIXELS, verbose=0), expected)
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as file:
        assert "tlhelpers" not in file.read("config.json").decode()
    loaded = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    assert np.array_equal(loaded.predict(PIXELS, verbose=0), expected)
    assert modes_of(loaded) == [mode] and images_of(loaded) == (8, 8, 3)


def test_a_saved_classifier_loads_where_this_package_is_unknown(tmp_path):
    model = build_classifier(mobilenet(), 3, hidden=(4,))
    model.save(tmp_path / "m.keras")
    code = "import keras; print(keras.saving.load_model('m.keras').output_shape)"
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("(None, 3)")


PREPARATIONS = {
    "a mode": ("identity", 3),
    "a layer": (keras.layers.Rescaling(1 / 127.5, offset=-1), 3),
    "a function": (keras.applications.vgg16.preprocess_input, 3),
    "thirteen bands": (keras.layers.Identity(), 13),
    "grey": (keras.layers.Rescaling(1 / 255), 1),
    "identity of grey": ("identity", 1),
}


@pytest.mark.parametrize("name", PREPARATIONS)
def test_a_base_of_ones_own_says_what_it_expects(name):
    preprocess, channels = PREPARATIONS[name]
    base = own_base((8, 8, channels))
    model = build_classifier(base, 3, preprocess=preprocess)
    x = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, channels)).astype("float32")
    ready = x if isinstance(preprocess, str) else numbers(preprocess(np.copy(x)))
    expected = numbers(model.get_layer("head")(base(ready)))
    assert np.allclose(model.predict(x, verbose=0), expected, atol=1e-5)


def test_a_transformer_of_kerashub_gets_a_head():
    keras_hub = pytest.importorskip("keras_hub")
    base = keras_hub.models.ViTBackbone(
        patch_size=8, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, image_shape=(16, 16, 3)
    )
    for pooling in ("token", "avg"):
        model = build_classifier(base, 3, preprocess="tf", pooling=pooling)
        assert model.predict(np.zeros((1, 16, 16, 3), "uint8"), verbose=0).shape == (1, 3)


def test_bases_that_cannot_take_a_head_are_refused_in_a_sentence():
    images, x = keras.Input((8, 8, 3)), own_base()
    vector = keras.Model(images, keras.layers.GlobalAveragePooling2D()(x(images)), name="pooled")
    two = keras.Model(images, {"a": x(images), "b": images}, name="two")
    pair = keras.Model([images, other := keras.Input((8, 8, 3))], x(images) + x(other))
    for base, words in [
        (vector, "must have no top.*before its pooling"),
        (two, "one input and one output.*'two' with 1 inputs and 2 outputs"),
        (pair, "with 2 inputs"),
        (keras.Sequential([keras.layers.Conv2D(2, 3)]), "with 0 inputs"),
        (keras.layers.Conv2D(2, 3), "must be a model with a graph"),
    ]:
        with pytest.raises(ValueError, match=words):
            build_classifier(base, 3, preprocess="identity")
    for preprocess, words in [("imagenet", "'caffe', 'tf'"), (7, "a mode, a layer or a function")]:
        with pytest.raises(ValueError, match=f"`preprocess` must be.*{words}|{words}"):
            build_classifier(own_base(), 3, preprocess=preprocess)
    with pytest.raises(ValueError, match="must be RGB"):
        build_classifier(own_base((8, 8, 1)), 3, preprocess="caffe")
    with pytest.raises(ValueError, match=r"Received: base='ours'.*preprocess='caffe'"):
        build_classifier(own_base(), 3)
    prepared = keras.Sequential(
        [keras.Input((8, 8, 3)), Preprocess("tf"), own_base()], name="vgg16"
    )
    with pytest.raises(ValueError, match="does it itself"):
        build_classifier(prepared, 3)


def test_a_classifier_normalizes_its_features_unless_told_otherwise():
    names = [layer.name for layer in build_classifier(mobilenet(), 3).get_layer("head").layers]
    assert names == ["pooling", "normalization", "dropout", "logits"]
    plain = build_classifier(mobilenet(), 3, normalize=False).get_layer("head")
    assert "normalization" not in [layer.name for layer in plain.layers]


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("pooling", ["mean", "token", "max"])
def test_text_classifier(tmp_path, pooling):
    model = build_text(TinyBert(), 2, sequence_length=6, task="binary", pooling=pooling)
    ids = np.arange(1, 13).reshape(2, 6)
    mask = np.array([[1, 1, 1, 0, 0, 0], [1] * 6], bool)
    inputs = {"token_ids": ids, "padding_mask": mask, "segment_ids": np.zeros_like(ids)}
    before = model.predict(inputs, verbose=0)
    other = {**inputs, "token_ids": np.where(mask, ids, 40)}
    assert np.allclose(model.predict(other, verbose=0), before, atol=1e-6)
    model.save(tmp_path / "t.keras")
    again = keras.models.load_model(tmp_path / "t.keras", safe_mode=True)
    assert np.array_equal(again.predict(inputs, verbose=0), before)
    assert describe(model).rows[-1].name == "head"


def test_text_classifier_checks_its_length():
    for length in (13, 2):  # no preprocessor makes these
        with pytest.raises(ValueError, match=f"between 3 and 12.*Received: .*={length}"):
            build_text(TinyBert(), 2, sequence_length=length)
    model = build_text(TinyBert(), 2, sequence_length=np.int64(3))
    assert model.input["token_ids"].shape == (None, 3)


def test_text_classifier_refuses_what_is_no_encoder_and_a_pooling_for_images():
    for bert in ("minilm-l6", None, TinyBert().backbone):
        with pytest.raises(ValueError, match=r"load_bert returns.*Received: bert=.*Load one"):
            build_text(bert, 2, sequence_length=6)
    with pytest.raises(ValueError, match=r"for texts\. Received: pooling='flatten'"):
        build_text(TinyBert(), 2, sequence_length=6, pooling="flatten")
    with pytest.raises(ValueError, match="`pooling` must be one of"):
        build_text(TinyBert(), 2, sequence_length=6, pooling="average")
