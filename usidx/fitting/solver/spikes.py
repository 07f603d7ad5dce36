"""Spectra -> the same without samples that are far from those around them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter

from usidx.fitting.solver.robust import DEVIATION_PER_MAD
from usidx.fitting.solver.search.templates import bridge_gaps

__all__ = ["find_order", "remove_spikes"]

Array = npt.NDArray[np.float64]
_WINDOW: Final = 7  # samples, of which three may be spikes
_FAR: Final = 8.0  # standard deviations of noise


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
