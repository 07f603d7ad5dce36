"""Spectra with spikes and a robust loss -> start values that the spikes have no part in.

A robust loss forgives few wild samples, but only from a start near the curve, and what looks for starts believes every
sample. So spectra that have such samples are fitted twice more: without them, and from there whole. The better fit by
the loss is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter

from usidx.fitting.kernels.columns import Columns
from usidx.fitting.models.model import Model
from usidx.fitting.solver.compiled import Options, evaluate_block
from usidx.fitting.solver.robust import DEVIATION_PER_MAD, evaluate_loss, split_parts
from usidx.fitting.solver.search.templates import bridge_gaps
from usidx.fitting.solver.tables import take_rows

__all__ = ["find_order", "remove_spikes", "solve_without_spikes"]

Array = npt.NDArray[np.float64]
_WINDOW: Final = 7  # samples, of which three may be spikes
_FAR: Final = 8.0  # standard deviations of noise


def solve_without_spikes(
    fit_rows: Callable[[npt.NDArray[np.intp], npt.NDArray[Any], Array], Array],
    first: Array,
    model: Model,
    options: Options,
    y: npt.NDArray[Any],
    x: Array,
    weight: Array | None,
    start: Array,
) -> Array:
    """Return the table with those fits replaced that are better from a start without spikes.

    `fit_rows(rows, y, start)` fits some spectra; the other arguments are those of `solver.compiled.solve_block`.
    """
    clean, most = remove_spikes(y, x, in_order=model.derived > 0 or model.variables > 1)
    rows, at = np.flatnonzero(np.isfinite(most).any(axis=1)), Columns(len(model.names))
    if not rows.size:
        return first
    own = take_rows(start, rows)
    found = fit_rows(rows, clean[rows], own)
    second = fit_rows(rows, y[rows], np.where(np.isnan(own), found[:, at.parameters], own))

    def measure_cost(table: Array) -> Array:
        # A peak as narrow as a spike explains it, and saves more of a loss than the true peak does: so a spike counts
        # as no further away than what just is one.
        values = evaluate_block(model, take_rows(x, rows), table[:, at.parameters])
        away = np.minimum(abs(split_parts(y[rows]) - split_parts(values)), most[rows])
        if weight is not None:
            own_weight = take_rows(weight, rows)
            away = away * np.repeat(own_weight, away.shape[1] // own_weight.shape[1], axis=1)
        with np.errstate(all="ignore"):
            lost = np.nansum(evaluate_loss(away, options.loss, options.loss_scale)[0], axis=1)
        return np.where(table[:, at.status] > 0, lost, np.inf)

    out = first.copy()
    out[rows] = np.where((measure_cost(second) < measure_cost(first[rows]))[:, None], second, first[rows])
    out[rows, at.nfev] = first[rows, at.nfev] + found[:, at.nfev] + second[:, at.nfev]
    return out


def find_order(x: Array, *, in_order: bool) -> npt.NDArray[np.intp]:
    """Return the order (spectrum or 1, sample) in which samples are neighbours: their own, or the coordinate's."""
    return np.argsort(np.zeros(x[:, 0].shape) if in_order else x[:, 0], axis=-1, kind="stable")


def remove_spikes(y: npt.NDArray[Any], x: Array, *, in_order: bool) -> tuple[npt.NDArray[Any], Array]:
    """Return spectra with samples that are far from the median of those around them bridged from their neighbours.

    Also how far these samples count as away, infinite for all others.
    """
    if np.iscomplexobj(y):
        (real, first), (imag, second) = (remove_spikes(part, x, in_order=in_order) for part in (y.real, y.imag))
        return real + 1j * imag, np.stack([first, second], axis=-1).reshape(len(y), -1)
    order = np.broadcast_to(find_order(x, in_order=in_order), y.shape)
    rows = np.take_along_axis(np.asarray(y, np.float64), order, axis=1)
    filled, known = bridge_gaps(rows)
    around = median_filter(filled, size=(1, _WINDOW), mode="mirror")
    # The median of deviations does not see the spikes themselves.
    far = _FAR * DEVIATION_PER_MAD * np.median(abs(filled - around), axis=1, keepdims=True)
    spikes = (abs(rows - around) > far) & known[:, None]
    # Not by the median: at an end its window holds each sample twice, and two spikes are half of it.
    bridged, possible = bridge_gaps(np.where(spikes, np.nan, rows))
    clean, most = np.empty_like(rows), np.empty_like(rows)
    np.put_along_axis(clean, order, np.where(spikes, np.where(possible[:, None], bridged, around), rows), axis=1)
    np.put_along_axis(most, order, np.where(spikes, far, np.inf), axis=1)
    return clean, most
