"""Gram matrix -> singular values and components, with a fixed order and sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.learn.factors.gram import Moments
from usidx.learn.matrix.missing import keep_complete, refuse_nothing
from usidx.tasks.blocks import Rows, cut_pieces
from usidx.tasks.process.blas import limit_blas

__all__ = [
    "Decomposition",
    "decompose_rows",
    "divide_by_total",
    "find_leading",
    "find_leading_rows",
    "fix_sign",
    "pick_components",
    "project_rows",
]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Leading part of a singular value decomposition of rows about their mean.

    ``components`` (n, columns) and ``mean`` (columns,) are zero in the ``holes``; ``scores`` is None where it takes
    another pass; ``errors`` are estimates for the values where these are not exact.
    """

    components: Array
    values: Array
    ratio: Array
    mean: Array
    holes: npt.NDArray[np.bool_]
    scores: Rows | None = None
    errors: Array | None = None


def pick_components(found: Decomposition) -> Array:
    """Return the components with NaN in the holes."""
    components: Array = np.where(found.holes, np.nan, found.components) if found.holes.any() else found.components
    return components


def decompose_rows(moments: Moments, n: int) -> Decomposition:
    """Take the components from the eigenvectors of the Gram matrix of the columns."""
    refuse_nothing(moments.count)
    kept = ~moments.holes
    squares, vectors = find_leading(moments.gram[np.ix_(kept, kept)], n, overwrite=True)
    components = np.zeros((n, len(kept)), moments.gram.dtype)
    components[: len(squares), kept] = vectors.conj().T
    components *= fix_sign(components)[:, np.newaxis]
    squares = np.pad(squares, (0, n - len(squares)))
    total = float(np.trace(moments.gram).real)
    return Decomposition(components, np.sqrt(squares), divide_by_total(squares, total), moments.mean, moments.holes)


def project_rows(block: Array, found: Decomposition) -> Array:
    """Return the scores of a block; rows with cells that are not finite get NaN."""
    if not found.holes.any():
        with np.errstate(invalid="ignore", over="ignore"):
            scores = _project(block, found)
        # A cell that is not finite shows in the scores: to look for it in all cells first would take longer.
        if np.isfinite(scores).all():
            return scores
    rows, used = keep_complete(block, found.holes)
    if used is None:
        return _project(rows, found)
    scores = _project(rows, found)
    full = np.full((len(block), scores.shape[1]), np.nan, scores.dtype)
    full[used] = scores
    return full


def _project(rows: Array, found: Decomposition) -> Array:
    dtype = np.result_type(rows.dtype, np.float32) if rows.dtype.kind in "fc" else np.dtype(np.float64)
    dtype = np.result_type(dtype, _find_smallest_dtype(found.components))
    basis = found.components.conj().T.astype(dtype, copy=False)
    mean = found.mean.astype(dtype, copy=False) if found.mean.any() else None
    scores = np.empty((len(rows), basis.shape[1]), dtype)
    for part in cut_pieces(len(rows), rows.shape[1] * dtype.itemsize):
        near = rows[part] if mean is None else rows[part] - mean
        scores[part] = near.astype(dtype, copy=False) @ basis
    return scores


def fix_sign(components: Array) -> Array:
    """Return the factor of modulus one that makes the largest cell of each component real and positive.

    Among cells within a thousandth of the largest the first one decides: rounding cannot turn a symmetric shape.
    """
    size = np.abs(components)
    first = (size >= 0.999 * size.max(axis=1, keepdims=True)).argmax(axis=1)
    cells = components[np.arange(len(components)), first]
    factors = np.ones(len(cells), components.dtype)
    np.divide(np.abs(cells), cells, out=factors, where=cells != 0)
    return factors


def find_leading(gram: Array, n: int, *, overwrite: bool = False) -> tuple[Array, Array]:
    """Return the n largest (or as many as there are) eigenvalues and their vectors; what is rounding is zero."""
    from scipy.linalg import eigh

    size = len(gram)
    if size == 0:
        return np.zeros(0), np.zeros((0, 0), gram.dtype)
    few = [max(0, size - n), size - 1]
    # More threads wait for each other most of the time: two are slower than one where cores are shared.
    with limit_blas():
        if overwrite and gram.dtype.kind != "c":
            gram = gram.T  # the same, in the order of Fortran, of which LAPACK needs no copy
        squares, vectors = eigh(gram, subset_by_index=few, check_finite=False, overwrite_a=overwrite)
    squares, vectors = squares[::-1], vectors[:, ::-1]
    # Rounding of the largest eigenvalue: what is smaller cannot be told from zero.
    noise = max(float(squares[0]), 0.0) * size * np.finfo(np.float64).eps
    return np.where(squares > noise, squares, 0.0), vectors


def find_leading_rows(rows: Array, n: int, middle: Array | None = None) -> Array:
    """Return the n (or as many as there are) leading right singular vectors of a few rows about a middle, as rows."""
    parts = cut_pieces(rows.shape[1], 8 * len(rows))
    if rows.shape[1] <= len(rows):
        wide = _widen_columns(rows, slice(None), middle)
        return find_leading(wide.T @ wide, n)[1].T
    # Fewer rows than columns: the left vectors come from the smaller Gram matrix, and the right ones from these.
    gram = np.zeros((len(rows),) * 2)
    for part in parts:
        wide = _widen_columns(rows, part, middle)
        gram += wide @ wide.T
    squares, vectors = find_leading(gram, n)
    known = squares > 0
    turn = (vectors[:, known] / np.sqrt(squares[known])).T
    return np.concatenate([turn @ _widen_columns(rows, part, middle) for part in parts], axis=1)


def _widen_columns(rows: Array, part: slice, middle: Array | None) -> Array:
    wide = rows[:, part].astype(np.float64)
    return wide if middle is None else wide - middle[part]


def divide_by_total(squares: Array, total: float) -> Array:
    """Return the part of the total that each square is; zero of nothing."""
    return squares / total if total > 0 else np.zeros_like(squares)


def _find_smallest_dtype(array: Array) -> Any:
    """Return the smallest dtype of the same kind, which leaves the precision to the other operand."""
    return np.complex64 if array.dtype.kind == "c" else np.float32
