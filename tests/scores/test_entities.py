import tlhelpers as tl
from tlhelpers.scores.entities import Counts, Entity, count_entities, count_errors

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
SENTENCES = st.lists(st.lists(st.sampled_from(TAGS), max_size=7), min_size=1, max_size=4)


def by_conlleval(tags):
    """The rules of conlleval.pl, word by word: where does a chunk begin, where does it end?"""
    chunks, begin = set(), None
    before, before_kind = "O", ""
    for place, tag in enumerate([*tags, "O"]):
        letter, kind = (tag[0], tag[2:]) if tag != "O" else ("O", "")
        ends = before != "O" and (letter in "BO" or kind != before_kind)
        begins = letter == "B" or (letter == "I" and (before == "O" or kind != before_kind))
        if ends:
            chunks.add((before_kind, begin, place))
        if begins:
            begin = place
        before, before_kind = letter, kind
    return chunks


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ([], []),
        (["O", "O"], []),
        (["B-PER", "I-PER"], [("PER", 0, 2)]),
        (["B-PER", "B-PER"], [("PER", 0, 1), ("PER", 1, 2)]),  # two names side by side
        (["O", "I-PER", "I-PER"], [("PER", 1, 3)]),  # lenient: I- after O begins one
        (["B-PER", "I-LOC", "I-LOC"], [("PER", 0, 1), ("LOC", 1, 3)]),
        (["I-PER", "B-PER", "I-PER"], [("PER", 0, 1), ("PER", 1, 3)]),
    ],
)
def test_entities_of_hand_made_tags(tags, expected):
    assert tl.find_entities(tags) == [Entity(*one) for one in expected]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(TAGS), max_size=12))
def test_entities_are_those_of_conllevals_rules(tags):
    found = tl.find_entities(tags)
    assert set(found) == by_conlleval(tags) and found == sorted(found, key=lambda e: e.start)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_counts_are_those_of_sets_of_chunks(data):
    true = data.draw(SENTENCES)
    predicted = [
        data.draw(st.lists(st.sampled_from(TAGS), min_size=len(row), max_size=len(row)))
        for row in true
    ]
    a = {(n, *e) for n, row in enumerate(true) for e in by_conlleval(row)}
    b = {(n, *e) for n, row in enumerate(predicted) for e in by_conlleval(row)}
    counts = count_entities(true, predicted)
    for kind in ("PER", "LOC"):
        mine = [{e for e in part if e[1] == kind} for part in (a & b, b, a)]
        assert counts.get(kind, Counts(0, 0, 0)) == tuple(map(len, mine))
    errors = count_errors(true, predicted)
    sorts = ("another kind", "other borders", "both", "missed")
    for kind, c in counts.items():  # each true one is right, or an error of one sort
        assert c.there - c.right == sum(errors[kind][sort] for sort in sorts)


def test_each_sort_of_error_has_its_name():
    true = [["B-PER", "I-PER", "O", "B-LOC", "O", "B-ORG", "I-ORG", "O", "B-PER", "O"]]
    said = [["B-ORG", "I-ORG", "O", "B-LOC", "I-LOC", "B-PER", "O", "O", "O", "B-LOC"]]
    errors = count_errors(true, said)
    assert errors["PER"] == {
        "another kind": 1, "other borders": 0, "both": 0, "missed": 1, "nothing there": 0,
    }  # fmt: skip
    assert errors["LOC"]["other borders"] == 1 and errors["LOC"]["nothing there"] == 1
    assert errors["ORG"]["both"] == 1


@pytest.mark.parametrize(
    ("true", "predicted", "says"),
    [
        ([["O"]], [["O"], ["O"]], "as many sentences"),
        ([], [], "one at least"),
        ([["O"]], [["O", "O"]], "2 for the 1 words of sentence 0"),
        ([["S-PER"]], [["O"]], "'S-PER' at word 0 of sentence 0"),
        ([["B-"]], [["O"]], "must be O, B-KIND or I-KIND"),
        ([["PER"]], [["O"]], "'PER'"),
        (["O"], [["O"]], "sentence 0 of type str"),
        ("O", [["O"]], "type str"),
    ],
)
def test_what_cannot_be_compared_is_refused(true, predicted, says):
    with pytest.raises(ValueError, match=says):
        count_entities(true, predicted)
