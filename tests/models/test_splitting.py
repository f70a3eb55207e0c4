"""Prefix and tail give the model's own outputs, share its weights, and refuse to cut a shortcut."""

from tlhelpers.models.anatomy import Anatomy
from tlhelpers.models.heads import build_text_classifier
from tlhelpers.models.splitting import split_at
from tlhelpers.tuning.freezing import freeze, unfreeze
from tlhelpers.tuning.prefix import frozen_prefix, ids_of_layers

import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from toys import LAYOUTS, TinyBert, inlined, nested, tokens

IMAGES = np.random.default_rng(0).normal(size=(3, 16, 16, 3)).astype("float32")
PLACES = ["conv_1", "bn_1", "add", "conv_2", "bn_3"]


def last_frozen_layer(model):
    """Return the layer behind which the frozen part of a model, as it is now, can be cut off."""
    anatomy, trained = Anatomy(model), {id(v) for v in model.trainable_variables}
    found = frozen_prefix(anatomy.graph, trained, ids_of_layers(anatomy.body))
    return found and found.layer


def run(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.sampled_from(LAYOUTS), st.sampled_from(PLACES))
def test_tail_of_prefix_is_the_model(layout, place):
    model = layout()
    name = next(n for n in _names(model) if n.startswith(place))
    prefix, tail = split_at(model, name)
    assert np.allclose(run(tail, run(prefix, IMAGES)), run(model, IMAGES), atol=1e-6)
    shared = {id(v) for v in model.weights}
    parts = [id(v) for v in prefix.weights + tail.weights]
    assert set(parts) == shared and len(parts) == len(shared)  # nothing copied, nothing twice


def _names(model):
    from tlhelpers.models.graph import operations

    return [part.name for part in operations(model)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_training_the_tail_trains_the_model_as_the_model_would_be(layout):
    labels = np.array([0, 1, 2])

    def trained(cached):
        keras.utils.set_random_seed(0)
        model = layout()
        unfreeze(model, blocks=1)
        _without_dropout(model)
        part, inputs = model, IMAGES
        if cached:
            prefix, part = split_at(model, last_frozen_layer(model))
            inputs = run(prefix, IMAGES)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        part.compile(keras.optimizers.SGD(0.05), loss)
        part.fit(inputs, labels, epochs=3, shuffle=False, verbose=0)
        return [v.numpy() for v in model.weights]

    for a, b in zip(trained(False), trained(True), strict=True):
        assert np.allclose(a, b, atol=1e-5)


def _without_dropout(model):
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0


@pytest.mark.parametrize("place", ["branch_1", "branch_2"])
def test_a_cut_beside_a_shortcut_is_refused_with_near_places(place):
    with pytest.raises(ValueError, match=r"shortcut.*Near places to cut: '.*'(add|re_lu)"):
        split_at(nested(), place)


def test_the_end_of_a_model_and_a_stranger_are_refused():
    model = inlined()
    with pytest.raises(ValueError, match="something for the tail"):
        split_at(model, model.layers[-1])
    with pytest.raises(ValueError, match="must be one on which the output"):
        split_at(model, keras.layers.Dense(2))
    with pytest.raises(ValueError, match="conv_3"):
        split_at(model, "conv3")


def test_a_model_with_two_outputs_is_not_cut():
    model = inlined()
    two = keras.Model(model.input, [model.output, model.layers[5].output])
    with pytest.raises(ValueError, match="one output"):
        split_at(two, "conv_1")
    assert last_frozen_layer(two) is None


def test_an_input_that_the_tail_still_needs_goes_with_the_features():
    images, table = keras.Input((16, 16, 3), name="images"), keras.Input((2,), name="table")
    features = keras.layers.GlobalAveragePooling2D(name="gap")(keras.layers.Conv2D(2, 3)(images))
    logits = keras.layers.Dense(3)(keras.layers.Concatenate()([features, table]))
    rows = np.ones((3, 2), "float32")
    for inputs, x in ([images, table], [IMAGES, rows]), ([table, images], [rows, IMAGES]):
        model = keras.Model(inputs, logits)
        prefix, tail = split_at(model, "gap")
        between = prefix(x)
        assert set(between) == {"gap", "table"}
        assert np.allclose(run(tail, between), run(model, x), atol=1e-6)


@pytest.fixture(scope="module")
def text_model():
    keras.utils.set_random_seed(0)
    return build_text_classifier(TinyBert(layers=3), 2, sequence_length=6)


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize(
    ("place", "carried"),
    [
        ("token_embedding", {"padding_mask", "segment_ids"}),
        ("embeddings_dropout", {"padding_mask"}),
        ("transformer_layer_1", {"padding_mask"}),
        ("transformer_layer_2", {"padding_mask"}),  # the end of the nested encoder
        ("pooling", set()),
    ],
)
def test_a_text_encoder_is_cut_at_any_layer(text_model, place, carried, tmp_path):
    x = tokens(4)
    prefix, tail = split_at(text_model, place)
    between = prefix.predict(x, verbose=0)
    if carried:
        assert set(between) == {place, *carried}
        assert np.array_equal(between["padding_mask"], x["padding_mask"])
        again = split_at(tail, "pooling")  # a tail is a model like any other
        assert np.allclose(run(again[1], run_all(again[0], between)), run(text_model, x), atol=1e-6)
    assert np.allclose(tail.predict(between, verbose=0), run(text_model, x), atol=1e-6)
    shared = {id(v) for v in text_model.weights}
    assert {id(v) for v in prefix.weights + tail.weights} == shared
    text_model.save(tmp_path / "m.keras")  # the model itself is as it was
    again = keras.models.load_model(tmp_path / "m.keras")
    assert np.array_equal(run(again, x), run(text_model, x))


def run_all(model, x):
    return keras.tree.map_structure(keras.ops.convert_to_numpy, model(x, training=False))


def test_the_frozen_prefix_of_a_text_encoder_is_found(text_model):
    freeze(text_model)
    assert last_frozen_layer(text_model).name == "pooling"
    unfreeze(text_model, blocks=1)
    assert last_frozen_layer(text_model).name == "transformer_layer_1"
    unfreeze(text_model, fraction=1.0)
    assert last_frozen_layer(text_model) is None


@pytest.mark.filterwarnings("ignore:Layer 'inner'")
def test_no_cut_where_a_mask_is_under_way():
    inner_inputs = keras.Input((6, 4))
    dense = keras.layers.Dense(4, name="dense")(inner_inputs)
    inner = keras.Model(inner_inputs, keras.layers.GlobalAveragePooling1D()(dense), name="inner")
    inputs, mask = keras.Input((6, 4)), keras.Input((6,), dtype="bool")
    model = keras.Model([inputs, mask], keras.layers.Dense(2)(inner(inputs, mask=mask)))
    with pytest.raises(ValueError, match=r"mask has ended\. Received: features of shape"):
        split_at(model, "dense")


def test_a_computed_side_branch_is_refused():
    images = keras.Input((16, 16, 3))
    side = keras.layers.Conv2D(2, 3, name="side")(images)
    inner_in = keras.Input((16, 16, 3))
    deep = keras.layers.Conv2D(2, 3, name="deep")(inner_in)
    inner = keras.Model(inner_in, keras.layers.ReLU()(deep), name="inner")
    model = keras.Model(images, keras.layers.Add()([side, inner(images)]))
    with pytest.raises(ValueError, match="'inner' must be the only way"):
        split_at(model, "deep")


VECTORS = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")


def with_two_outputs(read):
    """A base whose outputs have one shape, and a head on those that it is asked to read."""
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((6,))
    made = {}
    for name in ("d1", "d2", "d3", "d4"):
        x = made[name] = keras.layers.Dense(6, activation="tanh", name=name)(x)
    base = keras.Model(inputs, {"pooled": made["d3"], "sequence": made["d4"]}, name="base")
    vectors = keras.Input((6,))
    outputs = base(vectors)
    features = [outputs[name] for name in read]
    joined = keras.layers.Concatenate(name="cat")(features) if len(features) > 1 else features[0]
    hidden = keras.layers.Dense(5, name="hidden")(joined)
    return keras.Model(vectors, keras.layers.Dense(3, name="logits")(hidden))


@pytest.mark.parametrize("read", ["pooled", "sequence"])
@pytest.mark.parametrize("place", ["d1", "d2", "d3", "base", "hidden"])
def test_a_base_is_cut_on_the_way_to_the_output_that_is_read(read, place):
    model = with_two_outputs([read])
    prefix, tail = split_at(model, place)
    assert np.allclose(run(tail, run(prefix, VECTORS)), run(model, VECTORS), atol=1e-6)


def test_the_tail_behind_one_of_two_outputs_trains_the_model():
    def trained(cached):
        model = with_two_outputs(["sequence"])
        unfreeze(model, layers=["d3", "d4"])
        part, inputs = model, VECTORS
        if cached:
            assert last_frozen_layer(model).name == "d2"
            prefix, part = split_at(model, "d2")
            inputs = run(prefix, VECTORS)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        part.compile(keras.optimizers.SGD(0.1), loss)
        part.fit(inputs, np.array([0, 1, 2, 0, 1]), epochs=3, shuffle=False, verbose=0)
        return [v.numpy() for v in model.weights], [v.path for v in model.weights]

    before = [v.numpy() for v in with_two_outputs(["sequence"]).weights]
    (whole, paths), (cached, _) = trained(False), trained(True)
    for a, b, old, path in zip(whole, cached, before, paths, strict=True):
        assert np.allclose(a, b, atol=1e-5)
        assert np.array_equal(b, old) == path.startswith(("d1", "d2")), path


def test_no_cut_inside_of_a_base_whose_outputs_are_read_together():
    model = with_two_outputs(["pooled", "sequence"])
    for place in ("d1", "d2", "d4"):
        with pytest.raises(ValueError, match=r"'base' must be the only way.*several outputs"):
            split_at(model, place)
    with pytest.raises(ValueError, match=r"several outputs.*Near places to cut: 'cat'"):
        split_at(model, "base")
    prefix, tail = split_at(model, "cat")
    assert np.allclose(run(tail, run(prefix, VECTORS)), run(model, VECTORS), atol=1e-6)
    freeze(model)
    assert last_frozen_layer(model).name == "cat"
    unfreeze(model, layers=["d4"])
    assert last_frozen_layer(model) is None


def test_no_cut_behind_a_layer_whose_outputs_are_read_together():
    rows = keras.Input((4, 3))
    gru = keras.layers.GRU(5, return_sequences=True, return_state=True, name="gru")
    sequence, state = gru(rows)
    mean = keras.layers.GlobalAveragePooling1D()(sequence)
    joined = keras.layers.Concatenate(name="cat")([mean, state])
    model = keras.Model(rows, keras.layers.Dense(2)(joined))
    with pytest.raises(ValueError, match=r"several outputs.*Near places to cut: 'cat'"):
        split_at(model, "gru")
    one = keras.Model(rows, keras.layers.Dense(2)(state))
    prefix, tail = split_at(one, "gru")
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    assert np.allclose(run(tail, run(prefix, x)), run(one, x), atol=1e-6)


def test_a_layer_on_which_the_output_does_not_depend_is_refused():
    with pytest.raises(ValueError, match=r"depends\. Received: layer='d4'\. Choose"):
        split_at(with_two_outputs(["pooled"]), "d4")


def plain_text_model(read="sequence_output"):
    """BERT as it is, which gives two outputs, and a masked mean in plain Keras."""
    keras.utils.set_random_seed(0)
    names = ("token_ids", "padding_mask", "segment_ids")
    arrays = {name: keras.Input((6,), dtype="int32", name=name) for name in names}
    features = TinyBert(layers=3).backbone(arrays)[read]
    if read == "sequence_output":
        mask = keras.ops.expand_dims(keras.ops.cast(arrays["padding_mask"], "float32"), -1)
        features = keras.ops.sum(features * mask, axis=1) / keras.ops.sum(mask, axis=1)
    return keras.Model(arrays, keras.layers.Dense(2, name="logits")(features))


@pytest.mark.parametrize("read", ["sequence_output", "pooled_output"])
def test_a_plain_model_on_an_encoder_with_two_outputs_is_cut(read):
    model, x = plain_text_model(read), {k: v.astype("int32") for k, v in tokens(4).items()}
    for place in ("token_embedding", "embeddings_dropout", "transformer_layer_1"):
        prefix, tail = split_at(model, place)
        assert np.allclose(run(tail, run_all(prefix, x)), run(model, x), atol=1e-6)
    freeze(model)
    assert last_frozen_layer(model) is not None
    unfreeze(model, layers=["transformer_layer_2"])
    assert last_frozen_layer(model).name == "transformer_layer_1"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_longest_frozen_prefix_is_found(layout):
    model = layout()
    freeze(model)
    assert last_frozen_layer(model).name == "pooling"  # dropout behind it is random
    unfreeze(model, blocks=1)
    assert last_frozen_layer(model).name.startswith("add")
    unfreeze(model, fraction=1.0)
    assert last_frozen_layer(model) is None


def test_augmentation_in_front_leaves_nothing_to_keep():
    images = keras.Input((16, 16, 3))
    model = keras.Model(images, nested()(keras.layers.RandomFlip()(images)))
    freeze(model)
    assert last_frozen_layer(model) is None
