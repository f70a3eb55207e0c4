"""Tall matrices in bounded memory: read in blocks of rows, kept as a D x D triangle."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tall:
    """A matrix `(n, D)` as it came, of any dtype, to be read as `(x / scale - mean)` in float64."""

    x: np.ndarray
    scale: float = 1.0
    mean: np.ndarray | float = 0.0

    @classmethod
    def of(cls, x: np.ndarray, center: bool = False) -> "Tall":
        """Return a matrix scaled to values of 1 at most, and centered if that is asked for."""
        tall = cls(x)
        tall = cls(x, max(float(np.abs(block).max()) for block in tall.blocks()))
        if not center:
            return tall
        return cls(x, tall.scale, sum(b.sum(axis=0) for b in tall.blocks()) / len(x))

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield some rows at a time, as float64."""
        rows = max(2 * self.x.shape[1], 256)
        for start in range(0, len(self.x), rows):
            block = self.x[start : start + rows].astype("float64")
            block /= self.scale
            block -= self.mean
            yield block

    def decomposed(self) -> tuple[np.ndarray, Callable]:
        """Return s of the thin SVD U S V', and what gives `w @ U` for the weights of `weighted`.

        Directions that are only rounding are left out. For more rows than columns S and V are those
        of the triangle R of a QR decomposition, made block by block, which is as exact as the SVD
        of the whole, and U = X V / S is never held.
        """
        n, width = self.x.shape
        if n > width:
            part = np.zeros((0, width))
            for block in self.blocks():
                part = np.asarray(np.linalg.qr(np.vstack([part, block]), mode="r"))
        else:
            part = np.vstack(list(self.blocks()))
        u, s, vt = np.linalg.svd(part, full_matrices=False)
        real = s > s[0] * max(n, width) * np.finfo("float64").eps
        u, s, v = u[:, real], s[real], vt[real].T
        if n <= width:
            return s, lambda weights: weights(slice(0, n)) @ u
        return s, lambda weights: self.weighted(weights) @ v / s

    def weighted(self, weights: Callable[[slice], np.ndarray]) -> np.ndarray:
        """Return `w @ x`, `(t, D)`, for what gives the weights of some rows, `(t, rows)`."""
        total, start = 0.0, 0
        for block in self.blocks():
            total = total + weights(slice(start, start + len(block))) @ block
            start += len(block)
        return np.asarray(total)
