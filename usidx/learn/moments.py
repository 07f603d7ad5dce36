"""Rows to their count, mean and Gram matrix in double precision, one block at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.learn.blocks import pieces
from usidx.learn.holes import sift

__all__ = ["Moments", "add_gram", "block_moments", "join_moments", "mirror"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Moments:
    """What one pass finds: ``gram`` is the sum of conj(x - mean) (x - mean)ᵀ over the rows x that count.

    Only its lower triangle, which is all that eigenvectors take, is sure to be there.
    """

    holes: npt.NDArray[np.bool_]
    count: int
    mean: Array
    gram: Array


def block_moments(block: Array, centred: bool) -> Moments:
    """Return the moments of one block; the mean is zero where it is not to be removed."""
    rows, holes = sift(block)
    wide = np.result_type(rows.dtype, np.float64)
    mean = rows.mean(axis=0, dtype=wide) if centred and len(rows) else np.zeros(rows.shape[1], wide)
    gram = np.zeros((rows.shape[1],) * 2, wide)
    for part in pieces(len(rows), rows.shape[1] * wide.itemsize):
        add_gram(gram, rows[part].astype(wide) - mean if centred else rows[part].astype(wide))
    return Moments(holes, len(rows), mean, gram)


def join_moments(first: Moments, second: Moments) -> Moments:
    """Join the moments of two sets of rows about their common mean (Chan, Golub and LeVeque, 1983)."""
    holes = first.holes & second.holes
    used = [m for m in (first, second) if m.count and (m.holes == holes).all()]
    if not used:
        return Moments(holes, 0, np.zeros_like(first.mean), np.zeros_like(first.gram))
    if len(used) == 1:
        return used[0]
    count = first.count + second.count
    apart = second.mean - first.mean
    gram = first.gram + second.gram
    if apart.any():
        gram += np.outer(apart.conj(), apart) * (first.count * second.count / count)
    return Moments(holes, count, first.mean + apart * (second.count / count), gram)


def add_gram(gram: Array, rows: Array) -> None:
    """Add conj(rows)ᵀ rows to the lower triangle of an array in C order; :func:`mirror` makes the rest."""
    from scipy.linalg import get_blas_funcs

    if not rows.size:
        return
    if rows.dtype.kind == "c":
        real, imaginary = np.ascontiguousarray(rows.real), np.ascontiguousarray(rows.imag)
        cross = real.T @ imaginary
        whole = np.zeros(gram.shape)
        add_gram(whole, np.concatenate([real, imaginary]))
        gram.real += whole
        gram.imag += cross - cross.T
        return
    # NumPy's product mirrors itself each time, which takes a fifth of the time.
    syrk = get_blas_funcs("syrk", (rows,))
    if rows.dtype == gram.dtype:
        syrk(1.0, rows.T, 1.0, gram.T, overwrite_c=True)
    else:
        gram += syrk(1.0, rows.T).T


def mirror(gram: Array) -> None:
    """Make what is above the diagonal the conjugate of what is below."""
    np.copyto(gram, gram.conj().T, where=~np.tri(len(gram), dtype=bool))
