"""Scores don't depend on padding, batches or order; writing is what the probabilities say."""

import math
import subprocess
import sys
from pathlib import Path

import tlhelpers as tl

import keras
import numpy as np
import pytest
from gguf_files import random_weights
from gguf_files import write_language_model as write

pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
TEXTS = ["the cat", "a", "Zwölf привет", "abc cab " * 4]


@pytest.fixture(scope="module")
def language(tmp_path_factory):
    return tl.load_language_model(write(tmp_path_factory.mktemp("gguf") / "tiny.gguf"))


def logs_of(language, text):
    """Return the log-probability of each piece, one call for each."""
    numbers, found = language.numbers(text), []
    for n, number in enumerate(numbers):
        ids = np.array([[language.begin, *numbers[:n]]])
        logits = language.model({"token_ids": ids, "padding_mask": np.ones_like(ids)})
        found.append(keras.ops.log_softmax(logits[0, -1])[number])
    return np.array(found)


def test_a_uniform_model_costs_log_v(tmp_path):
    weights = random_weights(260)
    weights["token_embd.weight"][:] = 0  # all logits are zero
    uniform = tl.load_language_model(write(tmp_path / "flat.gguf", weights))
    report = tl.evaluate_language_model(uniform, TEXTS)
    assert report.perplexity == pytest.approx(260, rel=1e-5)
    pieces = sum(len(uniform.numbers(text)) for text in TEXTS)
    characters = sum(map(len, TEXTS))
    assert (report.pieces, report.characters, report.texts) == (pieces, characters, 4)
    bits = math.log2(260) * pieces / characters
    assert report.bits_per_character == pytest.approx(bits, rel=1e-5)


def test_it_is_what_one_call_for_each_piece_finds(language):
    texts = ["the cat", "é"]
    logs = [logs_of(language, text) for text in texts]
    report = tl.evaluate_language_model(language, texts)
    assert report.perplexity == pytest.approx(np.exp(-np.concatenate(logs).mean()), rel=1e-4)
    each = [-log.sum() / np.log(2) / len(text) for log, text in zip(logs, texts, strict=True)]
    np.testing.assert_allclose(report.by_text, each, rtol=1e-4)


def test_padding_batches_order_and_empty_lines_change_nothing(language):
    whole = tl.evaluate_language_model(language, TEXTS)
    for texts, size in ((TEXTS, 1), (TEXTS[::-1], 3), (["", *TEXTS, ""], 16)):
        other = tl.evaluate_language_model(language, texts, batch_size=size)
        assert other.bits_per_character == pytest.approx(whole.bits_per_character, rel=1e-5)
        assert (other.texts, other.pieces) == (whole.texts, whole.pieces)
    alone = [tl.evaluate_language_model(language, [text]).by_text[0] for text in TEXTS]
    np.testing.assert_allclose(whole.by_text, alone, rtol=1e-5)


def test_a_long_text_is_scored_in_parts_that_begin_anew(language):
    text = "cab abc the cat"
    numbers = language.numbers(text)
    parts = [language.text(numbers[n : n + 4]) for n in range(0, len(numbers), 4)]
    cut = tl.evaluate_language_model(language, [text], length=4)
    apart = tl.evaluate_language_model(language, parts)
    assert cut.pieces == apart.pieces == len(numbers) and cut.texts == 1
    assert cut.perplexity == pytest.approx(apart.perplexity, rel=1e-5)


def test_a_report_prints_and_keeps_itself(language):
    report = tl.evaluate_language_model(language, TEXTS)
    assert "bits per character, perplexity" in str(report) and "by_text" in report.to_json()
    assert report.to_markdown().startswith("| bits per character | perplexity |")


@pytest.mark.parametrize(
    ("texts", "says"),
    [("abc", "`texts` must be a list"), ([], "isn't empty.*0 texts"), (["", ""], "2 texts, all")],
)
def test_no_text_is_refused(language, texts, says):
    with pytest.raises(ValueError, match=says):
        tl.evaluate_language_model(language, texts)


def greedy(language, prompt, length):
    """Go on by the most probable piece, the whole text again for each."""
    numbers = [language.begin, *language.numbers(prompt)]
    for _ in range(length):
        ids = np.array([numbers])
        logits = language.model({"token_ids": ids, "padding_mask": np.ones_like(ids)})
        number = int(np.argmax(logits[0, -1]))
        if number in language.ends:
            break
        numbers.append(number)
    return language.text(numbers[1:])


@pytest.mark.parametrize("prompt", ["the cat", "", "привет"])
def test_top_k_1_is_greedy_and_the_cache_changes_nothing(language, prompt):
    found = tl.generate(language, prompt, length=4, top_k=1)
    assert found == [greedy(language, prompt, 4)]
    assert tl.generate(language, prompt, length=4, top_p=1e-9, seed=5) == found
    assert tl.generate(language, prompt, length=4, temperature=1e-6) == found


def test_keras_hub_writes_the_same_where_it_is_greedy(language):
    language.model.compile(sampler="greedy")
    numbers = [language.begin, *language.numbers("the cat")]
    ids, mask = np.zeros((1, 16), "int32"), np.zeros((1, 16), "int32")
    ids[0, : len(numbers)], mask[0, : len(numbers)] = numbers, 1
    inputs = {"token_ids": ids, "padding_mask": mask}
    theirs = language.model.generate(inputs, stop_token_ids=None)["token_ids"][0]
    ours = tl.generate(language, "the cat", length=16 - len(numbers), top_k=1)[0]
    assert language.text(theirs[1:]).startswith(ours)


def test_a_seed_decides_and_samples_differ(language):
    first = tl.generate(language, "ab", length=12, samples=3, seed=1)
    assert first == tl.generate(language, "ab", length=12, samples=3, seed=1)
    assert len(set(first)) == 3 and first != tl.generate(language, "ab", 12, samples=3, seed=2)
    assert all(text.startswith("ab") for text in first)


def test_pieces_come_as_often_as_their_probability(language):
    ids = np.array([[language.begin, *language.numbers("a")]])
    logits = language.model({"token_ids": ids, "padding_mask": np.ones_like(ids)})[0, -1]
    odds = tl.sampling_probabilities(logits, temperature=3.0, top_k=4)
    texts = tl.generate(language, "a", 1, temperature=3.0, top_k=4, samples=2000)
    expected = {}
    for number in np.flatnonzero(odds):  # bytes of other scripts are one sign, each alone
        text = "a" if number in language.ends else "a" + language.text([number])
        expected[text] = expected.get(text, 0) + odds[number]
    for text, share in expected.items():
        assert np.mean([one == text for one in texts]) == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"length": 0}, "`length`"), ({"samples": 0}, "`samples`"), ({"prompt": 3}, "`texts`"),
     ({"top_k": 261}, "`top_k`"), ({"seed": -1}, "`seed`")],
)  # fmt: skip
def test_bad_settings_are_refused(language, settings, says):
    with pytest.raises(ValueError, match=says):
        tl.generate(language, **settings)


FRESH = """
import sys
import tlhelpers as tl
language = tl.load_language_model(sys.argv[1])
tl.load_adapters(language.model.backbone, sys.argv[2])
print(repr(tl.evaluate_language_model(language, ["the cat"]).bits_per_character))
"""


def test_adapters_of_the_upper_layer_learn_and_load_in_a_fresh_process(tmp_path, language):
    path = write(tmp_path / "tiny.gguf")
    language = tl.load_language_model(path)
    before = tl.evaluate_language_model(language, ["the cat"]).bits_per_character
    base = [w.numpy() for w in language.model.weights]
    backbone = language.model.backbone
    table = tl.add_lora(backbone, 2, ["*layer_1/*/query", "*layer_1/*/value"])
    assert table.trainable == 2 * (32 * 2 + 32 * 1) + 2 * (2 * 16 + 2 * 16) // 2
    same = tl.evaluate_language_model(language, ["the cat"]).bits_per_character
    assert same == pytest.approx(before, rel=1e-6)  # B begins at zero
    x, labels = language.encode_stream(["the cat", "the cat", "abc"] * 4, length=8)
    lower, upper = tl.split_at(language.model, "transformer_layer_0")
    features = tl.extract_features(lower, x)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    again = tl.compile_once(upper, optimizer=keras.optimizers.Adam(0.05), loss=loss, batch_size=4)
    again.train(features, labels, epochs=6)
    after = tl.evaluate_language_model(language, ["the cat"]).bits_per_character
    assert after < before - 0.1
    kept = [w.numpy() for w in language.model.weights if "lora" not in w.name]
    assert all(np.array_equal(a, b) for a, b in zip(base, kept, strict=True))
    tl.save_adapters(backbone, tmp_path / "mine.lora.npz")
    done = subprocess.run(
        [sys.executable, "-c", FRESH, path, tmp_path / "mine.lora.npz"],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    ).stdout.splitlines()  # fmt: skip
    assert float(done[-1]) == pytest.approx(after, rel=1e-5)
    tl.merge_lora(backbone)
    merged = tl.evaluate_language_model(language, ["the cat"]).bits_per_character
    assert merged == pytest.approx(after, rel=1e-4)
