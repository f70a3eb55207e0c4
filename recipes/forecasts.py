"""Forecasts: the next twelve months of your monthly series, each with an interval.

    python forecasts.py sales.csv --series shop --out result
    python forecasts.py --out result --predict newer.csv --series shop

For series with a season of a year, four years or longer. A small network, pretrained on tourism,
reads them, and learns from longer ones. The last year is the test, beside the months a year before.
Without a table it makes an example, and shows how yours should look.
"""

import csv
import sys

import tlhelpers as tl

parser = tl.recipe_parser(__doc__, predicts="TABLE")
add = parser.add_argument
add("table", nargs="?", help="a CSV file, a row for each month; none: an example")
add("--date", default="date", help="the name of the column of months: 2025-03 or 2025-03-31")
add("--value", nargs="+", default=["value"], help="the column of numbers, or a column per series")
add("--series", help="the name of the column that names the series; none: it isn't there")


def read(table, options, months):
    series = tl.load_series_file(table, options.date, options.value, options.series)
    if short := [f"{one.name} ({len(one)})" for one in series if len(one) < months]:
        raise ValueError(f"Each series must have {months} months or more. Received: {table} with "
                         f"{', '.join(short[:5])}. Take them out.")  # fmt: skip
    return series


def train(options, results):
    table = options.table
    if not table:
        size, options.series = 30 if options.quick else 90, "id"
        table = tl.make_example("series", results.path / "example", size, options.seed)
    forecaster = tl.load_forecaster()
    series = read(table, options, forecaster.history + 12)
    held = [one.hold_out(12) for one in series]
    results.note("data", f"{table}: {len(series)} series; the last year of each is the test")
    results.note("as it came", str(tl.evaluate_forecasts(forecaster(held), held)))
    if max(map(len, held)) >= forecaster.history + 24:
        fine_tune(forecaster, held, options, results)
    results.report(report := tl.evaluate_forecasts(forecaster(held), held))
    results.figure("the last year", tl.plot_forecasts(held[:6], forecaster(held[:6])))
    skill = 100 * (1 - report.mase / report.naive_mase)
    results.compare({"forecaster: % better than a year ago": skill, "a year ago": 0.0})
    with open(results.path / "forecasts.csv", "w", newline="", encoding="utf8") as file:
        head = ["id", "month", *(f"quantile {q}" for q in forecaster.quantiles)]
        csv.writer(file).writerows([head, *rows_of(forecaster, series)])
    tl.save_forecaster(results.path / "forecaster.npz", forecaster)
    results.finish("Forecasts", "One year was the test. What has never happened isn't foreseen.")


def fine_tune(forecaster, held, options, results):
    """Learn from the years before the test; keep what the last of these years prefers."""
    early = tl.cut_windows([one.hold_out(12) for one in held], forecaster.history)
    late = tl.cut_windows([one.last(forecaster.history + 12) for one in held], forecaster.history)
    loss, epochs = tl.QuantileLoss(forecaster.quantiles), 3 if options.quick else 10
    history = tl.fine_tune(forecaster.model, early[:2], late[:2], unfreeze=1, head_epochs=0,
        epochs=epochs, loss=loss, monitor="val_loss", folder=results.state)  # fmt: skip
    results.note("training", str(history))


def rows_of(forecaster, series):
    for one, ahead in zip(series, forecaster(series), strict=True):
        for month, values in zip(one.months_ahead(), ahead, strict=True):
            yield [one.name, month, *(f"{value:.6g}" for value in values)]


def predict(options):
    forecaster = tl.load_forecaster(f"{options.out}/forecaster.npz")
    for table in options.predict:
        for row in rows_of(forecaster, read(table, options, forecaster.history)):
            print(*row)


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train, predict))
