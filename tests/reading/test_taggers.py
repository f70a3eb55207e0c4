import subprocess
import sys

import tlhelpers as tl

import numpy as np
import pytest
from toys import TinyBert, make_preprocessor

pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
TAGS = ("O", "B-FILM", "I-FILM")
SENTENCES = [["a", "Fine", "film"], [], ["film"] * 9]
FRESH = """
import tlhelpers as tl
import numpy as np
tagger = tl.load_tagger("films")
np.save("said.npy", np.concatenate(tagger.probabilities([["a", "Fine", "film"], [], ["film"] * 9])))
"""


@pytest.fixture
def saved(tmp_path):
    tl.set_seed(0)
    bert = TinyBert(1)
    aligner = tl.WordAligner(make_preprocessor(8), TAGS)
    return tl.save_tagger(tmp_path / "films", tl.build_token_classifier(bert, TAGS), aligner)


def test_a_fresh_process_says_the_same(saved, tmp_path):
    subprocess.run([sys.executable, "-c", FRESH], cwd=tmp_path, check=True, capture_output=True)
    odds = np.concatenate(saved.probabilities(SENTENCES))
    assert odds.shape == (3 + 6, 3)  # six of nine words are seen
    np.testing.assert_allclose(np.load(tmp_path / "said.npy"), odds, atol=1e-6)
    np.testing.assert_allclose(odds.sum(axis=1), 1, atol=1e-6)


def test_names_in_texts_with_their_confidence(saved):
    head = saved.model.get_layer("head").get_layer("logits")
    kernel = np.zeros_like(head.get_weights()[0])
    kernel[-13, 1] = 9  # a title itself is the beginning of a film
    head.set_weights([kernel, np.array([2.0, 0, 0])])
    assert saved.tag([["a", "Fine", "film"]]) == [["O", "B-FILM", "O"]]
    (fine,), none, empty = saved.find(["a Fine film!", "日本", ""])
    odds = np.exp(9) / (np.exp(9) + np.exp(2) + 1)
    assert (fine.text, fine.kind) == ("Fine", "FILM") and none == empty == []
    assert fine.confidence == pytest.approx(odds, abs=1e-5)


def test_a_damaged_folder_is_refused_and_a_new_save_replaces_it(saved, tmp_path):
    file = tmp_path / "films/model.keras"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"model\.keras is missing or not as it was saved"):
        tl.load_tagger(tmp_path / "films")
    tl.save_tagger(tmp_path / "films", saved.model, saved.aligner)
    assert tl.load_tagger(tmp_path / "films").aligner.tags == TAGS
    with pytest.raises(ValueError, match="save_tagger, whole"):
        tl.load_tagger(tmp_path / "none")


def test_what_does_not_belong_together_is_refused(saved, tmp_path):
    other = tl.WordAligner(make_preprocessor(8), TAGS[:2])
    with pytest.raises(ValueError, match="the tags of the model, 3"):
        tl.save_tagger(tmp_path / "other", saved.model, other)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").touch()
    with pytest.raises(ValueError, match="holds something else"):
        tl.save_tagger(tmp_path / "full", saved.model, saved.aligner)
    (tmp_path / "films/notes.txt").write_text("years of work")
    with pytest.raises(ValueError, match=r"something else: notes\.txt"):
        tl.save_tagger(tmp_path / "films", saved.model, saved.aligner)
    assert (tmp_path / "films/notes.txt").read_text() == "years of work"
    tl.add_lora(saved.model, rank=1, targets="*/query")
    with pytest.raises(ValueError, match="without LoRA"):
        tl.save_tagger(tmp_path / "lora", saved.model, saved.aligner)


def test_names_are_marked_in_html_and_in_text():
    shown = tl.show_entities(
        [["<b>", "Ada", "Lovelace", "!"]], [["O", "B-PER", "I-PER", "O"]], [[1, 0.9, 0.75, 1]]
    )
    assert repr(shown) == "<b> [Ada Lovelace](PER 0.75) !"
    page = shown._repr_html_()
    assert "&lt;b&gt;" in page and "<b>PER</b> 0.75" in page and "Ada Lovelace" in page
    with pytest.raises(ValueError, match="one tag for each word"):
        tl.show_entities([["Ada"]], [["O", "O"]])
