"""Table of a first fit and the fits around each spectrum -> a second fit of those that failed.

A spectrum that failed is fitted again from the parameters of each neighbour that converged, and the best of these fits
is kept. Nothing else changes. Neighbours are looked for in the whole map, so the result does not depend on how it is
cut into blocks; a lazy map passes the edges of its blocks on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from usidx.fitting.kernels.columns import Columns
from usidx.fitting.solver.compiled import Options
from usidx.fitting.solver.solve import keep_better

__all__ = ["gather_neighbours", "list_offsets", "solve_failed"]

Array = npt.NDArray[np.float64]


def list_offsets(rank: int) -> list[tuple[int, ...]]:
    """Return the steps to the neighbours of a cell, the nearest first; over three dims and more only the nearest."""
    steps = [s for s in itertools.product((-1, 0, 1), repeat=rank) if any(s)]
    nearest = sorted(steps, key=lambda s: (sum(map(abs, s)), s))
    return nearest if rank < 3 else nearest[: 2 * rank]


def gather_neighbours(table: Array, n: int, rank: int) -> Array:
    """Return the parameters of the neighbours, (*cells, neighbour, n), NaN where there is none or it failed.

    The leading `rank` dims of `table` (*cells, figure) are those in which cells lie side by side.
    """
    at = Columns(n)
    parameters = np.where(table[..., at.status, None] > 0, table[..., at.parameters], np.nan)
    found = np.full((*table.shape[:-1], len(list_offsets(rank)), n), np.nan)
    for k, step in enumerate(list_offsets(rank)):
        here = tuple(slice(max(0, -s), None if s <= 0 else -s) for s in step)
        there = tuple(slice(max(0, s), None if s >= 0 else s) for s in step)
        found[(*here, ..., k, slice(None))] = parameters[there]
    return found


def solve_failed(
    fit_rows: Callable[[npt.NDArray[np.intp], Array], Array], first: Array, starts: Array, options: Options, n: int
) -> Array:
    """Return the table with failed spectra fitted from `starts`, and a last column that says which it helped.

    `starts` is of shape (spectrum, neighbour, n); `fit_rows(rows, start)` fits some spectra.
    """
    out = np.concatenate([first, np.zeros((len(first), 1))], axis=1)
    status = Columns(n).status
    failed = ~(first[:, status] > 0)
    for k in range(starts.shape[1]):
        rows = np.flatnonzero(failed & np.isfinite(starts[:, k]).all(axis=1))
        if rows.size:
            kept = keep_better(out[rows, :-1], fit_rows(rows, starts[rows, k]), n, options)
            out[rows, :-1], out[rows, -1] = kept, kept[:, status] > 0
    return out
