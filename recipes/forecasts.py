"""Forecasts: the next twelve months of your own monthly series, each with an interval.

    python forecasts.py sales.csv --series shop --out result
    python forecasts.py --out result --predict newer.csv --series shop

The right choice for series with a season of a year, four years long or more. A small network that
was pretrained on tourism reads them, and learns from them where they are longer. The last year is
the test, beside last year's months. Without a table it makes an example that shows how yours looks.
"""

import csv
import sys

import tlhelpers as tl

import numpy as np

parser = tl.recipe_parser(__doc__, predicts="TABLE")
add = parser.add_argument
add("table", nargs="?", help="a CSV file, a row for each month; none: an example")
add("--date", default="date", help="the name of the column of months: 2025-03 or 2025-03-31")
add("--value", nargs="+", default=["value"], help="the column of numbers, or a column per series")
add("--series", help="the name of the column that names the series; none: there is no such column")
add("--encoding", help="of the file, such as cp1252; UTF-8 unless it says otherwise")
YEAR = 12


def read(table, options, months):
    series = tl.load_series_file(
        table, options.date, options.value, options.series, encoding=options.encoding
    )
    if short := [f"{one.name} ({len(one)})" for one in series if len(one) < months]:
        raise ValueError(f"Each series must have {months} months or more. Received: {table} with "
                         f"{', '.join(short[:5])}. Take them out, or wait.")  # fmt: skip
    return series


def train(options, results):
    table = options.table
    if not table:
        size, options.series = 30 if options.quick else 90, "id"
        table = tl.make_example("series", results.path / "example", size, options.seed)
    forecaster = tl.load_forecaster()
    series = read(table, options, forecaster.history + YEAR)
    held = [one.hold_out(YEAR) for one in series]
    results.note("data", f"{table}: {len(series)} series; the last year of each is the test")
    before = tl.evaluate_forecasts(forecaster([one.history for one in held]), held)
    results.note("as it came", str(before))
    if max(map(len, held)) >= forecaster.history + 2 * YEAR:
        fine_tune(forecaster, held, options, results)
    ahead = forecaster([one.history for one in held])
    report = tl.evaluate_forecasts(ahead, held)
    results.report(report)
    results.figure("the last year", tl.plot_forecasts(held[:6], ahead[:6]))
    better = 100 * (1 - report.mase / report.naive_mase)
    results.compare({"forecaster: % better than a year ago": better, "a year ago": 0.0})
    with open(results.path / "forecasts.csv", "w", newline="", encoding="utf8") as file:
        csv.writer(file).writerows(rows_of(forecaster, series))
    tl.save_forecaster(results.path / "forecaster.npz", forecaster)
    results.finish("Forecasts", "One year was the test. What has never happened isn't foreseen.")


def fine_tune(forecaster, held, options, results):
    """Learn from the years before the test; keep what the last of these years prefers."""
    cut = tl.cut_windows([one.history for one in held], forecaster.history, YEAR)
    last = np.array([len(one) - forecaster.history - YEAR for one in held])[cut.series]
    early, late = cut.places <= last - YEAR, cut.places == last
    history = tl.fine_tune(
        forecaster.model, (cut.x[early], cut.y[early]), (cut.x[late], cut.y[late]),
        unfreeze=1, head_epochs=0, epochs=3 if options.quick else 10, monitor="val_loss",
        loss=tl.QuantileLoss(forecaster.quantiles), folder=results.state,
    )  # fmt: skip
    results.note("training", str(history))


def rows_of(forecaster, series):
    yield ["id", "month", *(f"quantile {q}" for q in forecaster.quantiles)]
    for one, ahead in zip(series, forecaster([one.history for one in series]), strict=True):
        for month, values in zip(one.months_ahead(len(ahead)), ahead, strict=True):
            yield [one.name, month, *(f"{value:.6g}" for value in values)]


def predict(options):
    forecaster = tl.load_forecaster(f"{options.out}/forecaster.npz")
    for table in options.predict:
        series = read(table, options, forecaster.history)
        csv.writer(sys.stdout, lineterminator="\n").writerows(rows_of(forecaster, series))


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
