"""Spectra and a robust loss -> their fit, begun where least squares of what is not wild end.

A robust loss forgives few wild samples, but only from a start near the curve, and what looks for starts believes every
sample. So spectra are first fitted by least squares without their wild samples, with all the looks for other minima
that these fits have. That tells the noise too, at which the loss begins where no scale is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.fitting.kernels.columns import Columns
from usidx.fitting.models.model import Model
from usidx.fitting.solver.compiled import Options
from usidx.fitting.solver.robust import bound_noise, estimate_noise, evaluate_loss, split_parts
from usidx.fitting.solver.spikes import find_order, remove_spikes
from usidx.fitting.solver.tables import take_rows

__all__ = ["solve_robust"]

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
Fit = Callable[[Options, Rows, npt.NDArray[Any], Array | None, Array], Array]
Evaluate = Callable[[Rows, Array], npt.NDArray[Any]]

_LESS: Final = 0.5  # of the noise that was thought: then the loss begins anew, at what is left now


@dataclass(slots=True)
class _Work:
    """What is fitted, and how; `noise` is that of each spectrum, None where the scale of the loss is given."""

    fit: Fit
    evaluate: Evaluate
    options: Options
    at: Columns
    y: npt.NDArray[Any]
    weight: Array | None
    noise: Array | None = None

    def fit_some(self, rows: Rows, start: Array) -> Array:
        return self.fit(self.options, rows, self.y[rows], self.weigh(rows), start)

    def weigh(self, rows: Rows) -> Array | None:
        """Return the weights of some spectra, by their noise."""
        own = None if self.weight is None else take_rows(self.weight, rows)
        if self.noise is None:
            return own
        shape = len(rows), self.y.shape[1]
        return np.broadcast_to(np.ones((1, 1)) if own is None else own, shape) / self.noise[rows, None]

    def measure_noise(self, order: Rows) -> Array:
        """Return the noise that neighbouring samples show."""
        weighed = self.y if self.weight is None else self.y * self.weight
        along = np.take_along_axis(weighed, np.broadcast_to(order, weighed.shape), axis=1)
        return bound_noise(estimate_noise(along), weighed)

    def measure_left(self, table: Array, otherwise: Array) -> Array:
        """Return the noise that fits left over, or what it is otherwise where they failed."""
        weight = 1.0 if self.weight is None else self.weight
        with np.errstate(all="ignore"):
            left = self.y - self.evaluate(np.arange(len(table)), table[:, self.at.parameters])
            found = estimate_noise(left * weight, len(self.options.free))
        known = (table[:, self.at.status] > 0) & np.isfinite(found)
        return bound_noise(np.where(known, found, otherwise), self.y * weight)

    def measure_cost(self, table: Array, rows: Rows, most: Array) -> Array:
        """Return the loss of some fits, infinite for those that failed.

        A peak as narrow as a spike explains it, and saves more of a loss than the true peak does: so a spike counts as
        no further away than what just is one, `most`.
        """
        values, weight = self.evaluate(rows, table[:, self.at.parameters]), self.weigh(rows)
        away = np.minimum(abs(split_parts(self.y[rows]) - split_parts(values)), most[rows])
        if weight is not None:
            away = away * np.repeat(weight, away.shape[1] // weight.shape[1], axis=1)
        with np.errstate(all="ignore"):
            lost = np.nansum(evaluate_loss(away, self.options.loss, self.options.loss_scale)[0], axis=1)
        return np.where(table[:, self.at.status] > 0, lost, np.inf)

    def begin_at_noise(self, table: Array, start: Array) -> Array:
        """Fit from `start` with the loss that begins at what the fits of `table` left over, or less."""
        assert self.noise is not None
        self.noise = self.measure_left(table, self.noise)
        found = self.fit_some(np.arange(len(start)), start)
        # Where wild samples are many, or there is hardly noise, that leaves less than least squares did.
        less = self.measure_left(found, self.noise)
        again = np.flatnonzero(less < _LESS * self.noise)
        self.noise[again] = less[again]
        second = self.fit_some(again, found[again, self.at.parameters])
        second[:, self.at.nfev] += found[again, self.at.nfev]
        found[again] = second
        return found


def solve_robust(
    fit: Fit,
    evaluate: Evaluate,
    model: Model,
    options: Options,
    y: npt.NDArray[Any],
    x: Array,
    weight: Array | None,
    start: Array,
) -> Array:
    """Return the table of figures.

    Parameters
    ----------
    fit : callable
        From options, rows, and the data, weights and starts of these to a table.
    evaluate : callable
        From rows and their parameters to the values of the model.
    model, options, y, x, weight, start
        As for `solver.compiled.solve_block`.
    """
    at, every, in_order = Columns(len(model.names)), np.arange(len(y)), model.derived > 0 or model.variables > 1
    clean, most = remove_spikes(y, x, in_order=in_order)
    plain = fit(replace(options, loss="linear", loss_scale=1.0), every, clean, weight, start)
    begin = np.where(plain[:, at.status, None] > 0, plain[:, at.parameters], start)
    work = _Work(fit, evaluate, options, at, y, weight)
    if math.isnan(options.loss_scale):
        work.noise = work.measure_noise(find_order(x, in_order=in_order))
        work.options = replace(options, loss_scale=1.0)
        table = work.begin_at_noise(plain, begin)
    else:
        table = work.fit_some(every, begin)
    told = np.isfinite(start[:, np.isin(model.names, options.free)]).any(axis=1)
    rows = np.flatnonzero(np.isfinite(most).any(axis=1) | told | ~(table[:, at.status] > 0))
    other = work.fit_some(rows, take_rows(start, rows))
    evaluations = table[rows, at.nfev] + other[:, at.nfev]
    better = work.measure_cost(other, rows, most) < work.measure_cost(table[rows], rows, most)
    table[rows] = np.where(better[:, None], other, table[rows])
    table[rows, at.nfev] = evaluations
    table[:, at.nfev] += plain[:, at.nfev]
    if work.noise is not None:
        table[:, [at.chi2, at.redchi]] *= work.noise[:, None] ** 2
    return table
