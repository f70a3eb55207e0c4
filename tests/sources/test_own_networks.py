"""The two networks that are built here: ResNet-20 and EfficientNet-Lite0."""

from tlhelpers.models.anatomy import find_blocks
from tlhelpers.sources.assets import DATA
from tlhelpers.sources.backbones import load_backbone, source_head
from tlhelpers.sources.datasets import load_dataset
from tlhelpers.sources.efficientnet_lite0 import EfficientNetLite0
from tlhelpers.sources.resnet20 import ResNet20

import keras
import numpy as np
import pytest

L = keras.layers


def test_resnet20_is_the_papers():
    net = ResNet20()
    convolutions = [layer for layer in net.layers if isinstance(layer, L.Conv2D)]
    on_the_way = [layer for layer in convolutions if "shortcut" not in layer.name]
    assert len(on_the_way) + 1 == 20  # and the dense layer
    kernels = sum(int(np.prod(layer.kernel.shape)) for layer in on_the_way)
    assert kernels == 9 * (3 * 16 + 6 * 16**2 + 16 * 32 + 5 * 32**2 + 32 * 64 + 5 * 64**2)
    assert sum(isinstance(layer, L.Add) for layer in net.layers) == 9
    assert [tuple(net.get_layer(f"stage{n}_unit3_relu").output.shape[1:]) for n in (1, 2, 3)] == [
        (32, 32, 16),
        (16, 16, 32),
        (8, 8, 64),
    ]


def test_a_unit_whose_branch_is_silent_passes_its_input():
    net = ResNet20(include_top=False)
    for part in ("gamma", "beta"):
        weight = getattr(net.get_layer("stage1_unit2_2_bn"), part)
        weight.assign(np.zeros(weight.shape))
    names = ["stage1_unit1_relu", "stage1_unit2_relu"]
    ends = keras.Model(net.input, [net.get_layer(name).output for name in names])
    before, after = ends(np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(("build", "classes"), [(ResNet20, 10), (EfficientNetLite0, 1000)])
def test_pixels_are_rescaled_inside_and_a_top_gives_logits(build, classes):
    net = build(input_shape=(64, 64, 3))
    rescaled = net.get_layer("rescaling")(np.array([0.0, 255.0]))
    assert np.abs(rescaled).max() == pytest.approx(2 if build is ResNet20 else 1, abs=0.02)
    assert (
        net.output_shape == (None, classes)
        and net.layers[-1].activation is keras.activations.linear
    )


@pytest.mark.parametrize("name", ["resnet20-cifar10", "efficientnet-lite0"])
def test_one_tensor_alone_crosses_each_border_of_blocks(name):
    base = load_backbone(name, (64, 64, 3), weights=None)
    ends = {block.name: block.layers for block in find_blocks(base)}
    assert len(ends) == (3 if name == "resnet20-cifar10" else 5)
    place = {layer.name: n for n, part in enumerate(ends.values()) for layer in part}
    crossing: dict[int, set] = {}
    for layer in base.layers:
        for node in layer._inbound_nodes:
            for tensor in node.input_tensors:
                source = tensor._keras_history.operation.name
                here, there = place.get(layer.name), place.get(source)
                if None not in (here, there) and here != there:
                    assert here == there + 1
                    crossing.setdefault(here, set()).add(source)
    assert [len(sources) for sources in crossing.values()] == [1] * (len(ends) - 1)


def test_our_own_weights_are_read_bit_by_bit_and_need_no_index(capsys, monkeypatch):
    monkeypatch.setenv("TL_OFFLINE", "1")
    model = load_backbone("resnet20-cifar10", (32, 32, 3), include_top=True)
    assert model.origin == "ours, resnet20_cifar10.npz of this package"
    with np.load(DATA / "resnet20_cifar10.npz") as file:
        assert set(file) == {weight.path for weight in ResNet20().weights}
        assert all(file[name].dtype == "float16" and np.isfinite(file[name]).all() for name in file)
        for weight in model.weights:
            np.testing.assert_array_equal(weight, file[weight.path])
    kernel, _, names = source_head("resnet20-cifar10")
    assert kernel.shape == (64, len(names)) and names[9] == "truck"


@pytest.mark.official
def test_resnet20_reads_cifar10_as_its_card_says():
    data = load_dataset("cifar10", train=10, test=10_000)
    model = load_backbone("resnet20-cifar10", (32, 32, 3), include_top=True)
    right = model.predict(data.x_test, verbose=0).argmax(axis=1) == data.y_test
    assert not data.is_stand_in and right.mean() >= 0.88


@pytest.mark.official
@pytest.mark.parametrize("top", [False, True])
def test_resnet50_by_the_official_route_is_that_of_keras(top):
    theirs = keras.applications.ResNet50(include_top=top, input_shape=(224, 224, 3))
    ours = load_backbone("resnet50", (224, 224, 3), include_top=top)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
