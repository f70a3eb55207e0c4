"""A ranking holds what its parts say, sorts by it, and refuses what cannot be ranked."""

import itertools
import math

from tlhelpers.choosing import candidates, ranking
from tlhelpers.choosing.candidates import cut_at_blocks
from tlhelpers.choosing.ranking import plot_ranking, rank_backbones
from tlhelpers.models.costs import count_cost
from tlhelpers.models.heads import build_head
from tlhelpers.models.preprocessing import preprocessing
from tlhelpers.scores.probes import linear_probe
from tlhelpers.scores.transferability import h_score, leep, logme, nce

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

RNG = np.random.default_rng(0)
LABELS = np.arange(60) % 3
IMAGES = RNG.integers(0, 200, (60, 16, 16, 3)).astype("uint8")
IMAGES[LABELS == 1, :, :, 0] //= 4  # what a colour shows
IMAGES[LABELS == 2, :8] //= 4


def net(name, units=6, size=16):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((size, size, 3)),
            layers.Conv2D(units, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(2 * units, 3, activation="relu"),
        ],
        name=name,
    )


@pytest.fixture(scope="module")
def nets():
    keras.utils.set_random_seed(1)
    return [net("narrow", 2), net("wide", 8)]


@pytest.fixture(scope="module")
def table(nets):
    return rank_backbones(nets, IMAGES, LABELS)


def pooled(model, images):
    return keras.ops.convert_to_numpy(model(images.astype("float32"))).mean(axis=(1, 2))


def test_a_row_holds_what_its_parts_say(nets, table):
    for model in nets:
        row, features, cost = table[model.name], pooled(model, IMAGES), count_cost(model)
        assert row.logme == pytest.approx(logme(features=features, labels=LABELS), abs=1e-4)
        expected = h_score(features=features, labels=LABELS, shrinkage=True)
        assert row.h_score == pytest.approx(expected, abs=1e-3)
        assert (row.weights, row.multiply_adds) == (cost.weights, cost.multiply_adds)
        assert row.activations == cost.activations and row.milliseconds > 0
        assert row.features == features.shape[1] and row.input == "16x16x3, as it is"
        probe = linear_probe(features=features, labels=LABELS)
        assert (row.probe, row.probe_interval) == (probe.accuracy, probe.interval)
        assert math.isnan(row.leep) and math.isnan(row.nce)


def test_it_is_sorted_by_what_was_asked(nets, table):
    for by in ("logme", "h_score", "probe"):
        sorted_by = rank_backbones(nets, IMAGES, LABELS, by=by)
        values = list(sorted_by.scores(by).values())
        assert values == sorted(values, reverse=True)
        assert sorted_by.names == tuple(sorted_by.scores("weights"))
    assert [name for name in table.names] == [row.name for row in table.candidates]


def test_a_source_head_gives_leep_and_nce(nets):
    head = build_head(4, dropout=0)
    probabilities = keras.ops.softmax(head(pooled(nets[0], IMAGES)))
    table = rank_backbones(nets, IMAGES, LABELS, source_heads={"narrow": head})
    row = table["narrow"]
    expected = leep(source_probabilities=probabilities, labels=LABELS)
    assert row.leep == pytest.approx(expected, abs=1e-5)
    named = np.argmax(probabilities, axis=1)
    assert row.nce == pytest.approx(nce(source_labels=named, labels=LABELS), abs=1e-6)
    assert math.isnan(table["wide"].leep)
    assert "LEEP" in str(table) and "LEEP" not in str(rank_backbones(nets, IMAGES, LABELS))


def test_a_base_gets_its_preprocessing_and_images_their_size():
    base = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35
    )
    table = rank_backbones({"base": base, "net": net("net")}, IMAGES, LABELS)
    assert table["base"].input == "32x32x3, tf"
    assert table["base"].multiply_adds == count_cost(base).multiply_adds
    large = keras.ops.image.resize(IMAGES.astype("float32"), (32, 32))
    features = np.mean(base(preprocessing(base)(large), training=False), axis=(1, 2))
    expected = logme(features=features, labels=LABELS)
    assert table["base"].logme == pytest.approx(expected, abs=1e-4)


def test_names_are_loaded_for_the_size_of_the_images(monkeypatch):
    asked = []

    def load(name, input_shape):
        asked.append((name, input_shape))
        return net(name, size=input_shape[0])

    monkeypatch.setattr(ranking, "load_backbone", load)
    rank_backbones(["vgg16", "resnet50"], IMAGES, LABELS, input_shape=(24, 24, 3))
    rank_backbones({"a": "vgg16", "b": "vgg16"}, IMAGES, LABELS)
    assert asked == [
        ("vgg16", (24, 24, 3)), ("resnet50", (24, 24, 3)),
        ("vgg16", (16, 16, 3)), ("vgg16", (16, 16, 3)),
    ]  # fmt: skip


def test_the_features_are_kept_on_disk(nets, tmp_path, monkeypatch):
    first = rank_backbones(nets, IMAGES, LABELS, cache=tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 2
    again = rank_backbones(nets, IMAGES, LABELS, cache=tmp_path)
    assert again.scores("logme") == first.scores("logme")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["vgg16"], r"at least two\. Received: candidates=\['vgg16'\]"),
        ([], r"at least two\. Received: candidates=\[\]"),
        ("vgg16", r"must be a list.*Received: candidates='vgg16'"),
        (net("one"), r"must be a list.*Received: candidates=<Sequential name=one"),
        (["vgg16", "vgg16"], "'vgg16' twice"),
        (["vgg16", "resnet5"], "Did you mean 'resnet50'"),
        (["vgg16", 3], r"Keras models and names.*Received: candidates=\['vgg16', 3\], with 3"),
        ([net("same"), net("same")], "'same' twice"),
    ],
)
def test_bad_candidates_are_refused_before_anything_is_loaded(wanted, message, monkeypatch):
    monkeypatch.setattr(ranking, "load_backbone", lambda *_: pytest.fail("loaded"))
    with pytest.raises(ValueError, match=message):
        rank_backbones(wanted, IMAGES, LABELS)


def test_other_bad_input_is_refused(nets):
    with pytest.raises(ValueError, match="`by` must be one of 'logme', 'h_score', 'probe'"):
        rank_backbones(nets, IMAGES, LABELS, by="accuracy")
    with pytest.raises(ValueError, match=r"`source_heads` must be one of.*Did you mean 'narrow'"):
        rank_backbones(nets, IMAGES, LABELS, source_heads={"narow": np.sin})
    with pytest.raises(ValueError, match="two classes"):
        rank_backbones(nets, IMAGES, np.zeros(60, int))
    with pytest.raises(ValueError, match=r"must have 3 channels.*shape=\(16, 16, 1\).*np.repeat"):
        rank_backbones(nets, IMAGES[..., :1], LABELS)
    with pytest.raises(ValueError, match=r"\(n, height, width, channels\)"):
        rank_backbones(nets, IMAGES[0], LABELS)
    broken = net("broken")
    broken.layers[-1].bias.assign(np.full(12, np.inf))
    with pytest.raises(ValueError, match=r"Candidate 'broken': `?features`? must be finite"):
        rank_backbones([nets[0], broken], IMAGES, LABELS)
    vectors = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="vectors")
    with pytest.raises(ValueError, match="must take images"):
        rank_backbones([nets[0], vectors], IMAGES, LABELS)


def test_unknown_rows_and_columns_are_refused(table):
    with pytest.raises(ValueError, match="Did you mean 'narrow'"):
        table["narow"]
    with pytest.raises(ValueError, match="Did you mean 'logme'"):
        table.scores("logm")
    with pytest.raises(ValueError, match="`cost` must be one of"):
        table.pareto("price")


def test_the_table_names_every_candidate_and_how_it_was_made(table):
    for text in (str(table), table.to_markdown(), table._repr_markdown_()):
        assert all(name in text for name in table.names)
        assert "sorted by logme, higher is better; 60 images of 16x16x3, 3 classes" in text
    lines = table.to_markdown().splitlines()
    assert {line.count("|") for line in lines[:4]} == {11}
    aligned = str(table).splitlines()[:3]
    assert len({len(line) for line in aligned}) == 1


def test_vgg16_is_cut_behind_each_of_its_blocks():
    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
    cut = cut_at_blocks(base)
    assert list(cut) == [f"vgg16_block{n}" for n in range(1, 6)]
    shapes = [model.output_shape[1:] for model in cut.values()]
    assert shapes == [(16, 16, 64), (8, 8, 128), (4, 4, 256), (2, 2, 512), (1, 1, 512)]
    assert cut["vgg16_block5"].output is base.output
    assert preprocessing(cut["vgg16_block2"]).mode == "caffe"


def test_a_base_with_its_layers_in_one_encoder_is_cut_around_it():
    keras_hub = pytest.importorskip("keras_hub")
    base = keras_hub.models.ViTBackbone(
        patch_size=8, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, image_shape=(16, 16, 3),
        name="vit",
    )  # fmt: skip
    names = ["vit_vit_patching_and_embedding", "vit_transformer_block_2"]
    assert list(cut_at_blocks(base)) == names


def test_residual_blocks_are_never_cut_through():
    base = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(64, 64, 3), alpha=0.35
    )
    cut = list(cut_at_blocks(base).values())
    sizes = [model.output_shape[1] for model in cut]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == len(sizes) > 3
    for model, longer in itertools.pairwise(cut):
        assert {id(layer) for layer in model.layers} < {id(layer) for layer in longer.layers}
        rest = keras.Model(model.output, longer.output)  # one tensor leads from cut to cut
        assert len(rest.inputs) == 1


def test_a_net_of_your_own_is_cut_before_its_head():
    own = keras.Sequential([net("body"), build_head(3)])
    own.build((None, 16, 16, 3))
    assert list(cut_at_blocks(own)) == ["body_block1", "body_block2"]
    one = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)], name="one")
    with pytest.raises(ValueError, match=r"at least two blocks.*Received: base='one'"):
        cut_at_blocks(one)


def row(name, cost, promise):
    return candidates.Candidate(
        name, "", 1, 1, cost, 1, 1.0, promise, 0.0, 0.5, (0.4, 0.6)
    )  # fmt: skip


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=2, max_size=9))
def test_nobody_beats_the_pareto_front_in_both(points):
    rows = tuple(row(f"net {i}", cost, promise) for i, (cost, promise) in enumerate(points))
    front = ranking.Ranking(rows, "logme", 1, 2, ()).pareto()
    on_front = {points[int(name.split()[1])] for name in front}
    beaten = {
        (c, p) for c, p in points if any(a <= c and b >= p and (a, b) != (c, p) for a, b in points)
    }
    assert on_front == set(points) - beaten
    assert len(front) == len(on_front)


@pytest.mark.parametrize("unknown", list(itertools.product([False, True], repeat=3)))
def test_a_candidate_of_unknown_cost_is_left_out(unknown):
    points = {"big": (194400, 0.649), "vit": (50000, 0.7), "small": (6075, 0.082)}
    order = list(points)
    for names in itertools.permutations(order):
        costs = {n: math.nan if unknown[order.index(n)] else points[n][0] for n in names}
        rows = tuple(row(n, costs[n], points[n][1]) for n in names)
        known = tuple(r for r in rows if not math.isnan(r.multiply_adds))
        mixed, rest = (ranking.Ranking(r, "logme", 1, 2, ()) for r in (rows, known))
        expected = [n for n in ("small", "vit") if not math.isnan(costs[n])]
        if not math.isnan(costs["big"]) and math.isnan(costs["vit"]):
            expected.append("big")
        assert mixed.pareto() == rest.pareto() == tuple(expected)
        assert set(mixed.pareto("weights")) == {"vit"}  # all weigh the same


def test_the_plot_leaves_out_what_has_no_known_cost_and_says_so():
    rows = (row("big", 194400, 0.649), row("vit", math.nan, 0.115), row("small", 6075, 0.082))
    table = ranking.Ranking(rows, "logme", 1, 2, ())
    ax = plot_ranking(table).axes[0]
    assert [text.get_text() for text in ax.texts] == ["big", "small"]
    assert [tuple(p.get_offsets()[0]) for p in ax.collections] == [(194400, 0.649), (6075, 0.082)]
    assert list(ax.lines[0].get_xdata()) == [6075, 194400]
    assert ax.get_title(loc="left") == "multiply-adds unknown, not shown: vit"
    ax = plot_ranking(table, "weights").axes[0]
    assert len(ax.texts) == 3 and not ax.get_title(loc="left")


def test_a_plot_without_any_known_cost_is_refused():
    table = ranking.Ranking((row("a", math.nan, 1.0), row("b", math.nan, 2.0)), "logme", 1, 2, ())
    assert table.pareto() == ()
    with pytest.raises(ValueError, match=r"`cost` must be known.*'multiply_adds'.*'a', 'b'.*Use"):
        plot_ranking(table)


class Unopened(keras.Model):
    """A subclassed model: Keras has no graph of it."""

    def __init__(self):
        super().__init__(name="unopened")
        self.convolution = keras.layers.Conv2D(4, 3)

    def call(self, x):
        return self.convolution(x)


def test_a_candidate_with_a_subclassed_model_inside_is_ranked(nets):
    keras.utils.set_random_seed(2)
    inputs = keras.Input((16, 16, 3))
    own = keras.Model(inputs, Unopened()(inputs), name="own")
    table = rank_backbones([nets[0], own], IMAGES, LABELS)
    assert math.isnan(table["own"].multiply_adds) and table["own"].activations == 14 * 14 * 4
    assert table.pareto() == ("narrow",)


def test_the_plot_shows_cost_and_promise(table):
    ax = plot_ranking(table, cost="weights").axes[0]
    assert {text.get_text() for text in ax.texts} == set(table.names)
    shown = {tuple(map(float, points.get_offsets()[0])) for points in ax.collections}
    assert shown == {(float(c.weights), c.logme) for c in table.candidates}
    assert list(ax.lines[0].get_xdata()) == [table[n].weights for n in table.pareto("weights")]


def test_a_candidate_with_a_head_of_its_own_brings_it_under_any_name(monkeypatch):
    kernel, bias = RNG.normal(size=(12, 4)).astype("float32"), np.zeros(4, "float32")
    heads = {"mobilenetv2-dogs": (kernel, bias, tuple("abcd"))}
    monkeypatch.setattr(candidates, "stored_head", heads.get)
    monkeypatch.setattr(ranking, "load_backbone", lambda name, shape: net(name))
    named = {"dogs": "mobilenetv2-dogs", "vgg": "vgg16"}
    table = rank_backbones(named, IMAGES, LABELS)
    assert not math.isnan(table["dogs"].leep) and math.isnan(table["vgg"].leep)
    mine = rank_backbones(named, IMAGES, LABELS, source_heads={"dogs": lambda f: f[:, :2]})
    assert mine["dogs"].leep != table["dogs"].leep


@pytest.mark.network
def test_the_mirrored_backbones_are_ranked_by_name():
    images = RNG.integers(0, 256, (60, 32, 32, 3)).astype("uint8")
    table = rank_backbones(["vgg16", "mobilenetv2-dogs"], images, LABELS)
    assert not math.isnan(table["mobilenetv2-dogs"].leep) and math.isnan(table["vgg16"].leep)
    assert table["vgg16"].input == "32x32x3, caffe"


def test_no_name_in_the_plot_lies_over_another():
    rows = [row(f"candidate_{k}", 1e6 + 9e4 * (k % 3), -0.2 - 0.0005 * k) for k in range(10)]
    figure = plot_ranking(ranking.Ranking(tuple(rows), "logme", 1, 2, ()))
    figure.draw_without_rendering()
    (ax,) = figure.axes
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(box.count_overlaps(boxes[:k]) for k, box in enumerate(boxes))
    inside = ax.get_window_extent()
    assert all(inside.contains(*corner) for box in boxes for corner in (box.min, box.max))
