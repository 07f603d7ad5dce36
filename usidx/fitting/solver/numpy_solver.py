"""Block of spectra and a Python function -> table of figures: the compiled solver's method, on arrays in NumPy.

Many spectra take each step side by side, and the function is called for all of them at once. What decides a step is
written as in `kernels.levenberg_marquardt`, so both end for the same reasons; derivatives are forward differences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.fitting.kernels.columns import (
    CONVERGED,
    CONVERGED_ON_BOUND,
    EXACT,
    NOT_FINITE,
    RUNNING,
    STUCK,
    TOO_FEW_SAMPLES,
    TOO_MANY_EVALUATIONS,
    UNDETERMINED,
    Columns,
)
from usidx.fitting.models.function import Function
from usidx.fitting.models.functions.calls import Caller, find_caller
from usidx.fitting.solver.compiled import Options
from usidx.fitting.solver.numpy_normal_equations import invert, solve
from usidx.fitting.solver.robust import compute_robust_variance, evaluate_loss
from usidx.fitting.solver.tables import take_rows
from usidx.tasks.pool import share_slices

__all__ = ["evaluate_function_block", "solve_function_block"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

_HOPELESS: Final = 1e12  # damping beyond which a step is no step
_EXACT: Final = 1e-14  # of the size of the data: a residual below it is rounding
_SMALL: Final = 1e-6  # of the square of a loss's scale: a loss below it is a sum of squares
_FLAT: Final = 1e-12  # of the size of the data: a spread below it is no spread
_STEP: Final = float(np.sqrt(np.finfo(np.float64).eps))  # of a parameter, for a forward difference
_AT_ONCE: Final = 32768  # samples that the function gets at a time: its arrays stay in the second cache
_SIDE_BY_SIDE: Final = 2**18  # samples of spectra that take their steps side by side


@dataclass(slots=True)
class _Spectra:
    """What is fitted, one row per spectrum; samples that are left out have weight 0.

    Attributes
    ----------
    x : ndarray, shape (spectrum or 1, variable, sample)
        Coordinates.
    y, weight : ndarray, shape (spectrum, sample times parts)
        Data, and one by its standard deviation.
    used : ndarray of bool, shape (spectrum, sample times parts)
        Which samples take part.
    plain : bool
        Whether all do, with weight 1.
    """

    x: Array
    y: Array
    weight: Array
    used: Mask
    plain: bool

    def take(self, rows: Rows) -> _Spectra:
        x = take_rows(self.x, rows)
        if self.plain:
            alike = slice(len(rows))  # all weights are 1
            return _Spectra(x, self.y[rows], self.weight[alike], self.used[alike], plain=True)
        return _Spectra(x, self.y[rows], self.weight[rows], self.used[rows], plain=False)

    def weigh(self, values: Array) -> Array:
        """Return values by the standard deviation, 0 for samples that are left out."""
        return values if self.plain else np.where(self.used, values, 0.0) * self.weight

    def iterate_parts(self, rows: Rows) -> Iterator[tuple[Rows, _Spectra]]:
        """Give some rows, a few at a time."""
        few = max(1, _AT_ONCE // self.y.shape[1])
        for begin in range(0, len(rows), few):
            own = rows[begin : begin + few]
            yield own, self.take(own)


@dataclass(slots=True)
class _State:
    """Where the fits stand, one entry per spectrum (the words are those of `kernels.levenberg_marquardt`)."""

    parameters: Array
    cost: Array
    damping: Array
    growth: Array
    nfev: Array
    status: npt.NDArray[np.int64]
    matrix: Array
    gradient: Array
    moves: Mask
    singular: Mask


def solve_function_block(
    model: Function, options: Options, y: npt.NDArray[np.generic], x: Array, weight: Array | None, start: Array,
    threads: int | None = None,
) -> Array:  # fmt: skip
    """Fit every spectrum of a block by itself; arguments and table are those of `solver.compiled.solve_block`."""
    out = np.empty((y.shape[0], Columns(len(model.names)).count(covariance=options.covariance)))
    if not y.shape[0]:
        return out
    caller = find_caller(model, x, _keep_within(options, model, start))

    def run(part: slice) -> None:
        begin = np.zeros((part.stop - part.start, start.shape[1])) + take_rows(start, part)
        spectra = _make_spectra(model, y[part], take_rows(x, part), None if weight is None else take_rows(weight, part))
        out[part] = _Solver(caller, options).fit(spectra, begin)

    share_slices(run, y.shape[0], threads, max(1, _SIDE_BY_SIDE // max(y.shape[1], 1)))
    return out


def evaluate_function_block(
    model: Function, x: Array, parameters: Array, threads: int | None = None
) -> npt.NDArray[Any]:
    """Return the function's values, shape (spectrum, sample); arguments as for `solver.compiled.evaluate_block`."""
    out = np.empty((parameters.shape[0], x.shape[2] * (1 + model.is_complex)))
    caller = find_caller(model, x, parameters)

    def run(part: slice) -> None:
        out[part] = caller(take_rows(x, part), parameters[part])
        out[part][np.isnan(parameters[part]).any(axis=1)] = np.nan

    share_slices(run, parameters.shape[0], threads, max(1, _AT_ONCE // max(x.shape[2], 1)))
    return out.view(np.complex128) if model.is_complex else out


def _make_spectra(model: Function, y: npt.NDArray[Any], x: Array, weight: Array | None) -> _Spectra:
    parts = 1 + model.is_complex
    values = np.ascontiguousarray(y, np.complex128 if model.is_complex else np.float64).view(np.float64)
    used: Any = np.isfinite(y) & np.isfinite(x).all(axis=1)
    if weight is not None:
        used = used & np.isfinite(weight) & (weight > 0.0)
    used = np.repeat(used, parts, axis=1)
    ones = np.float64(1.0) if weight is None else np.repeat(np.broadcast_to(weight, y.shape), parts, axis=1)
    plain = weight is None and bool(used.all())
    return _Spectra(x, np.where(used, values, 0.0), np.where(used, ones, 0.0), used, plain)


def _keep_within(options: Options, model: Function, parameters: Array) -> Array:
    """Bring free parameters within their bounds."""
    kept = parameters.copy()
    for name in options.free:
        k = model.names.index(name)
        kept[:, k] = np.clip(kept[:, k], *options.bounds[name])
    return kept


class _Solver:
    """One function and the options of a fit."""

    def __init__(self, caller: Caller, options: Options) -> None:
        self.caller = caller
        self.options = options
        names = caller.model.names
        self.free = np.array([names.index(name) for name in options.free])
        self.low, self.high = np.array([options.bounds[name] for name in options.free], np.float64).T

    def fit(self, spectra: _Spectra, start: Array) -> Array:
        """Fit spectra and return their rows of figures (see `usidx.fitting.kernels.columns`)."""
        at = Columns(start.shape[1])
        out = np.full((len(start), at.count(covariance=self.options.covariance)), np.nan)
        energy, spread = _measure_spread(spectra, 1 + self.caller.model.is_complex)
        samples = spectra.used.sum(axis=1)
        status = np.zeros(len(start), np.int64)
        status[spread <= _FLAT**2 * energy] = UNDETERMINED
        status[~np.isfinite(energy)] = NOT_FINITE
        status[samples < len(self.free)] = TOO_FEW_SAMPLES
        rows = np.flatnonzero(status == RUNNING)
        out[:, at.nfev], out[:, at.status] = 0.0, status
        out[:, at.samples] = samples // (1 + self.caller.model.is_complex)
        if rows.size:
            taken = spectra.take(rows)
            state = self._begin(taken, _keep_within(self.options, self.caller.model, start[rows]))
            squares = (taken.weigh(taken.y) ** 2).sum(axis=1)
            robust = self.options.loss != "linear"
            exact = np.minimum(_EXACT**2 * squares, _SMALL * self.options.loss_scale**2 if robust else np.inf)
            self._iterate(taken, state, exact)
            self._write_figures(taken, state, spread[rows], out, rows)
        return out

    def _begin(self, spectra: _Spectra, start: Array) -> _State:
        n, free = len(start), len(self.free)
        state = _State(
            start, np.empty(n), np.full(n, 1e-3), np.full(n, 2.0), np.ones(n), np.zeros(n, np.int64),
            np.empty((n, free, free)), np.empty((n, free)), np.ones((n, free), bool),
            np.zeros(n, bool),
        )  # fmt: skip
        sizes = np.empty((n, free))
        for rows, own in spectra.iterate_parts(np.arange(n)):
            values = self.caller(own.x, start[rows])
            sizes[rows] = self._find_sizes(own, start[rows], values)
            self._linearise(own, state, rows, values, sizes[rows])
        self.sizes = sizes
        state.status[~np.isfinite(state.cost)] = NOT_FINITE
        return state

    def _find_sizes(self, spectra: _Spectra, start: Array, values: Array) -> Array:
        """Return how large the free parameters are: their start values; for zeros, by what a change does."""
        # A difference needs a step that is seen and that the model is straight over: a small part of the parameter. Of
        # a zero no part can be taken, so the size is found by what it does to the values.
        sizes = np.abs(start[:, self.free])
        scale = np.sqrt((spectra.y**2).sum(axis=1))
        for j, k in enumerate(self.free):
            zero = sizes[:, j] == 0.0
            if not zero.any():
                continue
            size = np.ones(len(start))
            for _ in range(3):
                moved = start.copy()
                moved[:, k] += _STEP * size
                change = self.caller(spectra.x, moved) - values
                change = change if spectra.plain else np.where(spectra.used, change, 0.0)
                share = np.sqrt((change**2).sum(axis=1)) / scale / _STEP
                size = np.where(
                    share > 1e2,
                    size / np.maximum(share, 1.0),
                    np.where(share < 1e-2, size * 1e3, size),
                )
            sizes[zero, j] = size[zero]
        return sizes

    def _linearise(self, spectra: _Spectra, state: _State, rows: Rows, values: Array, sizes: Array) -> None:
        """Work out cost, normal equations and gradient of some rows, where the model has these values."""
        p = state.parameters[rows]
        residual = spectra.weigh(spectra.y - values)
        slopes = np.empty((len(rows), len(self.free), residual.shape[1]))
        for j, k in enumerate(self.free):
            step = _STEP * np.maximum(np.abs(p[:, k]), sizes[:, j])
            moved = p.copy()
            moved[:, k] += np.where(p[:, k] + step > self.high[j], -step, step)
            change = self.caller(spectra.x, moved) - values
            change /= (moved[:, k] - p[:, k])[:, None]  # what the sum left of the step
            slopes[:, j] = spectra.weigh(change)
        cost, root = self._evaluate_loss(residual)
        if root is not None:
            residual, slopes = residual * root, slopes * root[:, None]
        state.cost[rows] = cost
        state.matrix[rows] = slopes @ slopes.transpose(0, 2, 1)
        state.gradient[rows] = (slopes @ residual[..., None])[..., 0]

    def _evaluate_loss(self, residual: Array) -> tuple[Array, Array | None]:
        """Return the cost, and the root of the loss's slope."""
        if self.options.loss == "linear":
            return (residual * residual).sum(axis=1), None
        lost, slope = evaluate_loss(residual, self.options.loss, self.options.loss_scale)
        return lost.sum(axis=1), np.sqrt(slope)

    def _iterate(self, spectra: _Spectra, state: _State, floor: Array) -> None:
        """Improve the parameters of all until each has ended."""
        while (rows := np.flatnonzero(state.status == RUNNING)).size:
            trial, promised, waiting = self._propose(state, rows, floor[rows])
            if not waiting.any():
                continue
            chosen = np.flatnonzero(waiting)
            for few, own in spectra.iterate_parts(rows[chosen]):
                here, chosen = chosen[: len(few)], chosen[len(few) :]
                self._try_points(own, state, few, trial[here], promised[here])

    def _try_points(self, spectra: _Spectra, state: _State, rows: Rows, trial: Array, promised: Array) -> None:
        """Evaluate the trial points of some rows, and take those that are better."""
        values = self.caller(spectra.x, trial)
        cost, old = self._evaluate_loss(spectra.weigh(spectra.y - values))[0], state.cost[rows]
        state.nfev[rows] += 1
        better = cost < old
        good, bad = rows[better], rows[~better]
        gain = 2.0 * (old[better] - cost[better]) / promised[better] - 1.0
        state.damping[good] *= np.maximum(0.05, 1.0 - gain**3)
        state.growth[good], state.singular[good] = 2.0, False
        state.parameters[good] = trial[better]
        if good.size:
            taken = spectra if not bad.size else spectra.take(np.flatnonzero(better))
            self._linearise(taken, state, good, values[better], self.sizes[good])
        state.damping[bad] = np.maximum(state.damping[bad], 1e-9) * state.growth[bad]
        state.growth[bad] *= 2.0

    def _propose(self, state: _State, rows: Rows, floor: Array) -> tuple[Array, Array, Mask]:
        """Return a trial point for each, what it promises, and for which it waits for an evaluation; end the others."""
        held = self._mark_movable(state, rows)
        end = np.where(held, CONVERGED_ON_BOUND, CONVERGED)
        cost, damping = state.cost[rows], state.damping[rows]
        step, promised = solve(state.matrix[rows], state.gradient[rows], state.moves[rows], damping)
        trial = state.parameters[rows]
        trial[:, self.free] = there = np.clip(trial[:, self.free] + step, self.low, self.high)
        moved = trial != state.parameters[rows]
        still = ~moved.any(axis=1)
        onto_bound = (moved[:, self.free] & ((there <= self.low) | (there >= self.high))).any(axis=1)
        exact, singular = cost <= floor, promised < 0.0
        little = ~singular & (promised * (1.0 + damping) <= self.options.tolerance * cost)
        last = little & (state.growth[rows] <= 2.0) & (damping <= 1e-9)
        ended = little & (state.growth[rows] > 2.0)
        worn = ~little & ~singular & (state.nfev[rows] >= self.options.max_evaluations)
        stuck = ~little & ~singular & ((damping > _HOPELESS) | still)
        lost = singular & (np.maximum(10.0 * damping, 1e-6) > _HOPELESS)
        lost |= little & ~ended & ~last & state.singular[rows]
        state.singular[rows] |= singular & (damping <= 1e-9)
        conditions = [exact, lost, ended | last, worn, stuck & (cost <= 1e8 * floor), stuck]
        codes = [EXACT, UNDETERMINED, end, TOO_MANY_EVALUATIONS, end, STUCK]
        state.status[rows] = np.select(conditions, [np.asarray(c) for c in codes], RUNNING)
        # Far below the standard errors, it is taken without looking again; not onto a bound, where may be no value.
        taken = last & ~exact & ~onto_bound
        state.parameters[rows[taken]] = trial[taken]
        state.cost[rows[taken]] -= promised[taken]
        # Damping hides what weakly determined parameters still promise: look again without.
        state.damping[rows] = np.where(singular, np.maximum(10.0 * damping, 1e-6), np.where(little, 1e-10, damping))
        return trial, promised, (state.status[rows] == RUNNING) & ~singular & ~little

    def _mark_movable(self, state: _State, rows: Rows) -> Mask:
        """Mark the parameters that may move: not those on a bound that the gradient pushes out. Say where some stay."""
        p, gradient = state.parameters[rows][:, self.free], state.gradient[rows]
        out = ((p <= self.low) & (gradient <= 0.0)) | ((p >= self.high) & (gradient >= 0.0))
        diagonal = np.diagonal(state.matrix[rows], axis1=1, axis2=2)
        state.moves[rows] = ~out & (diagonal > 0.0)
        held: Mask = out.any(axis=1)
        return held

    def _write_figures(self, spectra: _Spectra, state: _State, spread: Array, out: Array, rows: Rows) -> None:
        """Fill in the figures of the fits; what converged but is not determined is told apart."""
        at, free = Columns(state.parameters.shape[1]), self.free
        p = state.parameters[:, free]
        if self.options.loss != "linear":
            self._fill_without_loss(spectra, state)
        covariance, regular = invert(state.matrix, state.moves)
        known = state.moves | (p <= self.low) | (p >= self.high)
        determined = regular & np.isfinite(p).all(axis=1) & known.all(axis=1)
        state.status[(state.status > 0) & ~determined] = UNDETERMINED
        out[rows, at.nfev], out[rows, at.status] = state.nfev, state.status
        fine = np.flatnonzero(state.status > 0)
        if not fine.size:
            return
        taken, p, place = spectra.take(fine), state.parameters[fine], rows[fine]
        chi2, squares, variance = self._sum_squares(taken, p)
        freedom = taken.used.sum(axis=1) - len(free)
        with np.errstate(divide="ignore", invalid="ignore"):
            redchi = np.where(freedom > 0, chi2 / freedom, np.nan)
            r2 = np.where(spread[fine] > 0.0, 1.0 - squares / spread[fine], np.nan)
        spread_by = redchi if self.options.loss == "linear" else variance
        covariance = np.where(_pair_masks(state.moves[fine]), covariance[fine] * spread_by[:, None, None], np.nan)
        stderr = np.zeros_like(p)
        stderr[:, free] = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        out[place, at.parameters], out[place, at.stderr] = p, stderr
        out[place, at.chi2], out[place, at.redchi], out[place, at.r2] = chi2, redchi, r2
        if self.options.covariance:
            square = np.zeros((len(fine), at.n, at.n))
            square[:, free[:, None], free] = covariance
            out[place, at.covariance] = square.reshape(len(fine), at.n**2)

    def _fill_without_loss(self, spectra: _Spectra, state: _State) -> None:
        """Fill the normal equations of plain squares, which the covariance of a robust estimate starts from."""
        plain = _Solver(self.caller, replace(self.options, loss="linear"))
        done = np.flatnonzero(state.status > 0)
        for rows, own in spectra.take(done).iterate_parts(np.arange(len(done))):
            few = done[rows]
            plain._linearise(own, state, few, self.caller(own.x, state.parameters[few]), self.sizes[few])

    def _sum_squares(self, spectra: _Spectra, parameters: Array) -> tuple[Array, Array, Array]:
        """Return the sums of squared residuals with and without weights, without loss; the variance with it."""
        chi2, squares, variance = np.empty((3, len(parameters)))
        loss, scale = self.options.loss, self.options.loss_scale
        for rows, own in spectra.iterate_parts(np.arange(len(parameters))):
            residual = own.y - self.caller(own.x, parameters[rows])
            residual = residual if own.plain else np.where(own.used, residual, 0.0)
            weighed = own.weigh(residual)
            chi2[rows], squares[rows] = (weighed**2).sum(axis=1), (residual**2).sum(axis=1)
            if loss != "linear":
                variance[rows] = compute_robust_variance(weighed, own.used, len(self.free), loss, scale)
        return chi2, squares, variance


def _pair_masks(mask: Mask) -> Mask:
    return mask[:, :, None] & mask[:, None, :]


def _measure_spread(spectra: _Spectra, parts: int) -> tuple[Array, Array]:
    """Return the sum of squares, as it is and about the (complex) mean."""
    with np.errstate(all="ignore"):
        energy = (spectra.y**2).sum(axis=1)
        y, used = (a.reshape(len(energy), -1, parts) for a in (spectra.y, spectra.used))
        mean = y.sum(axis=1) / np.maximum(used.sum(axis=1), 1)
        spread = (np.where(used, y - mean[:, None], 0.0) ** 2).sum(axis=(1, 2))
    return energy, spread
