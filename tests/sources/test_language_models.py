"""A language model out of a GGUF file is the network that was written; what doesn't fit is said."""

import tlhelpers as tl
from tlhelpers.sources.gguf import read_gguf
from tlhelpers.sources.llama import unrotate

import numpy as np
import pytest
from gguf_files import GROUPS, HEADS, LAYERS, WIDTH, letters, random_weights, rotated
from gguf_files import write_language_model as write

pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
PIECES = 260


@pytest.fixture(scope="module")
def language(tmp_path_factory):
    return tl.load_language_model(write(tmp_path_factory.mktemp("gguf") / "tiny.gguf"))


def by_hand(weights, ids, neighbours):
    """Compute Llama's logits in numpy; the rotary embedding turns neighbours, or halves."""
    norm = lambda x, g: x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * g  # noqa: E731
    size = WIDTH // HEADS
    angle = np.arange(len(ids))[:, None] * 100.0 ** (-np.arange(0, size, 2) / size)
    first, second = (slice(0, None, 2), slice(1, None, 2)) if neighbours else (
        slice(0, size // 2), slice(size // 2, None))  # fmt: skip

    def turn(x):  # (length, heads, size)
        cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
        turned = np.empty_like(x)
        turned[..., first] = x[..., first] * cos - x[..., second] * sin
        turned[..., second] = x[..., second] * cos + x[..., first] * sin
        return turned

    x = weights["token_embd.weight"][ids].astype("f8")
    for n in range(LAYERS):
        w = {name.split(".")[2]: a for name, a in weights.items() if name.startswith(f"blk.{n}.")}
        h = norm(x, w["attn_norm"])
        q, k, v = ((h @ w[name].T).reshape(len(ids), -1, size)
                   for name in ("attn_q", "attn_k", "attn_v"))  # fmt: skip
        q, k = turn(q), turn(k).repeat(HEADS // GROUPS, axis=1)
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(size)
        scores = np.where(np.tri(len(ids)), scores, -np.inf)
        odds = np.exp(scores - scores.max(-1, keepdims=True))
        odds /= odds.sum(-1, keepdims=True)
        mixed = np.einsum("hqk,khd->qhd", odds, v.repeat(HEADS // GROUPS, axis=1))
        x = x + mixed.reshape(len(ids), WIDTH) @ w["attn_output"].T
        h = norm(x, w["ffn_norm"])
        gate = h @ w["ffn_gate"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w["ffn_up"].T)) @ w["ffn_down"].T
    return norm(x, weights["output_norm.weight"]) @ weights["token_embd.weight"].T


def test_both_layouts_of_rotary_rows_give_the_same_logits(language):
    """llama.cpp's rows under its rotation, Keras' under its own, and the network itself."""
    weights, ids = random_weights(PIECES), np.array([0, 4, 9, 4, 30, 7])
    stored = {
        name: rotated(a, HEADS if "attn_q" in name else GROUPS)
        if "attn_q" in name or "attn_k" in name else a
        for name, a in weights.items()
    }  # fmt: skip
    as_keras, as_stored = by_hand(weights, ids, False), by_hand(stored, ids, True)
    np.testing.assert_allclose(as_keras, as_stored, atol=1e-9)
    assert np.abs(by_hand(stored, ids, False) - as_keras).max() > 0.1  # it matters
    x = {"token_ids": ids[None], "padding_mask": np.ones((1, 6), "int32")}
    np.testing.assert_allclose(language.model.predict(x, verbose=0)[0], as_keras, atol=2e-4)


@pytest.mark.parametrize("heads", [1, 3])
def test_unrotate_undoes_the_layout(heads):
    rows = np.arange(heads * 8 * 5.0).reshape(heads * 8, 5)
    np.testing.assert_array_equal(unrotate(rotated(rows, heads), heads), rows)


def test_it_comes_frozen_and_says_whence(tmp_path, capsys):
    language = tl.load_language_model(write(tmp_path / "mine.gguf"))
    assert capsys.readouterr().out == "mine: a GGUF file\nmine: licence: mit\n"
    assert not language.model.trainable_variables and language.vocabulary_size == PIECES
    assert repr(language).startswith("LanguageModel(mine: 0.0 million weights")


def test_an_output_matrix_of_its_own_is_read(tmp_path):
    weights = random_weights(PIECES)
    weights["output.weight"] = weights["token_embd.weight"][::-1] * 2
    language = tl.load_language_model(write(tmp_path / "untied.gguf", weights))
    ids = np.array([0, 5, 6])
    tied = {n: a for n, a in weights.items() if n != "output.weight"}
    x = {"token_ids": ids[None], "padding_mask": np.ones((1, 3), "int32")}
    hand = by_hand(tied, ids, False)[:, ::-1] * 2
    np.testing.assert_allclose(language.model.predict(x, verbose=0)[0], hand, atol=4e-4)


TEXTS = [
    "the cat",
    " a",
    "Zwölf привет 🎬",
    "一二三",
    "<|endoftext|>",
    "a<|endoftext|>b",
    "\n\t \n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_of_any_script_comes_back(language, text):
    numbers = language.numbers(text)
    assert language.text(numbers) == text
    assert all(0 <= number < PIECES for number in numbers)
    assert (0 in numbers) == ("<|endoftext|>" in text)


def test_merges_and_marks_are_one_piece(language):
    assert language.pieces("the a<|endoftext|>") == ["the", " a", "<|endoftext|>"]
    assert language.numbers("") == [] and language.text([]) == ""
    assert len(language.numbers("🎬")) == 4  # one for each byte


def test_encode_shifts_cuts_and_pads(language):
    a, b, c = language.numbers("abc")
    x, labels = language.encode(["abc", "", "ab"], length=2)
    assert x["token_ids"].tolist() == [[0, a], [0, 0], [0, a]]
    assert labels.tolist() == [[a, b], [-1, -1], [a, b]]
    assert x["padding_mask"].tolist() == [[1, 1], [0, 0], [1, 1]]
    x, labels = language.encode(["a", ""], length=3, end=True)
    assert labels.tolist() == [[a, 0, -1], [-1, -1, -1]] and x["token_ids"][0].tolist() == [0, a, 0]
    word = "a" * 500  # longer than the row
    assert language.encode([word], length=4)[1].tolist() == [[a] * 4]
    x, labels = language.encode_stream(["ab", "", "c"], length=2)
    assert x["token_ids"].tolist() == [[0, a], [b, 0]] and labels.tolist() == [[a, b], [0, c]]
    assert x["padding_mask"].all()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: m.encode("abc", 4), r"`texts` must be a list.*'abc'.*\[text\]"),
        (lambda m: m.encode([1], 4), r"`texts` must be a list of texts.*texts\[0\]=1 of type int"),
        (lambda m: m.encode(["a", "\ud800"], 4), r"whole characters.*texts\[1\]"),
        (lambda m: m.encode(["a"], 0), "`length` must be"),
        (lambda m: m.encode_stream(["ab"], 9), "must fill a row.*1 texts of 3 pieces"),
        (lambda m: m.encode_stream([], 4), "must fill a row"),
    ],
)
def test_bad_texts_are_refused(language, call, says):
    with pytest.raises(ValueError, match=says):
        call(language)


STRING, WHOLE = "string", "u32"
BAD = {
    "another architecture": ({"general.architecture": (STRING, "bert")}, "'llama'.*'bert'"),
    "another tokenizer": ({"tokenizer.ggml.model": (STRING, "llama")}, "'gpt2'.*'llama'"),
    "a setting lacks": ({"llama.block_count": None}, "a setting 'llama.block_count'"),
    "no heads": ({"llama.attention.head_count": (WHOLE, 0)}, "sizes that fit.*num_query_heads=0"),
    "heads that don't fit": ({"llama.attention.head_count_kv": (WHOLE, 3)}, "sizes that fit"),
    "more blocks": ({"llama.block_count": (WHOLE, 3)}, r"'blk\.2\.attn_q\.weight'.*no such"),
    "a small vocabulary": (
        {"tokenizer.ggml.tokens": (STRING, ["<s>", "a"])}, r"\(2, 32\).*\(260, 32\)",
    ),
    "merges of unknown pieces": (
        {"tokenizer.ggml.merges": (STRING, ["z qq"])}, "a vocabulary that fits its merges.*qq",
    ),
    "a piece twice": (
        {"tokenizer.ggml.tokens": (STRING, ["<s>", *["a"] * 259])}, "different pieces.*258",
    ),
    "no first piece": (
        {"tokenizer.ggml.tokens": (STRING, [*letters(), "x1", "th", "Ġa", "the"])},
        "bos_token_id",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused(name, tmp_path):
    changes, says = BAD[name]
    path = write(tmp_path / "bad.gguf", **changes)
    with pytest.raises(ValueError, match=says) as error:
        tl.load_language_model(path)
    assert "bad.gguf" in str(error.value) and "Download it again" in str(error.value)


def test_a_tensor_that_lacks_is_named(tmp_path):
    path = write(tmp_path / "bad.gguf", drop=["blk.1.ffn_up.weight"])
    with pytest.raises(ValueError, match=r"'blk\.1\.ffn_up\.weight' of shape \(64, 32\)"):
        tl.load_language_model(path)
    assert "blk.0.ffn_up.weight" in read_gguf(path).tensors


def gpt2(pieces=259):
    import keras_hub

    vocabulary = {letter: n for n, letter in enumerate([*letters(), "th", "the", "<|endoftext|>"])}
    backbone = keras_hub.models.GPT2Backbone(pieces, 1, 2, 8, 16, max_sequence_length=32)
    tokenizer = keras_hub.tokenizers.GPT2Tokenizer(vocabulary, ["t h", "th e"])
    preprocessor = keras_hub.models.GPT2CausalLMPreprocessor(tokenizer, sequence_length=16)
    return keras_hub.models.GPT2CausalLM(backbone, preprocessor)


def test_a_preset_of_keras_hub_comes_by_the_same_call(tmp_path):
    model = gpt2()
    model.save_to_preset(tmp_path / "mine")
    model.preprocessor = None
    language = tl.load_language_model(tmp_path / "mine")
    assert (language.begin, language.ends) == (258, (258,)) and language.name == "mine"
    x, _ = language.encode(["the cat"], length=6)
    same = [m.predict(x, verbose=0) for m in (model, language.model)]
    np.testing.assert_allclose(*same, atol=1e-5)
    assert language.text(language.numbers("the cat")) == "the cat"
    report = tl.evaluate_language_model(language, ["the cat"])
    assert 1 < report.perplexity < 2000
    assert tl.generate(language, "the", length=3, top_k=1)[0].startswith("the")
    with pytest.raises(ValueError, match=r"sees 32 pieces.*length=31 behind a prompt of 2"):
        tl.generate(language, "the", length=31)
    assert tl.evaluate_language_model(language, ["a" * 50]).pieces == 50  # in two parts


def test_a_vocabulary_that_does_not_fit_a_preset_is_refused(tmp_path):
    gpt2(pieces=200).save_to_preset(tmp_path / "mine")
    with pytest.raises(ValueError, match=r"tokenizer fits its network.*mine.*259 pieces.*of 200"):
        tl.load_language_model(tmp_path / "mine")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (7, r"`name` must be 'smollm2-135m', a GGUF file.*name=7"),
        ("smolm2-135m", "Did you mean 'smollm2-135m'"),
        ("nowhere.gguf", r"a GGUF file.*nowhere\.gguf"),
    ],
)
def test_unknown_names_are_refused(name, says):
    with pytest.raises(ValueError, match=says):
        tl.load_language_model(name)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(ValueError, match="language model that KerasHub can load"):
        tl.load_language_model(tmp_path)


def test_a_preset_out_of_reach_is_said_at_once(monkeypatch):
    from tlhelpers.sources import language_models

    monkeypatch.setattr(language_models, "is_reachable", lambda host: False)
    with pytest.raises(ValueError, match=r"that can be had.*gpt2_base_en.*Use 'smollm2-135m'"):
        tl.load_language_model("gpt2_base_en")


@pytest.mark.network
def test_the_real_one_prefers_sentences_to_shuffled_words():
    language = tl.load_language_model("smollm2-135m")
    assert language.model.count_params() == 134_515_008
    assert language.pieces("It is 12:30.") == ["It", " is", " ", "1", "2", ":", "3", "0", "."]
    plain = "The old woman opened the door and looked out into the garden."
    mixed = "garden old the looked and the woman into door out opened The the."
    scores = [tl.evaluate_language_model(language, [text]).perplexity for text in (plain, mixed)]
    assert scores[0] < 60 and scores[1] > 5 * scores[0]
