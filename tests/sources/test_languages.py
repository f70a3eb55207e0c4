"""Tables of texts in several languages."""

from tlhelpers.sources.languages import load_languages

import numpy as np
import pytest

HEAD = "text,label,language\n"
ENGLISH = "".join(f"{word} {n},{word},en\n" for n in range(10) for word in ("on", "off"))
GERMAN = "".join(f"an {n},on,de\naus {n},off,de\n" for n in range(4))


@pytest.fixture
def write(tmp_path):
    def write(text):
        (tmp_path / "mine.csv").write_text(text, encoding="utf8")
        return tmp_path / "mine.csv"

    return write


def test_one_language_is_split_and_the_others_are_tests(write, capsys):
    data = load_languages(write(HEAD + ENGLISH + GERMAN), validation=0.2, test=0.3)
    assert data.train_on == "en" and list(data.tests) == ["en", "de"]
    assert data.class_names == ("off", "on") and "2 classes in 'en'" in capsys.readouterr().out
    texts, y = data.tests["de"]
    assert [data.class_names[label] for label in y] == ["on", "off"] * 4 and texts[0] == "an 0"
    own = [*data.x_train, *data.x_validation, *data.tests["en"][0]]
    assert sorted(own) == sorted({f"{word} {n}" for n in range(10) for word in ("on", "off")})
    for x, labels in ((data.x_train, data.y_train), (data.x_validation, data.y_validation)):
        assert [data.class_names[label] for label in labels] == [text.split()[0] for text in x]
    again = load_languages(write(HEAD + ENGLISH + GERMAN), validation=0.2, test=0.3, seed=1)
    assert again.x_train != data.x_train


def test_equal_texts_are_on_one_side_and_twins_abroad_are_left_out(write):
    twice = ENGLISH + ENGLISH.upper().replace(",ON,EN", ",on,en").replace(",OFF,EN", ",off,en")
    data = load_languages(write(HEAD + twice + "".join(f"ON {n},on,de\n" for n in range(10))))
    seen = {text.lower() for text in [*data.x_train, *data.x_validation]}
    assert not seen & {text.lower() for text in data.tests["en"][0]}
    left = data.tests.get("de", ([], None))[0]
    assert data.twins == 10 - len(left) > 0 and not seen & {text.lower() for text in left}
    assert f"{data.twins} left out" in repr(data)


def test_without_a_column_all_is_one_language(write):
    data = load_languages(write(HEAD + ENGLISH), language=None)
    assert list(data.tests) == ["all"] and data.train_on == "all"


def test_train_on_is_the_readers_choice(write):
    data = load_languages(write(HEAD + ENGLISH + GERMAN), train_on="de", validation=0.25, test=0.25)
    assert list(data.tests) == ["de", "en"] and len(data.tests["en"][0]) == 20
    assert np.bincount(data.y_train).tolist() == [2, 2]


@pytest.mark.parametrize(("text", "arguments", "said"), [
    (HEAD + ENGLISH, {"train_on": "fr"}, "`train_on` must be one of 'en'"),
    (HEAD + ENGLISH + "oui,on,\n", {}, "have a language. Received: mine.csv: none in line 22"),
    (HEAD + ENGLISH + "Uhr,time,de\n", {}, "lacks time"),
    (HEAD + ENGLISH + ",on,de\n", {}, "text and a label.*line 22"),
    (HEAD + "a,on,en\nb,on,en\n", {}, "two classes apart at least"),
    (ENGLISH, {}, "`text` must be a column"),
    (HEAD, {}, "rows below the first. Received: mine.csv"),
    (HEAD + ENGLISH, {"test": 0}, "must be above 0"),
    (HEAD + ENGLISH, {"language": "tongue"}, "tongue"),
    (HEAD + "a,on,en\nb,off,en\n", {}, "Each class must be in each part"),
])  # fmt: skip
def test_a_table_that_cannot_be_used_is_named(write, text, arguments, said):
    with pytest.raises(ValueError, match=said):
        load_languages(write(text), **arguments)


def test_empty_rows_can_be_skipped(write):
    data = load_languages(write(HEAD + ENGLISH + ",on,de\n"), skip_empty=True)
    assert list(data.tests) == ["en"]
