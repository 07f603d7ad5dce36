"""Complex response over voltage -> the loop along its own axis of the complex plane, and the loop's metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.label import units
from usidx.label.blockwise import Output, along
from usidx.modes.switching.voltage import find_response, find_voltage
from usidx.results.verbs import add_choices, add_input, verb

__all__ = ["METRICS", "close_polygon", "declare_outputs", "make_unit", "project", "project_loops"]

Array = npt.NDArray[np.float64]

#: Variable -> its title, and the powers of (response, voltage) in its unit, or the unit.
METRICS: Final[Mapping[str, tuple[str, tuple[int, int] | str]]] = {
    "area": ("Area", (1, 1)),
    "centroid_x": ("Centroid x", (0, 1)),
    "centroid_y": ("Centroid y", (1, 0)),
    "rotation_angle": ("Rotation Angle", "rad"),
    "offset": ("Offset", (1, 0)),
    "samples": ("Samples That Took Part", ""),
}
_FEWEST: Final = 3  # samples that have an area


@verb()
def project_loops(
    data: xr.DataArray | xr.Dataset, dim: str | None = None, *, coordinate: str | None = None
) -> xr.Dataset:
    """Project a complex response onto the line of the complex plane along which it switches.

    A lazy response stays lazy; all loops of a block are projected at once, each by itself. Samples that are not
    finite are left out: they are NaN in the projected loop, and ``samples`` says how many took part. A loop of fewer
    than three samples is NaN.

    Parameters
    ----------
    data : DataArray or Dataset, dims (*any, dim)
        The complex response; or a fit of oscillators, with the variables amplitude and phase, in-field or out-of-field
        (select before); or a real response, of which only the sign is in question.
    dim : str, optional
        Along which the voltage was swept, one cycle of it. By default the spectroscopic dim that is named as such
        (``DC_Offset``, ``write_bias``) or is the only one, or the only one in volts.
    coordinate : str, optional
        The voltage, by default the coordinate of the same name. It may change from loop to loop (FORC).

    Returns
    -------
    Dataset
        ``projected_loops``, of the dims and units of the response. Over all dims but `dim`: ``area`` of the closed
        loop, positive; ``centroid_x`` (in the units of the voltage) and ``centroid_y`` of that polygon;
        ``rotation_angle`` in rad, by which the response was turned; ``offset``, the distance of its line from the
        origin: (projected_loops + 1j offset) exp(-1j rotation_angle) is the response, but for what lies off the line;
        and ``samples``.

    Raises
    ------
    RoleError
        The dim is not there, or which one is meant is not clear.
    SelectionError
        A Dataset has no amplitude and phase, or there is no such coordinate.
    UnitsError
        The coordinate is not a number, or a phase is not in rad.
    UsidError
        The response is not a number, or the voltage goes only one way.

    See Also
    --------
    loop_fit : The same, and the loop's shape.

    Notes
    -----
    The line is the principal axis (total least squares) of the samples about their mean, so the projection is exact at
    any phase: its angle is half the argument of sum((z - mean)^2). Of the two directions along it the one is taken in
    which the loop runs counter-clockwise, as that of a ferroelectric does. Older programs turned by tan(slope) instead
    of -arctan(slope), which shrinks loops at any phase but zero, left the last edge out of area and centroid, and
    gave the offset without its sign.

    References
    ----------
    S. Jesse, H. N. Lee and S. V. Kalinin, Rev. Sci. Instrum. 77, 073702 (2006).

    Examples
    --------
    >>> import numpy as np, xarray as xr, usidx
    >>> volts = ("V", np.array([0.0, 4.0, 0.0, -4.0]), {"units": "V"})
    >>> square = xr.DataArray(1j * np.array([-1.0, 1.0, 1.0, -1.0]), dims="V", coords={"V": volts})
    >>> found = usidx.project_loops(square)
    >>> found.projected_loops.values.round(9), found.area.item(), found.rotation_angle.item() / np.pi
    (array([-1.,  1.,  1., -1.]), 8.0, -0.5)
    """
    response = find_response(data)
    voltage = find_voltage(response, dim, coordinate)
    swept = str(voltage.dims[-1])
    found = along(response, swept, _project_block, declare_outputs(response, voltage), beside=[voltage])
    return add_choices(add_input(found, response), dim=swept)


def declare_outputs(response: xr.DataArray, voltage: xr.DataArray) -> dict[str, Output]:
    """Say what :func:`project` returns, variable by variable."""
    attrs = {"long_name": "Projected Loops"} | make_unit((1, 0), response, voltage)
    found = {"projected_loops": Output(dtype=np.float64, attrs=attrs)}
    for name, (title, powers) in METRICS.items():
        attrs = {"long_name": title} | make_unit(powers, response, voltage)
        found[name] = Output(dims=(), dtype=np.int32 if name == "samples" else np.float64, attrs=attrs)
    return found


def _project_block(response: npt.NDArray[Any], voltage: npt.NDArray[Any]) -> tuple[Array, ...]:
    loops, metrics = project(response, np.asarray(voltage, dtype=np.float64))
    return loops, *np.moveaxis(metrics, -1, 0)


def make_unit(powers: tuple[int, int] | str, response: xr.DataArray, voltage: xr.DataArray) -> dict[str, str]:
    """Return the attribute units of powers of (response, voltage), nothing where a unit is not known."""
    if isinstance(powers, str):
        return {"units": powers}
    found = [(a.attrs.get("units"), power) for a, power in zip((response, voltage), powers, strict=True) if power]
    if not all(isinstance(unit, str) for unit, _ in found):
        return {}
    return {"units": units.multiply(*(units.raise_to_power(str(unit), power) for unit, power in found))}


def project(response: npt.NDArray[Any], voltage: Array) -> tuple[Array, Array]:
    """Return the projected loops (..., sample) and their `METRICS` (..., metric)."""
    voltage = np.broadcast_to(voltage, response.shape)
    known = np.isfinite(response) & np.isfinite(voltage)
    samples = known.sum(axis=-1)
    z = np.where(known, response, 0.0).astype(np.complex128)
    count = np.maximum(samples, 1)
    mean = z.sum(axis=-1) / count
    spread = np.where(known, z - mean[..., None], 0.0)
    angle = 0.5 * np.angle(np.sum(spread**2, axis=-1))
    turned = np.exp(-1j * angle)
    along, offset = np.real(spread * turned[..., None]), np.imag(mean * turned)
    area, center_x, center_y = _measure_polygon(voltage, along, known)
    sign = np.where(area < 0.0, -1.0, 1.0)
    level = np.real(mean * turned)
    loops = np.where(known & (samples >= _FEWEST)[..., None], sign[..., None] * (along + level[..., None]), np.nan)
    rotation = np.pi - np.mod(np.pi - np.where(sign < 0.0, np.pi - angle, -angle), 2.0 * np.pi)
    metrics = np.stack([sign * area, center_x, sign * (center_y + level), rotation, sign * offset], axis=-1)
    metrics = np.where((samples >= _FEWEST)[..., None], metrics, np.nan)
    return loops, np.concatenate([metrics, samples[..., None]], axis=-1)


def _measure_polygon(x: Array, y: Array, known: npt.NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """Return signed area and centroid of closed polygons; a vertex that is not known is left out."""
    # About the middle of the vertices: far from the origin the products would cancel.
    middle = np.sum(x, axis=-1, where=known) / np.maximum(known.sum(axis=-1), 1)
    x, y = close_polygon(x - middle[..., None], known), close_polygon(y, known)
    cross = x[..., :-1] * y[..., 1:] - x[..., 1:] * y[..., :-1]
    area = 0.5 * np.sum(cross, axis=-1)
    with np.errstate(all="ignore"):
        center_x = np.sum((x[..., :-1] + x[..., 1:]) * cross, axis=-1) / (6.0 * area) + middle
        center_y = np.sum((y[..., :-1] + y[..., 1:]) * cross, axis=-1) / (6.0 * area)
    return area, center_x, center_y


def close_polygon(values: Array, known: npt.NDArray[np.bool_]) -> Array:
    """Return the vertices of closed polygons: in place of an unknown one the one before, at the end the first."""
    size = values.shape[-1]
    place = np.maximum.accumulate(np.where(known, np.arange(size), -1), axis=-1)
    place = np.where(place < 0, place[..., -1:], place)  # before the first is the last
    filled = np.take_along_axis(np.broadcast_to(values, place.shape), place, axis=-1)
    return np.concatenate([filled, filled[..., :1]], axis=-1)
