"""Block of complex responses over voltage -> one row of figures per loop: projected, guessed, fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.fitting.solver.compiled import evaluate_block
from usidx.modes.switching.figures import SWITCHING, compute_switching, compute_switching_errors
from usidx.modes.switching.guess import guess_loops
from usidx.modes.switching.project_loops import METRICS, Projected, project
from usidx.modes.switching.search import COMMON, MODEL, PLACES, SECOND_TRY, Course, Search, solve_loops

__all__ = ["CRITERIA", "Beside", "count_columns", "fit_loops"]

Array = npt.NDArray[np.float64]

#: Variable -> its title.
CRITERIA: Final[Mapping[str, str]] = {
    "aic_loop": "AIC of the Loop",
    "bic_loop": "BIC of the Loop",
    "aic_line": "AIC of a Line",
    "bic_line": "BIC of a Line",
}
_COUNT: Final = len(MODEL.names)
_AT_ONCE: Final = 2048  # loops whose intermediates are held at a time


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """What comes beside the responses (*other, sample), and broadcasts against them.

    Attributes
    ----------
    voltage : ndarray, shape (*other, sample)
        Swept.
    told : ndarray, shape (*other, parameter)
        What the user says of parameters, NaN elsewhere.
    weight : ndarray, shape (*other, sample), optional
        One by the standard deviation.
    around : ndarray, shape (*other, neighbour times parameter), optional
        The parameters of neighbours.
    """

    voltage: npt.NDArray[Any]
    told: Array
    weight: Array | None = None
    around: Array | None = None


def count_columns(size: int) -> dict[str, int]:
    """Return how many columns each part of a row has, in order; `size` is the number of samples."""
    derived = len(SWITCHING)
    return {
        "loops": size, "metrics": len(METRICS), "guess": _COUNT + 1, "guessed": derived,
        "fit": PLACES.count(covariance=False), "derived": derived, "errors": derived, "criteria": len(CRITERIA),
        "ways": 2,
    }  # fmt: skip


def fit_loops(response: npt.NDArray[Any], beside: Beside, search: Search) -> Array:
    """Return (*other, figure) of responses (*other, sample).

    A row holds the projected loop, its metrics, the guess with its r2 and what follows from it, the fit (see
    `fitting.kernels.columns`) and what follows from it, with errors, the `CRITERIA`, and which way led there; see
    `count_columns`. Loops of one course of the voltage are worked on together.
    """
    other, size = response.shape[:-1], response.shape[-1]
    lines = beside.voltage.reshape(int(np.prod(beside.voltage.shape[:-1])), size).astype(np.float64)
    courses, which = np.unique(lines, axis=0, return_inverse=True)
    which = np.broadcast_to(which.reshape(beside.voltage.shape[:-1]), other).reshape(-1)
    rows, told = response.reshape(which.size, size), _spread(beside.told, other)
    weight, around = (None if a is None else _spread(a, other) for a in (beside.weight, beside.around))
    table = np.empty((len(rows), sum(count_columns(size).values())))
    for number, voltage in enumerate(courses):
        members = np.flatnonzero(which == number)
        for first in range(0, len(members), _AT_ONCE):
            part = members[first : first + _AT_ONCE]
            own = Beside(voltage, told[part], *(None if a is None else a[part] for a in (weight, around)))
            table[part] = _compute_figures(rows[part], own, search)
    return table.reshape(*other, table.shape[1])


def _spread(values: Array, other: tuple[int, ...]) -> Array:
    """Return one row for each loop."""
    size = values.shape[-1]
    return np.broadcast_to(values, (*other, size)).reshape(int(np.prod(other)), size)


def _compute_figures(response: npt.NDArray[Any], beside: Beside, search: Search) -> Array:
    projected, course = _begin(response, beside)
    expected = evaluate_block(MODEL, course.voltage, course.guess, search.threads)
    table = solve_loops(course, search)
    found, loops = table[:, PLACES.parameters], course.loops
    covariance = table[:, PLACES.covariance].reshape(-1, _COUNT, _COUNT)
    derived = [compute_switching(p, search.nuc_threshold) for p in (course.guess, found)]
    errors = compute_switching_errors(found, covariance, search.nuc_threshold)
    with np.errstate(all="ignore"):
        r2_guess = 1.0 - _sum_squares(loops - expected) / _sum_squares(loops - _average(loops))
    line = _subtract_line(loops, beside.voltage) * (1.0 if course.weight is None else course.weight)
    criteria = _compute_criteria(
        table[:, PLACES.chi2], _sum_squares(line), np.isfinite(line).sum(axis=-1), _count_free(table, search)
    )
    guessed = (course.guess, r2_guess[:, None], derived[0])
    metrics = projected.know_noise(_measure_noise(projected.calm, table, course, search))
    fitted = (table[:, : PLACES.figures.stop], derived[1], errors, criteria, table[:, [COMMON, SECOND_TRY]])
    return np.concatenate([loops, metrics, *guessed, *fitted], axis=-1)


def _measure_noise(calm: Array, table: Array, course: Course, search: Search) -> Array:
    """Return what the fits leave over, NaN where one failed: differences of samples hold the bends of a loop, too."""
    left = calm - evaluate_block(MODEL, course.voltage, table[:, PLACES.parameters], search.threads)
    freedom = np.isfinite(left).sum(axis=-1) - _count_free(table, search)
    with np.errstate(all="ignore"):
        return np.where(freedom > 0, np.sqrt(_sum_squares(left) / freedom), np.nan)


def _begin(response: npt.NDArray[Any], beside: Beside) -> tuple[Projected, Course]:
    """Return the projection, and what is fitted."""
    projected = project(response, beside.voltage)
    told = beside.told
    guess = np.where(np.isnan(told), guess_loops(projected.calm, beside.voltage), told)
    wild = np.any(np.isfinite(projected.loops) & np.isnan(projected.calm), axis=-1).reshape(len(told))
    around = None if beside.around is None else beside.around.reshape(len(told), -1, _COUNT)
    course = Course(projected.loops, beside.voltage[None, None], beside.weight, told, guess, wild, around)
    return projected, course


def _count_free(table: Array, search: Search) -> Array:
    """Return how many parameters were fitted of each loop."""
    free = _COUNT - len(search.fixed) - len(search.tied)
    return np.where(table[:, COMMON] > 0, free - 3, free)


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


def _compute_criteria(loop: Array, line: Array, count: Array, free: Array) -> Array:
    """Return Akaike's and the Bayesian information criterion, of the loop and of the line."""
    with np.errstate(all="ignore"):
        parts = [(count * np.log(rss / count), k) for rss, k in ((loop, free), (line, 2))]
        found = [likely + price * k for likely, k in parts for price in (2.0, np.log(count))]
    return np.stack(found, axis=-1)
