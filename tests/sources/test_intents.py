"""Intents of a small assistant, from files of the test."""

import json

from tlhelpers.sources import intents
from tlhelpers.sources.intents import INTENTS, load_intents
from tlhelpers.sources.slot_words import LANGUAGES, SLOT_WORDS, words_for

import numpy as np
import pytest


def file_of(on, off):
    blocks = {
        "HassTurnOn": [{"sentences": on}],
        "HassTurnOff": [{"sentences": off, "requires_context": {"domain": ["light"]}}],
    }
    return {
        "intents": {name: {"data": data} for name, data in blocks.items()},
        "expansion_rules": {"the": "[the]"},
        "lists": {"level": {"range": {"from": 10, "to": 30, "step": 10}},
                  "color": {"values": [{"in": "red|blue"}, "green"]}},
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    files = {
        "en": file_of(["on <the> {area}", "{color} {level}", "same"], ["off {name}", "same"]),
        "pl": file_of(["wlacz {area}"], ["wylacz {name}"]),
    }
    for name, file in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(file), encoding="utf-8")
    monkeypatch.setattr(intents, "fetch", lambda name: tmp_path)
    return tmp_path


BOTH = ("turn on", "turn off")


def test_sentences_come_from_their_template_in_their_language(folder, capsys):
    data = load_intents(["en", "pl"], per_class=30, class_names=BOTH)
    assert "Apache-2.0" in capsys.readouterr().out
    english = data["en"]
    beginnings = {0: "on ", 1: ("red ", "blue ", "green "), 3: "off "}
    for text, label, template in zip(english.texts, english.y, english.templates, strict=True):
        assert text.startswith(beginnings[template]) and label == (template == 3)
    numbers = {text.split()[1] for text in english.texts if text[0] in "rbg"}
    assert numbers == {"10", "20", "30"}
    lamps = {text[4:] for text in english.texts if text.startswith("off ")}
    assert lamps == set(words_for("light", "en"))
    areas = {text[6:] for text in data["pl"].texts if text.startswith("wlacz ")}
    assert areas == set(words_for("area", "pl"))


def test_equal_sentences_stand_once_and_shared_ones_nowhere(folder):
    data = load_intents("en", per_class=40, class_names=BOTH)["en"]
    assert len(set(data.texts)) == len(data) == len(data.y) and "same" not in data.texts


def test_the_seed_draws_and_each_language_by_itself(folder):
    one = load_intents(["en", "pl"], 3, seed=4, class_names=BOTH)
    assert one["pl"].texts == load_intents(["pl"], 3, seed=4, class_names=BOTH)["pl"].texts
    assert one["en"].texts != load_intents(["en"], 3, seed=5, class_names=BOTH)["en"].texts


@pytest.mark.parametrize(("arguments", "said"), [
    ({"languages": ["xx"]}, "`languages` must be one of 'en', 'de'"),
    ({"languages": []}, "must be one or more, each once"),
    ({"languages": ["en", "en"]}, "must be one or more, each once"),
    ({"class_names": ["dance"]}, "`class_names` must be one of 'cancel timer'"),
    ({"per_class": 0}, "`per_class` must be a whole number, 1 or above"),
    ({"class_names": ["set light"]}, "Received: 'set light', which 'en' lacks"),
])  # fmt: skip
def test_wrong_arguments_are_refused(folder, arguments, said):
    with pytest.raises(ValueError, match=said):
        load_intents(**{"languages": ["en"]} | arguments)


def test_each_slot_has_words_of_its_own_in_each_language():
    for slot, words in SLOT_WORDS.items():
        assert len(words) == len(LANGUAGES) and all(words), slot
    cyrillic = set("абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґ")
    for language in ("ru", "uk"):
        for slot in SLOT_WORDS:
            for word in words_for(slot, language):
                assert set(word.lower().replace(" ", "").replace("-", "")) <= cyrillic, word
    assert words_for("color", "en") == ()


@pytest.mark.network
def test_the_real_intents():
    data = load_intents(["en", "ru"], per_class=10)
    assert data["en"].class_names == tuple(INTENTS)
    assert (np.bincount(data["en"].y) == 10).all() and len(data["ru"]) > 200
    assert not any(set(text) & set("()[]<>{}|;") for one in data.values() for text in one.texts)
