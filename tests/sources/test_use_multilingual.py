"""The encoder's network against plain numpy, with small weights drawn by hand."""

from tlhelpers.sources import use_multilingual
from tlhelpers.sources.use_multilingual import SixBitTable, UseMultilingual

import numpy as np
import pytest

WIDTH, BRANCH, HIDDEN, ROWS = 6, 4, 5, 34


def small():
    return UseMultilingual(ROWS, WIDTH, BRANCH, HIDDEN)


def arrays(seed=0):
    """Return a file's arrays under its names."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.normal(size=shape).astype("float32")

    found = {f"q{n + 1}": rng.integers(0, 64, (ROWS // 17, WIDTH), "uint8") for n in range(17)}
    found |= {"scale": rng.uniform(0.1, 0.7, 17).astype("float32"), "lo": -4 * abs(draw(17))}
    for n in (2, 3, 5):
        found |= {f"proj{n}": draw(WIDTH, BRANCH), f"proj_b{n}": draw(BRANCH)}
        found |= {f"ln_g{n}": draw(BRANCH), f"ln_b{n}": draw(BRANCH)}
        for turn in (1, 2):
            found |= {f"w{turn}_{n}": draw(n * BRANCH, BRANCH), f"b{turn}_{n}": draw(BRANCH)}
    wide = WIDTH + 3 * BRANCH
    found |= {"ln_g": draw(wide), "ln_b": draw(wide)}
    found |= {"cnn_W": draw(wide, WIDTH), "cnn_b": draw(WIDTH), "d0": draw(WIDTH, HIDDEN)}
    found |= {"p1": draw(WIDTH, HIDDEN), "d1": draw(HIDDEN, HIDDEN), "d2": draw(HIDDEN, WIDTH)}
    found |= {"p3": draw(HIDDEN, WIDTH), "d3": draw(WIDTH, WIDTH)}
    return found | {"eps": np.array(1e-12), "bits": np.array([6], "int8")}


@pytest.fixture
def filled(tmp_path):
    np.savez(tmp_path / "weights.npz", **arrays())
    model = small()
    use_multilingual.read_use_multilingual(model, tmp_path / "weights.npz")
    return model


def by_hand(pieces, z):
    """Encode one sentence by loops: its features and its vector."""

    def normalize(x, gain, bias):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True)) * gain + bias

    rows = np.array([z[f"q{p % 17 + 1}"][p // 17] * z["scale"][p % 17] + z["lo"][p % 17]
                     for p in pieces])  # fmt: skip
    parts = [rows]
    for n, left in ((2, 0), (3, 1), (5, 2)):
        x = normalize(rows @ z[f"proj{n}"] + z[f"proj_b{n}"], z[f"ln_g{n}"], z[f"ln_b{n}"])
        for turn in (1, 2):
            grams = np.zeros((len(x), n, BRANCH))
            for place in range(len(x)):
                for k in range(n):
                    if 0 <= place - left + k < len(x):
                        grams[place, k] = x[place - left + k]
            grams = grams.reshape(len(x), -1)
            x = np.maximum(grams @ z[f"w{turn}_{n}"] + z[f"b{turn}_{n}"], 0) + x
        parts.append(x)
    features = normalize(np.concatenate(parts, -1), z["ln_g"], z["ln_b"])
    y = (features @ z["cnn_W"] + z["cnn_b"]).sum(0) / np.sqrt(len(pieces))
    first = np.maximum(y @ z["d0"], 0)
    second = np.maximum(y @ z["p1"] + first @ z["d1"], 0)
    vector = np.tanh(second @ z["p3"] + np.maximum(second @ z["d2"], 0) @ z["d3"])
    return features, vector / np.linalg.norm(vector)


def test_it_computes_what_loops_compute_and_padding_changes_nothing(filled):
    sentences = [[1, 7, 20, 33, 5, 2], [1, 2], [1, 17, 2], [1, 0, 0, 2]]
    ids, mask = np.full((4, 9), 13), np.zeros((4, 9), bool)  # padding of a real piece
    for row, pieces in enumerate(sentences):
        ids[row, : len(pieces)], mask[row, : len(pieces)] = pieces, True
    outputs = filled({"token_ids": ids, "padding_mask": mask})
    for row, pieces in enumerate(sentences):
        features, vector = by_hand(pieces, arrays())
        found = np.asarray(outputs["features"])[row]
        np.testing.assert_allclose(found[: len(pieces)], features, rtol=1e-3, atol=1e-4)
        assert not found[len(pieces) :].any()
        np.testing.assert_allclose(np.asarray(outputs["vectors"])[row], vector, atol=1e-4)


def test_a_row_of_the_table_is_numbers_times_scale_plus_low_of_its_chunk():
    table = SixBitTable(6, 2, 3)
    numbers = np.arange(12, dtype="uint8").reshape(6, 2) * 5
    table.set_weights([numbers, np.array([[1.0], [0.5], [0.1]]), np.array([[0.0], [-9.0], [7.0]])])
    rows = np.asarray(table(np.array([[0, 4], [5, 1]])))
    expected = [[numbers[0], numbers[4] * 0.5 - 9], [numbers[5] * 0.1 + 7, numbers[1] * 0.5 - 9]]
    np.testing.assert_allclose(rows, expected, rtol=1e-6)


def test_random_tables_differ_and_lie_where_the_docstring_says():
    one, other = (np.asarray(SixBitTable(34, 8, 17).numbers) for _ in "ab")
    assert one.dtype == "uint8" and one.max() <= 63 and (one != other).any()


def test_no_vector_at_all_is_still_finite(filled):
    outputs = filled({"token_ids": np.zeros((1, 3)), "padding_mask": np.zeros((1, 3), bool)})
    assert np.isfinite(outputs["vectors"]).all()


@pytest.mark.parametrize(("change", "said"), [
    ({"d9": np.zeros(3)}, "must have a layer. Received: {'d9'} left"),
    ({"d3": np.zeros((2, 2), "float32")}, r"'dense_4' needs weights of shape .*\(2, 2\)"),
    ({"proj5": None}, "must hold the array 'proj5'"),
])  # fmt: skip
def test_a_file_of_other_arrays_is_refused(tmp_path, change, said):
    found = arrays() | change
    np.savez(tmp_path / "w.npz", **{k: v for k, v in found.items() if v is not None})
    with pytest.raises(ValueError, match=said):
        use_multilingual.read_use_multilingual(small(), tmp_path / "w.npz")
