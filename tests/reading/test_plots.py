"""Figures hold what they claim to show, and are returned, never shown."""

from tlhelpers.reading import plots
from tlhelpers.reading.evaluation import report_on
from tlhelpers.tuning.history import FineTuning, Phase

import numpy as np
import pytest

RNG = np.random.default_rng(0)
REPORT = report_on(RNG.normal(size=(40, 3)), RNG.integers(0, 3, 40), ["a", "b", "c"])


def history():
    phases = [Phase("head", 2, 1e-3, 10), Phase("fine-tuning", 3, 1e-4, 20)]
    values = [0.1, 0.2, 0.3, 0.4, 0.5]
    return FineTuning(phases, {"loss": values, "val_loss": values[::-1]}, "val_loss", 4)


def test_history_has_both_curves_and_the_boundary():
    ax = plots.plot_history(history()).axes[0]
    lines = [line.get_ydata() for line in ax.lines]
    assert list(lines[0]) == list(lines[1])[::-1] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert list(ax.lines[2].get_xdata()) == [2.5, 2.5]
    assert {text.get_text() for text in ax.texts} == {"head", "fine-tuning"}
    assert len(plots.plot_history({"loss": [1.0], "accuracy": [0.5]}).axes) == 2


def test_confusion_shows_counts_and_names():
    ax = plots.plot_confusion(REPORT).axes[0]
    assert [int(t.get_text()) for t in ax.texts] == REPORT.confusion.ravel().tolist()
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b", "c"]
    shares = ax.images[0].get_array()
    assert np.allclose(np.asarray(shares).sum(axis=1), 1)


def many(classes):
    outputs = RNG.normal(size=(5 * classes, classes))
    names = [f"class {n}" for n in range(classes)]
    return report_on(outputs, np.arange(5 * classes) % classes, names)


@pytest.mark.parametrize(("classes", "named"), [(30, 30), (31, 31), (60, 60), (200, 50)])
def test_confusion_of_many_classes_stays_a_figure_of_one_page(classes, named):
    report = many(classes)
    figure = plots.plot_confusion(report)
    ax = figure.axes[0]
    assert len(ax.texts) == (900 if classes == 30 else 0)
    assert len(figure.axes) == (1 if classes == 30 else 2)  # a scale where there are no numbers
    assert max(figure.get_size_inches()) < 16
    names = [t.get_text() for t in ax.get_xticklabels()]
    assert names == [t.get_text() for t in ax.get_yticklabels()]
    assert len(names) == named
    for tick, name in zip(ax.get_xticks(), names, strict=True):
        assert name == report.class_names[int(tick)]


def test_images_are_shown_as_they_are():
    images = RNG.integers(0, 256, (5, 4, 4, 3)).astype("uint8")
    figure = plots.plot_images(images, titles=list("abcde"), columns=3)
    shown = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in shown] == list("abcde")
    assert all(
        np.array_equal(ax.images[0].get_array(), x) for ax, x in zip(shown, images, strict=True)
    )
    assert len(plots.plot_images(images[..., :1]).axes) == 5


def test_reliability_follows_the_bins():
    ax = plots.plot_reliability(REPORT, bins=4).axes[0]
    assert 1 <= len(ax.lines[1].get_xdata()) <= 4


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_embedding_has_every_sample(method):
    figure = plots.plot_embedding(RNG.normal(size=(12, 2, 3)), np.arange(12) % 3, method=method)
    assert sum(len(c.get_offsets()) for c in figure.axes[0].collections) == 12


def test_no_figure_stays_open():
    import matplotlib.pyplot as plt

    plots.plot_history(history())
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.plot_history({}), r"at least one epoch.*Received: metrics=None"),
        (lambda: plots.plot_history({"loss": [1]}, ["accuracy"]), r"`metrics` .* among \['loss'\]"),
        (lambda: plots.plot_images(np.zeros((4, 4))), r"Received: shape=\(4, 4\)"),
        (lambda: plots.plot_images(np.zeros((2, 4, 4)), titles=["a"]), "`titles`.*1 titles for 2"),
        (lambda: plots.plot_images(np.zeros((2, 4, 4)), columns=0), "`columns` must be a whole"),
        (lambda: plots.plot_images(np.zeros((4, 4, 3), "uint8")), r"image\[None\]"),
        (lambda: plots.plot_images(np.full((2, 4, 4, 3), 0.5)), "Multiply by 255"),
        (
            lambda: plots.plot_embedding(np.zeros((2, 2)), [0, 1]),
            "at least 3 samples.*Received: 2 samples",
        ),
        (
            lambda: plots.plot_embedding(np.zeros((4, 2)), [0, 1] * 2, method="umap"),
            "`method` must be one of",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
