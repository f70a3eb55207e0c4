"""Figures. Each function returns a matplotlib figure and never shows it.

Each figure carries its alternative text into a notebook: `describe_figure` computes it.
"""

from collections.abc import Sequence

from tlhelpers.checks.words import check_choice, check_whole
from tlhelpers.reading.evaluation import Report
from tlhelpers.reading.figures import carry_description
from tlhelpers.scores.classification import reliability

import numpy as np

BLUE, ORANGE, GREY = "#1f6f8b", "#e07a3f", "#8a8f98"
MOST_CELLS, MOST_NAMES = 30, 60  # classes of a confusion matrix: with numbers, each with its name


def new_axes(width: float, height: float, rows: int = 1, columns: int = 1, **settings):
    """Return a figure for drawings of your own, and its axes in one row.

    The figure is closed: a notebook shows it once, as the value of its cell. Its alternative text
    is that of `describe_figure`.

    Args:
        width, height: of the figure, in inches; at most 11 wide to be read on a page.
        rows, columns: of its panels.
        settings: others of `plt.subplots`, such as `sharey=True`.

    Example:
        >>> figure, (ax,) = tl.new_axes(4, 3)
        >>> bars = ax.bar(["frozen", "tuned"], [0.5, 0.75])
        >>> tl.describe_figure(figure)
        'bars: frozen 0.5, tuned 0.75.'
    """
    import matplotlib.pyplot as plt

    settings = {"figsize": (width, height), "dpi": 80, "layout": "constrained", **settings}
    figure, axes = plt.subplots(rows, columns, **{**settings, "squeeze": False})
    plt.close(figure)
    return carry_description(figure), axes.ravel()


def plot_history(history, metrics: Sequence[str] | None = None):
    """Plot each metric over the epochs, with a line where a new phase begins.

    Args:
        history: what `fine_tune` or Keras' `fit` returned, or its dictionary.
        metrics: names without `val_`; all by default.

    Raises:
        ValueError: no epoch in it, or an unknown metric.

    Example:
        >>> figure = tl.plot_history({"loss": [1.1, 0.7], "val_loss": [1.2, 0.9]})
        >>> figure.savefig("history.png")
    """
    values = history if isinstance(history, dict) else history.history
    known = [name for name in values if not name.startswith("val_") and name != "learning_rate"]
    names = list(metrics) if metrics is not None else known
    if not names or any(name not in values for name in names):
        raise ValueError(
            f"`metrics` must be among {known}, after at least one epoch. Received: metrics="
            f"{metrics!r}. Leave it out to see them all."
        )
    boundaries = getattr(history, "boundaries", ())
    figure, axes = new_axes(4.2 * len(names), 2.8, 1, len(names))
    for ax, name in zip(axes, names, strict=True):
        epochs = np.arange(1, len(values[name]) + 1)
        ax.plot(epochs, values[name], color=GREY, label="training")
        if f"val_{name}" in values:
            ax.plot(epochs, values[f"val_{name}"], color=BLUE, marker=".", label="validation")
        for boundary in boundaries:
            ax.axvline(boundary + 0.5, color=ORANGE, linestyle="--", linewidth=1)
        for phase, start in zip(getattr(history, "phases", ()), [0, *boundaries], strict=False):
            ax.text(start + 0.6, 1.01, phase.name, fontsize=8, transform=ax.get_xaxis_transform())
        ax.set(xlabel="epoch", ylabel=name)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    figure.set_label("Training curves")
    return figure


def plot_confusion(report: Report, normalize: bool = True):
    """Plot a report's confusion matrix: true classes in rows, predicted ones in columns.

    With more than 30 classes, colours alone tell the counts; with more than 60, some classes go
    without their name. To `normalize` is to colour by the share of the true class, not by counts;
    the numbers are counts in any case.

    Example:
        >>> report = tl.evaluate(model, x, y, class_names)
        >>> tl.plot_confusion(report).savefig("confusion.png")
    """
    _check_classes(report)
    matrix = np.asarray(report.confusion, dtype=float)
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros_like(matrix), where=totals > 0)
    colour, label = (shares, "share of the true class") if normalize else (matrix, "samples")
    classes = len(matrix)
    size = 1.8 + 0.42 * min(classes, MOST_CELLS)
    figure, (ax,) = new_axes(size + 0.6, size)
    image = ax.imshow(colour, cmap="Blues", vmin=0, vmax=1 if normalize else None)
    if classes <= MOST_CELLS:
        for (i, j), count in np.ndenumerate(matrix):
            ink = "white" if colour[i, j] > colour.max() / 2 else "black"
            ax.text(j, i, f"{count:.0f}", ha="center", va="center", color=ink, fontsize=8)
    else:
        figure.colorbar(image, ax=ax, shrink=0.5, label=label)
        ax.tick_params(labelsize=7)
    ticks = range(0, classes, -(-classes // MOST_NAMES))
    names = [report.class_names[tick] for tick in ticks]
    ax.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(ticks, names)
    ax.set(xlabel="predicted", ylabel="true")
    figure.set_label(_confusion_in_words(report))
    return figure


def _check_classes(report) -> None:
    if not isinstance(report, Report):
        raise ValueError(
            "`report` must be of one class for each sample. Received: report="
            f"{type(report).__name__}. Print it, or use report.to_markdown()."
        )


def _confusion_in_words(report: Report) -> str:
    """Return how many are right, and the three pairs of classes that are mistaken most often."""
    counts, names = np.asarray(report.confusion), report.class_names
    wrong = counts - np.diag(np.diag(counts))
    pairs = [np.unravel_index(at, wrong.shape) for at in np.argsort(-wrong, axis=None)[:3]]
    most = [f"{names[i]} as {names[j]} ({wrong[i, j]:.0f})" for i, j in pairs if wrong[i, j]]
    right = f"Confusion matrix: {np.trace(counts):.0f} of {counts.sum():.0f} are right"
    return f"{right}; mistaken most often: {', '.join(most)}" if most else right


def plot_images(images, titles: Sequence[str] | None = None, columns: int = 6):
    """Show images side by side.

    Args:
        images: `(n, height, width, 1 or 3)` or `(n, height, width)`, uint8 or floats in 0..255;
            a single one as `image[None]`.
        titles, columns: one for each image; images in a row.

    Raises:
        ValueError: no image, another shape, floats in 0..1, no title for each image, no column.

    Example:
        >>> tl.plot_images(x[:6], titles=[class_names[label] for label in y[:6]], columns=3)
        <Figure size ...>
    """
    images = np.asarray(images)
    _check_shown(images, titles)
    columns = min(check_whole("columns", columns, 1), len(images))
    rows = -(-len(images) // columns)
    height = rows * (1.25 if titles is None else 1.5)
    figure, axes = new_axes(1.25 * columns, height, rows, columns)
    for ax in axes:
        ax.axis("off")
    names = [""] * len(images) if titles is None else titles
    between = "nearest" if max(images.shape[1:3]) < 64 else "auto"  # pixels stay seen, files small
    for ax, image, name in zip(axes, images, names, strict=False):
        shown = np.clip(image[..., 0] if image.shape[2:] == (1,) else image, 0, 255)
        ax.imshow(shown.astype("uint8"), cmap="gray", vmin=0, vmax=255, interpolation=between)
        ax.set_title(name, fontsize=8)
    return figure


def plot_grad_cam(image, heat, title: str = ""):
    """Show an image beside the same image under its heat.

    Args:
        image: `(height, width, 1 or 3)`, uint8 or floats in 0..255.
        heat: `(height, width)` in 0..1, of `grad_cam`.
        title: over the heat, such as the class that it speaks for.

    Raises:
        ValueError: several images, or heat of another size.

    Example:
        >>> tl.plot_grad_cam(x_test[0], tl.grad_cam(model, x_test[0]), title="a")
        <Figure size ...>
    """
    image, heat = np.asarray(image), np.asarray(heat)
    if image.ndim != 3 or heat.shape != image.shape[:2]:
        raise ValueError(
            "`heat` must be as high and wide as the one image. Received: image of shape "
            f"{image.shape}, heat of shape {heat.shape}. Pass image[i] and heat[i]."
        )
    figure = plot_images(np.stack([image, image]), ["image", title], columns=2)
    figure.set_size_inches(4.2, 2.3)
    figure.axes[1].imshow(heat, cmap="inferno", alpha=0.55, vmin=0, vmax=1)
    return figure


def _check_shown(images: np.ndarray, titles: Sequence[str] | None) -> None:
    one = images.ndim == 3 and images.shape[-1] in (1, 3)
    if images.ndim not in (3, 4) or not images.size or one:
        raise ValueError(
            "`images` must have shape (n, height, width, channels). Received: shape="
            f"{images.shape}. {'Pass a single one as image[None]' if one else 'Give some'}."
        )
    if images.dtype.kind == "f" and 0 < images.max() <= 1:
        raise ValueError(
            f"`images` must be in 0..255. Received: floats up to {images.max():.3g}, which would "
            "all be black. Multiply by 255."
        )
    if titles is not None and len(titles) != len(images):
        raise ValueError(
            f"`titles` must be one for each image. Received: {len(titles)} titles for "
            f"{len(images)} images. Leave them out, or give them all."
        )


def plot_reliability(report: Report, bins: int = 15):
    """Plot accuracy against confidence; a calibrated model follows the diagonal.

    A report of `evaluate` is cut at so many `bins` of equal width over 0..1. The area of a point
    is its share of the samples.

    Example:
        >>> report = tl.evaluate(model, x, y)
        >>> tl.plot_reliability(report).savefig("reliability.png")
    """
    _check_classes(report)
    points = np.array(reliability(report.probabilities, report.labels, bins))
    figure, (ax,) = new_axes(3.4, 3.2)
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    ax.plot(points[:, 2], points[:, 1], color=BLUE, linewidth=1)
    ax.scatter(points[:, 2], points[:, 1], s=400 * points[:, 0], color=BLUE, alpha=0.7)
    ax.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    ax.set_title(f"calibration error {report.calibration_error:.3f}", fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    figure.set_label("Reliability of the confidence")
    return figure


def plot_embedding(features, labels, class_names=None, method: str = "pca", seed: int = 0):
    """Plot features in two dimensions, coloured by label.

    Args:
        features: `(n, ...)`, flattened to `(n, d)`; at least 3 samples.
        labels, class_names: integers `(n,)`, and names in order of the labels.
        method: "pca" (keeps distances as well as two dimensions can) or "tsne" (keeps
            neighbourhoods; distances between clusters mean nothing).
        seed: for t-SNE, whose perplexity is lowered for fewer than 100 samples.

    Raises:
        ValueError: an unknown method, too few samples, another number of labels.

    Example:
        >>> figure = tl.plot_embedding(features, labels, class_names)
        >>> figure.axes[0].get_title()
        'PCA'
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    features, labels = np.asarray(features), np.asarray(labels)
    features = features.reshape(len(features), -1)
    check_choice("method", method, ("pca", "tsne"))
    if len(features) < 3 or len(labels) != len(features):
        raise ValueError(
            "`features` must be at least 3 samples, with one label each. Received: "
            f"{len(features)} samples, {len(labels)} labels. Take both from one extract_features."
        )
    few = min(30.0, (len(features) - 1) / 3)
    tsne = TSNE(2, perplexity=few, init="random", random_state=seed)
    reduce = PCA(2, random_state=seed) if method == "pca" else tsne
    points = reduce.fit_transform(features)
    figure, (ax,) = new_axes(4.6, 3.4)
    for label in np.unique(labels):
        name = class_names[label] if class_names is not None else str(label)
        ax.scatter(*points[labels == label].T, s=6, label=name)
    ax.set(xticks=[], yticks=[], title={"pca": "PCA", "tsne": "t-SNE"}[method])
    ax.legend(fontsize=7, markerscale=2, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.set_label("Features in two dimensions")
    return figure
