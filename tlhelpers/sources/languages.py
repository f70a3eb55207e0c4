"""A table of texts in several languages: one to learn from, all to be tested in."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.checks.words import announce, check_choice, check_seed
from tlhelpers.sources.parts import check_shares, connect, draw_parts
from tlhelpers.sources.table_files import listed, read_table

import numpy as np

ONE = "all"  # the name of the language where no column says one


@dataclass(frozen=True, repr=False)
class LanguageTexts:
    """Texts and labels: of one language to train on, and of each language to test on.

    Attributes:
        train_on: the language of the first two parts.
        x_train, y_train, x_validation, y_validation: lists of texts, and int64 labels.
        tests: language -> texts and labels, that of `train_on` first.
        class_names: sorted; a label is an index of them.
        twins: texts of other languages that were left out, as training has the same one.
    """

    train_on: str
    x_train: list[str]
    y_train: np.ndarray
    x_validation: list[str]
    y_validation: np.ndarray
    tests: dict[str, tuple[list[str], np.ndarray]]
    class_names: tuple[str, ...]
    twins: int

    def __repr__(self) -> str:
        tests = ", ".join(f"{language} {len(y):,}" for language, (_, y) in self.tests.items())
        left_out = f"; {self.twins} left out, as training has them" if self.twins else ""
        return (
            f"{len(self.class_names)} classes in {self.train_on!r}: {len(self.x_train):,} train, "
            f"{len(self.x_validation):,} validation; test: {tests}{left_out}"
        )


def load_languages(
    path: str | os.PathLike,
    text: str = "text",
    label: str = "label",
    language: str | None = "language",
    train_on: str | None = None,
    validation: float = 0.15,
    test: float = 0.15,
    separator: str | None = None,
    encoding: str | None = None,
    skip_empty: bool = False,
    seed: int = 0,
) -> LanguageTexts:
    """Read texts, labels and languages from a table; split one language, test in all.

    Texts that are equal but for their case stay on one side. Of the other languages nothing is
    trained on, so all of their rows are for the test.

    Args:
        path: a CSV file; the first row names the columns.
        text, label, language: the columns. `language=None`: all texts are in one language.
        train_on: the language to train on. Defaults to the one of the most rows; of
            equal ones, the first in the file.
        validation, test: the share of that language's parts, in (0, 1); together below 1.
        separator, encoding, skip_empty, seed: as for `load_table`.

    Returns:
        A `LanguageTexts`.

    Raises:
        ValueError: what `load_table` raises of a file; a row without a language; an unknown
            `train_on`; a class that the language to train on lacks.

    Example:
        >>> _ = open("reviews.csv", "w").write("text,label,language\\n" + "".join(
        ...     f"{word} {n},{word},{language}\\n" for n in range(9)
        ...     for word, language in [("yes", "en"), ("no", "en"), ("yes", "fr")]))
        >>> data = tl.load_languages("reviews.csv")
        2 classes in 'en': ...; test: en ..., fr ...
        >>> data.class_names
        ('no', 'yes')
    """
    shares, seed = check_shares(validation, test), check_seed(seed)
    if not validation or not test:
        raise ValueError(
            "`validation` and `test` must be above 0. Received: "
            f"validation={validation}, test={test}. 0.15 is 15 %."
        )
    wanted = {"text": text, "label": label} | ({} if language is None else {"group": language})
    table = read_table(Path(path), wanted, separator, encoding)
    if table.empty and not skip_empty:
        rows = listed([f"line {row} ({why})" for row, why in table.empty.items()])
        raise ValueError(
            f"Each row must have a text and a label. Received: {Path(path).name}: {rows}. Fill "
            "them, or pass skip_empty=True."
        )
    if not len(table.rows):
        raise ValueError(
            f"A table must have rows below the first. Received: {Path(path).name} without any. "
            "Write a text, a label and a language in each."
        )
    spoken = [ONE] * len(table.rows) if language is None else table.groups
    if without := [str(row) for row, said in zip(table.rows, spoken, strict=True) if not said]:
        raise ValueError(
            f"Each row must have a language. Received: {Path(path).name}: none in line "
            f"{listed(without)}. Fill the column {language!r}, or give another one."
        )
    tongues = np.array(spoken)
    counts = Counter(map(str, spoken))
    most = counts.most_common(1)[0][0]  # of equal ones, the first in the file
    train_on = check_choice("train_on", train_on or most, counts)
    return _split(table, tongues, train_on, shares, seed)


def _split(table, tongues: np.ndarray, train_on: str, shares, seed: int) -> LanguageTexts:
    codes = np.array(table.labels)
    every = list(table.codes)  # the name of each code
    names = sorted({every[code] for code in codes[tongues == train_on]})
    if lacking := sorted(set(every) - set(names)):
        raise ValueError(
            f"`train_on` must have all classes. Received: train_on={train_on!r}, which lacks "
            f"{listed(lacking)}. Add texts of them, or take them out of the other languages."
        )
    if len(names) < 2:
        raise ValueError(
            f"`label` must tell two classes apart at least. Received: {names[0]!r} alone. Is it "
            "the right column?"
        )
    y = np.array([names.index(name) for name in every], "int64")[codes]
    own = np.flatnonzero(tongues == train_on)
    keys = [table.texts[row].casefold() for row in own]
    groups = connect(len(own), np.empty((0, 2), int), keys)
    parts = {part: own[rows] for part, rows in
             draw_parts(y[own], groups, shares, seed, names, "texts").items()}  # fmt: skip
    seen = {table.texts[row].casefold() for part in ("train", "validation") for row in parts[part]}
    tests, twins = {train_on: parts["test"]}, 0
    for language in np.unique(tongues[tongues != train_on]):
        rows = np.flatnonzero(tongues == language)
        alone = np.array([table.texts[row].casefold() not in seen for row in rows])
        twins += int(np.sum(~alone))
        if alone.any():
            tests[str(language)] = rows[alone]

    def taken(rows) -> tuple[list[str], np.ndarray]:
        return [table.texts[row] for row in rows], y[rows]

    data = LanguageTexts(
        train_on, *taken(parts["train"]), *taken(parts["validation"]),
        {language: taken(rows) for language, rows in tests.items()}, tuple(names), twins,
    )  # fmt: skip
    announce(repr(data))
    return data
