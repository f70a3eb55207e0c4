"""The bases of the catalog: what they are built as, and how their files are read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.sources.efficientnet_lite0 import EfficientNetLite0
from tlhelpers.sources.origins import CLASS_NAMES
from tlhelpers.sources.resnet20 import ResNet20
from tlhelpers.sources.torch_files import read_torch

import keras
import numpy as np

# First values of Keras' official VGG16 file, so that a fine-tuned copy is not taken for it.
# block1_conv1: kernel[0, 0, 0, 0] and bias[:3].
_VGG16_FIRST = (0.42947057, 0.73429835, 0.09340367, 0.06775674)
_BREEDS = (  # sorted by WordNet id, as the head's columns are
    "Chihuahua", "Maltese dog", "Shih-Tzu", "papillon", "Yorkshire terrier",
    "West Highland white terrier", "golden retriever", "Labrador retriever", "Rottweiler",
    "German shepherd", "Doberman", "bull mastiff", "French bulldog", "Siberian husky", "pug",
    "Samoyed", "Pomeranian", "toy poodle", "miniature poodle",
)  # fmt: skip

Head = tuple[np.ndarray, np.ndarray, tuple[str, ...]]  # kernel, bias, names of the classes


def read_vgg16(base: keras.Model, path: Path) -> None:
    """Fill VGG16's 13 convolutions from an ONNX file (kernels OIHW; Keras wants HWIO)."""
    import onnx

    graph = onnx.load(path).graph
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    parts = {}
    for node in graph.node:
        if node.op_type == "Conv":
            _, kernel, bias = node.input  # "net/block1_conv1_1/kernel" is of block1_conv1
            layer = kernel.split("/")[1].removesuffix("_1")
            parts[layer] = [tensors[kernel].transpose(2, 3, 1, 0), tensors[bias]]
    for layer in base.layers:
        if isinstance(layer, keras.layers.Conv2D):
            _assign(layer, parts[layer.name])
    kernel, bias = base.get_layer("block1_conv1").get_weights()
    if not np.allclose([kernel[0, 0, 0, 0], *bias[:3]], _VGG16_FIRST, rtol=1e-6, atol=0):
        raise ValueError(
            "The mirrored VGG16 must hold Keras' published values in block1_conv1. Received: "
            f"kernel[0, 0, 0, 0]={kernel[0, 0, 0, 0]!r}, bias[:3]={bias[:3]}."
        )


def read_mobilenetv2_dogs(base: keras.Model, path: Path) -> None:
    """Fill MobileNetV2 from the nested base of a Keras HDF5 file, by layer name."""
    import h5py

    with h5py.File(path) as file:
        group = file["model_weights/mobilenetv2_1.00_160"]
        left = set(group)
        for layer in base.layers:
            if layer.weights:
                stored = group[layer.name]
                _assign(layer, [stored[weight.name][()] for weight in layer.weights])
                left.discard(layer.name)
    if left:
        raise ValueError(f"Every mirrored tensor must have a layer. Received: {sorted(left)} left.")


def read_dog_breed_head(path: Path) -> Head:
    """Return kernel `(1280, 19)`, bias `(19,)` and the breeds of the dense layer."""
    import h5py

    with h5py.File(path) as file:
        dense = file["model_weights/dense/dense"]
        return dense["kernel"][()], dense["bias"][()], _BREEDS


def read_efficientnet_lite0(base: keras.Model, path: Path) -> None:
    """Fill EfficientNet-Lite0 from a PyTorch checkpoint (kernels OIHW; of each channel, OHW)."""
    tensors = read_torch(path)
    for layer in base.layers:
        if layer.weights:
            turned = (2, 3, 0, 1) if "depthwise" in layer.name else (2, 3, 1, 0)
            values = [tensors.pop(name) for name in _names_in_checkpoint(layer.name)]
            _assign(layer, [v.transpose(turned) if v.ndim == 4 else v for v in values])
    left = {name for name in tensors if not name.endswith("num_batches_tracked")}
    if left != {"_fc.weight", "_fc.bias"}:
        raise ValueError(f"Every mirrored tensor must have a layer. Received: {sorted(left)} left.")


def _names_in_checkpoint(layer: str) -> list[str]:
    """Return the checkpoint's names of what a layer such as "block3_expand_bn" holds."""
    place, _, kind = layer.rpartition("_")
    block, _, part = place.removeprefix("block").partition("_")
    conv, norm = {
        "stem": ("_conv_stem", "_bn0"),
        "head": ("_conv_head", "_bn1"),
        "expand": (f"_blocks.{block}._expand_conv", f"_blocks.{block}._bn0"),
        "depthwise": (f"_blocks.{block}._depthwise_conv", f"_blocks.{block}._bn1"),
        "project": (f"_blocks.{block}._project_conv", f"_blocks.{block}._bn2"),
    }[part or block]
    if kind == "conv":
        return [f"{conv}.weight"]
    return [f"{norm}.{name}" for name in ("weight", "bias", "running_mean", "running_var")]


def read_imagenet_head(path: Path) -> Head:
    """Return kernel `(1280, 1000)`, bias `(1000,)` and the numbers of ImageNet's classes."""
    tensors = read_torch(path)
    bias = tensors["_fc.bias"]
    return tensors["_fc.weight"].T, bias, tuple(map(str, range(len(bias))))


def read_resnet20(base: keras.Model, path: Path) -> None:
    """Fill ResNet-20 from our own file, by the paths of its weights."""
    with np.load(path) as file:
        for layer in base.layers:
            if layer.weights:
                _assign(layer, [file[weight.path].astype("float32") for weight in layer.weights])


def read_cifar10_head(path: Path) -> Head:
    """Return kernel `(64, 10)`, bias `(10,)` and the names of CIFAR-10's classes."""
    with np.load(path) as file:
        kernel, bias = (file[f"logits/{name}"].astype("float32") for name in ("kernel", "bias"))
    return kernel, bias, CLASS_NAMES["cifar10"]


def _assign(layer: keras.layers.Layer, values: list[np.ndarray]) -> None:
    shapes = [tuple(weight.shape) for weight in layer.weights]
    if shapes != [value.shape for value in values]:
        raise ValueError(
            f"Layer {layer.name!r} needs weights of shape {shapes}. "
            f"Received: {[value.shape for value in values]}."
        )
    layer.set_weights(values)


@dataclass(frozen=True)
class Catalogued:
    """A base of the catalog: how it is built, and how its fetched file is read."""

    build: Callable[..., keras.Model]  # called with `include_top`, `weights` and `input_shape`
    read: Callable[[keras.Model, Path], None]  # fills the built base
    read_head: Callable[[Path], Head] | None = None  # None where the file has no classifier


CATALOGUED = {  # by their names in data/catalog.toml
    "vgg16": Catalogued(keras.applications.VGG16, read_vgg16),
    "mobilenetv2-dogs": Catalogued(
        keras.applications.MobileNetV2, read_mobilenetv2_dogs, read_dog_breed_head
    ),
    "efficientnet-lite0": Catalogued(
        EfficientNetLite0, read_efficientnet_lite0, read_imagenet_head
    ),
    "resnet20-cifar10": Catalogued(ResNet20, read_resnet20, read_cifar10_head),
}
