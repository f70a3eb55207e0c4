from tlhelpers.tuning.layerwise import layerwise, renew

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

OPTIMIZERS = {
    "sgd": lambda rate: keras.optimizers.SGD(rate),
    "momentum": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
    "nesterov": lambda rate: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
    "adam": lambda rate: keras.optimizers.Adam(rate),
    "adamw": lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.3),
    "rmsprop": lambda rate: keras.optimizers.RMSprop(rate),
}


def rate(kind):
    if kind == "number":
        return 0.01
    return keras.optimizers.schedules.PolynomialDecay(0.02, 10, end_learning_rate=0.001)


def make_net(widths=(5, 4, 3), nested=False, seed=0):
    keras.utils.set_random_seed(seed)
    stem = keras.Input((4,))
    x = stem
    for n, width in enumerate(widths):
        x = keras.layers.Dense(width, activation="tanh", bias_initializer="normal", name=f"d{n}")(x)
    if nested:
        base = keras.Model(stem, x, name="base")
        stem = keras.Input((4,))
        x = base(stem)
    return keras.Model(stem, keras.layers.Dense(2, bias_initializer="normal", name="out")(x))


def data(rows=16):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 4)).astype("float32"), rng.normal(size=(rows, 2)).astype(
        "float32"
    )


def one_step(model, optimizer, weights):
    """Return what one step of `fit` adds to every weight."""
    model.set_weights(weights)
    model.compile(optimizer, loss="mse")
    model.fit(*data(), batch_size=16, shuffle=False, verbose=0)
    after = model.get_weights()
    return [a - b for a, b in zip(after, weights, strict=True)]


def ratios(steps, plain):
    return [np.linalg.norm(s) / np.linalg.norm(p) for s, p in zip(steps, plain, strict=True)]


def factor_of(variable, multipliers):
    return multipliers.get(variable.path.split("/")[-2], 1.0)


POLICIES = ["float32", "mixed_float16", "mixed_bfloat16"]


def compiled(model, optimizer):
    model.compile(optimizer, loss="mse")  # mixed_float16 wraps it into a LossScaleOptimizer
    return model


def apply(model, gradients):
    optimizer = model.optimizer
    scale = getattr(optimizer, "initial_scale", 1.0)
    optimizer.apply([scale * g for g in gradients], model.trainable_variables)


def from_file(model, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras", safe_mode=True)


@settings(deadline=None, max_examples=15, derandomize=True)
@given(
    widths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    nested=st.booleans(),
    kind=st.sampled_from(sorted(OPTIMIZERS)),
    rates=st.sampled_from(["number", "schedule"]),
    policy=st.sampled_from(POLICIES),
    past=st.integers(1, 3),
    seed=st.integers(0, 99),
    chosen=st.data(),
)
def test_every_step_is_the_factor_times_the_plain_one(
    widths, nested, kind, rates, policy, past, seed, chosen, tmp_path_factory
):
    """On every variable, with momenta of some steps, before and after a file."""
    keras.config.set_dtype_policy(policy)
    try:
        model, plain = make_net(widths, nested, seed), make_net(widths, nested, seed)
    finally:
        keras.config.set_dtype_policy("float32")
    names = [f"d{n}" for n in range(len(widths))] + ["out"]
    factor = st.sampled_from([0.0, 0.01, 0.1, 0.5, 2.0, 10.0])
    multipliers = chosen.draw(st.dictionaries(st.sampled_from(names), factor, min_size=1))
    if len(widths) > 1 and chosen.draw(st.booleans()):
        for each in (model, plain):
            next(x for x in each._flatten_layers() if x.name == "d0").trainable = False
    compiled(plain, OPTIMIZERS[kind](rate(rates)))
    compiled(model, layerwise(OPTIMIZERS[kind](rate(rates)), model, multipliers=multipliers))
    rng = np.random.default_rng(seed)

    def draw():
        return [rng.normal(size=v.shape).astype("float32") for v in plain.trainable_variables]

    for gradients in [draw() for _ in range(past)]:
        for each in (model, plain):
            apply(each, gradients)
    folder = tmp_path_factory.mktemp("layerwise")
    here, gradients = plain.get_weights(), draw()
    for mine, theirs in [(model, plain), (from_file(model, folder), from_file(plain, folder))]:
        steps = []
        for each in (mine, theirs):
            each.set_weights(here)  # one place for both: decay depends on it
            before = [v.numpy() for v in each.trainable_variables]
            apply(each, gradients)
            after = [v.numpy() for v in each.trainable_variables]
            steps.append([a - b for a, b in zip(after, before, strict=True)])
        assert any(np.abs(step).max() > 0 for step in steps[1])
        for variable, scaled, full in zip(mine.trainable_variables, *steps, strict=True):
            asked = factor_of(variable, multipliers)
            np.testing.assert_allclose(scaled, asked * full, rtol=0.02, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "rates"), [("momentum", "schedule"), ("adam", "number"), ("adamw", "schedule")]
)
def test_ratio_in_a_fit_before_and_after_a_file(kind, rates, tmp_path):
    model = make_net(nested=True)
    multipliers = {"d0": 0.01, "d1": 0.1, "out": 2.0}
    start = model.get_weights()
    plain = one_step(model, OPTIMIZERS[kind](rate(rates)), start)
    scaled = one_step(
        model, layerwise(OPTIMIZERS[kind](rate(rates)), model, multipliers=multipliers), start
    )
    asked = [factor_of(v, multipliers) for v in model.trainable_variables]
    assert ratios(scaled, plain) == pytest.approx(asked, rel=0.02)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    for mine, theirs in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    before = model.get_weights()
    gradients = [np.ones(v.shape, "float32") for v in model.trainable_variables]
    for each in (model, loaded):
        each.optimizer.apply(gradients, each.trainable_variables)
    for a, b, c in zip(model.get_weights(), loaded.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.abs(a - c).max() > 0


def test_adamw_against_numpy_over_several_steps():
    model = make_net()
    optimizer = layerwise(
        keras.optimizers.AdamW(0.05, weight_decay=0.2), model, multipliers={"d1": 0.1, "d2": 3.0}
    )
    w = [np.asarray(v, "float64") for v in model.trainable_variables]
    m, v = [0 * x for x in w], [0 * x for x in w]
    factors = [factor_of(x, {"d1": 0.1, "d2": 3.0}) for x in model.trainable_variables]
    rng = np.random.default_rng(1)
    for t in range(1, 6):
        gradients = [rng.normal(size=x.shape).astype("float32") for x in w]
        optimizer.apply(gradients, model.trainable_variables)
        for i, g in enumerate(gradients):
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g**2.0
            unbiased = (m[i] / (1 - 0.9**t)) / (np.sqrt(v[i] / (1 - 0.999**t)) + 1e-7)
            w[i] = w[i] - 0.05 * factors[i] * (unbiased + 0.2 * w[i])
    for mine, theirs in zip(w, model.trainable_variables, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=2e-4, atol=2e-5)


def test_weights_excluded_from_decay_stay_excluded():
    model = make_net()
    plain = keras.optimizers.AdamW(0.1, weight_decay=0.5)
    plain.exclude_from_weight_decay(var_list=[model.get_layer("d0").kernel])
    optimizer = layerwise(plain, model, decay=1.0)
    before = model.get_weights()
    optimizer.apply([np.zeros(v.shape) for v in model.trainable_variables], model.trainable_weights)
    after = model.get_weights()
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_allclose(after[2], 0.95 * before[2], rtol=1e-6)


def test_mixed_precision_and_an_explicit_loss_scale_optimizer(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = make_net()
        start = model.get_weights()
        multipliers = {"d0": 0.1, "d2": 2.0}
        plain = one_step(model, keras.optimizers.Adam(0.01), start)
        wrapped = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), initial_scale=64)
        for optimizer in (keras.optimizers.Adam(0.01), wrapped):
            scaled = one_step(model, layerwise(optimizer, model, multipliers=multipliers), start)
            asked = [factor_of(v, multipliers) for v in model.trainable_variables]
            assert ratios(scaled, plain) == pytest.approx(asked, rel=0.02)
        assert model.optimizer.initial_scale == 64
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert type(loaded.optimizer.inner_optimizer).__name__ == "LayerwiseAdam"
        assert loaded.optimizer.inner_optimizer.factors == model.optimizer.inner_optimizer.factors
        for mine, theirs in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(("decay", "factor"), [(0.5, 0.5), ("ulmfit", 1 / 2.6), ("bert", 0.95)])
@pytest.mark.parametrize("nested", [False, True])
def test_decay_counts_blocks_from_the_head(decay, factor, nested):
    model = make_net(nested=nested)
    optimizer = layerwise(keras.optimizers.SGD(0.1), model, decay=decay)
    optimizer.build(model.trainable_variables)
    assert [f for _, _, f in optimizer.factors] == pytest.approx(
        [factor**3] * 2 + [factor**2] * 2 + [factor] * 2 + [1.0] * 2
    )


def test_the_narrowest_name_holds():
    base = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    model = keras.Sequential([base, keras.layers.Flatten(), keras.layers.Dense(2)])
    names = {"vgg16": 0.5, "block5": 0.25, "block5_conv3": 0.125, "head": 2.0}
    optimizer = layerwise(keras.optimizers.SGD(0.1), model, multipliers=names)
    optimizer.build(model.trainable_variables)
    found = {path: factor for path, _, factor in optimizer.factors}
    assert found["block1_conv1/kernel"] == 0.5
    assert found["block5_conv2/bias"] == 0.25
    assert found["block5_conv3/bias"] == 0.125
    assert [f for _, _, f in optimizer.factors][-2:] == [2.0, 2.0]


def test_a_layer_deep_inside_is_named_by_its_path():
    stem = keras.Input((6, 8))
    x = stem
    for n in range(2):
        x = keras.layers.MultiHeadAttention(2, 4, name=f"attention{n}")(x, x)
    model = keras.Model(stem, x)
    optimizer = layerwise(
        keras.optimizers.SGD(0.1), model, multipliers={"query": 0.5, "attention1/query": 0.25}
    )
    optimizer.build(model.trainable_variables)
    queries = {path: f for path, _, f in optimizer.factors if "/query/" in path}
    assert queries == {
        "attention0/query/kernel": 0.5,
        "attention0/query/bias": 0.5,
        "attention1/query/kernel": 0.25,
        "attention1/query/bias": 0.25,
    }


def test_only_the_trainable_part_learns_when_unfrozen_after_making_the_optimizer():
    model = make_net()
    optimizer = layerwise(keras.optimizers.Adam(0.01), model, decay=0.5)
    for name in ("d0", "d1"):
        model.get_layer(name).trainable = False
    model.compile(optimizer, loss="mse")
    model.fit(*data(), verbose=0)
    assert [f for _, _, f in optimizer.factors] == [0.5, 0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "only one of them.*decay=None, multipliers=None"),
        ({"decay": 0.5, "multipliers": {"d0": 1}}, "only one of them.*decay=0.5, multipliers={"),
        ({"decay": 0.0}, "decay=0.0"),
        ({"decay": 1.5}, "decay=1.5"),
        ({"decay": float("nan")}, "decay=nan"),
        ({"decay": True}, "decay=True"),
        ({"decay": "bret"}, "'bert'"),
        ({"multipliers": {"d00": 0.1}}, "Did you mean 'd0'"),
        ({"multipliers": {"d0": -0.1}}, "-0.1"),
        ({"multipliers": {"d0": float("inf")}}, "inf"),
        ({"multipliers": {"d0": float("nan")}}, "nan"),
        ({"multipliers": {"d0": "fast"}}, "fast"),
        ({"multipliers": ["d0"]}, "must be a dict"),
    ],
)
def test_bad_input(arguments, words):
    model = make_net()
    with pytest.raises(ValueError, match=words) as error:
        layerwise(keras.optimizers.Adam(0.01), model, **arguments)
    assert "Received" in str(error.value)


def test_optimizers_that_do_not_fit_are_refused():
    model, other = make_net(), make_net((5, 4))
    with pytest.raises(ValueError, match="Received: optimizer=Adagrad"):
        layerwise(keras.optimizers.Adagrad(0.1), model, decay=0.5)
    used = keras.optimizers.Adam(0.1)
    used.build(other.trainable_variables)
    with pytest.raises(ValueError, match="already built"):
        layerwise(used, model, decay=0.5)
    with pytest.raises(ValueError, match="another model"):
        layerwise(keras.optimizers.Adam(0.1), model, decay=0.5).build(other.trainable_variables)
    made = layerwise(keras.optimizers.Adam(0.1), model, decay=0.5)
    with pytest.raises(ValueError, match="saved with"):
        type(made).from_config(made.get_config()).build(other.trainable_variables)
    with pytest.raises(ValueError, match=r"`model` must be built.*Received: model="):
        layerwise(keras.optimizers.Adam(0.1), keras.Sequential([keras.layers.Dense(1)]), decay=0.5)


def test_renew_keeps_the_settings_and_leaves_the_state():
    model = make_net()
    old = keras.optimizers.Adam(0.1, beta_1=0.7, clipnorm=2.0)
    old.build(model.trainable_variables)
    new = renew(old, learning_rate=0.25)
    assert (new.beta_1, new.clipnorm, float(new.learning_rate)) == (0.7, 2.0, 0.25)
    assert not new.built
    wrapped = renew(keras.optimizers.LossScaleOptimizer(old, initial_scale=8.0), learning_rate=0.5)
    assert (wrapped.initial_scale, float(wrapped.learning_rate)) == (8.0, 0.5)


def test_a_layer_used_several_times_is_one_level_of_decay():
    layers = keras.layers
    inputs, attention = keras.Input((5,)), layers.MultiHeadAttention(2, 2, name="attention")
    x = layers.Embedding(9, 4, name="embedding")(inputs)
    for _ in range(3):
        x = layers.Add()([x, attention(x, x)])
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(2, name="out")(x))
    optimizer = layerwise(keras.optimizers.Adam(0.01), model, decay=0.5)
    optimizer.build(model.trainable_variables)
    found = {path.split("/")[0]: factor for path, _, factor in optimizer.factors}
    assert found == {"embedding": 0.25, "attention": 0.5, "out": 1.0}
    assert len(optimizer.factors) == 11  # each of them, and the same for all of one layer
    assert sorted({(p.split("/")[0], f) for p, _, f in optimizer.factors}) == sorted(found.items())
