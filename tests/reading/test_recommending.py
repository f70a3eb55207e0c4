"""What a recommender says of ratings held out, and what it recommends."""

import dataclasses

import tlhelpers as tl
from tlhelpers.reading import recommending
from tlhelpers.reading.recommending import evaluate_ratings

import keras
import numpy as np
import pytest


@pytest.fixture
def model():
    rng = np.random.default_rng(0)
    model = tl.build_recommender(3, 6, 2, centre=3.0)
    for part, count in (("items", 6), ("users", 3)):
        model.get_layer(part).set_weights([rng.normal(size=(count, 3))])
    return model


def test_it_reports_error_and_order_of_what_it_says(model):
    pairs = np.array([[user, item] for user in range(3) for item in range(6)])
    said = np.clip(model.predict(pairs, verbose=0)[:, 0], 1, 5)
    ratings = np.random.default_rng(1).integers(1, 6, 18)
    report = evaluate_ratings(model, pairs, ratings, (1, 5))
    assert report.rmse == pytest.approx(np.sqrt(np.mean((said - ratings) ** 2)), rel=1e-6)
    assert report.ordering == pytest.approx(tl.ordering_score(pairs[:, 0], ratings, said))
    assert (report.ratings, report.users) == (18, 3) and "RMSE" in report.to_markdown()
    unclipped = evaluate_ratings(model, pairs, model.predict(pairs, verbose=0)[:, 0])
    assert unclipped.rmse < 1e-6 and unclipped.ordering == 1


@pytest.fixture
def data(tmp_path):
    rows = ["user,item,rating", *(f"u{n % 3},i{n % 6},{1 + n % 5}" for n in (0, 1, 2, 3, 4, 5))]
    (tmp_path / "mine.csv").write_text("\n".join(rows))
    return tl.load_ratings(tmp_path / "mine.csv")


def test_it_recommends_what_is_predicted_highest_and_not_rated_also_from_a_file(
    model, data, tmp_path
):
    saved = tl.save_recommender(tmp_path / "result", model, data)
    asked = np.stack([np.full(6, 1), np.arange(6)], axis=1)
    said = model.predict(asked, verbose=0)[:, 0]
    left = [item for item in np.argsort(-said) if item not in (1, 4)]  # u1 has rated these
    found = saved.recommend("u1")
    assert [name for name, _ in found] == [data.item_names[item] for item in left]
    np.testing.assert_allclose([value for _, value in found], said[left], rtol=1e-6)
    again = tl.load_recommender(tmp_path / "result")
    assert again.recommend("u1", top=2) == found[:2] and again.recommend("u0") != found


def test_many_users_are_asked_for_at_once(model, data, monkeypatch):
    calls = []

    def count_calls(pairs):
        calls.append(len(pairs))
        return model(pairs)

    saved = recommending.Recommender(count_calls, data.user_names, data.item_names, data.pairs)
    users = ["u2", "u0", "u1"]
    monkeypatch.setattr(recommending, "_AT_ONCE", 12)
    rows = saved.recommend_each(users, top=3)
    assert calls == [12, 6]
    assert rows == [(user, *row) for user in users for row in saved.recommend(user, top=3)]


def test_who_has_rated_all_gets_nothing(model, data, tmp_path):
    everything = dataclasses.replace(data, users=np.zeros(6, int), items=np.arange(6))
    assert tl.save_recommender(tmp_path, model, everything).recommend("u0") == []


def test_what_it_does_not_have_is_refused(model, data, tmp_path):
    saved = tl.save_recommender(tmp_path, model, data)
    with pytest.raises(ValueError, match=r"none of 3\. Did you mean 'u1'"):
        saved.recommend("u11")
    with pytest.raises(ValueError, match="`top` must be"):
        saved.recommend("u0", top=0)
    with pytest.raises(ValueError, match="Received: 4 users and 6 items, and 3 and 6 names"):
        tl.save_recommender(tmp_path, tl.build_recommender(4, 6), data)
    with pytest.raises(ValueError, match="`model` must be a recommender"):
        tl.save_recommender(tmp_path, keras.Sequential([keras.Input((2,))]), data)
    with pytest.raises(ValueError, match=r"`user` must be one who has rated.*\['u0'\]"):
        saved.recommend(["u0"])


@pytest.mark.parametrize(("pairs", "ratings", "said"), [
    ([[0, 6]], [3], "item 6; the model has 3 users, 6 items"),
    ([[90, 0]], [3], "user 90 and item 0; the model has 3 users"),
    ([[0], [1]], [3, 4], "`pairs` must be whole numbers"),
    ([[0, 0]], [3, 4], "`ratings` must have one"),
    ([[0, 0]], [np.nan], "`ratings` must be finite"),
])  # fmt: skip
def test_what_cannot_be_evaluated_is_refused(model, pairs, ratings, said):
    with pytest.raises(ValueError, match=said):
        evaluate_ratings(model, np.array(pairs), ratings)


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(("damage", "said"), [
    (lambda folder: cut(folder / "recommender.json"), "JSONDecodeError"),
    (lambda folder: cut(folder / "recommender.keras"), "recommender.keras is damaged, or from an"),
    (lambda folder: (folder / "recommender.keras").unlink(), "No such file"),
    (lambda folder: (folder / "other/recommender.keras").rename(folder / "recommender.keras"),
     "recommender.keras is damaged, or from another save"),
])  # fmt: skip
def test_a_save_that_is_not_whole_is_refused(model, data, tmp_path, damage, said):
    tl.save_recommender(tmp_path, model, data)
    tl.save_recommender(tmp_path / "other", tl.build_recommender(3, 6), data)
    damage(tmp_path)
    with pytest.raises(ValueError, match=f"`folder` must hold recommender.keras.*{said}"):
        tl.load_recommender(tmp_path)


def test_a_save_that_fails_leaves_the_earlier_one(model, data, tmp_path, monkeypatch):
    saved = tl.save_recommender(tmp_path, model, data)
    files = sorted(tmp_path.iterdir())
    monkeypatch.setattr(recommending.json, "dumps", lambda about: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tl.save_recommender(tmp_path, tl.build_recommender(3, 6), data)
    assert sorted(tmp_path.iterdir()) == files
    assert tl.load_recommender(tmp_path).recommend("u0") == saved.recommend("u0")
