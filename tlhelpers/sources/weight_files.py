"""The mirrored bases: what they are built as, and how their files are read, tensor by tensor."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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


def _assign(layer: keras.layers.Layer, values: list[np.ndarray]) -> None:
    shapes = [tuple(weight.shape) for weight in layer.weights]
    if shapes != [value.shape for value in values]:
        raise ValueError(
            f"Layer {layer.name!r} needs weights of shape {shapes}. "
            f"Received: {[value.shape for value in values]}."
        )
    layer.set_weights(values)


@dataclass(frozen=True)
class Mirrored:
    """A mirrored base: how it is built, and how its fetched file is read."""

    build: Callable[..., keras.Model]  # called with `include_top`, `weights` and `input_shape`
    read: Callable[[keras.Model, Path], None]  # fills the built base
    read_head: Callable[[Path], Head] | None = None  # None where the file has no classifier


MIRRORED = {  # by their names in data/catalog.toml
    "vgg16": Mirrored(keras.applications.VGG16, read_vgg16),
    "mobilenetv2-dogs": Mirrored(
        keras.applications.MobileNetV2, read_mobilenetv2_dogs, read_dog_breed_head
    ),
}
