"""The adviser answers everywhere, in the order of the table, and its recipes are there and run."""

import ast
import functools
import itertools
import re
from pathlib import Path

import tlhelpers as tl
from tlhelpers.checks import files
from tlhelpers.choosing import advice as advice_module
from tlhelpers.choosing.advice import advise, playbook
from tlhelpers.models.anatomy import find_base
from tlhelpers.scores.probes import Probe

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import TinyBert, make_preprocessor

ROOT = Path(__file__).parents[2]
BOOK = playbook()
STRATEGIES, PAPERS, TASKS = BOOK["strategies"], BOOK["papers"], BOOK["tasks"]
RECIPES = {task: known["recipes"] for task, known in TASKS.items()}
LADDER = {
    "image": ["early", "features", "block", "half", "whole"],
    "text": ["features", "lora", "whole"],
}  # from the least that learns to the most
SIMILARITIES = [None, "similar", "different", 0, 0.36, 0.5, 0.9, 1.0]
PROBE = Probe(0.7, (0.6, 0.8), 100)
EARLIER = {"low": Probe(0.95, (0.9, 1.0), 100), "end": Probe(0.9, (0.8, 1.0), 100)}
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
        assert not advice.change or advice.change in text.splitlines()  # it can be copied
        for part in (advice.strategy, advice.recipe, advice.check):
            assert part in " ".join(text.split())
        assert len(text.splitlines()) < 40 and advice.code not in text
    assert seen == {(task, STRATEGIES[key]) for task in RECIPES for key in RECIPES[task]}


def test_every_paper_speaks_and_every_row_is_on_the_ladder():
    for task, known in TASKS.items():
        rows = [row for near in known["table"].values() for row in near.values()]
        assert {key for row in rows for key in row} == set(LADDER[task])
        assert {len(row) for row in rows} == {len(BOOK["machines"])}
        assert set(known["changes"]) <= set(RECIPES[task]) == {*LADDER[task], "adapt"}
    given = [
        {"samples": s, "similarity": d, "task": t, "budget": b, "unlabelled": u}
        for s in (20, 1000, 10**6) for d in (0, 1, EARLIER) for t in TASKS
        for b in ("gpu", "laptop", 1) for u in (0, 900)
    ]  # fmt: skip
    advices = [advise(classes=2, **case) for case in given]
    assert {paper for advice in advices for paper in advice.papers} == set(PAPERS.values())
    said = {reason for advice in advices for reason in advice.reasons}
    assert said == {f"{reason['text']} [{reason['paper']}]" for reason in BOOK["reasons"]}


def test_a_reason_of_the_playbook_speaks_only_of_what_advise_knows():
    words = {
        "strategy": set(STRATEGIES), "task": set(TASKS), "size": {"few", "some", "many"},
        "similarity": {"similar", "different"}, "machine": set(BOOK["machines"]),
    }  # fmt: skip
    for reason in BOOK["reasons"]:
        fields = reason.keys() - {"text", "paper"}
        assert fields <= words.keys() and reason["paper"] in PAPERS
        assert all(isinstance(reason[field], list) for field in fields)
        assert all(set(reason[field]) <= words[field] for field in fields)


@pytest.mark.parametrize("size", ["few", "some", "many"])
@pytest.mark.parametrize("near", ["similar", "different"])
def test_why_it_is_so_depends_on_the_case(size, near):
    """The conditions of the reasons, said here once more in other words."""
    count = {"few": 20, "some": 500, "many": 10**5}[size]
    for task, budget in itertools.product(TASKS, [1, "laptop", "gpu"]):
        given = {"similarity": near, "task": task, "budget": budget}
        advice = advise(samples=2 * count, classes=2, **given)
        image, hurried, tuned = task == "image", budget == 1, "fine-tuning" in advice.strategy
        whole, far = advice.strategy == STRATEGIES["whole"], near == "different"
        expected = {
            "In these minutes": hurried,
            "With few samples": image and size == "few" and not hurried,
            "With few texts": not image and size == "few",
            "You have enough": image and tuned,
            "The nearer": image and not far,
            "Lower layers": image and far,
            "Whether an encoder": not image,
            "Small matrices": advice.strategy == STRATEGIES["lora"],
            "The head learns": tuned,
            "Begin from": whole,
            "So far from": image and whole and far,
        }
        begun = [start for start, holds in expected.items() if holds]
        assert len(begun) == len(advice.reasons)
        assert all(map(str.startswith, advice.reasons, begun))


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
    assert "You do not say" in str(unknown)
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


@pytest.mark.parametrize("task", ["image", "text"])
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("samples", [20, 300, 20_000])
@pytest.mark.parametrize("before, sure", [(0.3, True), (0.65, False), (0.75, False), (0.95, True)])
def test_probes_by_place_tell_where_frozen_features_are_read(before, sure, samples, budget, task):
    given = {"samples": samples, "classes": 3, "budget": budget, "task": task}
    end = advise(similarity=PROBE, **given)
    assert str(advise(similarity={"pooling": PROBE}, **given)) == str(end)
    other = {"low": Probe(0.1, (0.0, 0.2), 100), "mid": Probe(before, (before - 0.1, 1.0), 100)}
    both = advise(similarity=other | {"pooling": PROBE}, **given)
    frozen = [STRATEGIES["early"], STRATEGIES["features"]]
    if task == "text" or end.strategy not in frozen:
        assert both.strategy == end.strategy
    else:
        assert both.strategy == frozen[before < PROBE.accuracy]
    if both.strategy in frozen:
        nearly = [doubt for doubt in both.doubts if "nearly alike" in doubt]
        assert (not nearly) == sure and all("mid and of pooling" in doubt for doubt in nearly)
    assert f"earlier features of mid, it gets {before:.2f} right" in both.situation


def test_unlabelled_samples_of_another_domain():
    advice = advise(samples=0, classes=10, unlabelled=5000)
    assert advice.strategy == "domain adaptation" and advice.sure
    cited = [reason.rsplit("[", 1)[1] for reason in advice.reasons]
    assert cited == ["Ben-David 2010]", "Ganin 2016]"]
    assert "no labelled images" in str(advice) and "5,000 without labels" in str(advice)
    assert "So few unlabelled samples" in advise(samples=0, classes=10, unlabelled=50).doubts[-1]
    enough = advise(samples=2000, classes=10, similarity="similar", unlabelled=5000)
    assert enough.strategy == "fine-tuning of the last block" and "can wait" in enough.check


# Its recipes

CASES = {
    ("image", "early"): {"samples": 100, "similarity": "different"},
    ("image", "features"): {"samples": 100, "similarity": "similar"},
    ("image", "block"): {"samples": 2000, "similarity": "similar"},
    ("image", "half"): {"samples": 2000, "similarity": "different"},
    ("image", "whole"): {"samples": 10**5, "budget": "gpu"},
    ("image", "adapt"): {"samples": 0, "unlabelled": 5000},
    ("text", "features"): {"samples": 100, "similarity": "similar"},
    ("text", "lora"): {"samples": 2000, "similarity": "similar"},
    ("text", "whole"): {"samples": 10**5, "budget": "gpu"},
    ("text", "adapt"): {"samples": 0, "unlabelled": 5000},
}
NEEDS = {
    "early": {"cut_at_blocks", "rank_backbones"},
    "features": {"extract_features"},
    "lora": {"add_lora"},
    "adapt": {"paired_batches", "check_domains"},
}  # the others: fine_tune


def names_in(code):
    """Return the public names of the package that a program uses."""
    return {
        node.attr
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "tl"
    }


@pytest.mark.parametrize("task, key", CASES)
def test_every_strategy_points_to_a_recipe_that_does_it(task, key):
    assert {(t, k) for t in RECIPES for k in RECIPES[t]} == set(CASES)
    advice = advise(task=task, classes=10, **CASES[task, key])
    assert advice.strategy == STRATEGIES[key]
    assert advice.path == ROOT / advice.recipe
    assert advice.code == advice.path.read_text()
    compile(advice.code, advice.recipe, "exec")
    needed = (
        NEEDS.get(key, {"fine_tune"}) if task == "image" or key != "features" else {"fine_tune"}
    )
    assert needed <= names_in(advice.code) <= set(tl.__all__)
    for beside in re.findall(r"\w+\.py", advice.change):
        assert (advice.path.parent / beside).is_file()


def test_an_installed_package_says_where_its_recipes_lie(tmp_path, monkeypatch):
    assert "It lies at" not in str(advise(samples=100, classes=2))  # in a checkout it is beside
    package = tmp_path / "a rather long folder that nobody has wrapped" / "tlhelpers"
    (package / "recipes").mkdir(parents=True)
    for recipe in (ROOT / "recipes").glob("*.py"):
        (package / "recipes" / recipe.name).write_text(f"# {recipe.name}")
    monkeypatch.setattr(files, "PACKAGE", package)
    monkeypatch.setattr(advice_module, "PACKAGE", package)
    advice = advise(samples=2000, classes=10, similarity="similar")
    assert f"It lies at {advice.path}\n" in str(advice) and package in advice.path.parents
    assert advice.code == "# fine_tuning.py" and advice.recipe == "recipes/fine_tuning.py"


@pytest.fixture
def eager():
    """Skip the tracing, which is all the time that nets as small as these take."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


SHORT = functools.partial(tl.fine_tune, head_epochs=1, epochs=1)


def changes(task, key):
    """Return the arguments of `fine_tune` that an advice changes, as a program would read them."""
    (written,) = re.findall(r"In its call of fine_tune, write (.*)\.$", TASKS[task]["changes"][key])
    call = ast.parse(f"fine_tune({written})", mode="eval").body
    return {argument.arg: ast.literal_eval(argument.value) for argument in call.keywords}


def test_what_an_advice_changes_is_what_the_recipe_says_otherwise():
    for task, key in [
        ("image", "half"),
        ("image", "whole"),
        ("text", "features"),
        ("text", "whole"),
    ]:
        code = advise(task=task, classes=10, **CASES[task, key]).code
        (call,) = [
            node for node in ast.walk(ast.parse(code))
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "fine_tune"
        ]  # fmt: skip
        written = {argument.arg: ast.unparse(argument.value) for argument in call.keywords}
        for name, value in changes(task, key).items():
            assert name in written and written[name] != repr(value)


def tiny_vgg():
    x = images = keras.Input((16, 16, 3))
    for block in (1, 2, 3, 4):
        x = keras.layers.Conv2D(6, 3, padding="same", name=f"block{block}_conv3")(x)
        x = keras.layers.MaxPooling2D(name=f"block{block}_pool")(x)
    base = keras.Model(images, x, name="vgg16")
    tl.freeze(base)
    return base


Y = np.arange(30) % 3
X = np.random.default_rng(0).integers(0, 90, (30, 16, 16, 3)) + 80 * Y[:, None, None, None]
X = X.astype("uint8")


@pytest.mark.parametrize("key, learn", {"half": 2, "whole": 4}.items())
def test_the_changed_recipe_for_images_trains_what_it_says(key, learn, eager):
    model = tl.build_classifier(tiny_vgg(), 3)
    history = SHORT(model, (X, Y), (X, Y), **changes("image", key))
    assert "fine-tuning: 1 epochs" in str(history)
    trained = [layer.name for layer in find_base(model).layers if layer.trainable_weights]
    assert trained == [f"block{block}_conv3" for block in (1, 2, 3, 4)][-learn:]


def test_an_early_cut_serves_as_a_base():
    written = re.findall(r"base = (tl\..*)\.$", TASKS["image"]["changes"]["early"])
    cut = eval(written[0], {"tl": tl, "base": tiny_vgg()})
    assert tl.extract_features(cut, X).shape == (30, 2, 2, 6)  # three poolings of 16, not four


def test_the_features_that_tell_the_similarity_of_images():
    names = {"tl": tl, "base": tiny_vgg(), "x": X}
    exec(TASKS["image"]["measure"], names)
    assert names["features"].shape == (30, 6)


@pytest.mark.parametrize("key", ["features", "whole"])
def test_the_changed_recipe_for_texts_trains_what_it_says(key, eager):
    pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
    tokens, y = make_preprocessor(6)(["fine", "dull", "a fine film", "dull films"] * 4), Y[:16] % 2
    model = tl.build_text_classifier(TinyBert(), 2, sequence_length=6)
    SHORT(model, (tokens, y), (tokens, y), **changes("text", key))
    assert bool(find_base(model).trainable_weights) == (key == "whole")
    names = {"tl": tl, "model": model, "tokens": tokens}
    exec(TASKS["text"]["measure"], names)
    assert names["features"].shape == (16, 8)


# Bad input


@pytest.mark.parametrize(
    "wrong, says",
    [
        ({"samples": -1}, "`samples` must be a whole number, 0 or above.*Count them"),
        ({"samples": 12.5}, "`samples` must be a whole number"),
        ({"samples": True}, "`samples` must be a whole number"),
        ({"samples": 9}, "`samples` must be at least one for each class.*unlabelled="),
        ({"samples": 0}, "`samples` must be at least one for each class"),
        ({"classes": 1}, "`classes` must be a whole number, 2 or above"),
        ({"classes": "ten"}, "`classes` must be a whole number"),
        ({"unlabelled": -5}, "`unlabelled` must be a whole number"),
        ({"similarity": 1.3}, r"in \[0, 1\].*1 - d / 2"),
        ({"similarity": -0.1}, r"in \[0, 1\]"),
        ({"similarity": float("nan")}, r"in \[0, 1\]"),
        ({"similarity": True}, r"in \[0, 1\]"),
        ({"similarity": "simlar"}, "Did you mean 'similar'"),
        ({"similarity": [0.5]}, r"in \[0, 1\].*linear_probe"),
        ({"similarity": {}}, "what linear_probe returns, for each place"),
        ({"similarity": {"a": PROBE, "b": 0.5}}, "{'a': 'Probe', 'b': 'float'}.*linear_probe"),
        ({"budget": "cpu"}, "Did you mean 'gpu'"),
        ({"budget": 0}, "above 0.*Give the minutes"),
        ({"budget": float("nan")}, "above 0.*Give the minutes"),
        ({"budget": float("inf")}, "above 0.*Give the minutes"),
        ({"budget": None}, "above 0.*Give the minutes"),
        ({"task": "images"}, "Did you mean 'image'"),
        ({"task": None}, "'image', 'text'"),
    ],
)
def test_bad_input_says_what_to_do(wrong, says):
    with pytest.raises(ValueError, match=f"(?s){says}") as error:
        advise(**{"samples": 500, "classes": 10} | wrong)
    assert f"Received: {next(iter(wrong))}=" in str(error.value)


def test_numbers_of_numpy_are_welcome():
    counts = {"samples": np.int64(600), "classes": np.int32(10), "unlabelled": np.uint8(0)}
    given = advise(**counts, similarity=np.float32(0.9), budget=np.int16(30))
    assert given == advise(samples=600, classes=10, similarity=float(np.float32(0.9)), budget=30)
