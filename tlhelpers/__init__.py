"""Transfer learning with Keras 3: `import tlhelpers as tl`."""

from tlhelpers import quiet  # noqa: F401  (first: keras is imported inside it)

__all__: list[str] = []
__version__ = "0.1.0"
