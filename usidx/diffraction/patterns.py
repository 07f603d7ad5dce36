"""Patterns of all positions -> their mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.diffraction.frame import Frame, Pixels, choose_result_type, leave_out, read_frame
from usidx.diffraction.kernels.pixels import as_frames
from usidx.label.roles import Dims
from usidx.results.verbs import add_choices, verb

__all__ = ["average", "mean_pattern"]

Array = npt.NDArray[Any]


@verb("Mean_Pattern")
def mean_pattern(data: xr.DataArray, *, mask: Pixels | None = None, dims: Dims | None = None) -> xr.DataArray:
    """Average the patterns of all positions.

    A lazy array stays lazy and is read once. Each pixel is the mean of the positions where it is known; one that is
    known nowhere, or left out, is NaN.

    Parameters
    ----------
    data : DataArray, dims (*position, y, x)
        Patterns, of whole or real numbers; any number of position dims, or none.
    mask : DataArray or ndarray of bool, optional
        Over dims among those of `data`, or of the detector's shape: true where cells are left out.
    dims : iterable of str, optional
        The two dims of the detector, (y, x); by default the two spectroscopic ones, in the order of the array.

    Returns
    -------
    DataArray, dims (y, x)
        In the units of `data`; float64 of whole numbers, else as `data`.

    Raises
    ------
    RoleError
        It is not clear which dims the detector has, or the mask has other pixels.
    SelectionError
        The detector has no pixel.
    UnitsError
        A coordinate of the detector has no finite numbers.
    UsidError
        The data is complex.

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.diffraction((8, 8), (32, 32))
    >>> scan.usid.diffraction.mean_pattern().dims
    ('detector_Y', 'detector_X')
    """
    frame = read_frame(data, dims)
    return add_choices(average(data, mask, frame), dims=list(frame.dims))


def average(data: xr.DataArray, mask: Pixels | None, frame: Frame) -> xr.DataArray:
    """Return the mean over all positions of what is known of each pixel."""
    given, counts = leave_out(data, mask, frame)
    variable = given.variable.transpose(*(d for d in given.dims if d not in frame.dims), *frame.dims)
    found = _reduce(variable, _sum_block)
    number = _reduce(variable, _count_block) if variable.dtype.kind == "f" else np.float64(variable.size / counts.size)
    # Nothing by nothing is NaN; by NaN it is so without a warning.
    mean = found / np.where(number == 0, np.nan, number) / np.where(counts, 1.0, np.nan)
    mean = mean.astype(choose_result_type(data))
    coords = {n: c for n, c in data.coords.items() if set(c.dims) <= set(frame.dims)}
    attrs = {k: data.attrs[k] for k in ("long_name", "units") if k in data.attrs}
    return xr.DataArray(mean, dims=frame.dims, coords=coords, name=data.name, attrs=attrs)


def _reduce(variable: xr.Variable, chunk: Callable[..., Array]) -> Any:
    """Add up what is found in each block, over all dims but the last two."""
    axes = tuple(range(variable.ndim - 2))
    if variable.chunks is None:
        return chunk(variable.values, axes, False)
    import dask.array as da

    found: Any = da.reduction(variable.data, chunk, _add, axis=axes, dtype=np.float64, concatenate=True)
    return found


def _add(parts: Array, axis: Any, keepdims: Any) -> Array:
    return np.asarray(parts.sum(axis=axis, keepdims=keepdims))


def _sum_block(block: Array, axis: Any, keepdims: bool) -> Array:
    """Return the sum of the known cells of each pixel; whole numbers are added as such."""
    from usidx.diffraction.kernels.sums import sum_frames, sum_known_frames

    frames = as_frames(block).reshape(-1, block.shape[-2] * block.shape[-1])
    found = np.zeros(frames.shape[1], np.float64 if frames.dtype.kind == "f" else f"{frames.dtype.kind}8")
    sum_frames(frames, found)
    if not np.isfinite(found).all():
        found[:] = 0
        sum_known_frames(frames, found)
    return found.astype(np.float64).reshape(*((1,) * (block.ndim - 2) if keepdims else ()), *block.shape[-2:])


def _count_block(block: Array, axis: Any, keepdims: Any) -> Array:
    return np.asarray(np.isfinite(block).sum(axis=axis, keepdims=keepdims, dtype=np.float64))
