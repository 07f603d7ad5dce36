"""Block of complex responses over voltage -> one row of figures per loop: projected, guessed, fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.fitting.kernels.columns import CONVERGED, CONVERGED_ON_BOUND, TOO_FEW_SAMPLES, Columns
from usidx.fitting.models.curves import measure_extent
from usidx.fitting.models.hysteresis_loop import HysteresisLoop
from usidx.fitting.solver.compiled import Options, evaluate_block, solve_block
from usidx.modes.switching.figures import SWITCHING, compute_switching, compute_switching_errors
from usidx.modes.switching.guess import guess_loops
from usidx.modes.switching.project_loops import METRICS, project

__all__ = ["CRITERIA", "Search", "count_columns", "fit_loops"]

Array = npt.NDArray[np.float64]

#: Variable -> its title.
CRITERIA: Final[Mapping[str, str]] = {
    "aic_loop": "AIC of the Loop",
    "bic_loop": "BIC of the Loop",
    "aic_line": "AIC of a Line",
    "bic_line": "BIC of a Line",
}
_MODEL: Final = HysteresisLoop()
_COUNT: Final = len(_MODEL.names)
_AT: Final = Columns(_COUNT)  # the columns of the table of a fit
# Switching voltage -> the widths of its branch. With one of those on a bound, it and the other seem far better known
# than they are.
_WIDTHS_OF: Final = {2: [5, 6], 3: [7, 8]}
_SHARPEST: Final = 1 / 3  # of a step of the voltage: samples do not tell a sharper branch
_AT_ONCE: Final = 2048  # loops whose intermediates are held at a time


@dataclass(frozen=True, slots=True)
class Search:
    """What decides a fit besides the data; the names are those of `usidx.loop_fit`."""

    bounds: Mapping[str, tuple[float, float]]
    nuc_threshold: float
    tolerance: float
    max_evaluations: int
    threads: int | None

    def make_options(self, voltage: Array) -> Options:
        """Return the options of the solver for one course of the voltage."""
        low, span = (float(value) for value in measure_extent(voltage))
        changes = np.abs(np.diff(voltage[np.isfinite(voltage)]))
        step = float(np.median(changes[changes > 0.0])) if changes.any() else span
        bounds = {p.name: p.bounds for p in _MODEL.parameters}
        bounds |= dict.fromkeys(("v_minus", "v_plus"), (low, low + span)) | {"switchable_polarization": (0.0, np.inf)}
        bounds |= dict.fromkeys(_MODEL.names[-4:], (_SHARPEST * step, span))
        bounds |= self.bounds
        return Options(
            _MODEL.names, bounds, tolerance=self.tolerance, max_evaluations=self.max_evaluations, covariance=True
        )


def count_columns(size: int) -> dict[str, int]:
    """Return how many columns each part of a row has, in order; `size` is the number of samples."""
    derived = len(SWITCHING)
    return {
        "loops": size, "metrics": len(METRICS), "guess": _COUNT + 1, "guessed": derived,
        "fit": _AT.count(covariance=False), "derived": derived, "errors": derived, "criteria": len(CRITERIA),
    }  # fmt: skip


def fit_loops(response: npt.NDArray[Any], voltage: npt.NDArray[Any], search: Search) -> Array:
    """Return (*other, figure) of responses (*other, sample); the voltage broadcasts against them.

    A row holds the projected loop, its metrics, the guess with its r2 and what follows from it, the fit (see
    `fitting.kernels.columns`) and what follows from it, with errors, and the `CRITERIA`; see `count_columns`. Loops of
    one course of the voltage are worked on together.
    """
    other, size = response.shape[:-1], response.shape[-1]
    lines = voltage.reshape(int(np.prod(voltage.shape[:-1])), size).astype(np.float64)
    courses, which = np.unique(lines, axis=0, return_inverse=True)
    which = np.broadcast_to(which.reshape(voltage.shape[:-1]), other).reshape(-1)
    rows = response.reshape(which.size, size)
    table = np.empty((len(rows), sum(count_columns(size).values())))
    for number, course in enumerate(courses):
        members = np.flatnonzero(which == number)
        for first in range(0, len(members), _AT_ONCE):
            part = members[first : first + _AT_ONCE]
            table[part] = _compute_figures(rows[part], course, search)
    return table.reshape(*other, table.shape[1])


def _compute_figures(response: npt.NDArray[Any], voltage: Array, search: Search) -> Array:
    loops, metrics = project(response, voltage)
    guess = guess_loops(loops, voltage)
    course = voltage[None, None]
    expected = evaluate_block(_MODEL, course, guess, search.threads)
    fitted, covariance = _solve(loops, course, guess, search)
    found = fitted[:, _AT.parameters]
    derived = [compute_switching(p, search.nuc_threshold) for p in (guess, found)]
    errors = compute_switching_errors(found, covariance, search.nuc_threshold)
    with np.errstate(all="ignore"):
        r2_guess = 1.0 - _sum_squares(loops - expected) / _sum_squares(loops - _average(loops))
    criteria = _compute_criteria(
        fitted[:, _AT.chi2], _sum_squares(_subtract_line(loops, voltage)), np.isfinite(loops).sum(axis=-1)
    )
    guessed = (guess, r2_guess[:, None], derived[0])
    return np.concatenate([loops, metrics, *guessed, fitted, derived[1], errors, criteria], axis=-1)


def _solve(loops: Array, course: Array, guess: Array, search: Search) -> tuple[Array, Array]:
    """Return the table of the fit, and the covariance (loop, parameter, parameter).

    Fits start from the guess; what fails from the best of the model's own candidates; and what fails then, too, from
    the guess with all widths on their lower bound: two samples beside a sharp branch do not tell three parameters.
    """
    options = search.make_options(course[0, 0])
    sharp = guess.copy()
    sharp[:, -4:] = [options.bounds[name][0] for name in _MODEL.names[-4:]]
    held = replace(options, free=_MODEL.names[:-4])
    fitted = _fit(loops, course, guess, options, search.threads)
    for start, own in ((np.full_like(guess, np.nan), options), (sharp, held)):
        failed = np.flatnonzero((fitted[:, _AT.status] <= 0.0) & (fitted[:, _AT.status] != TOO_FEW_SAMPLES))
        if len(failed):
            again = _fit(loops[failed], course, start[failed], own, search.threads)
            again[:, _AT.nfev] += fitted[failed, _AT.nfev]
            fitted[failed] = again
    return fitted[:, : _AT.figures.stop], fitted[:, _AT.covariance].reshape(-1, _COUNT, _COUNT)


def _fit(loops: Array, course: Array, start: Array, options: Options, threads: int | None) -> Array:
    """Fit, and let nothing that rests on a width on its bound seem better known than it is."""
    fitted = solve_block(_MODEL, options, loops, course, None, start, threads)
    errors = fitted[:, _AT.stderr]
    covariance = fitted[:, _AT.covariance].reshape(-1, _COUNT, _COUNT)
    low, high = np.transpose([options.bounds[name] for name in _MODEL.names])
    at_end = (fitted[:, _AT.parameters] <= low) | (fitted[:, _AT.parameters] >= high)
    at_end[:, :-4] = False
    for place, own in _WIDTHS_OF.items():
        at_end[:, [place, *own]] = at_end[:, own].any(axis=-1)[:, None]
    errors[at_end] = np.nan
    covariance[at_end[:, :, None] | at_end[:, None, :]] = np.nan
    fitted[at_end.any(axis=-1) & (fitted[:, _AT.status] == CONVERGED), _AT.status] = CONVERGED_ON_BOUND
    return fitted


def _sum_squares(left: Array) -> Array:
    """Return the sum of squares of what is known, NaN where nothing is."""
    known = np.isfinite(left)
    total: Array = np.sum(left**2, axis=-1, where=known)
    return np.where(known.any(axis=-1), total, np.nan)


def _average(loops: Array) -> Array:
    known = np.isfinite(loops)
    with np.errstate(all="ignore"):
        mean: Array = np.sum(loops, axis=-1, where=known, keepdims=True) / known.sum(axis=-1, keepdims=True)
    return mean


def _subtract_line(loops: Array, voltage: Array) -> Array:
    """Return what a straight line leaves over of each loop."""
    y = loops - _average(loops)
    v = np.where(np.isfinite(loops), voltage, np.nan)
    v = v - _average(v)
    with np.errstate(all="ignore"):
        slope = np.nansum(v * y, axis=-1, keepdims=True) / np.nansum(v * v, axis=-1, keepdims=True)
    left: Array = y - slope * v
    return left


def _compute_criteria(loop: Array, line: Array, count: Array) -> Array:
    """Return Akaike's and the Bayesian information criterion, of the loop and of the line."""
    with np.errstate(all="ignore"):
        parts = [(count * np.log(rss / count), k) for rss, k in ((loop, _COUNT), (line, 2))]
        found = [likely + price * k for likely, k in parts for price in (2.0, np.log(count))]
    return np.stack(found, axis=-1)
