import json
import math

import tlhelpers as tl

import pytest

TRUE = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-ORG"], ["O"]]
SAID = [["B-PER", "I-PER", "O", "B-ORG"], ["O", "I-ORG"], ["B-LOC"]]


def test_scores_of_a_case_counted_by_hand():
    report = tl.evaluate_entities(TRUE, SAID)  # 2 of 4 found right, 3 there
    assert (report.precision, report.recall) == (0.5, 2 / 3)
    assert report.f1 == pytest.approx(4 / 7) and report.words_right == pytest.approx(4 / 7)
    assert report.per_kind["PER"]["f1"] == 1 and report.per_kind["LOC"]["f1"] == 0
    assert report.per_kind["ORG"]["precision"] == 0.5 and report.per_kind["ORG"]["recall"] == 1
    assert report.errors["LOC"] == {
        "another kind": 1, "other borders": 0, "both": 0, "missed": 0, "nothing there": 1,
    }  # fmt: skip
    low, high = report.interval
    assert 0 <= low <= report.f1 <= high <= 1


def test_the_report_is_shown_and_kept():
    report = tl.evaluate_entities(TRUE, SAID)
    assert "| PER | 1.000 | 1.000 | 1.000 | 1 |" in report.to_markdown()
    assert json.loads(report.to_json())["entities"] == 3
    assert report.interval == tl.evaluate_entities(TRUE, SAID).interval  # the same seed


def test_nothing_there_and_nothing_found_has_no_score():
    report = tl.evaluate_entities([["O", "O"]], [["O", "O"]])
    assert math.isnan(report.f1) and report.words_right == 1 and not report.per_kind
    assert "nan" in str(report) and json.loads(report.to_json())["f1"] is None


def test_f1_agrees_with_seqevals_numbers_for_its_own_example():
    # from seqeval's README: one of two entities is right
    true = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    said = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    assert tl.evaluate_entities(true, said).f1 == 0.5
