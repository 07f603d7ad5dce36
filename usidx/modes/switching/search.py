"""Projected loops of one course of the voltage -> the table of their fits, one way after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from usidx.fitting.kernels.columns import CONVERGED, CONVERGED_ON_BOUND, EXACT, TOO_FEW_SAMPLES, Columns
from usidx.fitting.models.curves import measure_extent
from usidx.fitting.models.hysteresis_loop import HysteresisLoop
from usidx.fitting.models.tied import Ties, tie
from usidx.fitting.solver.compiled import Options
from usidx.fitting.solver.neighbours import solve_failed
from usidx.fitting.solver.solve import solve

__all__ = ["COMMON", "MODEL", "PLACES", "SECOND_TRY", "WIDTHS", "Course", "Search", "solve_loops"]

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

MODEL: Final = HysteresisLoop()
WIDTHS: Final = MODEL.names[-4:]
_COUNT: Final = len(MODEL.names)
#: The columns of the table of a fit; behind them `COMMON`, whether all widths are one, and `SECOND_TRY`, whether a fit
#: from a neighbour's parameters counts.
PLACES: Final = Columns(_COUNT)
COMMON: Final = PLACES.count(covariance=True)
SECOND_TRY: Final = COMMON + 1
# Switching voltage -> the widths of its branch. With one of those on a bound, it and the other seem far better known
# than they are.
_WIDTHS_OF: Final = {2: [5, 6], 3: [7, 8]}
_SHARPEST: Final = 1 / 3  # of a step of the voltage: samples do not tell a sharper branch
_FEW: Final = 2 * _COUNT  # samples: of fewer a width for each half of each branch is read off the noise


@dataclass(frozen=True, slots=True)
class Search:
    """What decides a fit besides the data; the names are those of `usidx.loop_fit`."""

    bounds: Mapping[str, tuple[float, float]]
    fixed: tuple[str, ...]
    tied: tuple[tuple[str, str], ...]
    widths: str
    absolute_sigma: bool
    loss: str
    loss_scale: float
    nuc_threshold: float
    tolerance: float
    max_evaluations: int
    threads: int | None

    def make_options(self, voltage: Array) -> Options:
        """Return the options of the solver for one course of the voltage, least squares where the loss is open."""
        low, span = (float(value) for value in measure_extent(voltage))
        changes = np.abs(np.diff(voltage[np.isfinite(voltage)]))
        step = float(np.median(changes[changes > 0.0])) if changes.any() else span
        bounds = {p.name: p.bounds for p in MODEL.parameters}
        bounds |= dict.fromkeys(("v_minus", "v_plus"), (low, low + span)) | {"switchable_polarization": (0.0, np.inf)}
        bounds |= dict.fromkeys(WIDTHS, (_SHARPEST * step, span))
        bounds |= self.bounds
        free = tuple(n for n in MODEL.names if n not in self.fixed and n not in dict(self.tied))
        return Options(
            free, bounds, loss="linear" if self.loss == "auto" else self.loss,
            loss_scale=1.0 if self.loss == "auto" else self.loss_scale, tolerance=self.tolerance,
            max_evaluations=self.max_evaluations, covariance=True, beside=False,  # a fit begins at a guess of the same
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """Loops of one course of the voltage.

    Attributes
    ----------
    loops : ndarray, shape (loop, sample)
        Projected.
    voltage : ndarray, shape (1, 1, sample)
        Common to all.
    weight : ndarray, shape (loop or 1, sample), optional
        One by the standard deviation.
    told, guess : ndarray, shape (loop, parameter)
        What the user says, NaN elsewhere; and where to begin.
    wild : ndarray of bool, shape (loop,)
        Which have wild samples.
    around : ndarray, shape (loop, neighbour, parameter), optional
        The parameters of neighbours.
    """

    loops: Array
    voltage: Array
    weight: Array | None
    told: Array
    guess: Array
    wild: npt.NDArray[np.bool_]
    around: Array | None = None

    def take(self, rows: Rows) -> Course:
        """Return some of the loops."""
        weight = self.weight if self.weight is None or len(self.weight) == 1 else self.weight[rows]
        around = None if self.around is None else self.around[rows]
        return Course(
            self.loops[rows], self.voltage, weight, self.told[rows], self.guess[rows], self.wild[rows], around
        )


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to fit: how, what is tied, and from where."""

    options: Options
    ties: Ties | None
    start: Array
    common: bool = False


def solve_loops(course: Course, search: Search) -> Array:
    """Return the table (loop, column) of the fits, see `PLACES`.

    Where the loss is open, loops with wild samples get one that forgives them.
    """
    options = search.make_options(course.voltage[0, 0])
    if search.loss != "auto":
        return _solve(course, search, options)
    found = np.empty((len(course.loops), SECOND_TRY + 1))
    robust = replace(options, loss="soft_l1", loss_scale=search.loss_scale)
    for rows, own in ((~course.wild, options), (course.wild, robust)):
        members = np.flatnonzero(rows)
        if members.size:
            found[members] = _solve(course.take(members), search, own)
    return found


def _solve(course: Course, search: Search, options: Options) -> Array:
    few = np.isfinite(course.loops).sum(axis=1) < _FEW
    shared = search.widths == "common" or (search.widths == "auto" and _has_own_widths(search))
    found = np.full((len(few), SECOND_TRY + 1), np.nan)
    for rows, common in ((~few, search.widths == "common"), (few, shared)):
        members = np.flatnonzero(rows)
        if members.size:
            part = course.take(members)
            found[members] = _try_ways(part, search, options, list(_list_ways(part, search, options, common=common)))
    return found


def _has_own_widths(search: Search) -> bool:
    """Say whether all widths are free, so that one may stand for them."""
    return not {*search.fixed, *dict(search.tied)} & {*WIDTHS}


def _list_ways(course: Course, search: Search, options: Options, *, common: bool) -> Iterator[_Way]:
    """Give the ways to fit, in the order in which they are tried.

    From the guess; what fails from the best of the model's own candidates; what fails then with one width for all; and
    what fails even so with all widths on their lower bound: two samples beside a sharp branch do not tell more.
    """
    ties, own = _tie(search.tied), np.full_like(course.guess, np.nan)
    own = np.where(np.isnan(course.told), own, course.told)
    if not common:
        yield _Way(options, ties, course.guess)
        yield _Way(options, ties, own)
    if common or (search.widths == "auto" and _has_own_widths(search)):
        alike = _tie((*search.tied, *((name, WIDTHS[0]) for name in WIDTHS[1:])))
        free = tuple(n for n in options.free if n not in WIDTHS[1:])
        limits = np.array([options.bounds[n] for n in WIDTHS])
        bounds = {**options.bounds, **dict.fromkeys(WIDTHS, (limits[:, 0].max(), limits[:, 1].min()))}
        shared = replace(options, free=free, bounds=bounds)
        yield _Way(shared, alike, course.guess, common=True)
        yield _Way(shared, alike, own, common=True)
    if _has_own_widths(search):
        sharp = course.guess.copy()
        sharp[:, -4:] = [options.bounds[name][0] for name in WIDTHS]
        held = replace(options, free=tuple(n for n in options.free if n not in WIDTHS))
        yield _Way(held, ties, sharp, common=common)


@cache
def _tie(tied: tuple[tuple[str, str], ...]) -> Ties | None:
    return tie(MODEL, dict(tied)) if tied else None


def _try_ways(course: Course, search: Search, options: Options, ways: list[_Way]) -> Array:
    fitted = _fit(course, search, ways[0])
    for way in ways[1:]:
        failed = np.flatnonzero(~(fitted[:, PLACES.status] > 0.0))
        if not failed.size:
            break
        again = _fit(course.take(failed), search, replace(way, start=way.start[failed]))
        better = (again[:, PLACES.status] > 0.0) | (fitted[failed, PLACES.status] != TOO_FEW_SAMPLES)
        again[:, PLACES.nfev] += fitted[failed, PLACES.nfev]
        fitted[failed[better]] = again[better]
    if course.around is None:
        return fitted
    first, held = ways[0], np.isin(MODEL.names, search.fixed)

    def fit_rows(rows: Rows, start: Array) -> Array:
        begin = np.where(held, course.told[rows], start)
        return _fit(course.take(rows), search, replace(first, start=begin))[:, :SECOND_TRY]

    return solve_failed(fit_rows, fitted[:, :SECOND_TRY], course.around, options, _COUNT)


def _fit(course: Course, search: Search, way: _Way) -> Array:
    """Fit, and let nothing that rests on a width on its bound seem better known than it is."""
    options, at = way.options, PLACES
    fitted = solve(MODEL, way.ties, options, course.loops, course.voltage, course.weight, way.start, search.threads)
    if search.absolute_sigma and options.loss == "linear":
        redchi = fitted[:, at.redchi, None]
        fitted[:, at.stderr] /= np.sqrt(redchi)
        fitted[:, at.covariance] /= redchi
    covariance = fitted[:, at.covariance].reshape(-1, _COUNT, _COUNT)
    low, high = np.transpose([options.bounds[name] for name in MODEL.names])
    at_end = (fitted[:, at.parameters] <= low) | (fitted[:, at.parameters] >= high)
    at_end[:, [MODEL.names.index(n) not in _find_free_widths(search) for n in MODEL.names]] = False
    for place, own in _WIDTHS_OF.items():
        at_end[:, [place, *own]] = at_end[:, own].any(axis=-1)[:, None]
    fitted[:, at.stderr][at_end] = np.nan
    covariance[at_end[:, :, None] | at_end[:, None, :]] = np.nan
    status = fitted[:, at.status]
    status[at_end.any(axis=-1) & np.isin(status, (CONVERGED, EXACT))] = CONVERGED_ON_BOUND
    known = fitted[:, at.samples] > len(options.free)  # without a degree of freedom nothing has an error
    fitted[~known, : 2 * _COUNT], status[~known] = np.nan, np.where(status > 0, TOO_FEW_SAMPLES, status)[~known]
    return np.concatenate([fitted, np.full((len(fitted), 1), way.common), np.zeros((len(fitted), 1))], axis=1)


def _find_free_widths(search: Search) -> list[int]:
    """Return the places of widths that the user does not hold."""
    return [MODEL.names.index(n) for n in WIDTHS if n not in search.fixed]
