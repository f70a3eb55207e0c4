"""Sentences drawn from templates."""

from tlhelpers.sources.templates import sample

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


def all_of(template, rules=None, fill=None, draws=200):
    random = np.random.default_rng(0)
    return {sample(template, random, rules, fill) for _ in range(draws)}


@pytest.mark.parametrize(("template", "sentences"), [
    ("turn on", {"turn on"}),
    ("turn (on|off)", {"turn on", "turn off"}),
    ("on|off", {"on", "off"}),
    ("light[s]", {"light", "lights"}),
    ("[please|now] go", {"please go", "now go", "go"}),
    ("(a;b)", {"a b", "b a"}),
    ("(a;(b|c)) d", {"a b d", "b a d", "a c d", "c a d"}),
    ("(|the) lamp", {"lamp", "the lamp"}),
    ("[a [b]]", {"", "a", "a b"}),
    ("a  \t b", {"a b"}),
])  # fmt: skip
def test_each_sign_means_what_the_docstring_says(template, sentences):
    assert all_of(template) == sentences


def test_rules_and_lists_are_templates_again():
    rules = {"the": "(the|my)", "what": "<the> {name:thing}"}
    found = all_of("on <what>", rules, {"name": "lamp[s]"}.get)
    assert found == {f"on {the} lamp{s}" for the in ("the", "my") for s in ("", "s")}
    assert all_of("on {name}") == {"on {name}"}  # nothing fills it


@pytest.mark.parametrize(("template", "rules", "said"), [
    ("turn (on", {}, r"in pairs. Received: 'turn \(on', which lacks '\)'"),
    ("turn on)", {}, "where '\\)' at 7 closes none"),
    ("[a(b])", {}, "in pairs"),
    ("<a>", {}, "must hold each rule. Received: <a>"),
    ("<a>", {"a": "b <a>"}, "`rules` must end"),
])  # fmt: skip
def test_a_broken_template_is_refused(template, rules, said):
    with pytest.raises(ValueError, match=said):
        sample(template, np.random.default_rng(0), rules)


WORD = st.text("abcé漢", min_size=1, max_size=3)
TEMPLATE = st.recursive(
    WORD,
    lambda t: st.lists(t, min_size=1, max_size=3).flatmap(
        lambda parts: st.sampled_from([f"({'|'.join(parts)})", f"[{' '.join(parts)}]",
                                       f"({';'.join(parts)})", " ".join(parts)])
    ),
    max_leaves=12,
)  # fmt: skip


@given(TEMPLATE, st.integers(0, 99))
def test_nothing_of_the_grammar_is_left_and_the_seed_decides(template, seed):
    first, second = (sample(template, np.random.default_rng(seed)) for _ in "ab")
    assert first == second and not set(first) & set("()[]<>{}|;")
    assert set(first) <= set(template) | {" "}
