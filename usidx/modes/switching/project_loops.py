"""Complex response over voltage -> the loop along its own axis of the complex plane, and the loop's metrics."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.fitting.solver.robust import estimate_noise, split_parts
from usidx.fitting.solver.spikes import remove_spikes
from usidx.label import units
from usidx.label.blockwise import Output, along
from usidx.modes.switching.voltage import find_response, find_voltage
from usidx.results.verbs import add_choices, add_input, verb

__all__ = ["METRICS", "Projected", "close_polygon", "declare_outputs", "make_unit", "project", "project_loops"]

Array = npt.NDArray[np.float64]

#: Variable -> its title, and the powers of (response, voltage) in its unit, or the unit.
METRICS: Final[Mapping[str, tuple[str, tuple[int, int] | str]]] = {
    "area": ("Area", (1, 1)),
    "area_stderr": ("Standard Error of Area", (1, 1)),
    "centroid_x": ("Centroid x", (0, 1)),
    "centroid_y": ("Centroid y", (1, 0)),
    "rotation_angle": ("Rotation Angle", "rad"),
    "offset": ("Offset", (1, 0)),
    "samples": ("Samples That Took Part", ""),
}
_FEWEST: Final = 3  # samples that have an area
_FEWEST_AROUND: Final = 16  # samples: of fewer those around one are half of the loop
_ROUND: Final = 3  # samples: half of those around one
_WILD: Final = 0.3  # of the extent of a loop, from those around it: a turn of the voltage is not as sharp
_SIGMAS: Final = 4.0  # that an area points away from the principal axis: not by chance
_ROUNDING: Final = 1e-12  # of the size of an area
_AREA_ERROR: Final = list(METRICS).index("area_stderr")
_MISSING: Final = complex(np.nan, np.nan)


@verb()
def project_loops(
    data: xr.DataArray | xr.Dataset, dim: str | None = None, *, coordinate: str | None = None
) -> xr.Dataset:
    """Project a complex response onto the line of the complex plane along which it switches.

    A lazy response stays lazy; all loops of a block are projected at once, each by itself. Samples that are not
    finite are left out: they are NaN in the projected loop, and ``samples`` says how many took part. Wild samples are
    projected, but have no part in the line and the metrics. A loop of fewer than three samples is NaN.

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
        loop, positive, with its standard error ``area_stderr``; ``centroid_x`` (in the units of the voltage) and
        ``centroid_y`` of that polygon;
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
    which the loop runs counter-clockwise, as that of a ferroelectric does. What answers at another phase, such as a
    response linear in the voltage, turns the principal axis, but encloses no area. So where the direction of the
    enclosed area, a complex number, differs from that axis by more than four times what noise makes of it, the line is
    laid along the area. The noise is the median of second differences. Samples further than eight times that, and
    three tenths of the loop's extent, from the median of the seven about them are wild, where not more than two are
    side by side (in loops of 16 samples and more). The error of the area is that of the noise, and of what the course
    between samples leaves open.

    Older programs turned by tan(slope) instead of -arctan(slope), which shrinks loops at any phase but zero, left the
    last edge out of area and centroid, and gave the offset without its sign.

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
    return add_choices(add_input(found, response, data), dim=swept)


def declare_outputs(response: xr.DataArray, voltage: xr.DataArray) -> dict[str, Output]:
    """Say what :func:`project` returns, variable by variable."""
    attrs = {"long_name": "Projected Loops"} | make_unit((1, 0), response, voltage)
    found = {"projected_loops": Output(dtype=np.float64, attrs=attrs)}
    for name, (title, powers) in METRICS.items():
        attrs = {"long_name": title} | make_unit(powers, response, voltage)
        found[name] = Output(dims=(), dtype=np.int32 if name == "samples" else np.float64, attrs=attrs)
    return found


def _project_block(response: npt.NDArray[Any], voltage: npt.NDArray[Any]) -> tuple[Array, ...]:
    found = project(response, np.asarray(voltage, dtype=np.float64))
    return found.loops, *np.moveaxis(found.metrics, -1, 0)


def make_unit(powers: tuple[int, int] | str, response: xr.DataArray, voltage: xr.DataArray) -> dict[str, str]:
    """Return the attribute units of powers of (response, voltage), nothing where a unit is not known."""
    if isinstance(powers, str):
        return {"units": powers}
    found = [(a.attrs.get("units"), power) for a, power in zip((response, voltage), powers, strict=True) if power]
    if not all(isinstance(unit, str) for unit, _ in found):
        return {}
    return {"units": units.multiply(*(units.raise_to_power(str(unit), power) for unit, power in found))}


@dataclass(frozen=True, slots=True, eq=False)
class Projected:
    """Loops along their own axes.

    Attributes
    ----------
    loops : ndarray, shape (*other, sample)
        All samples, NaN where they are not known.
    calm : ndarray, shape (*other, sample)
        The same without wild samples, which had no part in the axis.
    metrics : ndarray, shape (*other, metric)
        See `METRICS`.
    noise, spread : ndarray, shape (*other,)
        Standard deviation of the noise, and the sum of squares of the area's derivatives by the samples.
    """

    loops: Array
    calm: Array
    metrics: Array
    noise: Array
    spread: Array

    def know_noise(self, noise: Array) -> Array:
        """Return the metrics with the error of the area of a noise that is less than was thought."""
        found = self.metrics.copy()
        less = np.where(noise < self.noise, self.noise**2 - noise**2, 0.0)
        found[..., _AREA_ERROR] = np.sqrt(np.maximum(found[..., _AREA_ERROR] ** 2 - less * self.spread, 0.0))
        return found


def project(response: npt.NDArray[Any], voltage: Array) -> Projected:
    """Project responses (*other, sample); the voltage broadcasts against them."""
    voltage = np.broadcast_to(voltage, response.shape)
    known = np.isfinite(response) & np.isfinite(voltage)
    samples, calm = known.sum(axis=-1), known & ~_find_wild_samples(response)
    z = np.where(known, response, 0.0).astype(np.complex128)
    mean = np.sum(z, axis=-1, where=calm) / np.maximum(calm.sum(axis=-1), 1)
    spread = np.where(known, z - mean[..., None], 0.0)
    turned = _find_axis(np.where(calm, response, np.nan), spread, voltage, calm)
    along, offset = np.real(spread * turned[..., None]), np.imag(mean * turned)
    area, center_x, center_y = _measure_polygon(voltage, along, calm)
    angle = np.pi - np.mod(np.pi - np.angle(turned), 2.0 * np.pi)
    level, enough = np.real(mean * turned), (samples >= _FEWEST)[..., None]
    loops = np.where(known & enough, along + level[..., None], np.nan)
    weight = _weigh_samples(voltage, calm)
    noise, error = _compute_area_error(np.where(calm, along, np.nan), weight, calm)
    metrics = np.stack([area, error, center_x, center_y + level, angle, offset], axis=-1)
    metrics = np.concatenate([np.where(enough, metrics, np.nan), samples[..., None]], axis=-1)
    return Projected(loops, np.where(calm, loops, np.nan), metrics, noise, np.sum(weight**2, axis=-1))


def _find_wild_samples(response: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Say which samples, two in a row at most, are far from those around them, by noise and by the loop's extent."""
    size = response.shape[-1]
    if size < _FEWEST_AROUND:
        return np.zeros(response.shape, dtype=bool)
    rows = response.reshape(int(np.prod(response.shape[:-1])), size)
    rows = np.where(np.isfinite(rows), rows, _MISSING if np.iscomplexobj(rows) else np.nan)
    whole = np.concatenate([rows[:, -_ROUND:], rows, rows[:, :_ROUND]], axis=1)  # the end goes on with the beginning
    clean = remove_spikes(whole, np.zeros((1, 1, whole.shape[1])), in_order=True)[0][:, _ROUND:-_ROUND]
    parts = split_parts(np.ascontiguousarray(clean)).reshape(*rows.shape, 1 + np.iscomplexobj(rows))
    parts = np.where(np.isfinite(rows)[..., None], parts, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of loops without a known sample
        extent = (np.nanmax(parts, axis=1) - np.nanmin(parts, axis=1)).max(axis=-1)
    far = np.abs(rows - clean) > _WILD * extent[:, None]
    one, two = np.roll(far, 1, axis=-1), np.roll(far, -1, axis=-1)
    run = far & ((one & two) | (one & np.roll(far, 2, axis=-1)) | (two & np.roll(far, -2, axis=-1)))
    wild: npt.NDArray[np.bool_] = far & ~run
    return wild.reshape(response.shape)


def _find_axis(
    response: npt.NDArray[Any], spread: npt.NDArray[np.complex128], voltage: Array, calm: npt.NDArray[np.bool_]
) -> npt.NDArray[np.complex128]:
    """Return the turn of each loop that lays its axis along the real line, running counter-clockwise.

    The principal axis of the samples knows the phase best, but feels what else answers in quadrature. The enclosed
    area, a complex number, does not: where it points away from that axis by more than noise can turn it, it decides.
    """
    turned = np.exp(-0.5j * np.angle(np.sum(spread**2, axis=-1, where=calm)))
    area = _measure_polygon(voltage, spread.real, calm)[0] + 1j * _measure_polygon(voltage, spread.imag, calm)[0]
    rows = response.reshape(int(np.prod(response.shape[:-1])), response.shape[-1])
    noise = estimate_noise(rows).reshape(response.shape[:-1])
    least = _SIGMAS * noise * np.sqrt(np.sum(_weigh_samples(voltage, calm) ** 2, axis=-1))
    beside = np.abs(np.imag(area * turned)) > np.maximum(least, _ROUNDING * np.abs(area))
    turned = np.where(beside, np.exp(-1j * np.angle(area)), turned)
    return np.where(np.real(area * turned) < 0.0, -turned, turned)


def _compute_area_error(loops: Array, weight: Array, calm: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return the noise, and the error of the area: by it, and by what the course between samples leaves open."""
    before, after = _find_neighbours(calm)
    rows = loops.reshape(int(np.prod(loops.shape[:-1])), loops.shape[-1])
    noise = estimate_noise(rows).reshape(loops.shape[:-1])
    bend = np.take_along_axis(loops, before, -1) - 2.0 * loops + np.take_along_axis(loops, after, -1)
    between = np.where(calm, np.nan_to_num(bend) * weight / 12.0, 0.0)  # of the rule of trapezoids
    size = np.abs(np.nan_to_num(loops)).max(axis=-1, initial=0.0) * np.abs(weight).sum(axis=-1)
    squares = (np.nan_to_num(noise)[..., None] * weight) ** 2 + between**2
    return noise, np.sqrt(squares.sum(axis=-1) + (_ROUNDING * size) ** 2)


def _weigh_samples(voltage: Array, calm: npt.NDArray[np.bool_]) -> Array:
    """Return the derivative of the area by each sample."""
    before, after = _find_neighbours(calm)
    v = np.where(calm, voltage, 0.0)
    change = np.take_along_axis(v, before, -1) - np.take_along_axis(v, after, -1)
    return np.where(calm, 0.5 * change, 0.0)


def _find_neighbours(calm: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the places of the known samples before and after each, round the cycle."""
    size = calm.shape[-1]
    last = np.maximum.accumulate(np.where(calm, np.arange(size), -1), axis=-1)
    last = np.where(last < 0, np.maximum(last[..., -1:], 0), last)
    first = np.minimum.accumulate(np.where(calm, np.arange(size), size)[..., ::-1], axis=-1)[..., ::-1]
    first = np.where(first >= size, np.minimum(first[..., :1], size - 1), first)
    return np.roll(last, 1, axis=-1), np.roll(first, -1, axis=-1)


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
