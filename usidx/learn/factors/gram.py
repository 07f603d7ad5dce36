"""Rows -> their count, mean and Gram matrix in double precision, one block at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.learn.matrix.missing import sift
from usidx.tasks.blocks import cut_pieces
from usidx.tasks.pool import do_each
from usidx.tasks.threads import runs_on_cluster

__all__ = ["LEAST", "WIDE", "Moments", "add_grams", "compute_gram", "join_moments", "sum_grams", "sum_moments"]

Array = npt.NDArray[Any]

#: Rows that are worth adding to a whole Gram matrix.
LEAST = 256
#: Columns beyond which a Gram matrix, then of 32 MiB, is summed a panel at a time: there is to be one, not several.
WIDE = 2048
_PANEL = 512


@dataclass(frozen=True, slots=True)
class Moments:
    """What one pass finds: ``gram`` is the sum of conj(x - mean) (x - mean)ᵀ over the rows x that count."""

    holes: npt.NDArray[np.bool_]
    count: int
    mean: Array
    gram: Array


def sum_moments(block: Array, centred: bool) -> Moments:
    """Return the moments of one block; the mean is zero where it is not to be removed."""
    rows, holes = sift(block)
    wide = np.result_type(rows.dtype, np.float64)
    mean = rows.mean(axis=0, dtype=wide) if centred and len(rows) else np.zeros(rows.shape[1], wide)
    pieces = (rows[part].astype(wide) for part in cut_pieces(len(rows), rows.shape[1] * wide.itemsize, LEAST))
    gram = sum_grams((piece - mean if centred else piece for piece in pieces), rows.shape[1], wide)
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
    between = second.mean - first.mean
    gram = add_grams(first.gram, second.gram)
    if between.any():
        # What both matrices lack: the rows of each are about their own mean, not the common one.
        gram += np.outer(between.conj(), between) * (first.count * second.count / count)
    return Moments(holes, count, first.mean + between * (second.count / count), gram)


def add_grams(first: Array, second: Array) -> Array:
    """Add two Gram matrices, in the place of the first; a cluster may yet ask for that again."""
    return np.add(first, second, out=None if runs_on_cluster() else first)


def sum_grams(pieces: Iterable[Array], columns: int, dtype: np.dtype[Any], before: Array | None = None) -> Array:
    """Return the sum of the Gram matrices of several sets of rows, and of one before, in whose place it may be."""
    gram = np.zeros((columns, columns), dtype) if before is None else before.copy() if runs_on_cluster() else before
    if columns <= WIDE:
        for rows in pieces:
            gram += compute_gram(rows)
        return gram
    panels = [slice(start, min(start + _PANEL, columns)) for start in range(0, columns, _PANEL)]
    for rows in pieces:
        do_each(partial(_add_panel, gram, rows), panels)
    for part in panels:
        gram[: part.start, part] = gram[part, : part.start].T.conj()
    return gram


def _add_panel(gram: Array, rows: Array, part: slice) -> None:
    """Add the rows of a Gram matrix that some columns make with those up to them."""
    gram[part, : part.stop] += rows[:, part].T.conj() @ rows[:, : part.stop]


def compute_gram(rows: Array) -> Array:
    """Return conj(rows)ᵀ rows; a complex product is put together from real symmetric ones, at half the cost."""
    if rows.dtype.kind != "c":
        # BLAS through SciPy would spare the mirroring, but SciPy lets no other thread run meanwhile.
        return rows.T @ rows
    real, imaginary = np.ascontiguousarray(rows.real), np.ascontiguousarray(rows.imag)
    cross = real.T @ imaginary
    gram = np.empty_like(cross, dtype=rows.dtype)
    gram.real = real.T @ real + imaginary.T @ imaginary
    gram.imag = cross - cross.T
    return gram
