import gc

from tlhelpers.tuning.describing import describe
from tlhelpers.tuning.fine_tuning import fine_tune
from tlhelpers.tuning.gradual import GradualUnfreezing
from tlhelpers.tuning.lora import add_lora, merge_lora

import keras
import numpy as np
import pytest
from toys import ADAPTER_CASES as CASES
from toys import ADAPTER_X as X
from toys import ADAPTER_Y as Y
from toys import make_images, make_text
from toys import train_adapters as train
from toys import weights_by_path as weights


@pytest.mark.parametrize("case", CASES)
def test_only_adapters_and_head_learn(case):
    make, x, targets, _ = CASES[case]
    model = make()
    plain = model.predict(x, verbose=0)
    table = add_lora(model, 2, targets)
    np.testing.assert_allclose(model.predict(x, verbose=0), plain, atol=1e-6)
    before = weights(model)
    train(model, x)
    changed = {path for path, value in weights(model).items() if (value != before[path]).any()}
    head = ("head_bn/", "out/")
    assert all("lora" in path or path.startswith(head) for path in changed)
    assert {path for path in before if "lora" in path} <= changed
    assert table.trainable == sum(v.numpy().size for v in model.trainable_variables)
    assert table.total == sum(value.size for value in before.values())
    assert np.abs(model.predict(x, verbose=0) - plain).max() > 1e-3


def test_targets_name_layers_and_paths():
    model = make_text()
    add_lora(model, 1, CASES["text"][2])
    adapted = {v.path.rsplit("/", 1)[0] for v in model.weights if "lora" in v.path}
    assert adapted == {
        "tokens",
        "attention0/value",
        "attention1/query",
        "attention1/value",
        "mlp0",
        "mlp1",
    }


def test_the_adapter_is_the_formula():
    model = make_images()
    add_lora(model, 2, "conv1", alpha=6)
    layer = model.get_layer("base").get_layer("conv1")
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 3, 3, 2)), rng.normal(size=(2, 4))
    layer.lora_kernel_a.assign(a)
    layer.lora_kernel_b.assign(b)
    expected = np.array(layer._kernel) + 3 * np.einsum("hwir,ro->hwio", a, b)
    np.testing.assert_allclose(np.array(layer.kernel), expected, rtol=1e-5)


def test_a_fitted_model_must_be_compiled_again():
    model = make_images()
    train(model, X, traced=True)
    kernel = np.array(model.get_layer("base").get_layer("conv1")._kernel)
    add_lora(model, 2, "conv*")
    with pytest.raises(ValueError, match="compile"):
        model.fit(X, Y, verbose=0)
    train(model, X, traced=True)
    layer = model.get_layer("base").get_layer("conv1")
    np.testing.assert_array_equal(np.array(layer._kernel), kernel)
    assert np.abs(np.array(layer.lora_kernel_b)).max() > 0
    merge_lora(model)
    with pytest.raises(ValueError, match="compile"):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("case", CASES)
def test_merged_models_are_plain_and_predict_the_same(case, tmp_path):
    make, x, targets, _ = CASES[case]
    model = make()
    shapes = [(v.path, v.shape) for v in model.weights]
    total = describe(model).total
    add_lora(model, 2, targets, alpha=4)
    train(model, x)
    adapted = model.predict(x, verbose=0)
    frozen = gc.get_freeze_count()
    table = merge_lora(model)
    assert gc.get_freeze_count() == frozen  # what a program set aside stays there
    assert [(v.path, v.shape) for v in model.weights] == shapes
    assert table.total == total and "lora" not in str(model.get_config()).lower()
    np.testing.assert_allclose(model.predict(x, verbose=0), adapted, atol=1e-5)
    np.testing.assert_allclose(np.array(model(x, training=False)), adapted, atol=1e-5)
    model.save(tmp_path / "merged.keras")
    loaded = keras.models.load_model(tmp_path / "merged.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), adapted, atol=1e-5)
    assert add_lora(model, 1, targets).trainable == describe(model).trainable  # and again


@pytest.mark.parametrize(
    ("rank", "targets", "words"),
    [
        (0, "conv1", "rank=0"),
        (-1, "conv1", "rank=-1"),
        (5, "conv*", r"between 1 and 4\. Received: rank=5\. The width of 'conv1'"),
        (2.0, "conv1", r"rank=2\.0"),
        (True, "conv1", "rank=True"),
        (2, "con1", "Did you mean 'conv1'"),
        (2, ["conv1", "dense*"], r"'dense\*', which matches none"),
        (2, "out", "'out', which matches none"),
        (2, [], "which matches none"),
    ],
)
def test_bad_input_leaves_the_model_alone(rank, targets, words):
    model = make_images()
    before = weights(model)
    trainable = [v.path for v in model.trainable_variables]
    with pytest.raises(ValueError, match=words):
        add_lora(model, rank, targets)
    assert weights(model).keys() == before.keys()
    assert [v.path for v in model.trainable_variables] == trainable


def test_lora_twice_alpha_constraints_and_merging_nothing():
    model = make_images()
    with pytest.raises(ValueError, match="without adapters"):
        merge_lora(model)
    for alpha in (0, float("nan"), "1", True):
        with pytest.raises(ValueError, match="alpha="):
            add_lora(model, 2, "conv1", alpha=alpha)
    for targets in (None, 3, [3], {"conv1"}):
        with pytest.raises(ValueError, match="targets="):
            add_lora(model, 2, targets)
    add_lora(model, 2, "conv1")
    with pytest.raises(ValueError, match="adapter on 'conv1'"):
        add_lora(model, 2, "conv2")
    bound = keras.layers.Dense(4, kernel_constraint="non_neg", name="bound")
    model = keras.Sequential([keras.Input((4,)), bound, keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="constraint"):
        add_lora(model, 2, "bound")


def test_a_merge_that_fails_has_changed_nothing(monkeypatch):
    model = make_images()
    add_lora(model, 2, "conv*")
    before, plain, calls = weights(model), model.predict(X, verbose=0), []
    matmul = keras.ops.matmul

    def fails_at_the_second_layer(a, b):
        calls.append(a)
        if len(calls) == 2:
            raise MemoryError
        return matmul(a, b)

    monkeypatch.setattr(keras.ops, "matmul", fails_at_the_second_layer)
    with pytest.raises(MemoryError):
        merge_lora(model)
    assert all((value == before[path]).all() for path, value in weights(model).items())
    np.testing.assert_array_equal(model.predict(X, verbose=0), plain)


def test_freezing_verbs_do_not_put_adapters_out_of_use_without_a_word():
    model = make_images()
    add_lora(model, 2, "conv1")
    before = describe(model)
    x, y = X[:4], Y[:4]
    with pytest.raises(ValueError, match=r"adapter on 'conv1'.*merge_lora"):
        fine_tune(model, (x, y), unfreeze=None, head_epochs=1, verbose=0)
    with pytest.raises(ValueError, match=r"adapter on 'conv1'.*merge_lora"):
        GradualUnfreezing().fit(model, (x, y))
    assert describe(model) == before
    merge_lora(model)
    fine_tune(model, (x, y), unfreeze=None, head_epochs=1, verbose=0)
