"""A recommender: its equation, what is its base, and that frozen items stay to the bit."""

import tlhelpers as tl

import keras
import numpy as np
import pytest
from sklearn.linear_model import Ridge


def drawn(count=60, users=5, items=7, seed=0):
    rng = np.random.default_rng(seed)
    pairs = np.stack([rng.integers(users, size=count), rng.integers(items, size=count)], axis=1)
    return pairs.astype("int32"), rng.integers(1, 6, count).astype("float32")


def test_it_says_centre_and_biases_and_the_product_of_vectors():
    model = tl.build_recommender(5, 7, dimensions=3, centre=3.5)
    pairs, _ = drawn()
    (p,), (q,) = (model.get_layer(name).get_weights() for name in ("users", "items"))
    user, item = p[pairs[:, 0]], q[pairs[:, 1]]
    wanted = 3.5 + user[:, 3] + item[:, 3] + (user[:, :3] * item[:, :3]).sum(axis=1)
    np.testing.assert_allclose(model.predict(pairs, verbose=0)[:, 0], wanted, rtol=1e-6)
    assert np.abs(wanted - 3.5).max() > 0


def test_the_items_are_the_base_and_frozen_ones_stay_to_the_bit():
    model, (pairs, y) = tl.build_recommender(5, 7, 3, 3.5), drawn()
    assert tl.find_base(model).name == "items"
    assert tl.freeze(model).trainable == 5 * 4
    before = [part.get_weights()[0] for part in map(model.get_layer, ("items", "users"))]
    model.compile("adam", "mse")
    model.fit(pairs, y, epochs=3, verbose=0)
    after = [part.get_weights()[0] for part in map(model.get_layer, ("items", "users"))]
    assert np.array_equal(before[0], after[0]) and not np.array_equal(before[1], after[1])
    assert tl.unfreeze(model, fraction=1.0).trainable == 5 * 4 + 7 * 4
    model.compile("adam", "mse")
    model.fit(pairs, y, epochs=1, verbose=0)
    assert not np.array_equal(model.get_layer("items").get_weights()[0], before[0])


def test_with_frozen_items_its_penalty_is_that_of_a_ridge_for_each_user():
    pairs, y = drawn()
    model = tl.build_recommender(5, 7, 2, 3.0, user_strength=4.0 / len(y))
    items = model.get_layer("items")
    q = np.random.default_rng(1).normal(size=(7, 3)).astype("float32")
    items.set_weights([q])
    tl.freeze(model)
    model.compile(keras.optimizers.SGD(1.0, momentum=0.8), "mse")
    for _ in range(200):
        model.train_on_batch(pairs, y)
    (p,) = model.get_layer("users").get_weights()
    for user in range(5):
        rows = pairs[:, 0] == user
        x = np.hstack([q[pairs[rows, 1], :2], np.ones((rows.sum(), 1))])
        ridge = Ridge(4.0, fit_intercept=False).fit(x, y[rows] - 3.0 - q[pairs[rows, 1], 2])
        np.testing.assert_allclose(p[user], ridge.coef_, atol=2e-4)


def test_without_dimensions_it_is_biases_alone():
    model = tl.build_recommender(2, 3, dimensions=0, centre=1.0)
    model.get_layer("users").set_weights([np.array([[0.5], [1.0]])])
    model.get_layer("items").set_weights([np.array([[0.0], [2.0], [3.0]])])
    said = model.predict(np.array([[0, 0], [1, 2]]), verbose=0)
    np.testing.assert_allclose(said, [[1.5], [5.0]])


def test_it_is_made_of_layers_of_keras_alone_and_comes_back_from_a_file(tmp_path):
    model, (pairs, _) = tl.build_recommender(5, 7, 3, 3.5, 0.1, 0.1), drawn()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(again.predict(pairs, verbose=0), model.predict(pairs, verbose=0))
    assert all(type(part).__module__.startswith("keras.") for part in again._flatten_layers())


def test_it_trains_again_and_again_and_is_evaluated():
    model, (pairs, y) = tl.build_recommender(5, 7, 3, 3.5), drawn()
    tl.freeze(model)
    again = tl.compile_once(model, optimizer=keras.optimizers.Adam(0.1), batch_size=16)
    start = model.get_weights()
    scores = [again.train(pairs, y, start, epochs=3, seed=seed, test=(pairs, y)).score
              for seed in (0, 1, 0)]  # fmt: skip
    assert scores[0] == scores[2] != scores[1]
    assert tl.evaluate(model, pairs, y).rmse > 0


@pytest.mark.parametrize(("arguments", "said"), [
    ({"users": 0}, "`users` must be a whole number, 1 or above"),
    ({"items": 2.5}, "`items` must be a whole number"),
    ({"dimensions": -1}, "`dimensions` must be a whole number, 0 or above"),
    ({"centre": float("nan")}, "`centre` must be a finite number"),
    ({"user_strength": -1}, "`user_strength` must be a finite number, 0 or above"),
])  # fmt: skip
def test_wrong_arguments_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        tl.build_recommender(**{"users": 2, "items": 3} | arguments)
