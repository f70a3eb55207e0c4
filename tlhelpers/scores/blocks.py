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
        """Return s of the thin SVD U S V', and what gives `w' U` for `sums(rows, block)`.

        `sums` returns `w' block`, `(t, D)`, for weights w of those rows. Directions that are only
        rounding are left out. U = X V / S of more rows than columns is never held.
        """
        n, width = self.x.shape
        if n <= width:
            u, s, _ = np.linalg.svd(np.vstack(list(self.blocks())), full_matrices=False)
            real = s > s[0] * width * _EPS
            u, s = u[:, real], s[real]
            return s, lambda sums: sums(slice(0, n), u)
        s, v = self._by_eigenvalues() or self._by_triangle()
        return s, lambda sums: self.summed(sums) @ v / s

    def _by_eigenvalues(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return S and V from X'X, or None where squaring would cost too many digits of them."""
        squares, v = np.linalg.eigh(sum(block.T @ block for block in self.blocks()))
        if squares[0] < squares[-1] * _LEAST_SQUARE:
            return None
        return np.sqrt(squares[::-1]), v[:, ::-1]

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

    def summed(self, sums: Callable[[slice, np.ndarray], np.ndarray]) -> np.ndarray:
        """Return the total of `sums(rows, block)` over all blocks."""
        total, start = 0.0, 0
        for block in self.blocks():
            total = total + sums(slice(start, start + len(block)), block)
            start += len(block)
        return np.asarray(total)
