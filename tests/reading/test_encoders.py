"""Every text encoder of KerasHub, tiny: from a folder to a trained model in a folder, and back."""

import io

from tlhelpers.models.heads import build_text_classifier
from tlhelpers.reading.explain import token_importance
from tlhelpers.reading.text_models import load_text_model, save_text_model
from tlhelpers.sources.bert import load_bert
from tlhelpers.tuning.bucketing import bucket_by_length
from tlhelpers.tuning.freezing import unfreeze

import keras
import numpy as np
import pytest
from toys import WORDS

keras_hub = pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")

SIZES = {"num_layers": 2, "hidden_dim": 8, "intermediate_dim": 16}
USUAL = {**SIZES, "num_heads": 2, "max_sequence_length": 12}
TEXTS, LABELS = ["a fine film", "dull films !", "a film", "fine"], np.array([0, 1, 0, 1])


def word_pieces(kind, settings):
    models = keras_hub.models
    backbone = getattr(models, f"{kind}Backbone")(len(WORDS), **settings)
    return backbone, getattr(models, f"{kind}Tokenizer")(vocabulary=WORDS)


def sentence_pieces(kind, settings, numbers, names):
    """Train a vocabulary on our few words; `numbers` and `names` are those of its markers."""
    trainer = pytest.importorskip("sentencepiece").SentencePieceTrainer
    written, roles = io.BytesIO(), ("pad", "unk", "bos", "eos")
    about = {f"{role}_id": number for role, number in zip(roles, numbers, strict=True)}
    about |= {f"{role}_piece": name for role, name in zip(roles, names, strict=True)}
    trainer.train(sentence_iterator=iter(TEXTS * 4), model_writer=written, vocab_size=30,
                  hard_vocab_limit=False, user_defined_symbols=["[MASK]"], minloglevel=2,
                  **about)  # fmt: skip
    tokenizer = getattr(keras_hub.models, f"{kind}Tokenizer")(written.getvalue())
    backbone = getattr(keras_hub.models, f"{kind}Backbone")
    return backbone(vocabulary_size=tokenizer.vocabulary_size(), **settings), tokenizer


def byte_pairs():
    letters = map(chr, [*range(33, 127), *range(161, 173), *range(174, 324)])  # one for each byte
    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *letters, "fi"]
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = keras_hub.models.RobertaTokenizer(vocabulary=vocabulary, merges=["f i"])
    return keras_hub.models.RobertaBackbone(vocabulary_size=len(names), **USUAL), tokenizer


def proteins():
    names = ["<unk>", "<pad>", "<cls>", "<eos>", "<mask>", *TEXTS[0].split(), "dull", "!"]
    backbone = keras_hub.models.ESMBackbone(len(names), num_heads=2, max_wavelength=99, **SIZES)
    return backbone, keras_hub.models.ESMTokenizer(vocabulary=names)


BRACKETS, ANGLES = ("[CLS]", "[SEP]"), ("<s>", "</s>")
ENCODERS = {
    "Bert": lambda: word_pieces("Bert", USUAL),
    "DistilBert": lambda: word_pieces("DistilBert", USUAL),
    "Electra": lambda: word_pieces("Electra", {**USUAL, "embedding_dim": 8}),
    "RoformerV2": lambda: word_pieces("RoformerV2", {**SIZES, "num_heads": 2, "head_size": 4}),
    "Roberta": byte_pairs,
    "XLMRoberta": lambda: sentence_pieces(
        "XLMRoberta", USUAL, (-1, 0, 1, 2), ("<pad>", "<unk>", *ANGLES)
    ),
    "Albert": lambda: sentence_pieces(
        "Albert", {**USUAL, "embedding_dim": 8}, (0, 1, 2, 3), ("<pad>", "<unk>", *BRACKETS)
    ),
    "DebertaV3": lambda: sentence_pieces(
        "DebertaV3", {**USUAL, "bucket_size": 6}, (0, 3, 1, 2), ("[PAD]", "[UNK]", *BRACKETS)
    ),
    "FNet": lambda: sentence_pieces(
        "FNet", {**SIZES, "max_sequence_length": 12}, (3, 0, 4, 5), ("<pad>", "<unk>", *BRACKETS)
    ),
    "ESM": proteins,
}  # fmt: skip
UNMASKED = {"RoformerV2", "FNet", "ESM"}


@pytest.mark.parametrize("kind", ENCODERS)
def test_from_a_folder_to_a_trained_model_and_back(kind, tmp_path):
    keras.utils.set_random_seed(0)
    backbone, tokenizer = ENCODERS[kind]()
    backbone.save_to_preset(str(tmp_path / "preset"))
    tokenizer.save_to_preset(str(tmp_path / "preset"))
    bert = load_bert(tmp_path / "preset")
    preprocessor = bert.preprocessor(10)
    inputs = preprocessor(TEXTS)
    assert ("padding_mask" not in inputs) == (kind in UNMASKED)
    check_windows(preprocessor)
    check_pairs(preprocessor, kind)

    model = build_text_classifier(bert, 2, sequence_length=10, dropout=0.0)
    tokens = bert.backbone(inputs)  # the head reads real tokens alone, with a mask or without
    tokens = np.asarray(tokens["sequence_output"] if isinstance(tokens, dict) else tokens)
    real = (inputs["token_ids"] != tokenizer.pad_token_id)[..., None]
    assert 0 < real.mean() < 1
    kernel, bias = model.get_layer("head").get_weights()
    expected = (tokens * real).sum(axis=1) / real.sum(axis=1) @ kernel + bias
    np.testing.assert_allclose(model(inputs), expected, atol=1e-5)

    unfreeze(model, blocks=1)
    before = [weight.numpy() for weight in bert.backbone.weights]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, run_eagerly=True)
    model.train_on_batch(inputs, LABELS)
    after = [weight.numpy() for weight in bert.backbone.weights]
    assert not all(map(np.array_equal, before, after)) and all(np.isfinite(w).all() for w in after)
    (importance,) = token_importance(model, preprocessor, TEXTS[:1])
    assert [piece for piece, _ in importance] == preprocessor.tokens(TEXTS[:1])[0]

    save_text_model(tmp_path / "model", model, preprocessor, ["no", "yes"])
    again = load_text_model(tmp_path / "model")
    assert again.preprocessor.tokens(TEXTS) == preprocessor.tokens(TEXTS)
    np.testing.assert_allclose(again.model(inputs), model(inputs), atol=1e-6)
    assert [v.trainable for v in again.model.weights] == [v.trainable for v in model.weights]


def check_windows(preprocessor):
    inputs, owners = preprocessor.windows(["fine", "a fine film " * 4], 3)
    whole = preprocessor(["fine"])
    assert set(inputs) == set(whole) and (owners == 0).sum() == 1 < (owners == 1).sum()
    assert all(np.array_equal(inputs[name][:1], part) for name, part in whole.items())


def check_pairs(preprocessor, kind):
    if kind == "ESM":
        with pytest.raises(ValueError, match=r"single texts for ESM.*Received: pairs. Join them"):
            preprocessor((["fine"], ["a"]))
        return
    (pieces,) = preprocessor.tokens((["fine"], ["a"]))
    parts = [preprocessor.tokens([text])[0][1:-1] for text in ("fine", "a")]
    start, end = preprocessor.tokenizer.start_token, preprocessor.tokenizer.end_token
    between = [end] * (2 if "Roberta" in kind else 1)
    assert pieces == [start, *parts[0], *between, *parts[1], end]


def test_what_tells_no_padding_is_refused():
    backbone = keras_hub.models.FNetBackbone(12, max_sequence_length=12, **SIZES)
    bert = type("Bert", (), {"backbone": backbone, "tokenizer": None})()
    with pytest.raises(ValueError, match=r"padding_mask, or.*Received: .*token_ids, segment_ids"):
        build_text_classifier(bert, 2, sequence_length=6)
    inputs = {name: np.ones((4, 6), "int32") for name in backbone.input}
    with pytest.raises(ValueError, match=r"padding_mask.*Received: a dictionary of token_ids, seg"):
        bucket_by_length(inputs, LABELS)
