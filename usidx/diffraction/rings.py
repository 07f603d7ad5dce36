"""Patterns -> their mean over rings around a center."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.diffraction.frame import Center, Frame, Pixels, choose_result_type, leave_out, read_center, read_frame
from usidx.diffraction.kernels.pixels import count_frames, make_zero, work_through
from usidx.errors import UsidError
from usidx.label.blockwise import Output, along
from usidx.label.roles import ROLE, SPECTROSCOPIC, Dims
from usidx.label.unread import Unread
from usidx.results.verbs import add_choices, verb

__all__ = ["radial_mean"]

Array = npt.NDArray[Any]


@verb("Radial_Mean")
def radial_mean(
    data: xr.DataArray,
    center: Center = (0.0, 0.0),
    bins: int | Sequence[float] | npt.NDArray[Any] | None = None,
    *,
    mask: Pixels | None = None,
    dims: Dims | None = None,
) -> xr.DataArray:
    """Average each pattern over rings.

    A lazy array stays lazy and is read once. Each ring is the mean of its pixels that are known: the corners of the
    detector, pixels that are left out and NaN count for nothing, and a ring without a pixel is NaN.

    Parameters
    ----------
    data : DataArray, dims (*position, y, x)
        Patterns, of whole or real numbers; any number of position dims, or none.
    center : (y, x) or Dataset
        Of the rings, in the units of the detector's coordinates; by default 0, where :func:`calibrate` puts it.
    bins : int or sequence of float, optional
        How many rings of the same width, out to the farthest pixel; or their edges, each ring with its inner edge. By
        default rings of about one pixel.
    mask : DataArray or ndarray of bool, optional
        Over dims among those of `data`, or of the detector's shape: true where cells are left out.
    dims : iterable of str, optional
        The two dims of the detector, (y, x); by default the two spectroscopic ones, in the order of the array.

    Returns
    -------
    DataArray, dims (*position, radius)
        In the units of `data`; float64 of whole numbers, else as `data`. `radius` is the middle of each ring, in the
        units of the detector's coordinates.

    Raises
    ------
    RoleError
        It is not clear which dims the detector has, or the mask has other pixels.
    SelectionError
        The detector has no pixel.
    UnitsError
        A coordinate of the detector has no finite numbers.
    UsidError
        The center is no point, the bins are no rings, or the data is complex.

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.diffraction((8, 8), (32, 32))
    >>> scan.usid.diffraction.radial_mean((0, 0), 10).dims
    ('Y', 'X', 'radius')
    """
    frame = read_frame(data, dims)
    point = read_center(center)
    distance = frame.find_distance(point)
    edges = _choose_edges(bins, distance, frame)
    given, counts = leave_out(data, mask, frame)
    rings = np.searchsorted(edges, distance, side="right") - 1
    if bins is None or np.ndim(bins) == 0:
        rings = np.minimum(rings, edges.size - 2)  # the farthest pixel lies on the last edge
    rings = np.where(counts & (rings >= 0) & (rings < edges.size - 1), rings, edges.size - 1)
    attrs = {"long_name": "Radius", ROLE: SPECTROSCOPIC}
    attrs |= {} if (unit := frame.find_unit()) is None else {"units": unit}
    radius = xr.DataArray((edges[:-1] + edges[1:]) / 2, dims="radius", attrs=attrs)
    dtype = choose_result_type(data)
    kernel = partial(_average, rings=rings.ravel(), count=edges.size, dtype=dtype)
    output = Output(dims=("radius",), coords={"radius": radius}, dtype=dtype)
    made = along(given, frame.dims, kernel, output, as_stored=True, unread=True)
    return add_choices(made, dims=list(frame.dims), center=list(point), bins=edges.tolist())


def _choose_edges(bins: Any, distance: Array, frame: Frame) -> Array:
    """Return the edges of the rings."""
    if bins is None:
        steps = [abs(np.diff(c)).min() for c in (frame.y, frame.x) if c.size > 1]
        width = min((s for s in steps if s > 0), default=1.0)
        bins = max(1, round(float(distance.max()) / width))
    if np.ndim(bins) == 0:
        if not (isinstance(bins, int | np.integer) and bins > 0):
            raise UsidError(f"bins={bins!r}; it should be how many rings, 1 or more, or their edges.")
        return np.linspace(0, float(distance.max()) or 1.0, int(bins) + 1)
    edges = np.asarray(bins, np.float64)
    if edges.ndim != 1 or edges.size < 2 or not (np.diff(edges) > 0).all() or not np.isfinite(edges).all():
        raise UsidError(
            f"bins={bins!r}; edges of rings should be two numbers or more, each larger than the one before."
        )
    return edges


def _average(block: Array | Unread, *, rings: Array, count: int, dtype: np.dtype[Any]) -> Array:
    """Return the mean over each ring; the last one is of pixels that lie in none."""
    from usidx.diffraction.kernels.sums import sum_known_rings, sum_rings

    zero, means = make_zero(block.dtype), np.empty((count_frames(block), count))
    whole = np.bincount(rings, minlength=count)

    def run(part: slice, frames: Array, _first: int) -> None:
        given, found = frames.reshape(-1, rings.size), means[part]
        sum_rings(given, rings, zero, found)
        lacking = ~np.isfinite(found).all(axis=1)
        divided = found / np.where(whole, whole, np.nan)
        if lacking.any():
            known = np.empty((int(lacking.sum()), count)), np.empty((int(lacking.sum()), count), np.int64)
            sum_known_rings(given[lacking], rings, *known)
            divided[lacking] = known[0] / np.where(known[1], known[1], np.nan)
        found[:] = divided

    work_through(run, block)
    return means[:, :-1].astype(dtype).reshape(*block.shape[:-2], count - 1)
