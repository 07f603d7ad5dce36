"""Robust loss without a scale -> the fit whose loss begins at the noise of each spectrum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.fitting.kernels.columns import Columns
from usidx.fitting.solver.robust import bound_noise, estimate_noise

__all__ = ["solve_by_noise"]

Array = npt.NDArray[np.float64]


def solve_by_noise(
    fit: Callable[[Array, Array], Array],
    evaluate: Callable[[Array], npt.NDArray[Any]],
    y: npt.NDArray[Any],
    weight: Array | None,
    start: Array,
    *,
    parameters: int,
    free: int,
    order: npt.NDArray[np.intp],
) -> Array:
    """Fit twice: by the noise that neighbouring samples show, and from there by what the first fit left over.

    Parameters
    ----------
    fit : callable
        Of weights (spectrum, sample), by which the loss begins at 1, and start values; returns the table.
    evaluate : callable
        Of parameters (spectrum, parameter); returns the model's values.
    y, weight, start : ndarray
        As for `solver.compiled.solve_block`.
    parameters, free : int
        How many there are, and how many of them are fitted.
    order : ndarray of int
        In which samples are neighbours.

    Returns
    -------
    ndarray of float64, shape (spectrum, figure)
        The table, its figures as without the scale.
    """
    at, own = Columns(parameters), np.ones((1, 1)) if weight is None else weight
    weighed = y * own
    along = np.take_along_axis(weighed, np.broadcast_to(order, y.shape), axis=1)
    first = bound_noise(estimate_noise(along), weighed)
    table = fit(np.broadcast_to(own, y.shape) / first[:, None], start)
    done = table[:, at.status] > 0
    with np.errstate(all="ignore"):
        left = estimate_noise((y - evaluate(table[:, at.parameters])) * own, free)
    second = bound_noise(np.where(done & np.isfinite(left), left, first), weighed)
    begin = np.where(done[:, None], table[:, at.parameters], start)
    again = fit(np.broadcast_to(own, y.shape) / second[:, None], begin)
    kept = again[:, at.status] > 0
    found = np.where(kept[:, None], again, table)
    found[:, at.nfev] = table[:, at.nfev] + again[:, at.nfev]
    scale = np.where(kept, second, first) ** 2
    found[:, at.chi2] *= scale
    found[:, at.redchi] *= scale
    return found
