"""Tall matrices in bounded memory: read in blocks of rows, kept as D x D numbers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

_EPS = np.finfo("float64").eps
_LEAST_SQUARE = 1e-6  # least eigenvalue of X'X beside the largest: ten digits of each remain


@dataclass(frozen=True)
class Tall:
    """A matrix `(n, D)` as it came, of any dtype, to be read as `(x / scale - mean)` in float64."""

    x: np.ndarray
    scale: float = 1.0
    mean: np.ndarray | None = None

    @classmethod
    def of(cls, x: np.ndarray, center: bool = False) -> "Tall":
        """Return a matrix scaled to values of 1 at most, and centered if that is asked for."""
        tall = cls(x, max(float(x.max()), -float(x.min())))
        if not center:
            return tall
        return cls(x, tall.scale, sum(b.sum(axis=0) for b in tall.blocks()) / len(x))

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield some rows at a time, as float64."""
        rows = max(2 * self.x.shape[1], 256)
        for start in range(0, len(self.x), rows):
            block = np.divide(self.x[start : start + rows], self.scale, dtype="float64")
            if self.mean is not None:
                block -= self.mean
            yield block

    def decomposed(self, sums: Callable) -> tuple[np.ndarray, np.ndarray]:
        """Return s of the thin SVD U S V', and `w' U` for what gives `w' block` of some rows.

        `sums(rows, block)` is `(t, D)` for the weights w of these rows, `(rows, t)`. Directions
        that are only rounding are left out. U = X V / S of more rows than columns is never held.
        """
        n, width = self.x.shape
        if n <= width:
            u, s, _ = np.linalg.svd(np.vstack(list(self.blocks())), full_matrices=False)
            real = s > s[0] * width * _EPS
            return s[real], sums(slice(0, n), u[:, real])
        from scipy.linalg.blas import dsyrk

        squared, weighted, start = np.zeros((width, width), order="F"), 0.0, 0
        for block in self.blocks():  # the lower triangle of X'X, added to in place
            squared = dsyrk(1.0, block.T, beta=1.0, c=squared, lower=True, overwrite_c=True)
            weighted = weighted + sums(slice(start, start + len(block)), block)
            start += len(block)
        s, v = eigenvalues_of(squared) or self._by_triangle()
        return s, weighted @ v / s

    def _by_triangle(self) -> tuple[np.ndarray, np.ndarray]:
        """Return S and V of the triangle of a QR decomposition: as exact as the SVD of the whole.

        It is made block by block, which takes four times as long as X'X.
        """
        part = np.zeros((0, self.x.shape[1]))
        for block in self.blocks():
            part = np.asarray(np.linalg.qr(np.vstack([part, block]), mode="r"))
        _, s, vt = np.linalg.svd(part, full_matrices=False)
        real = s > s[0] * len(self.x) * _EPS
        return s[real], vt[real].T


def eigenvalues_of(squared: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return S and V from X'X, its lower triangle; None where squaring has cost too many digits."""
    squares, v = np.linalg.eigh(squared)
    if squares[0] < squares[-1] * _LEAST_SQUARE:
        return None
    return np.sqrt(squares[::-1]), v[:, ::-1]
