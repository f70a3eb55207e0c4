"""What a figure says in words is what it shows, and it goes with the picture."""

import pickle

from tlhelpers.reading import plots
from tlhelpers.reading.evaluation import report_on
from tlhelpers.reading.figures import describe_figure

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from IPython.core.pylabtools import select_figure_formats

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (14, 4, 4, 3)).astype("uint8")


def drawn(draw, **settings):
    figure, axes = plots.new_axes(4, 3, **settings)
    draw(*axes)
    return describe_figure(figure)


def test_a_short_line_is_told_whole_and_a_long_one_by_ends_and_range():
    assert drawn(lambda ax: ax.plot([1, 2], [0.5, 0.75], label="a")) == "a 0.5, 0.75 at 1, 2."
    long = drawn(lambda ax: ax.plot([1, 3, *range(20), 2]))
    assert long == "line from 1 to 2, between 0 and 19."
    rising = drawn(lambda ax: ax.plot(range(20), label="rising"))
    assert rising == "rising from 0 to 19."


def test_title_axes_and_label_of_the_figure_come_first():
    figure, (left, right) = plots.new_axes(4, 3, 1, 2)
    figure.set_label("Two ways.")
    left.plot([1], [2], label="a")
    left.set(title="one\nway", xlabel="epoch", ylabel="loss")
    right.bar(["b", "c"], [1, 2])
    assert describe_figure(figure) == (
        "Two ways. one way, loss over epoch: a 2 at 1. bars: b 1, c 2."
    )


def test_lines_that_only_mark_a_place_are_left_out():
    assert drawn(lambda ax: (ax.plot([1], [2]), ax.axvline(3), ax.axhline(4))) == "line 2 at 1."


def test_error_bars_are_one_line_and_places_have_their_names():
    def draw(ax):
        ax.errorbar([0, 1], [0.5, 0.25], yerr=[0.1, 0.1], capsize=2, label="a")
        ax.set_xticks([0, 1], ["few", "many"])

    assert drawn(draw) == "a 0.5, 0.25 at few, many."


def test_bars_beside_each_other_belong_to_the_name_between_them():
    def draw(ax):
        ax.barh([-0.2, 0.8], [1, 2], 0.4, label="a")
        ax.barh([0.2, 1.2], [3, 4], 0.4, label="b")
        ax.set_yticks([0, 1], ["few", "many"])

    assert drawn(draw) == "a: few 1, many 2; b: few 3, many 4."


def test_points_and_grids_say_how_many_and_from_where_to_where():
    points = drawn(lambda ax: ax.scatter([1, 2, 4], [0.5, 0.25, 0.75], label="seeds"))
    assert points == "seeds: 3 points, 0.25 to 0.75 over 1 to 4."

    def grid(ax):
        ax.figure.colorbar(ax.imshow([[0, 1, 2], [3, 4, 5]]), ax=ax)

    assert drawn(grid) == "grid of 2 by 3, from 0 to 5."


def test_every_plot_has_a_text_of_its_own():
    report = report_on(np.eye(3)[[0, 1, 1, 2]] * 9, [0, 1, 2, 2], ["cat", "dog", "deer"])
    confusion = describe_figure(plots.plot_confusion(report))
    assert "3 of 4 are right; mistaken most often: deer as dog (1)." in confusion
    right = report_on(np.eye(3) * 9, [0, 1, 2])
    assert "mistaken" not in describe_figure(plots.plot_confusion(right))
    assert "calibration error" in describe_figure(plots.plot_reliability(report))
    embedded = describe_figure(plots.plot_embedding(RNG.normal(size=(9, 4)), [0, 1, 2] * 3))
    assert embedded == ("Features in two dimensions. PCA: 0: 3 points; 1: 3 points; 2: 3 points.")
    shown = describe_figure(plots.plot_images(PICTURES[:2], titles=["a\n-> b", "c"]))
    assert shown == "2 pictures: a -> b, c."
    assert describe_figure(plots.plot_images(PICTURES[:1])) == "1 picture."
    many = describe_figure(plots.plot_images(PICTURES, titles=[f"n{n}" for n in range(14)]))
    assert many.startswith("14 pictures: n0, n1") and many.endswith("n11, and 2 more.")


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_notebook_keeps_the_text_beside_the_picture(kind):
    class Shell:
        display_formatter = DisplayFormatter()

    Shell.display_formatter.active_types = Shell.display_formatter.format_types
    select_figure_formats(Shell, {kind})
    figure = plots.plot_images(PICTURES[:2], titles=["a", "b"])
    mime = {"png": "image/png", "svg": "image/svg+xml"}[kind]
    for shown in (figure, pickle.loads(pickle.dumps(figure))):
        data, metadata = Shell.display_formatter.format(shown)
        assert data[mime]
        assert metadata[mime]["alt"] == "2 pictures: a, b."
