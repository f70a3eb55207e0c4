import math
from collections import Counter

from tlhelpers.reading.translations import evaluate_translations

import numpy as np
import pytest

pytest.importorskip("sacrebleu")
RNG = np.random.default_rng(0)
REFERENCES = [" ".join(RNG.choice(list("abcdef"), 7)) for _ in range(40)]
FOUND = [" ".join(RNG.choice(list("abcdef"), 7)) if n % 2 else one[:-2]
         for n, one in enumerate(REFERENCES)]  # fmt: skip


def runs(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def bleu(found, references):
    """Papineni's formula, for corpora without a zero count."""
    pairs = [(a.split(), b.split()) for a, b in zip(found, references, strict=True)]
    logs = []
    for n in (1, 2, 3, 4):
        right = sum((runs(a, n) & runs(b, n)).total() for a, b in pairs)
        logs.append(math.log(right / sum(runs(a, n).total() for a, _ in pairs)))
    mine, theirs = (sum(len(pair[side]) for pair in pairs) for side in (0, 1))
    return 100 * min(1, math.exp(1 - theirs / mine)) * math.exp(np.mean(logs))


def test_bleu_is_papineni_s():
    report = evaluate_translations(FOUND, REFERENCES)
    assert report.bleu == pytest.approx(bleu(FOUND, REFERENCES))
    low, high = report.intervals["bleu"]
    assert 0 < low < report.bleu < high < 100 and report.sentences == 40


def test_the_interval_is_that_of_sentences_drawn_again():
    rng, scores = np.random.default_rng(1), []
    for _ in range(300):
        rows = rng.integers(0, 40, 40)
        scores.append(bleu([FOUND[n] for n in rows], [REFERENCES[n] for n in rows]))
    low, high = evaluate_translations(FOUND, REFERENCES).intervals["bleu"]
    np.testing.assert_allclose([low, high], np.percentile(scores, [2.5, 97.5]), atol=3)


def test_perfect_and_hopeless_translations():
    perfect = evaluate_translations([r.upper() for r in REFERENCES], REFERENCES)
    assert (perfect.bleu, perfect.chrf, perfect.exact) == pytest.approx((100, 100, 1))
    none = evaluate_translations([""] * 40, REFERENCES)
    assert (none.bleu, none.chrf, none.exact, none.intervals["bleu"]) == (0, 0, 0, (0, 0))
    other = evaluate_translations(["zz"] * 40, REFERENCES)
    assert other.chrf == 0 and math.isfinite(other.bleu)


def test_a_score_that_is_often_zero_has_an_interval():
    report = evaluate_translations(["a b c d e", *["x"] * 7], ["a b c d e"] * 8)
    for low, high in report.intervals.values():
        assert 0 == low < high < 100


def test_chrf_gives_credit_for_parts_of_words():
    walks = evaluate_translations(["he walks home"], ["he walked home"])
    runs_ = evaluate_translations(["he runs home"], ["he walked home"])
    assert walks.bleu == pytest.approx(runs_.bleu) and walks.chrf > runs_.chrf + 5


def test_the_report_says_how_it_was_computed():
    report = evaluate_translations(FOUND, REFERENCES, resamples=50)
    assert "case:lc" in report.signature and "tok:13a" in report.signature
    assert "BLEU" in report.to_markdown() and str(report).startswith("BLEU")
    assert '"bleu"' in report.to_json()
    again = evaluate_translations(FOUND, REFERENCES, resamples=50)
    assert again.intervals == report.intervals


@pytest.mark.parametrize(
    ("found", "references", "why"),
    [
        ([], [], "one or more"),
        (["a"], ["a", "b"], "Received: 1 and 2"),
        (["a"], [" "], r"references\[0\]"),
        ("a", ["a"], "`found` must be a list of texts"),
        (["a"], [None], "`references` must be a list of texts"),
        (None, ["a"], "`found` must be a list of texts.*NoneType"),
    ],
)
def test_what_cannot_be_compared_is_refused(found, references, why):
    with pytest.raises(ValueError, match=why):
        evaluate_translations(found, references)
