"""What translations are worth: BLEU and chrF, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

from tlhelpers.checks.words import check_seed, check_texts, check_whole
from tlhelpers.reading.reports import Printed

import numpy as np

_ENDS = (2.5, 97.5)  # percentiles: 95 % lie between


@dataclass(frozen=True, repr=False)
class Translations(Printed):
    """What `evaluate_translations` returns. BLEU and chrF are in 0..100, more is better.

    `intervals` maps "bleu" and "chrf" to their 95 % bootstrap intervals over sentences. `exact` is
    the share of sentences that equal their reference but for case, in 0..1. `signature` says how
    BLEU was computed, so that others can compute it the same way.
    """

    bleu: float
    chrf: float
    intervals: dict[str, tuple[float, float]]
    exact: float
    sentences: int
    signature: str

    def __str__(self) -> str:
        (low, high), (least, most) = self.intervals["bleu"], self.intervals["chrf"]
        return (
            f"BLEU {self.bleu:.1f} (95 % interval {low:.1f} to {high:.1f}), chrF {self.chrf:.1f} "
            f"({least:.1f} to {most:.1f}); {self.exact:.0%} of {self.sentences:,} sentences as in "
            "the reference"
        )

    def rows(self) -> list[list[str]]:
        """Return the cells of the table, the head first."""
        named = {"BLEU": (self.bleu, "bleu"), "chrF": (self.chrf, "chrf")}
        table = [["score", "of 100", "95 % interval"]]
        for name, (score, key) in named.items():
            low, high = self.intervals[key]
            table.append([name, f"{score:.1f}", f"{low:.1f} to {high:.1f}"])
        return table


def evaluate_translations(
    found: Sequence[str], references: Sequence[str], resamples: int = 1000, seed: int = 0
) -> Translations:
    """Compare translations with references: which words, and which letters, do they share?

    BLEU counts runs of one to four words that stand in the reference, too, and takes off for
    translations that are too short. chrF counts runs of one to six letters, so that "walked" for
    "walks" is nearly right. Both here drop case. sacrebleu computes them, with its bootstrap
    (seed 12345, or its own setting SACREBLEU_SEED).

    Args:
        found: n translations; an empty one counts, as wrong.
        references: n texts by a person.
        resamples, seed: of the bootstrap: how many, 20 or more, and what draws them.

    Raises:
        ValueError: no texts, an empty reference, or not as many of both.

    Example:
        >>> report = tl.evaluate_translations(["i like tea."] * 30, ["I like tea."] * 30)
        >>> round(report.bleu, 1), report.exact
        (100.0, 1.0)

    Reference:
        Papineni et al., "BLEU", ACL 2002; Popović, "chrF", WMT 2015; Post, "A Call for Clarity in
        Reporting BLEU Scores", WMT 2018 (sacrebleu).
    """
    resamples = check_whole("resamples", resamples, 20, None, "1000 is usual.")
    found, references = check_texts("found", found), check_texts("references", references)
    if len(found) != len(references) or not found:
        raise ValueError(
            "`found` and `references` must be one text for each sentence, one or more. Received: "
            f"{len(found)} and {len(references)}. Translate exactly the sources of the references."
        )
    if empty := [row for row, text in enumerate(references) if not text.strip()]:
        raise ValueError(
            f"`references` must have a word each. Received: references[{empty[0]}]="
            f"{references[empty[0]]!r}. Leave its pair out of the test."
        )
    from sacrebleu.metrics import BLEU, CHRF

    n, scores, intervals = len(found), {}, {}
    drawn = np.random.default_rng(check_seed(seed)).multinomial(n, np.full(n, 1 / n), resamples)
    for name, metric in (("bleu", BLEU(lowercase=True)), ("chrf", CHRF(lowercase=True))):
        scores[name] = float(metric.corpus_score(found, [references]).score)
        # What corpus_score adds up over the sentences. Its own bootstrap fails where some of the
        # scores are 0, and gives no ends of the interval.
        counts = np.array(metric._extract_corpus_statistics(found, [references]))
        again = [metric._compute_score_from_stats(row.tolist()).score for row in drawn @ counts]
        low, high = np.percentile(again, _ENDS)
        intervals[name] = (float(low), float(high))
        if name == "bleu":
            signature = str(metric.get_signature())
    exact = [
        mine.casefold().strip() == theirs.casefold().strip()
        for mine, theirs in zip(found, references, strict=True)
    ]
    return Translations(
        **scores, intervals=intervals, exact=sum(exact) / len(exact), sentences=len(found),
        signature=signature,
    )  # fmt: skip
