"""Blocks of wide rows to leading singular vectors, by block Lanczos: no Gram matrix, one pass per step.

Each pass multiplies a thin block of vectors with the Gram matrix without forming it. The best approximation within
all vectors so far (Rayleigh and Ritz) comes with its own error, so the passes end when that is small enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.learn.blocks import Blocks, pieces
from usidx.learn.holes import sift, without_holes
from usidx.learn.spectrum import Decomposed, fix_sign, shares

__all__ = ["MOST_PASSES", "lanczos"]

Array = npt.NDArray[Any]

MOST_PASSES = 24
_SPARE = 8


@dataclass(frozen=True, slots=True)
class _Product:
    """Sums over the rows x that count, about their mean: conj(x) (xᵀ basis), and the squares."""

    holes: npt.NDArray[np.bool_]
    count: int
    mean: Array
    product: Array
    square: float


@dataclass(frozen=True, slots=True)
class _Join:
    """Join products about their common mean (Chan, Golub and LeVeque, 1983)."""

    basis: Array

    def __call__(self, first: _Product, second: _Product) -> _Product:
        holes = first.holes & second.holes
        used = [p for p in (first, second) if p.count and (p.holes == holes).all()]
        if not used:
            return _Product(holes, 0, np.zeros_like(first.mean), np.zeros_like(first.product), 0.0)
        if len(used) == 1:
            return used[0]
        count = first.count + second.count
        apart = second.mean - first.mean
        weight = first.count * second.count / count
        product = first.product + second.product
        if apart.any():
            product += np.outer(apart.conj(), apart @ self.basis) * weight
        square = first.square + second.square + weight * float(np.vdot(apart, apart).real)
        return _Product(holes, count, first.mean + apart * (second.count / count), product, square)


def lanczos(blocks: Blocks, columns: int, pairs: bool, n: int, centred: bool, seed: int, tol: float) -> Decomposed:
    """Return the n leading components; `tol` bounds the estimated relative error of a singular value."""
    basis = _random(columns, min(columns, n + _SPARE), pairs, seed)
    seen = blocks.fold(_first_block, _Join(basis), basis, centred)
    basis, images = _within(basis, seen.product, seen.holes)
    newest = images
    for passed in range(1, MOST_PASSES + 1):
        squares, vectors, errors = _ritz(basis, images, n)
        if passed == MOST_PASSES or not seen.count or errors.max() <= tol:
            break
        fresh = _fresh(newest, basis, seen.holes)
        if not fresh.shape[1]:
            break
        newest = blocks.fold(_next_block, np.add, fresh, seen.mean, seen.holes)
        basis, images = np.hstack([basis, fresh]), np.hstack([images, newest])
    components = vectors.conj().T
    components *= fix_sign(components)[:, np.newaxis]
    ratio = shares(squares, seen.square)
    return Decomposed(components, np.sqrt(squares), ratio, seen.mean, seen.holes, None, errors)


def _first_block(block: Array, basis: Array, centred: bool) -> _Product:
    rows, holes = sift(block)
    wide = np.result_type(rows.dtype, np.float64)
    mean = rows.mean(axis=0, dtype=wide) if centred and len(rows) else np.zeros(rows.shape[1], wide)
    product, square = np.zeros(basis.shape, basis.dtype), 0.0
    for part in pieces(len(rows), rows.shape[1] * wide.itemsize):
        near = rows[part].astype(wide) - mean
        product += near.conj().T @ (near @ basis)
        square += float(np.vdot(near, near).real)
    return _Product(holes, len(rows), mean, product, square)


def _next_block(block: Array, basis: Array, mean: Array, holes: Array) -> Array:
    rows, _ = without_holes(block, holes)
    product = np.zeros(basis.shape, basis.dtype)
    for part in pieces(len(rows), rows.shape[1] * basis.itemsize):
        near = rows[part] - mean
        product += near.conj().T @ (near @ basis)
    return product


def _random(columns: int, width: int, pairs: bool, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(columns, width))
    return np.linalg.qr(drawn + 1j * rng.normal(size=drawn.shape) if pairs else drawn)[0]


def _within(basis: Array, images: Array, holes: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Take the holes out of the basis, which have no image."""
    if not holes.any() or (~holes).sum() < basis.shape[1]:
        return basis, images
    outside, triangle = np.linalg.qr(np.where(holes[:, np.newaxis], 0, basis))
    return outside, np.linalg.solve(triangle.T, images.T).T


def _fresh(newest: Array, basis: Array, holes: npt.NDArray[np.bool_]) -> Array:
    """Return an orthonormal block of what the newest images add; twice is enough against rounding (Parlett, 1980)."""
    from scipy.linalg import qr

    size = float(np.linalg.norm(newest))
    for _ in range(2):
        newest = newest - basis @ (basis.conj().T @ newest)
        newest[holes] = 0
        orthonormal, triangle, _order = qr(newest, mode="economic", pivoting=True)
        newest = orthonormal[:, np.abs(np.diag(triangle)) > 1e-13 * size]
        size = 1.0
    return newest


def _ritz(basis: Array, images: Array, n: int) -> tuple[Array, Array, Array]:
    """Return the best eigenvalues, their vectors, and the estimated relative error of each square root.

    An eigenvalue is as near as the residual is long, and nearer by the residual over the gap to the rest.
    """
    from scipy.linalg import eigh

    inner = basis.conj().T @ images
    values, turn = eigh((inner + inner.conj().T) / 2)
    values, turn = np.maximum(values[::-1], 0), turn[:, ::-1]
    vectors = basis @ turn[:, :n]
    residual = np.linalg.norm(images @ turn[:, :n] - vectors * values[:n], axis=0)
    rest = values[n] if len(values) > n else 0.0
    gap = np.maximum(values[:n] - rest, residual)
    floor = max(float(values[0]), np.finfo(float).tiny) * len(basis) * np.finfo(float).eps
    known = values[:n] > floor
    error = np.divide(residual**2, 2 * gap * values[:n], out=np.zeros(n), where=known & (gap > 0))
    return np.where(known, values[:n], 0.0), vectors, error
