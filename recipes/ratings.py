"""Ratings: what your users will like, by vectors of items that many others have rated.

    python ratings.py mine.csv --source many.csv --out result
    python ratings.py --out result --predict ann bob

The right choice where yours are few, and a larger table names the same items; films by titles, as
"Alien (1979)", are in MovieLens, the source unless you name one (for research, GroupLens' terms).
Of two ratings of an item the later one counts. Without a table it makes an example.
"""

import csv
import sys

import tlhelpers as tl

import numpy as np

parser = tl.recipe_parser(__doc__, predicts="USER")
add = parser.add_argument
add("table", nargs="?", help="a CSV file, a row for each rating; none: an example")
add("--source", default="movielens-1m", help="a larger one, with the same names of columns")
for column in ("user", "item", "rating"):
    add(f"--{column}", default=column, help=f"the name of the column of {column}s")
add("--time", help="the name of a column of numbers; then the latest ratings are the test")
add("--scale", type=float, nargs=2, help="lowest and highest rating; none: those of the source")
add("--held", type=int, default=5, help="ratings of each user that are held out for the test")


def train(options, results):
    table, source, seed = options.table, options.source, options.seed
    if not table:
        table = tl.make_example("ratings", results.path / "example", 400)
        source = table.with_name("many.csv")
    how = options.user, options.item, options.rating, options.time
    tl.load_ratings(table, *how, options.scale, repeated="last")  # what is wrong is said at once
    many = tl.load_ratings(source, *how, options.scale, repeated="last")
    mine = tl.load_ratings(table, *how, many.scale, many.item_names, "last")
    results.note("data", f"{mine}\nfrom {many}", show=True)
    known, held = tl.draw_known(mine.users, None, options.held, seed=seed, times=mine.times)
    people = np.random.default_rng(seed).permutation(len(many.user_names))
    away = np.isin(many.users, people[: max(1, len(people) // 8)])  # to choose the strength on
    base = tl.fit_recommender(many, ~away, epochs=10 if options.quick else 20)

    def carry(data, rows, s):
        return tl.fit_users(base, data.pairs[rows], data.ratings[rows], s, len(data.user_names))

    def judge(model, data, rows):
        return tl.evaluate_ratings(model, data.pairs[rows], data.ratings[rows], data.scale)

    away, times = np.flatnonzero(away), many.times[away] if options.time else None
    drawn = tl.draw_known(many.users[away], None, options.held, seed=seed, times=times)
    _, strength = min((judge(carry(many, away[drawn.known], s), many, away[drawn.held]).rmse, s)
                      for s in (0.5, 1, 2, 4, 8, 16))  # fmt: skip
    models = {"items carried": carry(mine, known, strength),
              "from scratch": tl.fit_recommender(mine, known),
              "user and item means": tl.fit_recommender(mine, known, dimensions=0)}  # fmt: skip
    reports = {name: judge(model, mine, held) for name, model in models.items()}
    for name, report in reports.items():
        results.note(name, f"{name}: {report}", show=True)
    figure, (ax,) = tl.new_axes(5, 2.6)
    ax.barh(list(reports), [report.rmse for report in reports.values()])
    results.figure("RMSE of ratings held out", figure)
    results.compare({f"{name}: order": report.ordering for name, report in reports.items()})
    saved = tl.save_recommender(results.path, carry(mine, slice(None), strength), mine)
    with (results.path / "recommendations.csv").open("w", newline="", encoding="utf8") as file:
        write(saved, mine.user_names, file)
    results.finish("A recommender", "It knows what people rate, not what they never chose to see.")


def write(saved, names, file):
    top = [(user, item, f"{said:.2f}") for user, item, said in saved.recommend_each(names)]
    csv.writer(file, lineterminator="\n").writerows([("user", "item", "predicted"), *top])


def predict(options):
    write(tl.load_recommender(options.out), options.predict, sys.stdout)


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
