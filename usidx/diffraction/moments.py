"""Patterns -> where their intensity lies: the center of mass."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.diffraction.detectors import Annulus
from usidx.diffraction.frame import (
    Center,
    Pixels,
    choose_result_type,
    find_pair,
    leave_out,
    name_pair,
    read_center,
    read_frame,
)
from usidx.diffraction.kernels.pixels import count_frames, find_lines, find_runs, make_zero, work_through
from usidx.errors import UsidError
from usidx.label.blockwise import Output, along
from usidx.label.roles import Dims
from usidx.label.unread import Unread
from usidx.results.verbs import add_choices, verb

__all__ = ["center_of_mass"]

Array = npt.NDArray[Any]


@verb("Center_Of_Mass")
def center_of_mass(
    data: xr.DataArray,
    mask: Pixels | None = None,
    annulus: Annulus | tuple[float, float] | None = None,
    center: Center | None = None,
    *,
    dims: Dims | None = None,
) -> xr.Dataset:
    """Find the center of mass of each pattern.

    A lazy array stays lazy and is read once. A position where a pixel that counts is NaN becomes NaN, and so does one
    whose intensity adds up to 0.

    Parameters
    ----------
    data : DataArray, dims (*position, y, x)
        Patterns, of whole or real numbers; any number of position dims, or none.
    mask : DataArray or ndarray of bool, optional
        Over dims among those of `data`, or of the detector's shape: true where cells are left out, as of dead pixels.
    annulus : Annulus or (inner, outer), optional
        Only these pixels count; two radii are around `center`.
    center : (y, x) or Dataset, optional
        Taken off what is found. Of a Dataset with `y` and `x` over position dims, each position has its own.
    dims : iterable of str, optional
        The two dims of the detector, (y, x); by default the two spectroscopic ones, in the order of the array.

    Returns
    -------
    Dataset, dims (*position)
        `y` and `x`, in the units of the detector's coordinates; single precision where the data is, else double.
        Where positions are called so, they are `com_y` and `com_x`.

    Raises
    ------
    RoleError
        It is not clear which dims the detector has, or the mask has other pixels.
    SelectionError
        The detector has no pixel.
    UnitsError
        A coordinate of the detector has no finite numbers.
    UsidError
        Two radii come without a center, the center is no point, or the data is complex.

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.diffraction((8, 8), (32, 32))
    >>> found = scan.usid.diffraction.center_of_mass()
    >>> found.y.dims, found.y.units
    (('Y', 'X'), 'mrad')
    """
    frame = read_frame(data, dims)
    given, counts = leave_out(data, mask, frame)
    if annulus is not None:
        counts = counts & _choose_annulus(annulus, center).weigh(frame)
    moves = isinstance(center, xr.Dataset) and any(one.ndim for one in find_pair(center) or ())
    origin = (0.0, 0.0) if moves or center is None else read_center(center)
    dtype = choose_result_type(data)
    kernel = partial(_find_center, runs=find_runs(counts), y=frame.y, x=frame.x, origin=origin, dtype=dtype)
    names = name_pair(data, frame, "com_")
    outputs = {
        n: Output(dims=(), dtype=dtype, attrs=_make_attrs(n[-1], u)) for n, u in zip(names, frame.units, strict=True)
    }
    found = along(given, frame.dims, kernel, outputs, as_stored=True, unread=True)
    if moves:
        found = _take_off(found, center)
    return add_choices(found, dims=list(frame.dims), annulus=_describe(annulus))


def _choose_annulus(annulus: Any, center: Center | None) -> Annulus:
    if isinstance(annulus, Annulus):
        return annulus
    if center is None:
        raise UsidError(f"annulus={annulus!r} is around no point: give center=(y, x), or an Annulus.")
    try:
        inner, outer = annulus
    except (TypeError, ValueError) as err:
        raise UsidError(f"annulus={annulus!r}; it should be an Annulus, or two radii (inner, outer).") from err
    return Annulus(center, inner, outer)


def _describe(annulus: Any) -> Any:
    return annulus.describe() if isinstance(annulus, Annulus) else annulus


def _make_attrs(name: str, unit: str | None) -> dict[str, str]:
    return {"long_name": f"Center of mass along {name}", **({} if unit is None else {"units": unit})}


def _take_off(found: xr.Dataset, center: Any) -> xr.Dataset:
    """Take off a center of each position."""
    own = xr.Dataset(dict(zip(found.data_vars, find_pair(center) or (), strict=True)))
    strange = {*own.dims} - {*found.dims}
    if strange:
        raise UsidError(f"center has the dims {sorted(map(str, strange))}, which are none of the positions.")
    try:
        _, own = xr.align(found, own, join="exact")
    except ValueError as err:
        raise UsidError(f"center is of other positions: {err}") from err
    return found.assign(
        {n: (v - own[n]).astype(v.dtype).transpose(*v.dims).assign_attrs(v.attrs) for n, v in found.data_vars.items()}
    )


def _find_center(
    block: Array | Unread, *, runs: Array, y: Array, x: Array, origin: tuple[float, float], dtype: np.dtype[Any]
) -> tuple[Array, Array]:
    from usidx.diffraction.kernels.sums import measure_moments

    zero, found = make_zero(block.dtype), np.empty((count_frames(block), 2))

    def run(part: slice, frames: Array, first: int) -> None:
        measure_moments(frames, runs, first, zero, y, x, found[part])

    work_through(run, block, find_lines([runs]))
    made = (found - origin).astype(dtype).reshape(*block.shape[:-2], 2)
    return made[..., 0].copy(), made[..., 1].copy()
