"""Model, coordinates, and what is allowed -> many values to try for parameters that are not linear.

Peaks and steps are tried at all scales, from two samples to more than the whole range, as close to each other as they
are wide. All values lie within the bounds: where these cut off what would be tried, as much is tried inside.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from usidx.fitting.models.curves import measure_extent
from usidx.fitting.models.model import Model

__all__ = ["propose"]

Array = npt.NDArray[np.float64]
_MOST: Final = 4000  # candidates of a group
_WIDTHS: Final = (0.005, 0.012, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # of the range, at half maximum
_USUAL: Final = 0.025  # where the width is known
_SPACING: Final = 0.6  # of peaks, in widths
_FACTORS: Final = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # of a start value that is a guess
_GUESSES: Final = 400  # combinations of them


def propose(model: Model, searched: Sequence[str], x: Array, bounds: Array, base: Array) -> Array:
    """Return values to try, (row, candidate, searched).

    Parameters
    ----------
    model : Model
        What is fitted.
    searched : sequence of str
        Parameters that are looked for together.
    x : ndarray, shape (row, variable, sample)
        Coordinates, for each spectrum or for all.
    bounds : ndarray, shape (row, parameter, 2)
        What is allowed.
    base : ndarray, shape (row, parameter)
        Start values to vary where nothing else is known of a parameter.
    """
    tables = []
    for term in model.terms:
        own = [n for n in searched if n in term.names]
        if own:
            at = [model.names.index(n) for n in own]
            found = _turn_within(term, own, _list_values(term, own, x, base[:, at]), bounds[:, at])
            found = _keep_within(found, bounds[:, at])
            tables.append((own, _drop_repeated(found)))
    order = [n for own, _ in tables for n in own]
    table = _combine([t for _, t in tables])
    return table[:, :, [order.index(n) for n in searched]]


def _list_values(term: Model, own: Sequence[str], x: Array, base: Array) -> Array:
    """Return candidates of one term, (row, candidate, own)."""
    if term.search == "given":
        return _vary_guesses(x, base)
    choices = term.candidates(x[:, 0] if term.variables == 1 else x[:, : term.variables])
    roles = {p.name: p for p in term.parameters}
    peaks = np.zeros((len(x), 1, 2))
    if any(roles[name].role for name in own):
        known = not any(roles[name].role == "width" for name in own)
        peaks = _list_peaks(x[:, 0], (_USUAL,) if known else _WIDTHS)
    count = peaks.shape[1] * len(choices)
    out = np.zeros((len(x), count, len(own)))
    for k, name in enumerate(own):
        role = roles[name].role
        default = 1.0 if role == "width" else 0.0
        chosen = np.stack([np.zeros(len(x)) + c.get(name, default) for c in choices], axis=1)
        if role == "center":
            value = np.repeat(peaks[:, :, :1], len(choices), axis=2)
        elif role == "width":
            value = peaks[:, :, 1:] * roles[name].width_per_fwhm * chosen[:, None]
        else:
            value = np.repeat(chosen[:, None], peaks.shape[1], axis=1)
        out[:, :, k] = value.reshape(len(x), count)
    return out


def _list_peaks(x: Array, tried: Sequence[float]) -> Array:
    """Return centres and full widths at half maximum of peaks at all scales, (row, candidate, 2)."""
    low, span = measure_extent(x)
    finest = 1.5 / max(x.shape[-1], 2)
    found = []
    for width in (w for w in tried if w >= min(finest, tried[-1])):
        count = max(5, round(1.1 / (_SPACING * width)))
        found += [(place, width) for place in np.linspace(-0.05, 1.05, count)]
    places, widths = np.array(found).T
    return np.stack([low[:, None] + span[:, None] * places, span[:, None] * widths], axis=2)


def _vary_guesses(x: Array, base: Array) -> Array:
    """Return multiples of start values, and places along the coordinate, in many combinations."""
    rng = np.random.default_rng(0)
    low, span = measure_extent(x[:, 0])
    rows, count = max(len(x), len(base)), base.shape[1]
    guess = np.broadcast_to(np.nan_to_num(base, nan=1.0), (rows, count))
    size = np.where(guess == 0.0, 1.0, guess)
    factors = [*_FACTORS, -1.0, 0.0]
    out = np.empty((rows, _GUESSES, count))
    for k in range(count):
        kind = rng.integers(0, 2, _GUESSES)
        factor = rng.choice(factors, _GUESSES)
        place = rng.uniform(0.0, 1.0, _GUESSES)
        scaled = size[:, None, k] * factor
        out[:, :, k] = np.where(kind == 0, scaled, low[:, None] + span[:, None] * place)
    out[:, 0] = guess
    return out


def _turn_within(term: Model, own: Sequence[str], values: Array, bounds: Array) -> Array:
    """Bring angles to where the bounds are, by whole periods."""
    periods = {p.name: p.period for p in term.parameters}
    out = values
    for k, name in enumerate(own):
        low = bounds[:, None, k, 0]
        if periods[name] and np.isfinite(low).all():
            out = np.broadcast_to(out, (max(len(out), len(low)), *out.shape[1:])).copy()
            out[:, :, k] = low + np.mod(out[:, :, k] - low, periods[name])
    return out


def _keep_within(values: Array, bounds: Array) -> Array:
    """Bring values within bounds (row, own, 2): what lies outside is spread evenly inside."""
    low, high = bounds[:, None, :, 0], bounds[:, None, :, 1]
    if not ((values < low) | (values > high)).any():
        return values
    least, most = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    first = np.where(np.isfinite(low), low, np.minimum(least, high - (most - least)))
    last = np.where(np.isfinite(high), high, np.maximum(most, low + (most - least)))
    out = np.broadcast_to(values, np.broadcast_shapes(values.shape, low.shape)).copy()
    for k in range(values.shape[2]):
        different, place = np.unique(values[0, :, k], return_inverse=True)
        inside = first[..., k] + (last - first)[..., k] * (place + 0.5) / len(different)
        fine = (out[:, :, k] >= low[..., k]) & (out[:, :, k] <= high[..., k])
        out[:, :, k] = np.where(fine, out[:, :, k], inside)
    return out


def _drop_repeated(table: Array) -> Array:
    """Drop candidates that are the same in all rows."""
    wide = table.transpose(1, 0, 2).reshape(table.shape[1], -1)
    first = np.unique(wide, axis=0, return_index=True)[1]
    return table[:, np.sort(first)]


def _combine(tables: Sequence[Array]) -> Array:
    """Return all combinations of the terms' candidates, or as many of them as there is room for."""
    counts = [t.shape[1] for t in tables]
    if np.prod(counts, dtype=float) <= _MOST:
        picks = np.array(list(itertools.product(*map(range, counts))), np.intp)
    else:
        rng = np.random.default_rng(0)
        picks = np.stack([rng.integers(0, c, _MOST) for c in counts], axis=1)
    rows = max(map(len, tables))
    chosen = [t[:, picks[:, k]] for k, t in enumerate(tables)]
    return np.concatenate([np.broadcast_to(c, (rows, *c.shape[1:])) for c in chosen], axis=2)
