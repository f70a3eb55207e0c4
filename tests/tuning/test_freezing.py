"""What is frozen stays bit-equal through a fit; what is asked for learns; errors name the cure."""

from functools import partial

from tlhelpers.models.anatomy import find_blocks
from tlhelpers.models.heads import build_head
from tlhelpers.tuning.describing import describe
from tlhelpers.tuning.fine_tuning import fine_tune
from tlhelpers.tuning.freezing import freeze, unfreeze
from tlhelpers.tuning.gradual import GradualUnfreezing
from tlhelpers.tuning.layerwise import layerwise
from tlhelpers.tuning.lora import add_lora, merge_lora
from tlhelpers.tuning.lora_files import load_adapters, save_adapters

import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from toys import LAYOUTS, inlined, nested, nested_with_flag, small_base

L = keras.layers


def fit(model, epochs=1):
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 5, (8, 16, 16, 3)).astype("float32"), rng.integers(0, 3, 8)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    model.fit(x, y, epochs=epochs, verbose=0)


def snapshot(model):
    return {v.path: v.numpy() for v in model.weights}


def changed(model, before):
    return {v.path for v in model.weights if not np.array_equal(v.numpy(), before[v.path])}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_frozen_base_is_bit_equal_after_a_fit(layout):
    model = layout()
    freeze(model)
    before = snapshot(model)
    fit(model)
    moved = changed(model, before)
    assert moved and all("logits" in path for path in moved)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_unfreezing_a_block_trains_it_and_leaves_all_batchnorm_alone(layout):
    model = layout()
    table = unfreeze(model, blocks=1)
    before = snapshot(model)
    fit(model)
    moved = changed(model, before)
    assert {p.split("/")[-2] for p in moved} == {"conv_3", "branch_3", "logits"}
    assert table.trainable == sum(v.numpy().size for v in model.trainable_variables)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_batchnorm_trains_where_it_is_asked_to(layout):
    model = layout()
    unfreeze(model, blocks=1, batchnorm="train")
    before = snapshot(model)
    fit(model)
    moved = {tuple(p.split("/")[-2:]) for p in changed(model, before)}
    assert {("bn_3", "gamma"), ("bn_3", "moving_mean")} <= moved
    assert not any(layer in ("bn_1", "bn_2") for layer, _ in moved)


@pytest.mark.parametrize("flag", [None, False, True])
@pytest.mark.parametrize("mode", [False, True])
def test_frozen_batchnorm_stands_still_whichever_flag_wins(flag, mode):
    """Keras releases differ in whether the flag of the call or that of `fit` holds inside."""
    base = small_base()
    images = keras.Input((16, 16, 3))
    model = keras.Model(images, build_head(3, dropout=0.0)(base(images, training=flag)))
    unfreeze(model, blocks=2)
    before = snapshot(model)
    x = np.random.default_rng(0).normal(3, 5, (8, 16, 16, 3)).astype("float32")
    expected = np.asarray(base(x, training=False))
    assert np.array_equal(np.asarray(base(x, training=mode)), expected)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    model.fit(x, np.zeros(8, int), verbose=0)
    moved = changed(model, before)
    assert moved and not any("bn_" in path for path in moved)


def test_the_call_flag_alone_does_not_protect_batchnorm():
    """The fact behind our default; when Keras changes it, this says so."""
    model = nested_with_flag()
    before = snapshot(model)
    fit(model)
    assert any("moving_mean" in path for path in changed(model, before))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_parent_frozen_before_its_children_does_not_hide_them(layout):
    model = layout()
    freeze(model)
    unfreeze(model, layers=["branch_3"])
    before = snapshot(model)
    fit(model)
    assert {p.split("/")[-2] for p in changed(model, before)} == {"branch_3", "logits"}


def test_each_way_of_saying_how_much():
    def learning(**amount):
        model = inlined()
        unfreeze(model, **amount)
        return {v.path.split("/")[-2] for v in model.trainable_variables} - {"logits"}

    assert learning(blocks=1) == learning(blocks=["block3"]) == {"conv_3", "branch_3"}
    assert learning(from_layer="conv_3") == {"conv_3", "branch_3"}
    assert learning(layers=3) == {"conv_3", "branch_3", "branch_2"}  # frozen BatchNormalization: no
    assert learning(layers=["conv_1"]) == {"conv_1"}
    assert learning(fraction=1.0) == learning(blocks=3)
    assert learning(fraction=1 / 6) == learning(layers=1) == {"branch_3"}


def test_asking_again_replaces_what_was_asked_before():
    model = nested()
    everything = unfreeze(model, blocks=3)
    one = unfreeze(model, blocks=1)
    assert one.trainable < everything.trainable
    assert freeze(model).trainable == one.rows[-1].total


def test_a_model_from_a_file_is_frozen_and_unfrozen_like_a_new_one(tmp_path):
    """Keras sets the flag of a layer from a file before there are layers inside of it."""
    tokens = keras.Input((6,), dtype="int32")
    x = L.Embedding(20, 8)(tokens)
    base = keras.Model(tokens, x + L.MultiHeadAttention(2, 4)(x, x), name="encoder")
    tokens = keras.Input((6,), dtype="int32")
    x = L.GlobalAveragePooling1D()(base(tokens))
    model = keras.Model(tokens, L.Dense(3, name="out")(x))
    frozen = freeze(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert describe(loaded).trainable > frozen.trainable  # Keras 3.15, and why this test is here
    assert freeze(loaded) == frozen
    before = snapshot(loaded)
    loaded.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    loaded.fit(np.arange(48).reshape(8, 6) % 20, np.arange(8) % 3, verbose=0)
    assert changed(loaded, before) == {v.path for v in loaded.get_layer("out").weights}
    assert unfreeze(loaded, blocks=1) == unfreeze(model, blocks=1)


@pytest.mark.parametrize("flag", [False, True])
def test_flags_that_disagree_are_all_set(flag):
    model, twin = nested(), nested()
    base = model.get_layer("small")
    freeze(model) if flag else unfreeze(model, fraction=1.0, batchnorm="train")
    base._trainable = flag  # a frozen parent above layers that learn, or the other way round
    assert freeze(model) == freeze(twin)
    base._trainable = flag
    assert unfreeze(model, blocks=2) == unfreeze(twin, blocks=2)


def dense_top():
    """VGG16 with its top in small: two dense layers of the source, and a new last one."""
    x = images = keras.Input((8, 8, 3))
    for layer in [L.Conv2D(4, 3, name="conv"), L.Flatten(), L.Dense(5, name="fc1"),
                  L.Dense(5, name="fc2"), L.Dense(3, name="mine")]:  # fmt: skip
        x = layer(x)
    return keras.Model(images, x)


def test_where_the_head_begins_can_be_said():
    def learning(model):
        return [v.path.split("/")[-2] for v in model.trainable_variables if "kernel" in v.path]

    model = dense_top()
    freeze(model)
    assert learning(model) == ["fc1", "fc2", "mine"]  # as in a file: the graph does not tell
    table = freeze(model, head="mine")
    assert learning(model) == ["mine"] and table.rows[-1].name == "head"
    unfreeze(model, layers=["fc2"], head="mine")
    assert learning(model) == ["fc2", "mine"]
    for bad, other in [("conv", model), ("logits", nested()), ("nothing", model)]:
        before = learning(other)
        with pytest.raises(ValueError, match=r"`(head|layer)` must name a layer"):
            freeze(other, head=bad)
        assert learning(other) == before


def cnn(named=False, layout=keras.Model):
    """A net of somebody's own, trained with an end of its own."""
    names = ["conv", "flat", "hidden", "old"] if named else [None] * 4
    kinds = [partial(L.Conv2D, 4, 3), L.Flatten, partial(L.Dense, 6), partial(L.Dense, 9)]
    layers = [kind(name=name) for kind, name in zip(kinds, names, strict=True)]
    if layout is keras.Sequential:
        return keras.Sequential([keras.Input((8, 8, 3)), *layers])
    x = images = keras.Input((8, 8, 3))
    for layer in layers:
        x = layer(x)
    return keras.Model(images, x)


def with_a_new_end(source, behind=-2, name="mine"):
    x = source.layers[behind].output
    return keras.Model(source.inputs, L.Dense(3, name=name)(x))


def popped(source):
    source.pop()
    source.add(L.Dense(3, name="mine"))
    return source


def relisted(source):
    kept = [layer for layer in source.layers[:-1] if not isinstance(layer, L.InputLayer)]
    return keras.Sequential([keras.Input((8, 8, 3)), *kept, L.Dense(3, name="mine")])


def fully_convolutional(pooled=True):
    """A net whose last convolution makes the logits, or the classes of each pixel."""
    x = images = keras.Input((8, 8, 3))
    for name in ("conv", "shared"):
        x = L.Conv2D(4, 1, name=name)(x)
    keras.Model(images, L.Conv2D(9, 1, name="old")(x))
    x = L.Conv2D(3, 1, name="mine")(x)
    return keras.Model(images, L.GlobalAveragePooling2D()(x) if pooled else x)


def mobile_net(pooled):
    """MobileNet with its top of convolutions: another last one, or one behind it."""
    source = keras.applications.MobileNet(weights=None, input_shape=(32, 32, 3), alpha=0.25)
    maps = source.get_layer("dropout" if pooled else "conv_preds").output
    return keras.Model(source.input, L.Reshape((3,))(L.Conv2D(3, 1, name="mine")(maps)))


@pytest.mark.parametrize("make_model", [
    lambda: with_a_new_end(cnn()),
    lambda: with_a_new_end(cnn(named=True)),
    lambda: with_a_new_end(cnn(layout=keras.Sequential)),
    lambda: popped(cnn(layout=keras.Sequential)),
    lambda: relisted(cnn(named=True)),
    lambda: relisted(cnn(layout=keras.Sequential)),
    fully_convolutional,
    lambda: fully_convolutional(pooled=False),
    lambda: mobile_net(pooled=True),
    lambda: mobile_net(pooled=False),
])  # fmt: skip
def test_a_new_end_is_the_head_and_what_came_with_the_source_is_base(make_model):
    model = make_model()
    table = freeze(model)
    new = model.get_layer("mine").trainable_variables
    assert [id(v) for v in model.trainable_variables] == [id(v) for v in new]
    before = [b.name for b in find_blocks(model)]
    with_a_new_end(
        model, behind=-1, name="next"
    )  # what is put on the model afterwards changes nothing
    assert freeze(model) == table and [b.name for b in find_blocks(model)] == before


def test_the_layers_of_the_source_behind_its_maps_can_be_opened():
    model = with_a_new_end(cnn(named=True))
    for amount in ({"layers": ["hidden"]}, {"layers": 1}, {"blocks": ["hidden"]}, {"blocks": 1}):
        freeze(model)
        unfreeze(model, **amount)
        learning = dict.fromkeys(v.path.split("/")[-2] for v in model.trainable_variables)
        assert list(learning) == ["hidden", "mine"], amount


def test_what_is_new_between_base_and_logits_stays_in_the_head():
    """A second end on one's own hidden layer, as of a notebook's cell that is run again."""
    base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
    hidden = L.Dense(4)(L.GlobalAveragePooling2D()(base.output))
    source = cnn()
    other = L.Dense(4)(source.layers[-3].output)
    for images, x in [(base.input, hidden), (source.input, other)]:
        for _ in range(2):
            table = freeze(keras.Model(images, L.Dense(3)(x)))
            assert table.trainable == table.rows[-1].total > 3 * 4 + 3


def test_nets_on_one_input_have_nothing_to_do_with_each_other():
    images = keras.Input((8, 8, 3))
    scaled = L.Rescaling(1 / 255)(images)
    first, second = (L.Conv2D(2, 3, name=name)(scaled) for name in ("first", "second"))
    assert freeze(keras.Model(images, second)).trainable == 0  # a base alone
    hidden = L.Dense(4, name="hidden")(L.Flatten()(second))
    L.Dense(9, name="old")(hidden)
    model = keras.Model(images, L.Dense(3, name="mine")(hidden))
    assert freeze(model).trainable == 4 * 3 + 3
    assert freeze(keras.Model(images, first)).trainable == 0


def test_every_verb_can_be_told_where_the_head_begins(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(6, 8, 8, 3)).astype("float32"), np.arange(6) % 3
    model, told = dense_top(), {"head": "mine"}
    expected = ["conv", "fc1", "fc2"]
    assert [block.name for block in find_blocks(model, **told)] == expected
    assert [row.name for row in describe(model, **told).rows] == [*expected, "head"]
    fitted = fine_tune(model, (x, y), unfreeze=1, head_epochs=1, epochs=1, verbose=0, **told)
    assert [phase.learns for phase in fitted.phases] == ["head", "fc2, head"]
    assert fitted.phases[0].cached_behind == "fc2"
    gradual = GradualUnfreezing(**told).fit(model, (x, y))
    assert [phase.name for phase in gradual.phases] == ["head", *reversed(expected)]
    optimizer = layerwise(keras.optimizers.SGD(1.0), model, decay=0.5, **told)
    factors = {path.split("/")[-2]: factor for path, _, factor in optimizer.get_config()["factors"]}
    assert factors == {"mine": 1.0, "fc2": 0.5, "fc1": 0.25, "conv": 0.125}
    add_lora(model, 2, "fc2", **told)
    assert describe(model, **told).rows[-2].trainable == 5 * 2 + 2 * 5
    save_adapters(model, tmp_path / "adapters.npz", **told)
    twin = dense_top()
    twin.set_weights([v.numpy() for v in model.weights if "lora" not in v.name])
    load_adapters(twin, tmp_path / "adapters.npz")  # the file knows the head
    assert np.array_equal(twin.predict(x, verbose=0), model.predict(x, verbose=0))
    merge_lora(model, **told)
    assert [v.path.split("/")[-2] for v in model.trainable_variables] == ["mine"] * 2


def test_a_net_that_ends_in_maps_can_be_told_its_head():
    def net():
        x = images = keras.Input((8, 8, 3))
        for name in ("down", "up", "classes"):
            x = L.Conv2D(2, 3, padding="same", name=name)(x)
        return keras.Model(images, x)

    assert freeze(net()).trainable == 0  # a base alone
    unet = net()
    freeze(unet, head="classes")
    assert [v.path.split("/")[-2] for v in unet.trainable_variables] == ["classes"] * 2
    data = np.ones((4, 8, 8, 3), "float32"), np.zeros((4, 8, 8), int)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    fitted = fine_tune(unet, data, loss=loss, epochs=1, head_epochs=1, head="classes", verbose=0)
    assert [phase.cached_behind for phase in fitted.phases] == ["up", "down"]


def test_a_base_alone_is_frozen_entirely():
    base = small_base()
    assert freeze(base).trainable == 0


BAD_AMOUNTS = [
    ({}, "Exactly one"),
    ({"blocks": 1, "layers": 1}, "Exactly one"),
    ({"blocks": 0}, "between 1 and 3"),
    ({"blocks": -1}, "between 1 and 3"),
    ({"blocks": 4}, "between 1 and 3"),
    ({"blocks": True}, "between 1 and 3"),
    ({"blocks": 1.5}, "whole number or a list"),
    ({"blocks": "block3"}, "whole number or a list"),
    ({"blocks": ["blok3"]}, "block3"),
    ({"layers": 0}, "between 1 and 6"),
    ({"layers": 7}, "between 1 and 6"),
    ({"layers": ["bn_3"]}, "Something that learns"),
    ({"layers": []}, "whole number or a list"),
    ({"layers": ["conv3"]}, "conv_3"),
    ({"from_layer": "brach_2"}, "branch_2"),
    ({"fraction": 0}, r"in \(0, 1\]"),
    ({"fraction": 1.01}, r"in \(0, 1\]"),
    ({"fraction": float("nan")}, r"in \(0, 1\]"),
    ({"blocks": 1, "batchnorm": "freeze"}, "'frozen', 'train'"),
]


@pytest.mark.parametrize(("amount", "message"), BAD_AMOUNTS)
def test_a_bad_amount_changes_nothing(amount, message):
    model = nested()
    before = [(layer.name, layer.trainable) for layer in model._flatten_layers()]
    with pytest.raises(ValueError, match=message) as error:
        unfreeze(model, **amount)
    assert "Received" in str(error.value)
    assert before == [(layer.name, layer.trainable) for layer in model._flatten_layers()]


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(1, 9), st.sampled_from(LAYOUTS))
def test_more_layers_never_train_less(count, layout):
    model = layout()
    fewer = unfreeze(model, layers=count, batchnorm="train").trainable
    more = unfreeze(model, layers=min(9, count + 1), batchnorm="train").trainable
    assert fewer <= more
    assert unfreeze(model, layers=9, batchnorm="train") == unfreeze(
        model, fraction=1.0, batchnorm="train"
    )


def test_a_fitted_model_asks_for_a_compile_after_unfreezing():
    model = nested()
    freeze(model)
    fit(model)
    x, y = np.zeros((2, 16, 16, 3), "float32"), np.zeros(2, int)
    unfreeze(model, blocks=1)
    with pytest.raises(ValueError, match="compile"):
        model.fit(x, y, verbose=0)
    fit(model)  # compiles: fine again
    unfreeze(model, blocks=1)  # nothing changes: no need to compile
    model.fit(x, y, verbose=0)


def test_describe_counts_what_the_optimizer_gets():
    model = nested()
    table = unfreeze(model, blocks=2)
    assert table.trainable == sum(v.numpy().size for v in model.trainable_variables)
    assert table.total == model.count_params() == sum(row.total for row in table.rows)
    assert sum(row.trainable for row in table.rows) == table.trainable
    last = str(table).splitlines()[-1]
    share = 100 * table.trainable / table.total
    assert last == f"trainable {table.trainable:,} | all {table.total:,} | {share:.2f} %"
    assert [row.batchnorm for row in table.rows] == ["frozen"] * 3 + [""]


def test_describe_sees_a_disagreement_of_parent_and_child():
    model = inlined()
    model.get_layer("conv_1").trainable = False
    assert describe(model).rows[0].trainable < describe(model).rows[0].total


def test_describe_needs_weights():
    with pytest.raises(ValueError, match="`model` must be built and have weights"):
        describe(keras.Sequential([L.Dense(2)]))


@pytest.mark.parametrize("verb", [freeze, describe, lambda m: unfreeze(m, blocks=1)])
def test_only_models_are_taken(verb):
    with pytest.raises(ValueError, match=r"`model` must be a Keras model\. Received"):
        verb(L.Dense(2))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_blocks_and_table_agree(layout):
    model = layout()
    names = [row.name for row in describe(model).rows]
    assert names == [block.name for block in find_blocks(model)] + ["head"]
