"""Conductance that leads away from the middle of a gap -> the bias of its edge, with an error.

A band edge is the foot of the rise: a straight line through the samples just above the noise, extended down to the
floor. A superconductor has no foot, for heat smears it; there a peak stands at the edge, and the conductance at the
edge is a fixed share of that peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d

__all__ = ["Floor", "find_crossings", "find_edges"]

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]
#: Spectra (spectrum, sample) that lead outwards, and the distance of their samples from the middle.
Side = tuple[Array, Array]
#: How far from the middle an edge lies, and the standard error.
Edge = tuple[Array, Array]

#: Conductance at the gap by that of the peak, where heat smears a peak (E - gap) ** -0.5 that is sharp without it.
_SHARE: Final = 0.85167
_RISE: Final = (0.5, 0.95)  # of the peak, between which the rise is as good as straight
_STANDS_OUT: Final = 0.25  # of the height of a peak, which what follows is lower at least
_SHARP: Final = 0.5  # of the distance of a peak, within which the upper half of its rise lies
_PAIRED: Final = 0.1  # of their distance from the middle, by which that of two peaks may differ
_REACH: Final = 6.0  # times from the floor to the threshold, up to which a line is drawn
_PLATEAU: Final = 0.8  # of the largest conductance, from which on a rise ends
_FEWEST, _ENOUGH, _ROUNDS = 3, 8, 4


@dataclass(frozen=True, slots=True)
class Floor:
    """What lies within the gap of each spectrum.

    Attributes
    ----------
    mean, noise : ndarray, shape (spectrum,)
        Of the samples there, noise as a standard deviation.
    count : int
        How many there are.
    limit : ndarray, shape (spectrum,)
        The threshold above the noise.
    """

    mean: Array
    noise: Array
    count: int
    limit: Array


def find_crossings(spectra: Array, away: Array, limit: Array, stays: int) -> tuple[Array, Index]:
    """Return how far from the middle spectra first reach the limit and stay, NaN where they never do, and the sample.

    `spectra` (spectrum, sample) lead outwards, `away` (sample,) is the distance from the middle.
    """
    if not away.size:
        return np.full(limit.shape, np.nan), np.zeros(limit.shape, np.intp)
    single = spectra >= limit[:, None]
    reached = single.copy()
    for k in range(1, min(stays, away.size)):
        reached[:, :-k] &= single[:, k:]  # the last samples have fewer after them
    first = np.argmax(reached, axis=1)
    before = np.maximum(first - 1, 0)
    value, earlier = (np.take_along_axis(spectra, k[:, None], 1)[:, 0] for k in (first, before))
    rise = np.where(value > earlier, value - earlier, 1.0)
    share = np.where(first > 0, (limit - earlier) / rise, 0.0)
    found = np.where(first == 0, 0.0, away[before] + share * (away[first] - away[before]))
    # A missing sample on the way may have been the edge.
    is_open = np.cumsum(np.isnan(spectra), axis=1)
    passed = np.take_along_axis(is_open, first[:, None], 1)[:, 0] > 0
    return np.where(reached.any(axis=1) & ~passed, found, np.nan), first


def find_edges(below: Side, above: Side, floor: Floor, stays: int) -> tuple[Edge, Edge]:
    """Return the edges to both sides of the middle.

    A peak is that of a superconductor only where both sides have one, as far from the middle.
    """
    (feet, steps), (other_feet, other_steps) = (_find_candidates(*side, floor, stays) for side in (below, above))
    with np.errstate(all="ignore"):
        paired = abs(steps[0] - other_steps[0]) < _PAIRED * 0.5 * (steps[0] + other_steps[0])
    first, second = (
        (np.where(paired, step[0], foot[0]), np.where(paired, step[1], foot[1]))
        for foot, step in ((feet, steps), (other_feet, other_steps))
    )
    return first, second


def _find_candidates(spectra: Array, away: Array, floor: Floor, stays: int) -> tuple[Edge, Edge]:
    """Return the edge as the foot of the rise, and from the peak; NaN where there is none."""
    crossing, first = find_crossings(spectra, away, floor.limit, stays)
    error, none = np.full(crossing.shape, np.nan), np.full(crossing.shape, np.nan)
    foot, peak = (crossing.copy(), error), (none, none.copy())
    rows = np.flatnonzero(crossing > 0)
    if not rows.size or away.size < _FEWEST:
        return foot, peak
    own = Floor(floor.mean[rows], floor.noise[rows], floor.count, floor.limit[rows])
    edge, spread, *of_peak = _extrapolate(spectra[rows], away, own, first[rows])
    known = np.isfinite(edge) & np.isfinite(spread)
    foot[0][rows[known]], error[rows[known]] = np.maximum(edge[known], 0.0), spread[known]
    # A rise between two samples leaves open where between them.
    steep = rows[~known]
    error[steep] = np.diff(away)[np.maximum(first[steep] - 1, 0)] / np.sqrt(12.0)
    peak[0][rows], peak[1][rows] = of_peak
    return foot, peak


def _extrapolate(spectra: Array, away: Array, floor: Floor, first: Index) -> tuple[Array, Array, Array, Array]:
    """Return foot and error, and the edge from the peak and its error."""
    smooth = uniform_filter1d(np.where(np.isnan(spectra), floor.mean[:, None], spectra), 3, axis=1, mode="nearest")
    after = np.arange(away.size) >= first[:, None]
    top = np.argmax(np.where(after, smooth, -np.inf), axis=1)
    height = np.take_along_axis(smooth, top[:, None], 1)[:, 0] - floor.mean
    peaked, rising = _find_peaks(spectra, away, smooth, top, height, floor)
    level_error = np.hypot(_SHARE * floor.noise / np.sqrt(3), (1 - _SHARE) * floor.noise / np.sqrt(floor.count))
    step, step_error = _cross_line(
        spectra, away, rising & peaked[:, None], floor.mean + _SHARE * height, floor.noise, level_error
    )
    return *_find_feet(spectra, away, floor, smooth, first, height), step, step_error


def _find_peaks(
    spectra: Array, away: Array, smooth: Array, top: Index, height: Array, floor: Floor
) -> tuple[Bools, Bools]:
    """Say which spectra have a peak at the edge, and which samples (spectrum, sample) are its rise."""
    places = np.arange(away.size)
    above = (smooth - floor.mean[:, None]) / height[:, None]
    before = places < top[:, None]
    low, high = (_find_last(before & (above < part)) for part in _RISE)
    beyond = places > (2 * top - low)[:, None]
    count = (beyond & np.isfinite(spectra)).sum(axis=1)
    level = np.where(beyond & np.isfinite(spectra), spectra, 0.0).sum(axis=1) / np.maximum(count, 1)
    drop = floor.mean + height - level
    peaked = (count >= _FEWEST) & (drop > _STANDS_OUT * height) & (drop > 5.0 * floor.noise)
    peaked &= away[top] - away[low] < _SHARP * away[top]
    return peaked, (places > low[:, None]) & (places <= high[:, None])


def _find_last(which: Bools) -> Index:
    """Return the last place along the last axis that is true, 0 where none is."""
    found = which.shape[1] - 1 - np.argmax(which[:, ::-1], axis=1)
    return np.asarray(np.where(which.any(axis=1), found, 0))


def _find_feet(
    spectra: Array, away: Array, floor: Floor, smooth: Array, first: Index, height: Array
) -> tuple[Array, Array]:
    """Extend a line down to the floor; it is drawn anew once it is known where the line begins and ends."""
    lift = (floor.limit - floor.mean)[:, None]
    places = np.arange(away.size)
    after = places >= first[:, None]
    plateau = np.argmax(after & (smooth - floor.mean[:, None] >= _PLATEAU * height[:, None]), axis=1)
    ends = np.argmax(after & (smooth - floor.mean[:, None] >= _REACH * lift), axis=1)
    ends = np.minimum(np.maximum(np.where(ends > 0, ends, away.size), first + _ENOUGH), np.maximum(plateau, first + 1))
    used = after & (places <= ends[:, None])
    level_error = floor.noise / np.sqrt(floor.count)
    edge, error = _cross_line(spectra, away, used, floor.mean, floor.noise, level_error)
    for _ in range(_ROUNDS):
        slope = _fit_line(spectra, away, used)[2]
        start = np.searchsorted(away, np.nan_to_num(edge))
        reach = edge + _REACH * lift[:, 0] / np.where(slope > 0, slope, np.nan)
        stop = np.maximum(np.searchsorted(away, np.nan_to_num(reach)), start + _ENOUGH)
        low = edge + 0.5 * lift[:, 0] / np.where(slope > 0, slope, np.nan)
        own = (away >= low[:, None]) & (places <= np.minimum(stop, plateau)[:, None])
        used = np.where((own.sum(axis=1) >= _FEWEST)[:, None], own, used)
        edge, error = _cross_line(spectra, away, used, floor.mean, floor.noise, level_error)
    return edge, error


def _fit_line(spectra: Array, away: Array, used: Bools) -> tuple[Array, Array, Array, Array, Array]:
    """Return count, middle, slope, spread of the places and scatter about the line, from the samples that are used."""
    used = used & np.isfinite(spectra)
    count: Any = used.sum(axis=1)
    values, places = np.where(used, spectra, 0.0), np.where(used, away, 0.0)
    with np.errstate(all="ignore"):
        middle, mean = places.sum(axis=1) / count, values.sum(axis=1) / count
        aside = np.where(used, away - middle[:, None], 0.0)
        spread = (aside**2).sum(axis=1)
        slope = (aside * values).sum(axis=1) / spread
        left = np.where(used, values - mean[:, None] - slope[:, None] * aside, 0.0)
        scatter = np.sqrt((left**2).sum(axis=1) / (count - 2))
    return count, middle, slope, spread, np.stack([mean, scatter])


def _cross_line(
    spectra: Array, away: Array, used: Bools, level: Array, noise: Array, level_error: Array
) -> tuple[Array, Array]:
    """Return where the line through the samples that are used crosses a level, and the standard error; NaN without."""
    count, middle, slope, spread, (mean, scatter) = _fit_line(spectra, away, used)
    with np.errstate(all="ignore"):
        crossing = middle + (level - mean) / slope
        own = np.where(count > 4, np.maximum(scatter, 0.0), noise)
        variance = (own**2 * (1.0 / count + (crossing - middle) ** 2 / spread) + level_error**2) / slope**2
        known = (count >= _FEWEST) & (slope > 0) & np.isfinite(crossing)
        return np.where(known, crossing, np.nan), np.where(known, np.sqrt(variance), np.nan)
