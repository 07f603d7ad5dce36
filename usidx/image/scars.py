"""Scanned images -> the same without the pieces of lines at which the probe lost the surface."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import UsidError
from usidx.image.plane import choose_image_dims
from usidx.label.blockwise import over
from usidx.label.roles import Dims
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import refuse_complex

__all__ = ["remove_scars"]

Array = npt.NDArray[Any]
_NORMAL: Final = 1.4826


@verb()
def remove_scars(
    data: xr.DataArray, *, threshold: float = 4.0, length: int = 8, width: int = 2, dims: Dims | None = None
) -> xr.DataArray:
    """Replace pieces of lines that lie above, or below, both lines beside them; each less than half a line.

    A lazy array stays lazy. All other samples stay as they are; missing ones stay missing. A line of which most lies
    off counts as one that lies higher: flattening is for that.

    Parameters
    ----------
    data : DataArray, dims (*any, *dims)
        Real. Offsets of whole lines do no harm.
    threshold : float
        By how much, in standard deviations of the noise from line to line.
    length : int
        Samples along the line, at least.
    width : int
        Lines, at most.
    dims : pair of str, optional
        First across the lines, then along them; by default the two position dims in the order of the array.

    Returns
    -------
    DataArray
        As `data`, floating. A scar is filled with a line between the samples on both sides of it.

    Raises
    ------
    RoleError
        It is not clear which dims are meant.
    UsidError
        An option is not as above, or the data is complex.

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> image = xr.DataArray(np.random.default_rng(0).normal(size=(20, 30)), dims=("Y", "X"))
    >>> image[7, 5:17] += 50
    >>> bool(usidx.image.remove_scars(image, dims=("Y", "X")).max() < 5)
    True
    """
    refuse_complex(data)
    core = choose_image_dims(data, dims)
    if not 0 < threshold < np.inf:
        raise UsidError(f"threshold={threshold!r}; it should be more than 0.")
    for name, count in (("length", length), ("width", width)):
        if count != int(count) or count < 1:
            raise UsidError(f"{name}={count!r}; it counts samples, so it should be a whole number, 1 or more.")
    kernel = partial(_remove, threshold=threshold, length=int(length), width=int(width))
    return add_choices(over(data, core, kernel), dims=list(core))


def _remove(block: Array, *, threshold: float, length: int, width: int) -> Array:
    made = block.copy()
    for place in np.ndindex(block.shape[:-2]):
        made[place] = _remove_from_image(block[place], threshold, length, width)
    return made


def _remove_from_image(image: Array, threshold: float, length: int, width: int) -> Array:
    if len(image) < 3 or not np.isfinite(image).any():
        return image
    offsets = _find_offsets(image)
    level = image - offsets
    off = np.abs(np.diff(level, axis=0))
    least = threshold * _NORMAL * float(np.nanmedian(off)) / np.sqrt(2) if np.isfinite(off).any() else np.inf
    for lines in range(1, min(width, len(image) - 2) + 1):
        for sign in (1.0, -1.0):
            scars = _find_scars(sign * level, least, length, lines)
            level = _fill(level, scars, lines)
    return np.where(level == image - offsets, image, level + offsets)


def _find_offsets(image: Array) -> Array:
    """Return how much higher each line is than the first, by the median of the differences from line to line."""
    change = np.diff(image, axis=0)
    known = np.isfinite(change).any(axis=1)
    steps = np.zeros(len(change))
    steps[known] = np.nanmedian(change[known], axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])[:, np.newaxis]


def _find_scars(level: Array, least: float, length: int, lines: int) -> Array:
    """Return where, from a line on, so many lie above the line before and the one after."""
    from scipy.ndimage import binary_closing, binary_opening

    inside = np.lib.stride_tricks.sliding_window_view(level[1:-1], lines, axis=0).min(axis=-1)
    border = np.maximum(level[: -lines - 1], level[lines + 1 :])
    high = inside - border > least
    along = np.ones((1, 3), bool)
    joined = binary_closing(np.pad(high, ((0, 0), (1, 1))), along)[:, 1:-1]
    found = binary_opening(joined, np.ones((1, length), bool))
    return np.asarray(found & np.isfinite(inside - border))


def _fill(level: Array, scars: Array, lines: int) -> Array:
    made = level.copy()
    rows, columns = np.nonzero(scars)
    before, after = level[rows, columns], level[rows + lines + 1, columns]
    for line in range(1, lines + 1):
        made[rows + line, columns] = before + (after - before) * line / (lines + 1)
    return made
