"""Tables with a row for each spectrum, or one row that is for all: parts of them, and the better of two."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from usidx.fitting.kernels.columns import Columns

__all__ = ["choose_better", "take_rows"]

Array = npt.NDArray[np.float64]
Table = TypeVar("Table", bound=npt.NDArray[Any])


def take_rows(table: Table, rows: npt.NDArray[np.intp] | slice) -> Table:
    """Return the rows of some spectra, or the one row that is for all."""
    return table if table.shape[0] == 1 else table[rows]  # type: ignore[return-value]


def choose_better(first: Array, second: Array, at: Columns, *, by_chi2: bool = True, gain: float = 0.0) -> Array:
    """Return for each spectrum the fit that converged with less chi2, the evaluations of both counted.

    Less by the part `gain` of it at least. Where chi2 does not compare the fits, the second one counts only where the
    first failed.
    """
    failed, done = ~(first[:, at.status] > 0), second[:, at.status] > 0
    less = (second[:, at.chi2] < (1.0 - gain) * first[:, at.chi2]) & by_chi2
    found = np.where((done & (failed | less))[:, None], second, first)
    found[:, at.nfev] = first[:, at.nfev] + second[:, at.nfev]
    return found
