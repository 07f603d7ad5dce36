"""Detector in pixels -> the same in angles or reciprocal lengths, with the beam at 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from usidx.diffraction.frame import Center, read_center, read_frame
from usidx.errors import UsidError
from usidx.label.roles import Dims
from usidx.results.verbs import add_choices, verb

__all__ = ["calibrate"]


@verb()
def calibrate(
    data: xr.DataArray,
    *,
    center: Center | None = None,
    scale: float | Sequence[float] | None = None,
    units: str | None = None,
    dims: Dims | None = None,
) -> xr.DataArray:
    """Put the beam at 0 of the detector's coordinates, and give these a scale and a unit.

    A lazy array stays lazy; no count is touched. New coordinates are ``(old - center) * scale``.

    Parameters
    ----------
    data : DataArray, dims (*position, y, x)
        Patterns, or their mean.
    center : (y, x) or Dataset, optional
        In the coordinates as they are; or what :func:`find_center` returns, which is computed.
    scale : float or (float, float), optional
        New units for each old one, as mrad per pixel, of both dims or of (y, x). A negative one turns an axis round.
    units : str, optional
        Of the new coordinates. With a scale and without this, nobody knows their unit.
    dims : iterable of str, optional
        The two dims of the detector, (y, x); by default the two spectroscopic ones, in the order of the array.

    Returns
    -------
    DataArray
        `data` with other coordinates of the detector, as floats.

    Raises
    ------
    RoleError
        It is not clear which dims the detector has.
    SelectionError
        The detector has no pixel.
    UnitsError
        A coordinate of the detector has no finite numbers.
    UsidError
        The scale is 0 or not finite, the center is no point, or the data is complex.

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> pattern = xr.DataArray(np.ones((3, 3)), dims=("ky", "kx"))
    >>> usidx.diffraction.calibrate(pattern, center=(1, 1), scale=0.5, units="mrad").ky.values
    array([-0.5,  0. ,  0.5])
    """
    frame = read_frame(data, dims)
    origin = (0.0, 0.0) if center is None else read_center(center)
    factors = _read_scale(scale)
    coords = {}
    for dim, values, begin, factor in zip(frame.dims, (frame.y, frame.x), origin, factors, strict=True):
        attrs = dict(data.coords[dim].attrs) if dim in data.coords else {}
        if scale is not None:
            attrs.pop("units", None)
        attrs |= {} if units is None else {"units": units}
        coords[dim] = xr.Variable(dim, (values - begin) * factor, attrs)
    made = data.assign_coords(coords)
    made.attrs = {k: v for k, v in data.attrs.items() if k in ("long_name", "units")}
    return add_choices(made, dims=list(frame.dims), center=list(origin), scale=list(factors))


def _read_scale(scale: Any) -> tuple[float, float]:
    try:
        y, x = (1.0, 1.0) if scale is None else np.broadcast_to(np.asarray(scale, np.float64), 2).tolist()
    except (TypeError, ValueError) as err:
        raise UsidError(f"scale={scale!r}; it should be a number, or two (y, x).") from err
    if not (np.isfinite([y, x]).all() and y and x):
        raise UsidError(f"scale={scale!r}; it should be finite and not 0.")
    return y, x
