"""A recommender for other users: their ridge vectors, on items that stay to the bit."""

import tlhelpers as tl

import keras
import numpy as np
import pytest


@pytest.fixture
def many():
    keras.utils.set_random_seed(0)
    return tl.build_recommender(9, 6, 2, centre=3.5)


PAIRS, SAID = np.array([[0, 1], [0, 4], [2, 1]]), np.array([5.0, 2.0, 4.0])


def test_users_are_ridge_vectors_and_items_stay(many):
    few = tl.fit_users(many, PAIRS, SAID, 2.0, users=4)
    (items,), (again,) = (model.get_layer("items").get_weights() for model in (many, few))
    assert np.array_equal(items, again) and few.trainable_variables[0].shape == (4, 3)
    x = np.hstack([items[:, :2], np.ones((6, 1))])
    left = SAID - 3.5 - items[PAIRS[:, 1], 2]
    wanted = tl.ridge_users(PAIRS[:, 0], x[PAIRS[:, 1]], left, 2.0, count=4)
    np.testing.assert_allclose(few.get_layer("users").get_weights()[0], wanted, rtol=1e-5)
    unknown = few.predict(np.array([[1, 1], [3, 4]]), verbose=0)[:, 0]
    np.testing.assert_allclose(unknown, 3.5 + items[[1, 4], 2], rtol=1e-6)


def test_a_small_penalty_explains_what_was_said(many):
    many.get_layer("items").set_weights([np.random.default_rng(0).normal(size=(6, 3))])
    few = tl.fit_users(many, PAIRS, SAID, 1e-6)
    np.testing.assert_allclose(few.predict(PAIRS, verbose=0)[:, 0], SAID, atol=1e-3)


@pytest.mark.parametrize(("change", "said"), [
    ({"pairs": PAIRS + np.array([0, 2])}, "`pairs` must be whole numbers.*6 items"),
    ({"pairs": PAIRS[:, :1]}, "`pairs` must be whole numbers"),
    ({"pairs": PAIRS[:0]}, "`pairs` must be whole numbers"),
    ({"users": 2}, "`users` must be in"),
    ({"pairs": PAIRS - np.array([1, 0])}, "`pairs` must be whole numbers.*-1 and above"),
    ({"ratings": SAID[:2]}, r"`ratings` must have one .*shape \(2,\), 3 pairs"),
    ({"ratings": SAID[:1]}, r"`ratings` must have one .*shape \(1,\), 3 pairs"),
    ({"ratings": SAID * np.nan}, "`ratings` must be finite. Received: 3 of 3"),
    ({"strength": -1}, "`strength` must be"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(many, change, said):
    with pytest.raises(ValueError, match=said):
        tl.fit_users(many, **{"pairs": PAIRS, "ratings": SAID, "strength": 1.0} | change)


def test_booleans_say_the_same_as_the_numbers_of_rows(tmp_path, monkeypatch):
    data = tl.load_ratings(tl.make_example("ratings", tmp_path, size=20).with_name("many.csv"))
    mask, fits = data.users < 3, []
    monkeypatch.setattr(keras.Model, "fit", lambda self, x, y, **how: fits.append((len(x), how)))
    penalties = []
    for rows in (mask, np.flatnonzero(mask)):
        tl.set_seed(0)
        penalties.append([float(loss) for loss in tl.fit_recommender(data, rows).losses])
    assert penalties[0] == penalties[1] and fits[0] == fits[1] and fits[0][0] == mask.sum()


def test_another_model_is_refused():
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="`model` must be a recommender"):
        tl.fit_users(other, PAIRS, SAID, 1.0)


def test_a_recommender_learns_what_biases_alone_cannot(tmp_path):
    data = tl.load_ratings(tl.make_example("ratings", tmp_path, size=80).with_name("many.csv"))
    known, held = tl.draw_known(data.users, None, 8)
    errors = []
    for dimensions in (0, 4):
        tl.set_seed(0)
        model = tl.fit_recommender(data, known, dimensions, 4.0, epochs=6, learning_rate=0.05)
        report = tl.evaluate_ratings(model, data.pairs[held], data.ratings[held], data.scale)
        errors.append(report.rmse)
    assert errors[1] < errors[0] - 0.1 and errors[0] < data.ratings[held].std()


@pytest.mark.parametrize(("change", "said"), [
    ({"rows": []}, r"`len\(rows\)` must be"),
    ({"epochs": 0}, "`epochs` must be"),
    ({"strength": -1}, "`strength` must be"),
    ({"learning_rate": 0}, "`learning_rate` must be"),
])  # fmt: skip
def test_what_it_cannot_learn_from_is_refused(tmp_path, change, said):
    data = tl.load_ratings(tl.make_example("ratings", tmp_path, size=20))
    with pytest.raises(ValueError, match=said):
        tl.fit_recommender(data, **change)
