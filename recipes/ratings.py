"""Ratings: what your users will like, by vectors of items that many others have rated.

    python ratings.py mine.csv --source many.csv --out result
    python ratings.py --out result --predict ann bob

A table has a row for each rating: user, item, rating. The right choice where yours are few, and
a larger table names the same items; films by titles, as "Alien (1979)", are in MovieLens, the
source unless you name one (for research, GroupLens' terms). Without a table: an example.
"""

import csv
import json
import sys

import tlhelpers as tl

import keras
import numpy as np

parser = tl.recipe_parser(__doc__, predicts="USER")
add = parser.add_argument
add("table", nargs="?", help="a CSV file, a row for each rating; none: an example")
add("--source", default="movielens-1m", help="a larger one, with the same names of columns")
add("--user", default="user", help="the name of the column of users")
add("--item", default="item", help="the name of the column of items")
add("--rating", default="rating", help="the name of the column of ratings")
add("--time", help="the name of a column of numbers; then the latest ratings are the test")
add("--held", type=int, default=5, help="ratings of each user that are held out for the test")
add("--top", type=int, default=10, help="items to recommend to a user")
add("--repeated", default="error", help='"last": of two ratings of an item the last one counts')


def pretrain(many, train, held, strength, epochs):
    size, shrink = max(64, len(train) // 100), strength / len(train)
    net = tl.build_recommender(len(many.user_names), len(many.item_names), 24,
                               float(many.ratings[train].mean()), shrink, shrink)  # fmt: skip
    rate = keras.optimizers.schedules.CosineDecay(0.01, epochs * -(-len(train) // size))
    net.compile(keras.optimizers.Adam(rate), "mse")
    net.fit(many.pairs[train], many.ratings[train], batch_size=size, epochs=epochs, verbose=0)
    return net, net.evaluate(many.pairs[held], many.ratings[held], 10_000, verbose=0)


def fit(data, rows, x, level, strength):
    left = data.ratings[rows] - level[data.items[rows]]
    return tl.ridge_users(data.users[rows], x[data.items[rows]], left, strength,
                          count=len(data.user_names))  # fmt: skip


def score(data, rows, said):
    wrong = data.ratings[rows] - np.clip(said, *data.scale)
    return np.sqrt(np.mean(wrong**2)), tl.ordering_score(data.users[rows], data.ratings[rows], said)


def train(options, results):
    table, source = options.table, options.source
    if not table:
        table = tl.make_example("ratings", results.path / "example", 600)
        source = table.with_name("many.csv")
    how = (options.user, options.item, options.rating, options.time)
    many = tl.load_ratings(source, *how, repeated=options.repeated)
    mine = tl.load_ratings(table, *how, many.scale, many.item_names, options.repeated)
    results.note("data", f"{mine}\nsource: {many}", show=True)
    rng = np.random.default_rng(options.seed)
    away = np.isin(many.users, rng.permutation(many.users.max() + 1)[: many.users.max() // 8 + 1])
    rows = rng.permutation(np.flatnonzero(~away))
    parts, epochs = np.split(rows, [len(rows) * 19 // 20]), 10 if options.quick else 20
    nets = [pretrain(many, *parts, s, epochs) for s in ((3,) if options.quick else (3, 6, 12))]
    items = min(nets, key=lambda net: net[1])[0].get_layer("items").get_weights()[0]
    x = np.hstack([items[:, :-1], np.ones((len(items), 1))])
    centre = float(many.ratings[parts[0]].mean())
    level, others = centre + items[:, -1], np.flatnonzero(away)

    def say(data, rows, p):
        return level[data.items[rows]] + (x[data.items[rows]] * p[data.users[rows]]).sum(axis=1)

    drawn = tl.draw_known(many.users[others], None, options.held, seed=options.seed)
    known, held = (others[part] for part in drawn)
    errors = {s: score(many, held, say(many, held, fit(many, known, x, level, s)))[0]
              for s in (0.5, 1, 2, 4, 8, 16)}  # fmt: skip
    strength = min(errors, key=errors.get)
    rows = tl.draw_known(mine.users, None, options.held, seed=options.seed, times=mine.times)
