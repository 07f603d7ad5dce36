"""A swept bias -> its one-way runs, and the sums over samples that differentiate and broaden along each run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Broadening", "Run", "Stencil", "make_broadening", "make_derivative_stencil", "split_runs"]

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


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


def split_runs(bias: Array) -> list[Run]:
    """Split a sweep where it turns; where it stands still, a new run begins, too."""
    steps = np.sign(np.diff(bias))
    found, start, own = [], 0, 0
    for k in range(1, bias.size):
        has_turned = k - 1 > start and steps[k - 1] != steps[k - 2]
        if steps[k - 1] == 0 or has_turned:
            found.append(Run(np.arange(start, k), own - start))
            start, own = (k, k) if steps[k - 1] == 0 else (k - 1, k)
    return [*found, Run(np.arange(start, bias.size), own - start)]


def make_derivative_stencil(bias: Array, window: int, order: int) -> Stencil:
    """Return what differentiates by the bias: the slope of the polynomial through the nearest samples of the run.

    At the ends of a run the samples lie to one side. A run that is shorter than the window is taken whole, and the
    order lowered if need be; a run of one sample has no derivative.
    """
    samples, weights = np.zeros((bias.size, window), np.intp), np.zeros((bias.size, window))
    for run in split_runs(bias):
        size = min(window, run.samples.size)
        for place in range(run.shared, run.samples.size):
            first = int(np.clip(place - size // 2, 0, run.samples.size - size))
            near, here = run.samples[first : first + size], run.samples[place]
            samples[here, :size] = near
            weights[here, :size] = _compute_slope_weights(bias[near] - bias[here], min(order, size - 1))
    return Stencil(samples, weights)


def _compute_slope_weights(distance: Array, order: int) -> Array:
    """Return the weights that give the slope at zero of a polynomial fitted to samples at some distances."""
    if order < 1:
        return np.full(distance.size, np.nan)
    scale = float(np.abs(distance).max())
    powers = np.vander(distance / scale, order + 1, increasing=True)
    weights: Array = np.linalg.pinv(powers)[1] / scale
    return weights


@dataclass(frozen=True, slots=True, eq=False)
class Broadening:
    """Averages along each run with weights exp(-|V - V'| / width) dV', but for the sample at zero bias.

    The weights do not add up to one; divide by what they make of ones.

    Attributes
    ----------
    runs : list of Run
        Of the sweep.
    cells : list of ndarray of float, one per run
        dV' of its samples; zero for those that do not count.
    decays : list of ndarray of float, one per run
        exp(-|V - V'| / width) from each sample to the next.
    """

    runs: list[Run]
    cells: list[Array]
    decays: list[Array]

    def apply(self, values: Array) -> Array:
        """Return the weighted sums along the last axis, of finite values."""
        columns = np.ascontiguousarray(values.reshape(-1, values.shape[-1]).T)
        total = np.empty_like(columns)
        for run, cell, decay in zip(self.runs, self.cells, self.decays, strict=True):
            sums = _sum_decaying(columns[run.samples] * cell[:, np.newaxis], decay)
            total[run.samples[run.shared :]] = sums[run.shared :]
        return np.asarray(total.T.reshape(values.shape))


def make_broadening(bias: Array, width: float) -> Broadening:
    """Return what averages a sweep over a range of the bias."""
    found = split_runs(bias)
    counts = np.abs(bias) > 1e-9 * np.abs(bias).max(initial=0.0)
    steps = [bias[run.samples] for run in found]
    cells = [np.abs(np.gradient(own)) if own.size > 1 else np.ones(1) for own in steps]
    decays = [np.exp(-np.abs(np.diff(own)) / width) if width > 0 else np.zeros(own.size - 1) for own in steps]
    return Broadening(found, [cell * counts[run.samples] for run, cell in zip(found, cells, strict=True)], decays)


def _sum_decaying(rows: Array, decay: Array) -> Array:
    """Sum all rows, weighted by the product of the decays between: from each end on to the next, not pair by pair."""
    ahead, behind = rows.copy(), rows.copy()
    for k in range(1, len(rows)):
        ahead[k] += decay[k - 1] * ahead[k - 1]
        behind[-k - 1] += decay[-k] * behind[-k]
    return ahead + behind - rows
