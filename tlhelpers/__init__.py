"""Transfer learning with Keras 3: `import tlhelpers as tl`."""

from tlhelpers import quiet  # noqa: F401, I001  (first: keras is imported inside it)
from tlhelpers.assets import fetch, fetch_all
from tlhelpers.backbones import load_backbone
from tlhelpers.blocks import find_base, find_blocks
from tlhelpers.datasets import load_dataset
from tlhelpers.evaluation import evaluate
from tlhelpers.features import extract_features
from tlhelpers.freezing import describe, freeze, unfreeze
from tlhelpers.guard import FitGuard
from tlhelpers.heads import build_classifier, build_head, build_text_classifier
from tlhelpers.mnist_m import make_mnist_m
from tlhelpers.plots import (
    plot_confusion,
    plot_embedding,
    plot_history,
    plot_images,
    plot_reliability,
)
from tlhelpers.preprocessing import Preprocess, preprocessing
from tlhelpers.seeds import set_seed
from tlhelpers.splitting import split_at
from tlhelpers.training import fine_tune

__all__ = [
    "FitGuard",
    "Preprocess",
    "build_classifier",
    "build_head",
    "build_text_classifier",
    "describe",
    "evaluate",
    "extract_features",
    "fetch",
    "fetch_all",
    "find_base",
    "find_blocks",
    "fine_tune",
    "freeze",
    "load_backbone",
    "load_dataset",
    "make_mnist_m",
    "plot_confusion",
    "plot_embedding",
    "plot_history",
    "plot_images",
    "plot_reliability",
    "preprocessing",
    "set_seed",
    "split_at",
    "unfreeze",
]
__version__ = "0.1.0"
