"""The adviser answers everywhere, in the order of the table, and its code and recipes run."""

import ast
import functools
import itertools
from pathlib import Path

import tlhelpers as tl
from tlhelpers.choosing.advice import advise
from tlhelpers.choosing.playbook import CODE, MEASURE, PAPERS, RECIPES, STRATEGIES, TABLES
from tlhelpers.scores.probes import Probe

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
LADDER = {
    "image": ["early", "features", "block", "half", "whole"],
    "text": ["features", "lora", "whole"],
}  # from the least that learns to the most
SIMILARITIES = [None, "similar", "different", 0, 0.36, 0.5, 0.9, 1.0]
BUDGETS = ["laptop", "gpu", 3, 60.5]


def rank(task, **given):
    strategy = advise(task=task, **given).strategy
    return [STRATEGIES[key] for key in LADDER[task]].index(strategy)


def test_every_case_has_an_answer_with_reasons_and_a_recipe():
    cases = itertools.product(
        [(2, 2), (99, 2), (500, 10), (20_000, 10), (10**7, 1000)],
        SIMILARITIES, BUDGETS, ["image", "text"], [0, 40, 5000],
    )  # fmt: skip
    seen = set()
    for (samples, classes), similarity, budget, task, unlabelled in cases:
        advice = advise(
            samples=samples, classes=classes, similarity=similarity, budget=budget,
            task=task, unlabelled=unlabelled,
        )  # fmt: skip
        seen.add((task, advice.strategy))
        assert advice.reasons and advice.sure == (not advice.doubts)
        cited = {reason.rsplit("[", 1)[1].rstrip("]") for reason in advice.reasons}
        assert {PAPERS[name] for name in cited} == set(advice.papers)
        text = str(advice)
        assert max(map(len, text.splitlines())) <= 100
        for part in (advice.strategy, advice.recipe, *advice.code.splitlines()):
            assert part in text or part in " ".join(text.split())
    assert seen == {(task, STRATEGIES[key]) for task in RECIPES for key in RECIPES[task]}


def test_recipes_exist():
    there = {path.stem for path in (ROOT / "recipes").glob("*.py")}
    assert {name for task in RECIPES.values() for name in task.values()} <= there


def test_every_paper_speaks_and_every_row_is_on_the_ladder():
    for task, table in TABLES.items():
        assert {key for row in table.values() for key in row} == set(LADDER[task])
        assert set(CODE[task]) == set(RECIPES[task]) == {*LADDER[task], "adapt"}
    given = [
        {"samples": s, "similarity": d, "task": t, "budget": b, "unlabelled": u}
        for s in (20, 1000, 10**6) for d in (0, 1) for t in TABLES
        for b in ("gpu", "laptop", 1) for u in (0, 900)
    ]  # fmt: skip
    said = {paper for case in given for paper in advise(classes=2, **case).papers}
    assert said == set(PAPERS.values())


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.data())
def test_more_samples_and_a_better_machine_never_let_less_learn(data):
    task = data.draw(st.sampled_from(sorted(LADDER)))
    similarity = data.draw(st.sampled_from(SIMILARITIES))
    classes = data.draw(st.integers(2, 50))
    few, many = sorted(data.draw(st.tuples(*[st.integers(classes, 10**5)] * 2)))
    weak, strong = data.draw(
        st.sampled_from([(1, "laptop"), ("laptop", "gpu"), (9, 10), (1, "gpu")])
    )
    same = {"classes": classes, "similarity": similarity}
    for budget in (weak, strong):
        assert rank(task, samples=few, budget=budget, **same) <= rank(
            task, samples=many, budget=budget, **same
        )
    assert rank(task, samples=few, budget=weak, **same) <= rank(
        task, samples=few, budget=strong, **same
    )


def test_the_classic_table_is_in_it():
    def strategy(per_class, similarity, budget="gpu"):
        return advise(
            samples=per_class * 10, classes=10, similarity=similarity, budget=budget
        ).strategy

    assert strategy(10, "similar") == "feature extraction"
    assert strategy(10, "different") == "feature extraction from an earlier layer"
    assert strategy(200, "similar", "laptop") == "fine-tuning of the last block"
    assert strategy(200, "different", "laptop") == "fine-tuning of the upper half"
    assert strategy(5000, "similar") == strategy(5000, "different")
    assert strategy(5000, "similar") == "fine-tuning of the whole network"
    assert strategy(5000, "similar", 5) == "feature extraction"
    assert not any("random weights" in r for r in advise(samples=10**5, classes=2).reasons)
    far = advise(samples=10**5, classes=2, similarity=0, budget="gpu")
    assert any("random weights" in reason for reason in far.reasons)


def test_it_is_sure_where_nothing_near_would_change_it():
    assert advise(samples=200, classes=10, similarity="similar").sure
    near_a_border = advise(samples=600, classes=10, similarity="similar")
    assert near_a_border.doubts == ("With a third fewer samples, I would try feature extraction.",)
    assert "I am not sure" in str(near_a_border) and not near_a_border.sure
    assert (
        "half as many samples again"
        in advise(samples=400, classes=10, similarity="similar").doubts[0]
    )
    assert advise(samples=2000, classes=10, similarity=0.8).sure
    assert "further from the source" in advise(samples=2000, classes=10, similarity=0.6).doubts[0]
    assert "nearer to the source" in advise(samples=2000, classes=10, similarity=0.4).doubts[0]


def test_a_similarity_that_is_not_known_matters_only_where_it_changes_the_advice():
    unknown = advise(samples=2000, classes=10)
    assert not unknown.sure and "tl.linear_probe" in unknown.doubts[-1]
    assert "you do not say" in str(unknown)
    assert advise(samples=10**5, classes=10, budget="gpu").sure  # all of it, near or far


def test_a_linear_probe_says_how_similar():
    def given(accuracy, interval, classes=10):
        return advise(samples=2000, classes=classes, similarity=Probe(accuracy, interval, 2000))

    assert given(0.8, (0.78, 0.82)).strategy == "fine-tuning of the last block"
    assert given(0.8, (0.78, 0.82)).sure and "0.80 of them right" in str(given(0.8, (0.78, 0.82)))
    assert given(0.2, (0.18, 0.22)).strategy == "fine-tuning of the upper half"
    assert not given(0.57, (0.5, 0.64)).sure  # from chance, .1, half of the way is .55
    assert given(0.7, (0.65, 0.75), classes=2).strategy == "fine-tuning of the upper half"
    assert given(0.05, (0.02, 0.08)).sure  # worse than chance is no similarity


def test_unlabelled_samples_of_another_domain():
    advice = advise(samples=0, classes=10, unlabelled=5000)
    assert advice.strategy == "domain adaptation" and advice.sure
    assert "no labelled images" in str(advice) and "5,000 without labels" in str(advice)
    assert "by so few" in advise(samples=0, classes=10, unlabelled=50).doubts[-1]
    enough = advise(samples=2000, classes=10, similarity="similar", unlabelled=5000)
    assert enough.strategy == "fine-tuning of the last block" and "can wait" in enough.check


# Its code


@pytest.fixture
def eager():
    """Skip the tracing, which is all the time that nets as small as these take."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


SHORT = functools.partial(tl.fine_tune, head_epochs=1, epochs=1)


@pytest.mark.parametrize("task, key", [(t, k) for t in CODE for k in CODE[t]])
def test_the_code_names_public_names_only(task, key):
    code = CODE[task][key].format(classes=3)
    names = {
        node.attr
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "tl"
    }
    assert names and names <= set(tl.__all__)
    assert max(map(len, code.splitlines())) <= 92


def tiny_vgg(name, input_shape):
    x = images = keras.Input(input_shape)
    for block in (3, 4, 5):
        x = keras.layers.Conv2D(6, 3, padding="same", name=f"block{block}_conv3")(x)
        x = keras.layers.MaxPooling2D(name=f"block{block}_pool")(x)
    base = keras.Model(images, x, name=name)
    tl.freeze(base)
    return base


@pytest.mark.parametrize("key", LADDER["image"])
def test_the_code_for_images_runs(key, monkeypatch, capsys, eager):
    monkeypatch.setattr(tl, "load_backbone", tiny_vgg)
    monkeypatch.setattr(tl, "fine_tune", SHORT)
    y = np.arange(30) % 3
    x = np.random.default_rng(0).integers(0, 90, (30, 16, 16, 3)) + 80 * y[:, None, None, None]
    x = x.astype("uint8")
    code = CODE["image"][key].format(classes=3)
    names = {"tl": tl, "x": x, "y": y, "x_val": x, "y_val": y}
    exec(code + MEASURE["image"], names)
    assert names["features"].shape == (30, 6)
    said = capsys.readouterr().out
    says = {"early": "sorted by probe", "features": "95 % interval"}.get(
        key, "fine-tuning: 1 epochs"
    )
    assert says in said


class TinyBert:
    """What load_bert returns, with random weights and a tokenizer of letters."""

    def __init__(self):
        import keras_hub

        self.backbone = keras_hub.models.BertBackbone(
            vocabulary_size=128, num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=16,
            max_sequence_length=128,
        )  # fmt: skip
        tl.freeze(self.backbone)

    def preprocessor(self, length):
        def prepare(texts):
            ids = np.array([[ord(c) for c in text.ljust(length, "\0")] for text in texts])
            return {"token_ids": ids, "padding_mask": ids > 0, "segment_ids": 0 * ids}

        return prepare


@pytest.mark.parametrize("key", LADDER["text"])
def test_the_code_for_texts_runs(key, monkeypatch, eager):
    monkeypatch.setattr(tl, "load_bert", TinyBert)
    monkeypatch.setattr(tl, "fine_tune", SHORT)
    texts, y = ["good", "bad", "fine", "awful"] * 4, np.array([1, 0, 1, 0] * 4)
    names = {"tl": tl, "texts": texts, "texts_val": texts, "y": y, "y_val": y}
    exec(CODE["text"][key].format(classes=2) + MEASURE["text"], names)
    assert names["features"].shape == (16, 16)
    trained = tl.describe(names["model"])
    assert {"features": 0, "lora": 1, "whole": 1}[key] == (trained.trainable > 16 * 2 + 2)


def test_the_code_for_two_domains_runs():
    x = np.random.default_rng(0).normal(size=(160, 8)).astype("float32")
    encoder = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu")])
    classifier = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    names = {"tl": tl, "encoder": encoder, "classifier": classifier}
    names |= {"x_source": x[:80], "y_source": np.arange(80) % 3, "x_target": x[80:]}
    exec(CODE["image"]["adapt"].replace("epochs=10", "epochs=1, verbose=0"), names)
    assert names["logits"].shape == (80, 3)


# Bad input


@pytest.mark.parametrize(
    "wrong, says",
    [
        ({"samples": -1}, "samples must be a whole number, at least 0"),
        ({"samples": 12.5}, "samples must be a whole number"),
        ({"samples": True}, "samples must be a whole number"),
        ({"samples": 9}, "At least one labelled sample of each class.*unlabelled="),
        ({"samples": 0}, "At least one labelled sample of each class"),
        ({"classes": 1}, "classes must be a whole number, at least 2"),
        ({"classes": "ten"}, "classes must be a whole number"),
        ({"unlabelled": -5}, "unlabelled must be a whole number"),
        ({"similarity": 1.3}, r"in 0\.\.1.*1 - d / 2"),
        ({"similarity": -0.1}, r"in 0\.\.1"),
        ({"similarity": float("nan")}, r"in 0\.\.1"),
        ({"similarity": True}, r"in 0\.\.1"),
        ({"similarity": "simlar"}, "Did you mean 'similar'"),
        ({"similarity": [0.5]}, r"in 0\.\.1"),
        ({"budget": "cpu"}, "Did you mean 'gpu'"),
        ({"budget": 0}, "minutes above 0"),
        ({"budget": float("nan")}, "minutes above 0"),
        ({"budget": float("inf")}, "minutes above 0"),
        ({"budget": None}, "minutes above 0"),
        ({"task": "images"}, "Did you mean 'image'"),
        ({"task": None}, "'image', 'text'"),
    ],
)
def test_bad_input_says_what_to_do(wrong, says):
    with pytest.raises(ValueError, match=f"(?s){says}") as error:
        advise(**{"samples": 500, "classes": 10} | wrong)
    assert f"Received: {next(iter(wrong))}=" in str(error.value)
