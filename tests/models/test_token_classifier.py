import subprocess
import sys

import tlhelpers as tl

import keras
import numpy as np
import pytest
from toys import TinyBert, make_preprocessor

pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
TAGS = ("O", "B-FILM", "I-FILM")
SENTENCES = [["a", "fine", "films", "!"], ["Dull"], ["films"] * 4, []]
NAMED = [["O", "O", "B-FILM", "O"], ["O"], ["B-FILM", "I-FILM", "O", "O"], []]


def make(layers=2, **settings):
    tl.set_seed(0)
    bert = TinyBert(layers)
    return tl.build_token_classifier(bert, TAGS, **settings)


@pytest.fixture
def aligner():
    return tl.WordAligner(make_preprocessor(8), TAGS)


def test_inputs_and_outputs_of_any_length(aligner):
    model = make()
    inputs = aligner(SENTENCES)
    logits = model.predict(inputs, verbose=0)
    assert logits.shape == (4, 8, 3) and logits.dtype == "float32"
    shorter = {name: part[:2, :7] for name, part in inputs.items()}
    np.testing.assert_allclose(model.predict(shorter, verbose=0), logits[:2, :7], atol=1e-5)


def test_depth_cuts_the_encoder_and_shares_its_weights():
    tl.set_seed(0)
    bert = TinyBert(3)
    whole, cut = (tl.build_token_classifier(bert, TAGS, depth=depth) for depth in (None, 2))
    paths = {v.path for v in cut.weights}
    assert not any("transformer_layer_2" in path for path in paths)
    assert any("transformer_layer_2" in v.path for v in whole.weights)
    a, b = (m.get_layer(bert.backbone.name).get_layer("transformer_layer_0") for m in (whole, cut))
    assert a is b


def test_the_verbs_of_the_package_find_base_blocks_and_head(aligner):
    model = make()
    x, y = aligner(SENTENCES, NAMED)
    told = tl.unfreeze(model, blocks=1)
    names = [row.name for row in told.rows if row.trainable]
    assert names == ["transformer_layer_1", "head"]
    tl.freeze(model)
    before = [w.numpy() for w in tl.find_base(model).weights]
    model.compile(keras.optimizers.Adam(0.01), tl.token_loss())
    model.fit(x, y, epochs=2, verbose=0)
    assert all(
        np.array_equal(a, w) for a, w in zip(before, tl.find_base(model).weights, strict=True)
    )
    lower, upper = tl.split_at(model, "transformer_layer_0")
    joined = upper.predict(tl.extract_features(lower, x), verbose=0)
    np.testing.assert_allclose(joined, model.predict(x, verbose=0), atol=1e-5)
    tl.unfreeze(model, fraction=1.0)
    assert tl.layerwise(keras.optimizers.Adam(1e-3), model, decay=0.5)
    adapters = tl.add_lora(make(), rank=1, targets="*/query")
    assert 0 < adapters.trainable < adapters.total


def test_fine_tune_trains_it_and_the_loss_falls(aligner):
    model = make(dropout=0.0)
    x, y = aligner(SENTENCES[:3] * 4, NAMED[:3] * 4)
    tl.unfreeze(model, fraction=1.0)
    batches = tl.bucket_by_length(x, y, batch_size=4, buckets=2)
    model.compile(keras.optimizers.Adam(0.02), tl.token_loss())
    losses = model.fit(batches, epochs=12, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    said = aligner.read(tl.predict_by_length(model, x, step=3), SENTENCES[:3] * 4)
    assert tl.evaluate_entities(NAMED[:3] * 4, said).words_right > 0.75


def test_the_loss_is_the_mean_over_first_pieces_alone():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(3, 5, 4)), rng.integers(-1, 4, (3, 5))
    odds = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    rows, places = np.nonzero(labels >= 0)
    expected = -np.log(odds[rows, places, labels[rows, places]]).mean()
    assert float(tl.token_loss()(labels, logits)) == pytest.approx(expected, rel=1e-5)
    changed = np.where((labels == -1)[..., None], 9.0, logits)  # what is ignored changes nothing
    assert float(tl.token_loss()(labels, changed)) == pytest.approx(expected, rel=1e-5)


def test_labels_of_ignored_pieces_have_no_gradient(aligner):
    import tensorflow as tf

    _, y = aligner(SENTENCES, NAMED)
    logits = tf.Variable(np.random.default_rng(0).normal(size=(4, 8, 3)))
    with tf.GradientTape() as tape:
        loss = tl.token_loss()(y, logits)
    gradient = np.asarray(tape.gradient(loss, logits))
    assert np.array_equal(np.abs(gradient).sum(axis=-1) > 0, y >= 0)


WITHOUT = """
import sys
sys.modules["tlhelpers"] = None
import keras, keras_hub
import numpy as np
model = keras.models.load_model("tagger.keras", safe_mode=True, compile=False)
inputs = dict(np.load("inputs.npz"))
np.save("said.npy", model.predict(inputs, verbose=0))
"""


def test_its_file_loads_where_this_package_is_not_installed(aligner, tmp_path):
    model = make()
    inputs = aligner(SENTENCES)
    model.save(tmp_path / "tagger.keras")
    np.savez(tmp_path / "inputs.npz", **inputs)
    subprocess.run([sys.executable, "-c", WITHOUT], cwd=tmp_path, check=True, capture_output=True)
    said = np.load(tmp_path / "said.npy")
    np.testing.assert_allclose(said, model.predict(inputs, verbose=0), atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"tags": ["O", "S-FILM"]}, "`tags` must be O first"),
        ({"tags": ["B-FILM", "I-FILM"]}, "`tags` must be O first"),
        ({"tags": ["O", "B-FILM", "B-FILM"]}, "each once"),
        ({"tags": "O"}, "`tags` must be"),
        ({"depth": 3}, "`depth` must be a whole number between 1 and 2"),
        ({"depth": 0}, "`depth` must be"),
        ({"dropout": 1.0}, "`dropout` must be"),
        ({"sequence_length": 13}, "`sequence_length` must be"),
        ({"bert": "minilm"}, "`bert` must be what load_bert returns"),
    ],
)
def test_what_cannot_be_built_is_refused(settings, says):
    arguments = {"bert": TinyBert(2), "tags": TAGS, **settings}
    with pytest.raises(ValueError, match=says):
        tl.build_token_classifier(**arguments)
