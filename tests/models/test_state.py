from tlhelpers.checks.files import write_atomically
from tlhelpers.models import state

import keras
import numpy as np
import pytest


def make_model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.5), keras.layers.Dense(2)])
    model.compile("adam", loss="mse", metrics=["mae"])
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    return model


def test_variables_hold_weights_seeds_metrics_and_optimizer_once():
    model = make_model()
    found = state.variables_of(model)
    assert len({id(v) for v in found}) == len(found)
    needed = [*model.weights, model.layers[0].seed_generator.state, *model.optimizer.variables]
    assert {id(v) for v in needed} <= {id(v) for v in found}


def test_a_file_gives_back_every_bit(tmp_path):
    model = make_model()
    values = state.read(state.variables_of(model))
    state.save(tmp_path / "state.npz", values, {"epoch": 3})
    model.fit(np.ones((4, 3)), np.zeros((4, 2)), verbose=0)
    loaded, about = state.load(tmp_path / "state.npz")
    state.write(state.variables_of(model), loaded)
    for a, b in zip(state.read(state.variables_of(model)), values, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert about == {"epoch": 3} and [p.name for p in tmp_path.iterdir()] == ["state.npz"]


def test_bfloat16_survives_a_file(tmp_path):
    variable = keras.Variable([1.5, -2.25], dtype="bfloat16")
    state.save(tmp_path / "v.npz", state.read([variable]), {})
    variable.assign([0, 0])
    state.write([variable], state.load(tmp_path / "v.npz")[0])
    assert keras.ops.convert_to_numpy(variable).astype("float32").tolist() == [1.5, -2.25]


def test_nothing_is_written_unless_all_fits():
    variables = [keras.Variable([1.0]), keras.Variable([1.0, 2.0])]
    with pytest.raises(
        ValueError, match=r"`values` must have the shapes.*Received: .*\(2,\), \(1,\)"
    ):
        state.write(variables, [np.array([9.0]), np.array([9.0])])
    assert float(variables[0][0]) == 1.0


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "state.npz"
    state.save(path, [np.ones(2)], {"epoch": 1})

    def broken(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, broken)
    assert state.load(path)[1] == {"epoch": 1}
    write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]
