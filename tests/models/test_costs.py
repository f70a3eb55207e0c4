"""Costs agree with what one counts by hand, and with the published sums."""

import math

from tlhelpers.models.costs import count_cost

import keras
import pytest

L = keras.layers


def test_convolutions_by_hand():
    model = keras.Sequential(
        [
            keras.Input((8, 6, 3)),
            L.Conv2D(5, 3, padding="valid", name="conv"),  # 6 x 4 places, 3*3*3*5 weights
            L.DepthwiseConv2D(3, padding="same", strides=2),  # 3 x 2 places, 3*3*5 weights
            L.SeparableConv2D(7, 3, padding="same"),  # 3 x 2 places, 3*3*5 + 5*7 weights
            L.Conv2D(4, 1, groups=1),  # 3 x 2 places, 7*4 weights
            L.Conv2DTranspose(2, 2, strides=2),  # 3 x 2 places of the input, 2*2*4*2 weights
            L.Flatten(),
            L.Dense(9),  # 6*4*2 inputs
        ]
    )
    cost = count_cost(model)
    convolutions = 24 * 135 + 6 * 45 + 6 * (45 + 35) + 6 * 28 + 6 * 32
    assert cost.multiply_adds == convolutions + 48 * 9
    assert cost.activations == 24 * 5 + 6 * 5 + 6 * 7 + 6 * 4 + 24 * 2 + 48 + 9
    assert cost.weights == model.count_params()


def test_groups_and_dense_layers_over_places():
    model = keras.Sequential([keras.Input((4, 4, 6)), L.Conv2D(8, 3, groups=2, padding="same")])
    assert count_cost(model).multiply_adds == 16 * 3 * 3 * 3 * 8
    model = keras.Sequential([keras.Input((4, 4, 6)), L.Dense(8)])
    assert count_cost(model).multiply_adds == 16 * 6 * 8


def test_published_sums_at_224_pixels():
    """15.3 G in VGG16's convolutions; MobileNetV2's paper says 300 M, of which 1.28 M the top."""
    vgg16 = keras.applications.VGG16(include_top=False, weights=None, input_shape=(None, None, 3))
    assert count_cost(vgg16, (224, 224, 3)).multiply_adds == 15_346_630_656
    small = keras.applications.MobileNetV2(weights=None)
    assert 295e6 < count_cost(small).multiply_adds < 305e6


def test_nested_models_count_as_their_layers_and_shared_layers_as_their_calls():
    inner = keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(4, 3, padding="same")])
    inputs = keras.Input((8, 8, 3))
    once = keras.Model(inputs, inner(inputs))
    twice = keras.Model(inputs, L.Add()([inner(inputs), inner(inputs * 2)]))
    assert count_cost(once).multiply_adds == 64 * 108
    assert count_cost(twice).multiply_adds == 2 * 64 * 108
    assert count_cost(twice).weights == count_cost(once).weights == 112
    assert count_cost(once, (16, 16, 3)).multiply_adds == 4 * 64 * 108


def test_what_cannot_be_counted_is_nan_and_not_zero():
    model = keras.Sequential([keras.Input((5, 3)), L.LSTM(2)])
    assert math.isnan(count_cost(model).multiply_adds)


class Unopened(keras.Model):
    """A subclassed model: Keras has no graph of it."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, x):
        return self.layer(x)


@pytest.mark.parametrize("wrap", [lambda model: model, lambda model: keras.Sequential([model])])
def test_a_nested_model_without_a_graph_counts_its_output(wrap):
    inputs = keras.Input((8, 8, 3))
    nested = wrap(Unopened(L.Conv2D(5, 3)))
    model = keras.Model(inputs, L.Conv2D(2, 1)(nested(inputs)))
    cost = count_cost(model)
    assert math.isnan(cost.multiply_adds)
    assert cost.activations == 36 * 5 + 36 * 2
    assert cost.weights == model.count_params() == 140 + 12
    images = keras.Input((None, None, 3))
    model = keras.Model(images, L.Conv2D(2, 1)(wrap(Unopened(L.ReLU()))(images)))
    cost = count_cost(model, (4, 6, 3))  # nothing in it that multiplies
    assert (cost.multiply_adds, cost.activations) == (24 * 6, 24 * 3 + 24 * 2)


def test_an_open_size_and_two_inputs_are_refused():
    with pytest.raises(ValueError, match="input_shape=\\(None, None, 3\\)"):
        count_cost(keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(1, 3)]))
    a, b = keras.Input((2,)), keras.Input((2,))
    with pytest.raises(ValueError, match="one input"):
        count_cost(keras.Model([a, b], a + b))
