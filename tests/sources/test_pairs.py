"""Pairs of sentences, from a file of the test."""

from tlhelpers.sources import pairs
from tlhelpers.sources.pairs import load_pairs

import pytest

ROWS = [
    ("Go.", "Ve."),
    ("Go.", "Vete."),  # the English sentence again
    ("Leave.", "Vete."),
    ("Walk on.", "Vete."),  # the Spanish one again
    ("I like tea.", "Me gusta el té."),
    ("You like the cold sea.", "Te gusta el mar frío."),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    lines = (f"{a}\t{b}\tCC-BY 2.0 (France), by somebody\n" for a, b in ROWS)
    (tmp_path / "spanish.tsv").write_text("".join(lines), encoding="utf-8")
    monkeypatch.setattr(pairs, "fetch", lambda name: tmp_path)
    return tmp_path


def test_each_sentence_stands_once_and_beside_its_translation(folder, capsys):
    english, other = load_pairs("spanish")
    kept = {ROWS[0], ROWS[2], ROWS[4], ROWS[5]}
    assert set(zip(english, other, strict=True)) == kept and len(english) == len(kept)
    assert "CC BY 2.0 FR" in capsys.readouterr().out


def test_the_seed_chooses_and_words_limits(folder):
    assert load_pairs("spanish", 3, seed=1) == load_pairs("spanish", 3, seed=1)
    assert {tuple(load_pairs("spanish", 1, seed=seed).english) for seed in range(20)} > {("Go.",)}
    assert load_pairs("spanish", words=(2, 4)).english == ["I like tea."]


@pytest.mark.parametrize(("arguments", "said"), [
    ({"language": "french"}, "`language` must be one of 'spanish', 'ukrainian'"),
    ({"n": 5}, "must be at most the pairs there are. Received: n=5 of 4"),
    ({"n": 0}, "`n` must be a whole number, 1 or above"),
    ({"words": (9, 12)}, "Received: n=0 of 0 in spanish with 9 to 12"),
    ({"words": 4}, r"`words` must be \(least, most\)"),
    ({"words": (5, 4)}, "`words` must be a whole number, 5 or above"),
    ({"seed": -1}, "`seed` must be"),
])  # fmt: skip
def test_wrong_arguments_are_refused(folder, arguments, said):
    with pytest.raises(ValueError, match=said):
        load_pairs(**{"language": "spanish"} | arguments)


def test_a_file_of_other_columns_is_named(folder):
    (folder / "spanish.tsv").write_text("Go.\tVe.\tby\nStop.\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"spanish.tsv must have 3 columns.*1 in line 2"):
        load_pairs("spanish")


@pytest.mark.network
def test_the_real_pairs():
    assert len(load_pairs("spanish").english) == 114_024
    assert len(load_pairs("ukrainian", 1_000, words=(4, 15)).other) == 1_000
