from tlhelpers.models import state
from tlhelpers.tuning.describing import describe
from tlhelpers.tuning.freezing import unfreeze
from tlhelpers.tuning.lora import add_lora
from tlhelpers.tuning.lora_files import load_adapters, save_adapters

import numpy as np
import pytest
from toys import ADAPTER_CASES as CASES
from toys import make_images, make_text
from toys import train_adapters as train
from toys import weights_by_path as weights


@pytest.mark.parametrize("case", CASES)
def test_adapters_and_head_in_one_file(case, tmp_path):
    make, x, targets, _ = CASES[case]
    model = make()
    fresh = make()
    add_lora(model, 2, targets, alpha=4)
    train(model, x)
    expected = model.predict(x, verbose=0)
    save_adapters(model, tmp_path / "a.npz")
    fresh.predict(x, verbose=0)  # traced before
    table = load_adapters(fresh, tmp_path / "a.npz")
    np.testing.assert_array_equal(fresh.predict(x, verbose=0), expected)
    assert table.trainable == describe(model).trainable
    for variable in fresh.trainable_variables:
        variable.assign(variable + 1)
    load_adapters(fresh, tmp_path / "a.npz")  # into the same adapters
    np.testing.assert_array_equal(fresh.predict(x, verbose=0), expected)


def test_wrong_models_and_files_are_refused_and_unchanged(tmp_path):
    model = make_images()
    add_lora(model, 2, "conv*")
    save_adapters(model, tmp_path / "a.npz")
    twice = make_images()
    add_lora(twice, 3, "conv*")
    wrong = {
        "another head": make_images(classes=4),
        "no layer like": make_text(),
        "other weights in its base": make_images(seed=1),
        "other adapters": twice,
    }
    for words, other in wrong.items():
        before = weights(other)
        with pytest.raises(ValueError, match=words):
            load_adapters(other, tmp_path / "a.npz")
        assert weights(other).keys() == before.keys()
        assert all((value == before[path]).all() for path, value in weights(other).items())
    (tmp_path / "b.npz").write_bytes(b"no adapters")
    state.save(tmp_path / "c.npz", [np.ones(3)], {"epoch": 1})
    np.savez(tmp_path / "d.npz", w=np.ones(3))
    for name in ("b.npz", "c.npz", "d.npz"):
        with pytest.raises(ValueError, match="`path` must be a file of save_adapters"):
            load_adapters(make_images(), tmp_path / name)


def test_a_damaged_file_is_refused_and_changes_nothing(tmp_path):
    model, other = make_images(), make_images()
    add_lora(model, 2, "conv*")
    save_adapters(model, tmp_path / "a.npz")
    whole = (tmp_path / "a.npz").read_bytes()
    half = len(whole) // 2
    damages = {
        "cut": whole[:half],
        "zeroed": whole[:half] + bytes(100) + whole[half + 100 :],
        "empty": b"",
    }
    for name, content in damages.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    state.save(tmp_path / "list", [], ["tlhelpers adapters 1"])
    state.save(tmp_path / "newer", [], {"format": "tlhelpers adapters 7", "adapters": []})
    values, about = state.load(tmp_path / "a.npz")
    state.save(tmp_path / "shapes", [value[..., :1] for value in values], about)
    state.save(tmp_path / "fewer", values[:-1], about)
    adapters = [item | {"rank": 3} for item in about["adapters"]]
    state.save(tmp_path / "rank", values, {**about, "adapters": adapters})
    damages |= dict.fromkeys(("shapes", "fewer", "rank"))
    before = weights(other)
    for name in (*damages, "folder", "list", "newer", "nowhere"):
        required = rf"`path` must be a file of save_adapters\. Received: path='.*{name}'.*again"
        with pytest.raises(ValueError, match=required):
            load_adapters(other, tmp_path / name)
    assert weights(other).keys() == before.keys()


def test_a_base_that_learns_beside_the_adapters_cannot_be_saved(tmp_path):
    model = make_images()
    with pytest.raises(ValueError, match="0 adapters"):
        save_adapters(model, tmp_path / "a.npz")
    add_lora(model, 2, "conv1")
    unfreeze(model, layers=["conv2"])
    with pytest.raises(ValueError, match="other trainable weights"):
        save_adapters(model, tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())
