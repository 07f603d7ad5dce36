"""A swept bias -> its one-way runs, and the sums over samples that differentiate and broaden along each run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["Broadening", "Run", "Stencil", "find_broadening", "find_derivative_stencil", "split_runs"]

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
_ALIKE: Final = 1e-9  # of the range: values of the bias that differ by less are one
_JITTER: Final = 8.0  # standard deviations, so that hundreds of samples do not reach it from one side to the other
_DEVIATION_PER_MAD: Final = 1.4826 / np.sqrt(6.0)  # of normal noise, in the second differences


@dataclass(frozen=True, slots=True, eq=False)
class Stencil:
    """Which samples make up each sample of the outcome, and with what weights.

    Attributes
    ----------
    samples : ndarray of int, shape (sample, k)
        Where they are.
    weights : ndarray of float, shape (sample, k)
        Zero for those that do not count; NaN where there is no outcome.
    """

    samples: Index
    weights: Array

    def apply(self, values: npt.NDArray[Any]) -> Array:
        """Return the weighted sums along the last axis; NaN where a sample that counts is not finite.

        Term by term and not as one matrix product, whose rounding depends on the size of the block.
        """
        known = np.where(np.isfinite(values), values, np.nan)
        total = np.zeros(values.shape)
        for where, weight in zip(self.samples.T, self.weights.T, strict=True):
            total += weight * np.where(weight == 0.0, 0.0, known[..., where])
        return total


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Samples between two turns of a sweep, both included.

    Attributes
    ----------
    samples : ndarray of int
        In the order of the sweep.
    shared : int
        How many of the first ones belong to the run before: 1 where the sweep has turned, else 0.
    """

    samples: Index
    shared: int

    def sort(self, bias: Array) -> tuple[Index, npt.NDArray[np.bool_]]:
        """Return the samples in the order of the bias, and which of them are the run's own."""
        order = np.argsort(bias[self.samples], kind="stable")
        return self.samples[order], order >= self.shared


def split_runs(bias: Array) -> list[Run]:
    """Split a sweep where it turns by more than its jitter; where it stands still at a turn, half way."""
    least, heading, start, own = _measure_jitter(bias), 0, 0, 0
    low = high = far = last = 0  # `far` to `last`: the samples farthest on, alike
    found = []
    for k in range(1, bias.size):
        if heading == 0:
            low, high = (k if bias[k] < bias[low] else low), (k if bias[k] > bias[high] else high)
            heading = int(bias[k] - bias[low] > least) - int(bias[high] - bias[k] > least)
            far = last = k
        elif heading * (bias[k] - bias[far]) > 0:
            far = last = k
        elif bias[k] == bias[far] and last == k - 1:
            last = k
        elif heading * (bias[far] - bias[k]) > least:
            end = far if last == far else far + (last - far - 1) // 2
            found.append(Run(np.arange(start, end + 1), own - start))
            start = far if last == far else end + 1
            own, heading, far, last = end + 1, -heading, k, k
    return [*found, Run(np.arange(start, bias.size), own - start)]


def _measure_jitter(bias: Array) -> float:
    """Return by how much a bias goes back because it jitters: 0 where its steps are even."""
    if bias.size < 8:
        return 0.0
    return _JITTER * float(_DEVIATION_PER_MAD) * float(np.median(np.abs(np.diff(bias, 2))))


@lru_cache(maxsize=64)
def _make_derivative_stencil(bias: bytes, window: int, order: int) -> Stencil:
    volts = np.frombuffer(bias)
    parts = []
    for run in split_runs(volts):
        samples, own = run.sort(volts)
        where, weights = _fit_locally(volts[samples], window, order)
        parts.append((samples[own], samples[where[own]], weights[own]))
    width = max(where.shape[1] for _, where, _ in parts)
    indices, factors = np.zeros((volts.size, width), np.intp), np.zeros((volts.size, width))
    for here, where, weights in parts:
        indices[here, : where.shape[1]], factors[here, : where.shape[1]] = where, weights
    return Stencil(indices, factors)


def find_derivative_stencil(bias: Array, window: int, order: int) -> Stencil:
    """Return what differentiates by the bias: the slope of the polynomial through the nearest samples of the run.

    Near by their bias, `window` different values of it. At the ends of a run the samples lie to one side; there the
    order is one higher, for what is left out would count several times as much as half way. A run of fewer values is
    taken whole, and the order lowered if need be; one value has no derivative.
    """
    return _make_derivative_stencil(np.ascontiguousarray(bias, np.float64).tobytes(), window, order)


def _fit_locally(steps: Array, window: int, order: int) -> tuple[Index, Array]:
    """Return which samples take part at each one of a run, (sample, k), and their weights; `steps` rise."""
    level = np.cumsum(np.diff(steps, prepend=steps[:1]) > _ALIKE * (steps[-1] - steps[0]))
    ends = np.searchsorted(level, np.arange(level[-1] + 2))  # where each different value begins
    count = min(window, int(level[-1]) + 1)
    first = np.clip(level - count // 2, 0, level[-1] + 1 - count)
    places = ends[first][:, None] + np.arange(int((ends[first + count] - ends[first]).max()))
    valid = places < ends[first + count][:, None]
    where = np.minimum(places, steps.size - 1)
    if count < 2:
        return where, np.full(where.shape, np.nan)
    distance = np.where(valid, steps[where] - steps[:, None], 0.0)
    weights = _find_slope_weights(distance, valid, min(order, count - 1))
    if order + 1 < count:
        ends_of_run = (level == 0) | (level == level[-1])
        weights[ends_of_run] = _find_slope_weights(distance[ends_of_run], valid[ends_of_run], order + 1)
    return where, weights


def _find_slope_weights(distance: Array, valid: npt.NDArray[np.bool_], order: int) -> Array:
    """Return the weights that give the slope at zero of a polynomial fitted to samples at some distances, by row."""
    scale = np.abs(distance).max(axis=1)
    powers = (distance / scale[:, None])[..., None] ** np.arange(order + 1) * valid[..., None]
    return np.where(valid, np.linalg.pinv(powers)[:, 1] / scale[:, None], 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Broadening:
    """Averages along each run with weights exp(-|V - V'| / width) dV', but for the sample at zero bias.

    The weights do not add up to one; divide by what they make of ones.

    Attributes
    ----------
    runs : list of (ndarray of int, ndarray of bool)
        The samples of each run in the order of the bias, and which of them are its own.
    cells : list of ndarray of float, one per run
        dV' of its samples; zero for those that do not count.
    decays : list of ndarray of float, one per run
        exp(-|V - V'| / width) from each sample to the next.
    """

    runs: list[tuple[Index, npt.NDArray[np.bool_]]]
    cells: list[Array]
    decays: list[Array]

    def apply(self, values: npt.NDArray[Any]) -> Array:
        """Return the weighted sums along the last axis, of finite values."""
        columns = np.ascontiguousarray(values.reshape(-1, values.shape[-1]).T)
        total = np.empty_like(columns)
        for (samples, own), cell, decay in zip(self.runs, self.cells, self.decays, strict=True):
            sums = _sum_decaying(columns[samples] * cell[:, np.newaxis], decay)
            total[samples[own]] = sums[own]
        return np.asarray(total.T.reshape(values.shape))


def find_broadening(bias: Array, width: float) -> Broadening:
    """Return what averages a sweep over a range of the bias."""
    return _make_broadening(np.ascontiguousarray(bias, np.float64).tobytes(), width)


@lru_cache(maxsize=64)
def _make_broadening(bias: bytes, width: float) -> Broadening:
    volts = np.frombuffer(bias)
    counts = np.abs(volts) > 1e-9 * np.abs(volts).max(initial=0.0)
    runs = [run.sort(volts) for run in split_runs(volts)]
    steps = [volts[samples] for samples, _ in runs]
    cells = [np.gradient(own) if own.size > 1 else np.ones(1) for own in steps]
    decays = [np.exp(-np.diff(own) / width) if width > 0 else np.zeros(own.size - 1) for own in steps]
    return Broadening(runs, [cell * counts[samples] for (samples, _), cell in zip(runs, cells, strict=True)], decays)


def _sum_decaying(rows: Array, decay: Array) -> Array:
    """Sum all rows, weighted by the product of the decays between: from each end on to the next, not pair by pair."""
    ahead, behind = rows.copy(), rows.copy()
    for k in range(1, len(rows)):
        ahead[k] += decay[k - 1] * ahead[k - 1]
        behind[-k - 1] += decay[-k] * behind[-k]
    return ahead + behind - rows
