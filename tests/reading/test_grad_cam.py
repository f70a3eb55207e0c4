"""Grad-CAM: in closed form where the head is linear, equal for every way to hold a base."""

from tlhelpers.reading.explain import grad_cam
from tlhelpers.reading.plots import plot_grad_cam

import keras
import numpy as np
import pytest
from toys import LAYOUTS, X, make

L = keras.layers


def linear(classes=3, pooling=L.GlobalAveragePooling2D, size=12, activation=None):
    """A convolution, the mean over the places, a linear layer."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((size, size, 3))
    maps = L.Conv2D(5, 3, padding="same", activation="relu", name="conv")(inputs)
    logits = L.Dense(classes, activation=activation, name="logits")(pooling()(maps))
    return keras.Model(inputs, logits)


IMAGES = np.random.default_rng(0).normal(size=(4, 12, 12, 3)).astype("float32")


def expected(model, images, target, sign=1):
    """The class activation map of Zhou et al. (2016), to which Grad-CAM then comes down."""
    maps = keras.Model(model.input, model.get_layer("conv").output).predict(images, verbose=0)
    kernel = model.get_layer("logits").get_weights()[0]
    heat = np.maximum(sign * maps @ kernel[:, target], 0)
    return heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), 1e-30)  # all 0 stays 0


@pytest.mark.parametrize("target", [0, 1, 2])
def test_with_a_linear_head_it_is_the_class_activation_map(target):
    model = linear()
    heat = grad_cam(model, IMAGES, target=target)
    assert heat.shape == (4, 12, 12)
    np.testing.assert_allclose(heat, expected(model, IMAGES, target), atol=1e-5)
    np.testing.assert_allclose(grad_cam(model, IMAGES[1], target=target), heat[1], atol=1e-6)


def test_the_predicted_class_is_the_default():
    model = linear()
    predicted = model.predict(IMAGES, verbose=0).argmax(axis=1)
    for image, heat, target in zip(IMAGES, grad_cam(model, IMAGES), predicted, strict=True):
        np.testing.assert_allclose(heat, expected(model, image[None], target)[0], atol=1e-5)


def test_one_logit_speaks_for_class_1_and_against_class_0():
    model = linear(classes=1)
    for target, sign in ((1, 1), (0, -1)):
        np.testing.assert_allclose(
            grad_cam(model, IMAGES, target=target), expected(model, IMAGES, 0, sign), atol=1e-5
        )


def test_each_layout_gives_the_same_picture():
    pictures = [grad_cam(make(layout), X[:3], target=1) for layout in LAYOUTS]
    assert pictures[0].max() == pytest.approx(1)
    for picture in pictures[1:]:
        np.testing.assert_allclose(picture, pictures[0], atol=1e-5)


def test_it_finds_the_corner_that_decides():
    """A net that only looks for bright places, an image with one bright corner."""
    model = linear(classes=2)
    kernel = np.zeros((3, 3, 3, 5), "float32")
    kernel[1, 1, :, 0] = 1
    model.get_layer("conv").set_weights([kernel, np.zeros(5, "float32")])
    model.get_layer("logits").set_weights([np.eye(5, 2, dtype="float32"), np.zeros(2, "float32")])
    image = np.zeros((12, 12, 3), "float32")
    image[8:, 8:] = 1
    heat = grad_cam(model, image)
    assert np.array_equal(heat == 1, image[..., 0] == 1) and heat[:8, :8].max() == 0


def test_nothing_speaks_for_the_class():
    model = linear(classes=2)
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([-np.abs(kernel), bias])
    assert not grad_cam(model, IMAGES, target=1).any()


def test_an_explanation_changes_nothing():
    model = make()
    before = [weight.copy() for weight in model.get_weights()]
    flags = [layer.trainable for layer in model._flatten_layers()]
    grad_cam(model, X[:2])
    assert all(map(np.array_equal, before, model.get_weights()))
    assert flags == [layer.trainable for layer in model._flatten_layers()]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: grad_cam(linear(activation="softmax"), IMAGES), "must end in logits"),
        (lambda: grad_cam(linear(), IMAGES, target=3), "`target` must be"),
        (lambda: grad_cam(linear(), IMAGES, layer="con"), "Did you mean 'conv'"),
        (lambda: grad_cam(linear(), IMAGES, layer="logits"), "`layer`|A cut must"),
        (lambda: grad_cam(linear(pooling=L.Flatten, size=1), IMAGES[:, :1, :1]), "must have maps"),
        (lambda: plot_grad_cam(IMAGES, np.zeros((4, 12, 12))), r"Pass image\[i\]"),
        (lambda: plot_grad_cam(IMAGES[0] * 0, np.zeros((4, 4))), "as high and wide"),
    ],
)
def test_what_cannot_be_explained_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_figure_has_the_image_and_its_heat():
    image = np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype("uint8")
    figure = plot_grad_cam(image, np.linspace(0, 1, 144).reshape(12, 12), title="cat")
    assert [ax.get_title() for ax in figure.axes] == ["image", "cat"]
    assert len(figure.axes[1].images) == 2
