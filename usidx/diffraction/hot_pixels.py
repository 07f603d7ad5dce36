"""Patterns -> the pixels that shine always, and the patterns without them."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.diffraction.frame import Frame, read_frame
from usidx.diffraction.patterns import average
from usidx.errors import RoleError, UsidError
from usidx.label.blockwise import Output, along
from usidx.label.roles import Dims
from usidx.results.verbs import add_choices, verb

__all__ = ["find_hot_pixels", "remove_hot_pixels"]

Array = npt.NDArray[Any]
_PER_MAD: Final = 1.4826


@verb("Hot_Pixels")
def find_hot_pixels(data: xr.DataArray, threshold: float = 8.0, *, dims: Dims | None = None) -> xr.DataArray:
    """Find the pixels of a detector that are far above their neighbours in the mean pattern.

    A lazy array stays lazy and is read once. A pixel is compared with the second highest of its eight neighbours, so
    edges of disks and spots of more than two pixels are left in peace.

    Parameters
    ----------
    data : DataArray, dims (*position, y, x)
        Patterns, or their mean.
    threshold : float
        How far above, in standard deviations of the noise of the mean pattern, which is taken to grow as counts' does.
    dims : iterable of str, optional
        The two dims of the detector, (y, x); by default the two spectroscopic ones, in the order of the array.

    Returns
    -------
    DataArray of bool, dims (y, x)
        True where a pixel is hot; the `mask` of other verbs.

    Raises
    ------
    RoleError
        It is not clear which dims the detector has.
    SelectionError
        The detector has no pixel.
    UnitsError
        A coordinate of the detector has no finite numbers.
    UsidError
        The threshold is not more than 0, or the data is complex.

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.diffraction((8, 8), (32, 32))
    >>> scan[..., 3, 5] = 2000
    >>> int(usidx.diffraction.find_hot_pixels(scan).sum())
    1
    """
    frame = read_frame(data, dims)
    return add_choices(_find(data, threshold, frame), dims=list(frame.dims))


@verb("Without_Hot_Pixels")
def remove_hot_pixels(
    data: xr.DataArray, mask: xr.DataArray | None = None, *, threshold: float = 8.0, dims: Dims | None = None
) -> xr.DataArray:
    """Put the median of its good neighbours in the place of each hot pixel.

    A lazy array stays lazy; it is read once more where the pixels have to be found first.

    Parameters
    ----------
    data : DataArray, dims (*position, y, x)
        Patterns, of whole or real numbers.
    mask : DataArray of bool, dims (y, x), optional
        True where a pixel is hot, or dead; by default :func:`find_hot_pixels` finds them.
    threshold : float
        For finding them.
    dims : iterable of str, optional
        The two dims of the detector, (y, x); by default the two spectroscopic ones, in the order of the array.

    Returns
    -------
    DataArray
        As `data`, of its type; whole numbers are rounded. A pixel without a good one among the 24 around it stays.

    Raises
    ------
    RoleError
        It is not clear which dims the detector has, or the mask has others.
    SelectionError
        The detector has no pixel.
    UnitsError
        A coordinate of the detector has no finite numbers.
    UsidError
        The threshold is not more than 0, or the data is complex.

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.diffraction((8, 8), (32, 32))
    >>> scan[..., 3, 5] = 2000
    >>> clean = scan.usid.diffraction.remove_hot_pixels()
    >>> bool(clean[..., 3, 5].max() < 100), clean.dtype
    (True, dtype('uint16'))
    """
    frame = read_frame(data, dims)
    if mask is None:
        bad = _find(data, threshold, frame)
    elif not isinstance(mask, xr.DataArray) or mask.dtype != bool or set(mask.dims) != set(frame.dims):
        raise RoleError(f"A mask of pixels is a DataArray of bool over {frame.dims}; this is {mask!r}.")
    else:
        bad = mask.transpose(*frame.dims)
    if bad.shape != frame.shape:
        raise RoleError(f"The mask has {bad.shape} pixels, and the detector {frame.shape}.")
    made = along(data, frame.dims, _replace, Output(dtype=data.dtype), beside=[bad], as_stored=True)
    return add_choices(made, dims=list(frame.dims))


def _find(data: xr.DataArray, threshold: float, frame: Frame) -> xr.DataArray:
    if not threshold > 0:
        raise UsidError(f"threshold={threshold!r}; it should be more than 0.")
    mean = average(data, None, frame)
    output = Output(dtype=bool, name="hot", attrs={"long_name": "Hot pixels", "units": ""})
    return along(mean, frame.dims, partial(_compare, threshold=float(threshold)), output)


def _compare(pattern: Array, *, threshold: float) -> Array:
    wide = np.pad(pattern.astype(np.float64), 1, constant_values=np.nan)
    parts = np.lib.stride_tricks.sliding_window_view(wide, (3, 3)).reshape(*pattern.shape, 9)
    around = np.sort(np.delete(parts, 4, axis=-1), axis=-1)  # NaN last
    count = np.isfinite(around).sum(axis=-1)
    second = np.take_along_axis(around, np.maximum(count - 2, 0)[..., np.newaxis], axis=-1)[..., 0]
    level = np.take_along_axis(around, np.maximum(count - 1, 0)[..., np.newaxis] // 2, axis=-1)[..., 0]
    known = np.isfinite(pattern) & (count > 1)
    if not known.any():
        return np.zeros(pattern.shape, bool)
    # Of counts the variance grows with the level; where nothing is counted it is still that of a typical pixel.
    lit = known & (level > 0) if (known & (level > 0)).any() else known
    scale = np.sqrt(np.maximum(level, max(float(np.median(level[lit])), np.finfo(float).tiny)))
    spread = _PER_MAD * np.median((np.abs(pattern - level) / scale)[lit])
    return np.asarray(known & (pattern - second > threshold * spread * scale))


def _replace(block: Array, mask: Array) -> Array:
    found = block.copy()
    for y, x in zip(*np.nonzero(mask), strict=True):
        for reach in (1, 2):
            part = slice(max(y - reach, 0), y + reach + 1), slice(max(x - reach, 0), x + reach + 1)
            good = ~mask[part]
            if good.any():
                middle = np.median(block[(..., *part)][..., good], axis=-1)
                found[..., y, x] = middle if block.dtype.kind == "f" else np.rint(middle)
                break
    return found
