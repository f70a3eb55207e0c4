"""Figures. Each function returns a matplotlib figure and never shows it."""

from __future__ import annotations

from collections.abc import Sequence

from tlhelpers.reading.evaluation import Report, reliability

import numpy as np

BLUE, ORANGE, GREY = "#1f6f8b", "#e07a3f", "#8a8f98"


def _axes(width: float, height: float, rows: int = 1, columns: int = 1):
    """Return a figure that is closed (a notebook shows it once, as a cell's value) and its axes."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height), dpi=80, layout="constrained", squeeze=False
    )
    plt.close(figure)
    return figure, axes


def plot_history(history, metrics: Sequence[str] | None = None):
    """Plot each metric over the epochs, with a line where a new phase begins.

    Args:
        history: what `fine_tune` or Keras' `fit` returned, or its dictionary.
        metrics: names without "val_"; all by default.

    Raises:
        ValueError: no epoch in it, or an unknown metric.
    """
    values = history if isinstance(history, dict) else history.history
    known = [name for name in values if not name.startswith("val_") and name != "learning_rate"]
    names = list(metrics) if metrics is not None else known
    if not names or any(name not in values for name in names):
        raise ValueError(
            f"metrics must be among {known}, after at least one epoch. Received: metrics={metrics}."
        )
    figure, axes = _axes(4.2 * len(names), 2.8, 1, len(names))
    for ax, name in zip(axes[0], names, strict=True):
        epochs = np.arange(1, len(values[name]) + 1)
        ax.plot(epochs, values[name], color=GREY, label="training")
        if f"val_{name}" in values:
            ax.plot(epochs, values[f"val_{name}"], color=BLUE, marker=".", label="validation")
        for boundary in getattr(history, "boundaries", ()):
            ax.axvline(boundary + 0.5, color=ORANGE, linestyle="--", linewidth=1)
        for phase, start in _phase_starts(history):
            ax.annotate(phase, (start + 0.6, 1.01), xycoords=("data", "axes fraction"), fontsize=8)
        ax.set(xlabel="epoch", ylabel=name)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0][0].legend(frameon=False)
    return figure


def _phase_starts(history) -> list[tuple[str, int]]:
    phases = getattr(history, "phases", ())
    starts = [0, *getattr(history, "boundaries", ())]
    return [(phase.name, start) for phase, start in zip(phases, starts, strict=False)]


def plot_confusion(report: Report, normalize: bool = True):
    """Plot a report's confusion matrix: true classes in rows, predicted ones in columns.

    Args:
        report: what `evaluate` returned.
        normalize: colour by the share of the true class; the numbers are counts in any case.
    """
    matrix = np.asarray(report.confusion, dtype=float)
    totals = matrix.sum(axis=1, keepdims=True)
    colour = np.divide(matrix, totals, out=np.zeros_like(matrix), where=totals > 0)
    colour = colour if normalize else matrix
    size = 1.8 + 0.42 * len(matrix)
    figure, axes = _axes(size + 0.6, size)
    ax = axes[0][0]
    ax.imshow(colour, cmap="Blues", vmin=0, vmax=1 if normalize else None)
    threshold = colour.max() / 2
    for (i, j), count in np.ndenumerate(matrix):
        text_colour = "white" if colour[i, j] > threshold else "black"
        ax.text(j, i, f"{count:.0f}", ha="center", va="center", color=text_colour, fontsize=8)
    ticks = range(len(matrix))
    ax.set_xticks(ticks, report.class_names, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(ticks, report.class_names)
    ax.set(xlabel="predicted", ylabel="true")
    return figure


def plot_images(images, titles: Sequence[str] | None = None, columns: int = 6):
    """Show images side by side.

    Args:
        images: `(n, height, width, 1 or 3)` or `(n, height, width)`, uint8 or floats in 0..255;
            a single one as `image[None]`.
        titles: one for each image.
        columns: images in a row.

    Raises:
        ValueError: no image, another shape, floats in 0..1, another number of titles than images.
    """
    images = np.asarray(images)
    one = images.ndim == 3 and images.shape[-1] in (1, 3)
    if images.ndim not in (3, 4) or not images.size or one:
        cure = " For a single image: image[None]." if one else ""
        raise ValueError(
            f"Images must be (n, height, width, channels). Received: {images.shape}.{cure}"
        )
    if images.dtype.kind == "f" and 0 < images.max() <= 1:
        raise ValueError(
            "Images must be in 0..255. Received: floats up to "
            f"{images.max():.3g}, which would all be black. Multiply by 255."
        )
    if titles is not None and len(titles) != len(images):
        raise ValueError(
            f"One title for each image is required. Received: {len(images)} images, "
            f"{len(titles)} titles."
        )
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure, axes = _axes(
        1.25 * columns, (1.5 if titles is not None else 1.25) * rows, rows, columns
    )
    for ax in axes.flat:
        ax.axis("off")
    for number, (ax, image) in enumerate(zip(axes.flat, images, strict=False)):
        grey = image.ndim == 2 or image.shape[-1] == 1
        shown = np.clip(image, 0, 255).astype("uint8")
        ax.imshow(shown.squeeze() if grey else shown, cmap="gray", vmin=0, vmax=255)
        if titles is not None:
            ax.set_title(titles[number], fontsize=8)
    return figure


def plot_reliability(report: Report, bins: int = 15):
    """Plot accuracy against confidence; a calibrated model follows the diagonal.

    Args:
        report: what `evaluate` returned.
        bins: bins of equal width over 0..1. The area of a point is its share of the samples.
    """
    points = np.array(reliability(report.probabilities, report.labels, bins))
    figure, axes = _axes(3.4, 3.2)
    ax = axes[0][0]
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    ax.plot(points[:, 2], points[:, 1], color=BLUE, linewidth=1)
    ax.scatter(points[:, 2], points[:, 1], s=400 * points[:, 0], color=BLUE, alpha=0.7)
    ax.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    ax.set_title(f"calibration error {report.calibration_error:.3f}", fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def plot_embedding(features, labels, class_names=None, method: str = "pca", seed: int = 0):
    """Plot features in two dimensions, coloured by label.

    Args:
        features: `(n, ...)`, flattened to `(n, d)`; at least 3 samples.
        labels: integers `(n,)`.
        class_names: names in order of the labels.
        method: "pca" (keeps distances as well as two dimensions can) or "tsne" (keeps
            neighbourhoods; distances between clusters mean nothing).
        seed: for t-SNE, whose perplexity is lowered for fewer than 100 samples.

    Raises:
        ValueError: an unknown method, too few samples, another number of labels.
    """
    features, labels = np.asarray(features), np.asarray(labels)
    features = features.reshape(len(features), -1)
    if method not in ("pca", "tsne"):
        raise ValueError(f"method must be 'pca' or 'tsne'. Received: method={method!r}.")
    if len(features) < 3 or len(labels) != len(features):
        raise ValueError(
            "At least 3 samples are required, with one label each. "
            f"Received: {len(features)} samples, {len(labels)} labels."
        )
    points = _to_two_dimensions(features, method, seed)
    figure, axes = _axes(4.6, 3.4)
    ax = axes[0][0]
    for label in np.unique(labels):
        name = class_names[label] if class_names is not None else str(label)
        ax.scatter(*points[labels == label].T, s=6, label=name)
    ax.set(xticks=[], yticks=[], title=method.upper() if method == "pca" else "t-SNE")
    ax.legend(fontsize=7, markerscale=2, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _to_two_dimensions(features: np.ndarray, method: str, seed: int) -> np.ndarray:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if method == "pca":
        return PCA(2, random_state=seed).fit_transform(features)
    perplexity = min(30.0, (len(features) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="random", random_state=seed).fit_transform(features)
