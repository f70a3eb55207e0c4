from tlhelpers.sources import weight_files
from tlhelpers.sources.assets import fetch
from tlhelpers.sources.backbones import load_backbone

import h5py
import keras
import numpy as np
import onnx
import pytest


def build(constructor, **kwargs):
    return constructor(weights=None, include_top=False, input_shape=(32, 32, 3), **kwargs)


def write_onnx(base, path, change=None):
    """Write a base's convolutions the way an exporter does, the last layer first."""
    tensors, nodes = [], []
    for layer in base.layers[::-1]:
        if isinstance(layer, keras.layers.Conv2D):
            kernel, bias = layer.get_weights()
            values = {"kernel": kernel.transpose(3, 2, 0, 1), "bias": bias}
            if change:
                change(layer.name, values)
            names = [f"net/{layer.name}_1/{part}" for part in values]
            for name, value in zip(names, values.values(), strict=True):
                tensors.append(onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
            nodes.append(onnx.helper.make_node("Conv", ["x", *names], ["y"]))
    nodes.append(onnx.helper.make_node("Relu", ["y"], ["z"]))
    graph = onnx.helper.make_graph(nodes, "g", [], [], initializer=tensors)
    onnx.save(onnx.helper.make_model(graph), path)
    return path


@pytest.fixture(scope="module")
def vgg():
    """Random weights, but for the four published values."""
    base = build(keras.applications.VGG16)
    first = base.get_layer("block1_conv1")
    kernel, bias = first.get_weights()
    kernel[0, 0, 0, 0], bias[:3] = weight_files._VGG16_FIRST[0], weight_files._VGG16_FIRST[1:]
    first.set_weights([kernel, bias])
    return base


def test_vgg16_from_onnx_is_bit_equal(vgg, tmp_path):
    other = build(keras.applications.VGG16)
    weight_files.read_vgg16(other, write_onnx(vgg, tmp_path / "vgg.onnx"))
    for ours, theirs in zip(other.get_weights(), vgg.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_fine_tuned_vgg16_is_refused(vgg, tmp_path):
    def train(name, values):
        if name == "block1_conv1":
            values["bias"] = values["bias"] * np.float32(1.001)

    path = write_onnx(vgg, tmp_path / "vgg.onnx", train)
    with pytest.raises(ValueError, match=r"published values in block1_conv1. Received: kernel"):
        weight_files.read_vgg16(build(keras.applications.VGG16), path)


def test_tensor_of_another_shape_is_refused(vgg, tmp_path):
    def cut(name, values):
        if name == "block3_conv2":
            values["kernel"] = values["kernel"][:, :7]

    path = write_onnx(vgg, tmp_path / "vgg.onnx", cut)
    with pytest.raises(ValueError, match=r"'block3_conv2' needs .*Received: \[\(3, 3, 7, 256\)"):
        weight_files.read_vgg16(build(keras.applications.VGG16), path)


def write_h5(base, path, extra=()):
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights/mobilenetv2_1.00_160")
        for layer in base.layers:
            for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
                group[f"{layer.name}/{weight.name}"] = value
        for name in extra:
            group[f"{name}/kernel"] = np.zeros(1)
        file["model_weights/dense/dense/kernel"] = np.ones((1280, 19), "float32")
        file["model_weights/dense/dense/bias"] = np.arange(19, dtype="float32")
    return path


def test_mobilenet_from_h5_is_bit_equal(tmp_path):
    base, other = (build(keras.applications.MobileNetV2, name=n) for n in "ab")
    base.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in base.get_weights()])
    path = write_h5(base, tmp_path / "dogs.h5")
    weight_files.read_mobilenetv2_dogs(other, path)
    for ours, theirs in zip(other.get_weights(), base.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    kernel, bias, breeds = weight_files.read_dog_breed_head(path)
    assert kernel.shape == (1280, len(breeds)) and bias[18] == 18


def test_tensor_without_a_layer_is_refused(tmp_path):
    base = build(keras.applications.MobileNetV2)
    path = write_h5(base, tmp_path / "dogs.h5", extra=["attention"])
    with pytest.raises(ValueError, match=r"Received: \['attention'\] left"):
        weight_files.read_mobilenetv2_dogs(base, path)


def checkpoint_of(base):
    """Return a base's tensors under PyTorch's names and in its order of axes, with a classifier."""
    norms = ("weight", "bias", "running_mean", "running_var")
    tensors = {"_fc.weight": np.ones((1000, 1280), "<f4"), "_fc.bias": np.arange(1000.0)}
    parts = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1")}
    parts |= {"project": ("_project_conv", "_bn2")}
    for layer in base.layers:
        if not layer.weights:
            continue
        place, kind = layer.name.rsplit("_", 1)
        if place in ("stem", "head"):
            conv, norm = (f"_conv_{place}", "_bn0" if place == "stem" else "_bn1")
        else:
            block, part = place.split("_")
            conv, norm = (f"_blocks.{block[5:]}.{name}" for name in parts[part])
        if kind == "bn":
            for name, value in zip(norms, layer.get_weights(), strict=True):
                tensors[f"{norm}.{name}"] = value
            tensors[f"{norm}.num_batches_tracked"] = np.array(3)
        else:
            (kernel,) = layer.get_weights()
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            tensors[f"{conv}.weight"] = kernel.transpose(
                (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
            )
    return tensors


@pytest.mark.parametrize("change", [None, "left", "shape"])
def test_efficientnet_lite0_is_read_tensor_by_tensor(monkeypatch, change):
    ours, theirs = (weight_files.CATALOGUED["efficientnet-lite0"].build(False) for _ in "ab")
    theirs.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in theirs.weights])
    tensors = checkpoint_of(theirs)
    if change == "left":
        tensors["_blocks.16._bn0.bias"] = np.zeros(3)
    elif change == "shape":
        tensors["_conv_stem.weight"] = np.zeros((32, 4, 3, 3))
    monkeypatch.setattr(weight_files, "read_torch", lambda path: dict(tensors))
    if change:
        said = {"left": "_blocks.16._bn0.bias", "shape": "'stem_conv' needs .*3, 3, 4, 32"}[change]
        with pytest.raises(ValueError, match=said):
            weight_files.read_efficientnet_lite0(ours, None)
        return
    weight_files.read_efficientnet_lite0(ours, None)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    kernel, bias, names = weight_files.read_imagenet_head(None)
    assert kernel.shape == (1280, 1000) and bias[998] == 998 and names[998] == "998"


@pytest.mark.network
def test_efficientnet_lite0_names_what_is_in_a_picture():
    from sklearn.datasets import load_sample_images

    model = load_backbone("efficientnet-lite0", (224, 224, 3), include_top=True)
    china, flower = (picture[:, 106:533] for picture in load_sample_images().images)
    x = [
        keras.ops.image.resize(picture.astype("float32"), (224, 224)) for picture in (china, flower)
    ]
    palace, daisy = 698, 985  # ImageNet's numbers
    assert np.asarray(model(keras.ops.stack(x))).argmax(axis=1).tolist() == [palace, daisy]


@pytest.mark.network
def test_mirrored_vgg16_holds_the_published_values():
    base = build(keras.applications.VGG16)
    weight_files.read_vgg16(base, fetch("vgg16"))
    kernel, bias = base.get_layer("block1_conv1").get_weights()
    np.testing.assert_allclose(kernel[0, 0, 0, 0], 0.42947057, rtol=1e-7)
    np.testing.assert_allclose(bias[:3], [0.73429835, 0.09340367, 0.06775674], rtol=1e-6)


@pytest.mark.network
def test_the_dogs_base_and_head_belong_together():
    """The head tells pictures apart through its own base, and hardly through a random one."""
    trained, random = (build(keras.applications.MobileNetV2, name=n) for n in "ab")
    path = fetch("mobilenetv2-dogs")
    weight_files.read_mobilenetv2_dogs(trained, path)
    kernel, bias, breeds = weight_files.read_dog_breed_head(path)
    x = np.random.default_rng(0).uniform(-1, 1, (8, 32, 32, 3)).astype("float32")
    spread = [
        (base.predict(x, verbose=0).mean((1, 2)) @ kernel + bias).std(0).mean()
        for base in (trained, random)
    ]
    assert len(trained.weights) == 260 and kernel.shape == (1280, len(breeds))
    assert spread[0] > 10 * spread[1]


@pytest.mark.official
def test_mirrored_vgg16_is_the_official_one():
    ours, theirs = build(keras.applications.VGG16), keras.applications.VGG16(include_top=False)
    weight_files.read_vgg16(ours, fetch("vgg16"))
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
