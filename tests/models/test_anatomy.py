"""Blocks are read off the graph; these tests pin what that gives, family by family."""

from tlhelpers.models.anatomy import Anatomy, find_base, find_blocks
from tlhelpers.models.graph import cuts, find_layer, learns, walk
from tlhelpers.models.heads import build_head
from tlhelpers.tuning.freezing import freeze, unfreeze
from tlhelpers.tuning.gradual import GradualUnfreezing

import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from hypothesis import given, settings

L = keras.layers

# family: (number of blocks, the first layer of the last block, the last layer of the one before)
FAMILIES = {
    "VGG16": (5, "block5_conv1", "block4_conv3"),
    "VGG19": (5, "block5_conv1", "block4_conv4"),
    "ResNet50": (5, "conv5_block1_1_conv", "conv4_block6_3_bn"),
    "ResNet50V2": (5, "conv4_block6_preact_bn", "conv4_block5_3_conv"),
    "MobileNet": (5, "conv_dw_12", "conv_pw_11_bn"),
    "MobileNetV2": (5, "block_13_depthwise", "block_13_expand_BN"),
    "MobileNetV3Small": (5, "expanded_conv_8_depthwise", "expanded_conv_8_expand_bn"),
    "EfficientNetB0": (5, "block6a_dwconv", "block6a_expand_bn"),
    "EfficientNetV2B0": (5, "block6a_dwconv2", "block6a_expand_bn"),
    "ConvNeXtTiny": (
        4,
        "convnext_tiny_downsampling_block_2",
        "convnext_tiny_stage_2_block_8_layer_scale",
    ),
    "DenseNet121": (5, "conv5_block1_0_bn", "pool4_conv"),
    "Xception": (5, "block13_sepconv1", "block12_sepconv3_bn"),
    "NASNetMobile": (5, None, None),
    "InceptionV3": (5, None, None),
    "InceptionResNetV2": (5, None, None),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_of_every_family(family):
    size = 75 if "Inception" in family or family == "Xception" else 32
    constructor = getattr(keras.applications, family)
    base = constructor(weights=None, include_top=False, input_shape=(size, size, 3))
    blocks = find_blocks(base)
    number, first, before = FAMILIES[family]
    assert [block.name for block in blocks] == [f"block{k + 1}" for k in range(number)]
    layers = [layer for block in blocks for layer in block.layers]
    assert len(layers) == len(set(map(id, layers))) == len(base.layers)  # each one once, none lost
    if first is not None:
        assert blocks[-1].weighted[0].name == first
        assert blocks[-2].weighted[-1].name == before
    inlined = keras.Model(base.input, build_head(3)(base.output))
    nested = keras.Model(base.input, build_head(3)(base(base.input)))
    for model in (inlined, nested):
        assert [[part.name for part in block.weighted] for block in find_blocks(model)] == [
            [part.name for part in block.weighted] for block in blocks
        ]


def test_vgg16_blocks_are_those_of_the_paper():
    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
    for block in find_blocks(base):
        assert all(layer.name.startswith(block.name) for layer in block.weighted)
    assert [len(block.weighted) for block in find_blocks(base)] == [2, 2, 3, 3, 3]


def test_blocks_do_not_depend_on_the_input_size():
    sizes = [(32, 32, 3), (96, 96, 3), (None, None, 3)]
    found = []
    for shape in sizes:
        base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=shape)
        found.append([[part.name for part in b.weighted] for b in find_blocks(base)])
    assert found[0] == found[1] == found[2]


def test_a_perceptron_has_its_layers_as_blocks_and_the_last_as_head():
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, name="a"), L.Dense(3, name="b"),
                              L.Dense(2, name="c")])  # fmt: skip
    assert [block.name for block in find_blocks(model)] == ["a", "b"]
    assert [layer.name for layer in Anatomy(model).head] == ["c"]


def test_a_transformer_has_one_block_for_each_layer():
    keras_hub = pytest.importorskip("keras_hub")
    base = keras_hub.models.BertBackbone(
        vocabulary_size=30, num_layers=3, num_heads=2, hidden_dim=8, intermediate_dim=16
    )
    blocks = find_blocks(base)
    assert [b.name for b in blocks[1:]] == [f"transformer_layer_{k}" for k in range(3)]
    assert {"token_embedding", "embeddings_layer_norm"} <= {x.name for x in blocks[0].layers}
    assert Anatomy(base).head == []  # two outputs: a backbone, without a head


TEXT = {"vocabulary_size": 30, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
IMAGE = {"patch_size": 8, "num_heads": 2, "hidden_dim": 8, "image_shape": (16, 16, 3)}
BACKBONES = {  # of KerasHub, with three layers: what its blocks are called
    "Bert": (TEXT, "transformer_layer_{}", 0),
    "DistilBert": (TEXT, "transformer_layer_{}", 0),
    "Roberta": (TEXT, "transformer_layer_{}", 0),
    "DebertaV3": ({**TEXT, "bucket_size": 8}, "disentangled_attention_encoder_layer_{}", 0),
    "GPT2": (TEXT, "transformer_layer_{}", 0),
    "OPT": (TEXT, "transformer_layer_{}", 0),
    "XLNet": (TEXT, "xlnet_encoder_{}", 0),
    "RoformerV2": ({**TEXT, "head_size": 4}, "transformer_layer_{}", 0),
    "ViT": ({**IMAGE, "mlp_dim": 16}, "transformer_block_{}", 1),
    "DeiT": ({**IMAGE, "intermediate_dim": 16}, "transformer_block_{}", 1),
    "DINOV2": ({**IMAGE, "intermediate_dim": 16}, "layers_{}", 0),
    "DINOV3": ({**IMAGE, "intermediate_dim": 16}, "layers_{}", 0),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", BACKBONES)
def test_every_transformer_has_one_block_for_each_layer(name):
    keras_hub = pytest.importorskip("keras_hub")
    settings, names, first = BACKBONES[name]
    base = getattr(keras_hub.models, f"{name}Backbone")(num_layers=3, **settings)
    blocks = find_blocks(base)
    assert [b.name for b in blocks[1:]] == [names.format(k + first) for k in range(3)]
    weights = [v for block in blocks for layer in block.layers for v in layer.weights]
    assert sorted(map(id, weights)) == sorted(map(id, base.weights))  # each once, none lost
    unfreeze(base, blocks=1)
    other = [f"{block.name}/" for block in blocks[:-1]]
    opened = [f"/{v.path}" for v in base.trainable_variables]
    assert opened and not any(f"/{part}" in path for path in opened for part in other)
    last = [v for layer in blocks[-1].layers for v in layer.trainable_variables]
    assert sorted(map(id, last)) == sorted(map(id, base.trainable_variables))


STAGES = {  # convolutional nets of KerasHub: what the last layers of their stages are called
    "ResNet": (
        {"input_conv_filters": [64], "input_conv_kernel_sizes": [7], "block_type": "basic_block",
         "stackwise_num_filters": [64, 8, 8, 8], "stackwise_num_blocks": [2, 1, 1, 1],
         "stackwise_num_strides": [1, 2, 2, 2]},
        ["conv1_bn", "stack0_block1_2_bn", *(f"stack{k}_block0_2_bn" for k in (1, 2, 3))],
    ),
    "CSPNet": (
        {"stem_filters": 8, "stem_kernel_size": 3, "stem_strides": 1, "stackwise_depth": [1, 2],
         "stackwise_strides": [2, 2], "stackwise_num_filters": [16, 32], "bottle_ratio": (0.5, 1.0),
         "block_ratio": (1.0, 0.5), "expand_ratio": (2.0, 1.0), "cross_linear": True,
         "down_growth": True, "block_type": "dark_block", "stage_type": "csp"},
        ["csp_stem_bn_0", "stage_0_csp_transition_bn", "stage_1_csp_transition_bn"],
    ),
    "Xception": (
        {"stackwise_conv_filters": [[4, 8], [16, 16], [16, 16, 16], [8, 32], [32, 48]],
         "stackwise_pooling": [True, True, False, True, False]},
        ["block1_conv2_bn", "block3_sepconv3_bn", "block5_sepconv2_bn"],
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", STAGES)
def test_the_convolutional_nets_of_keras_hub_have_stages(name):
    keras_hub = pytest.importorskip("keras_hub")
    settings, lasts = STAGES[name]
    base = getattr(keras_hub.models, f"{name}Backbone")(image_shape=(64, 64, 3), **settings)
    blocks = find_blocks(base)
    assert [block.weighted[-1].name for block in blocks] == lasts
    layers = [layer for block in blocks for layer in block.layers]
    assert sorted(map(id, layers)) == sorted(map(id, base.layers))


@pytest.mark.filterwarnings("ignore")
def test_a_norm_between_stages_of_transformer_layers_is_no_block():
    keras_hub = pytest.importorskip("keras_hub")
    pairs = {"layerwise_depths": [1, 2], "layerwise_num_heads": [1, 2], "hidden_dims": [8, 16],
             "layerwise_sr_ratios": [2, 1], "layerwise_patch_sizes": [7, 3],
             "layerwise_strides": [4, 2]}  # fmt: skip
    base = keras_hub.models.MiTBackbone(
        num_layers=2, max_drop_path_rate=0.1, image_shape=(32, 32, 3), **pairs
    )
    layers = ["hierarchical_encoder_0_0", "patch_and_embed_1", "hierarchical_encoder_1_0",
              "hierarchical_encoder_1_1"]  # fmt: skip
    blocks = find_blocks(base)
    assert [block.name for block in blocks] == ["patch_and_embed_0", *layers]
    norms = ["normalization" in block.weighted[-1].name for block in blocks]
    assert norms == [False, True, False, False, True]


@pytest.mark.filterwarnings("ignore")
def test_layers_that_are_shared_or_in_an_encoder_and_a_decoder():
    keras_hub = pytest.importorskip("keras_hub")
    albert = keras_hub.models.AlbertBackbone(num_layers=3, embedding_dim=4, **TEXT)
    assert len(find_blocks(albert)) == 2  # all layers are one layer, and the pooler belongs to it
    assert {"group_0_inner_layer_0", "pooled_dense"} <= {
        x.name for x in find_blocks(albert)[1].layers
    }
    bart = keras_hub.models.BartBackbone(num_layers=2, **TEXT)
    sides = [f"transformer_{side}_layer_{k}" for side in ("encoder", "decoder") for k in range(2)]
    assert [block.name for block in find_blocks(bart)[1:]] == sides


class Tower(L.Layer):
    """An encoder as people write it: all its layers in one list, a normalization at the end."""

    def __init__(self, depth=3, width=4, **kwargs):
        super().__init__(**kwargs)
        self.steps = [L.Dense(width, name=f"step_{k}") for k in range(depth)]
        self.dropout, self.norm = L.Dropout(0.1), L.LayerNormalization(name="norm")

    def build(self, shape):
        for layer in [*self.steps, self.norm]:
            layer.build(shape)

    def call(self, x):
        for step in self.steps:
            x = x + self.dropout(step(x))
        return self.norm(x)


def tower_model():
    inputs = keras.Input((5, 3))
    x = Tower(name="tower")(L.Dense(4, name="embed")(inputs))
    return keras.Model(inputs, L.Dense(2, name="out")(L.GlobalAveragePooling1D()(x)))


def test_the_layers_in_a_list_of_one_layer_are_blocks():
    model = tower_model()
    found = [(b.name, [x.name for x in b.weighted]) for b in find_blocks(model)]
    assert found == [("embed", ["embed"]), ("step_0", ["step_0"]), ("step_1", ["step_1"]),
                     ("step_2", ["step_2", "norm"])]  # fmt: skip
    amounts = {
        "step_1 step_2 norm": {"blocks": 2},
        "norm": {"layers": 1},
        "step_0": {"layers": ["step_0"]},
        "step_0 step_1 step_2 norm": {"layers": ["tower"]},
        "step_2 norm": {"from_layer": "step_2"},
        "embed step_0 step_1 step_2 norm": {"fraction": 1.0},
    }
    for names, amount in amounts.items():
        table = unfreeze(model, **amount)
        learning = dict.fromkeys(v.path.split("/")[-2] for v in model.trainable_variables)
        assert set(learning) == {*names.split(), "out"}
        assert sum(row.trainable for row in table.rows) == table.trainable
    freeze(model)
    assert not any(v.path.startswith(("tower", "embed")) for v in model.trainable_variables)


def test_a_frozen_part_of_an_encoder_stands_still_in_a_fit():
    model = tower_model()
    unfreeze(model, blocks=1)
    before = {v.path: v.numpy() for v in model.weights}
    model.compile("sgd", "mse")
    model.fit(np.random.default_rng(0).normal(size=(8, 5, 3)), np.ones((8, 2)), verbose=0)
    moved = {v.path.split("/")[-2] for v in model.weights if (before[v.path] != v.numpy()).any()}
    assert moved == {"step_2", "norm", "out"}


def test_a_list_beside_others_like_it_is_not_opened():
    """Two such layers are stages, as in a Swin transformer, and stay whole."""
    x = inputs = keras.Input((5, 4))
    for k in range(2):
        x = Tower(name=f"tower_{k}")(x)
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling1D()(x)))
    assert [block.name for block in find_blocks(model)] == ["tower_0", "tower_1"]


class Around(L.Layer):
    """A layer of one's own with a base in it, and perhaps a layer behind."""

    def __init__(self, base, behind=None, **kwargs):
        super().__init__(**kwargs)
        self.base, self.behind = base, behind

    def call(self, x):
        return self.base(x) if self.behind is None else self.behind(self.base(x))


def staged():
    layers = [L.Conv2D(4, 3, strides=2, padding="same", name=f"conv_{k}") for k in (1, 2, 3)]
    return keras.Sequential([keras.Input((16, 16, 3)), *layers], name="staged")


def of_frames(base):
    frames = keras.Input((2, 16, 16, 3))
    x = L.Reshape((2, -1))(L.TimeDistributed(base)(frames))
    return keras.Model(frames, L.Dense(2, name="out")(L.LSTM(3, name="lstm")(x)))


def in_a_layer(base, behind=None):
    images = keras.Input((16, 16, 3))
    x = L.GlobalAveragePooling2D()(Around(base, behind)(images))
    return keras.Model(images, L.Dense(2, name="out")(x))


@pytest.mark.parametrize("make", [
    of_frames, in_a_layer, lambda base: in_a_layer(base, L.Conv2D(2, 1, name="behind")),
])  # fmt: skip
def test_a_base_inside_a_layer_is_found(make):
    base = staged()
    model = make(base)
    assert find_base(model) is base
    assert [block.name for block in find_blocks(model)] == ["block1", "block2", "block3"]
    heads = {"lstm", "behind", "out"}
    for blocks in (2, 1):
        unfreeze(model, blocks=blocks)
        learning = {v.path.split("/")[-2] for v in model.trainable_variables}
        assert learning - heads - {"lstm_cell"} == {"conv_3", "conv_2"} - (
            {"conv_2"} if blocks == 1 else set()
        )
    table = freeze(model)
    assert table.trainable == table.rows[-1].trainable == table.rows[-1].total
    assert sum(row.total for row in table.rows) == model.count_params()
    unfreeze(model, blocks=1)  # the layer around was closed by hand in between
    next(layer for layer in model.layers if base in layer._flatten_layers()).trainable = False
    unfreeze(model, blocks=1)
    assert any("conv_3" in v.path for v in model.trainable_variables)


def test_maps_that_a_layer_of_layers_makes_smaller_begin_a_stage():
    class Down(L.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.one, self.two = L.Conv2D(4, 3, strides=2, padding="same"), L.Conv2D(4, 1)

        def call(self, x):
            return self.two(self.one(x))

    x = inputs = keras.Input((16, 16, 3))
    for k in range(3):
        x = L.Conv2D(4, 3, padding="same", name=f"same_{k}")(Down(name=f"down_{k}")(x))
    found = find_blocks(keras.Model(inputs, x))
    assert [[part.name for part in block.weighted] for block in found] == [
        [f"down_{k}", f"same_{k}"] for k in range(3)
    ]


def test_find_base_looks_through_models_around_it():
    base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
    inner = keras.Sequential([base, L.GlobalAveragePooling2D(), L.Dense(2)])
    outer = keras.Sequential([keras.Input((32, 32, 3)), L.RandomFlip(), inner])
    assert find_base(outer) is base
    assert find_base(base) is base


def test_a_deep_head_is_not_taken_for_the_base():
    images = keras.Input((8, 8, 3))
    base = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(2, 3)], name="small")
    model = keras.Model(images, build_head(3, hidden=(4, 4, 4))(base(images)))
    assert find_base(model) is base
    inlined = keras.Model(images, build_head(3, hidden=(4, 4))(L.Conv2D(2, 3)(images)))
    assert find_base(inlined) is inlined


def test_unknown_layer_lists_near_ones():
    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
    with pytest.raises(ValueError, match="block5_conv1"):
        find_layer(base, "block5_cnv1")


def test_a_name_that_two_layers_share_is_refused():
    inner = keras.Sequential([keras.Input((3,)), L.Dense(3, name="same"), L.Dense(3, name="one")])
    model = keras.Sequential([keras.Input((3,)), inner, L.Dense(2, name="same")])
    with pytest.raises(ValueError, match="'same', which 2 layers have"):
        find_layer(model, "same")
    assert find_layer(model, "one") is inner.layers[-1]


def test_a_model_without_a_graph_is_refused_by_walk():
    class Net(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="functional or a built Sequential"):
        walk(Net())


PLANS = st.lists(st.sampled_from(["conv", "residual", "concat", "pool"]), min_size=1, max_size=5)


def net_of(plan):
    """A small net of convolutions, residual blocks, concatenations and pools, with a head."""
    x = inputs = keras.Input((64, 64, 3))
    for kind in plan:
        if kind == "conv":
            x = L.Conv2D(4, 3, padding="same")(x)
        elif kind == "pool":
            x = L.MaxPooling2D()(x)
        elif kind == "residual":
            x = L.Conv2D(4, 1)(x)
            x = L.Add()([x, L.Conv2D(4, 3, padding="same")(L.ReLU()(x))])
        else:
            x = L.Concatenate()([L.Conv2D(2, 1)(x), L.Conv2D(2, 3, padding="same")(x)])
    x = L.Conv2D(4, 3, padding="same")(x)
    return keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(x)))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(PLANS)
def test_blocks_partition_the_base_of_any_net(plan):
    model = net_of(plan)
    body, head = Anatomy(model).body, Anatomy(model).head
    layers = [layer for block in find_blocks(model) for layer in block.layers]
    assert [type(layer).__name__ for layer in head] == ["GlobalAveragePooling2D", "Dense"]
    assert sorted(map(id, layers)) == sorted(map(id, body))
    assert all(block.weighted for block in find_blocks(model))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(PLANS, st.integers(0, 100))
def test_a_cut_is_where_one_tensor_carries_everything(plan, number):
    """Independent check: behind a cut, the rest is a model of that tensor alone; elsewhere not."""
    model = net_of(plan)
    steps = walk(model)
    position = 1 + number % (len(steps) - 2)
    step = steps[position]
    try:
        keras.Model(step.tensor, model.output)
        separable = True
    except ValueError:  # Keras finds an input that the tensor does not lead to
        separable = False
    assert (position in cuts(steps)) == separable


def test_normalization_layer_has_nothing_to_learn():
    layer = L.Normalization()
    layer.adapt(np.arange(8.0).reshape(4, 2))
    assert layer.weights and not learns(layer)


def sandwich():
    """A perceptron with one layer before and behind another one."""
    inputs, shared = keras.Input((4,)), L.Dense(4, name="shared")
    x = shared(L.Dense(4, name="middle")(shared(inputs)))
    return keras.Model(inputs, L.Dense(2, name="out")(x))


def albert(depth=3):
    """A transformer whose layers are one layer, used several times."""
    inputs, attention = keras.Input((5,)), L.MultiHeadAttention(2, 2, name="attention")
    x = L.Embedding(9, 4, name="embedding")(inputs)
    for _ in range(depth):
        x = L.Add()([x, attention(x, x)])
    return keras.Model(inputs, L.Dense(2, name="out")(L.GlobalAveragePooling1D()(x)))


def pyramid():
    """A net of convolutions whose second stage has only what the first one has."""
    inputs, shared = keras.Input((16, 16, 4)), L.Conv2D(4, 3, padding="same", name="shared")
    x = L.MaxPooling2D(name="pool1")(shared(inputs))
    x = L.MaxPooling2D(name="pool2")(shared(x))
    x = L.Conv2D(4, 3, padding="same", name="last")(x)
    return keras.Model(inputs, L.Dense(2, name="out")(L.GlobalAveragePooling2D()(x)))


def test_a_layer_used_several_times_belongs_to_its_first_use():
    expected = {
        sandwich: {"shared": ["shared"], "middle": ["middle"]},
        albert: {"embedding": ["embedding"], "attention": ["attention"]},
        pyramid: {"block1": ["shared"], "block2": ["last"]},
    }
    for make, blocks in expected.items():
        model = make()
        found = find_blocks(model)
        assert {b.name: [layer.name for layer in b.weighted] for b in found} == blocks
        body, head = Anatomy(model).body, Anatomy(model).head
        layers = [layer for block in found for layer in block.layers]
        assert sorted(map(id, layers)) == sorted(map(id, body))
        assert body + head == model.layers
        for block in found:  # in the order of the model
            assert list(block.layers) == [x for x in body if x in block.layers]


def test_a_layer_used_several_times_is_frozen_and_unfrozen():
    table = freeze(sandwich())
    assert [(row.name, row.trainable) for row in table.rows] == [
        ("shared", 0), ("middle", 0), ("head", 10)
    ]  # fmt: skip
    model = albert()
    unfreeze(model, blocks=1)
    trained = {v.path.split("/")[0] for v in model.trainable_variables}
    assert trained == {"attention", "out"}


def test_gradual_unfreezing_of_a_layer_used_several_times():
    x, y = np.arange(40).reshape(8, 5) % 9, np.arange(8) % 2
    history = GradualUnfreezing().fit(albert(), (x, y))
    assert [phase.name for phase in history.phases] == ["head", "attention", "embedding"]


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("places", [(4,), (8, 8, 3)])
def test_one_activation_everywhere_changes_no_block(places, depth):
    """An activation that base and head share is the base's, and leaves the cuts where they are."""

    def net(shared):
        one = L.ReLU()
        x = inputs = keras.Input(places)
        for k in range(depth):
            learned = L.Dense(4, name=f"d{k}") if len(places) == 1 else L.Conv2D(4, 3, name=f"d{k}")
            x = (one if shared else L.ReLU())(learned(x))
        if len(places) > 1:
            x = L.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, (one if shared else L.ReLU())(L.Dense(2, name="out")(x)))

    expected, model = net(shared=False), net(shared=True)
    for block, other in zip(find_blocks(model), find_blocks(expected), strict=True):
        assert [x.name for x in block.weighted] == [x.name for x in other.weighted]
    assert [x.name for x in Anatomy(model).head if learns(x)] == ["out"]
    assert not any(isinstance(x, L.ReLU) for x in Anatomy(model).head)


def test_a_layer_that_base_and_head_share_is_the_bases():
    inputs, shared = keras.Input((4,)), L.Dense(4, name="shared")
    model = keras.Model(inputs, shared(L.Dense(4, name="middle")(shared(inputs))))
    assert Anatomy(model).head == []
    assert [block.name for block in find_blocks(model)] == ["shared", "middle"]
