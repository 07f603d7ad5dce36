"""Deflections of the beam -> the phase whose slope they are."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.diffraction.frame import find_pair
from usidx.errors import ResultError, UnitsError, UsidError
from usidx.label import units
from usidx.label.blockwise import Output, over
from usidx.label.roles import POSITION, Dims, choose_dims
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import read_axis

__all__ = ["phase_contrast"]

Array = npt.NDArray[Any]


@verb("Phase_Contrast")
def phase_contrast(
    com: xr.Dataset,
    *,
    rotation: float = 0.0,
    flip: bool = False,
    edges: Literal["mirror", "periodic"] = "mirror",
    dims: Dims | None = None,
) -> xr.DataArray:
    """Integrate centers of mass over the scan: integrated differential phase contrast (iDPC).

    The slope of what comes out is nearest to the deflections, in the sense of least squares. A lazy result stays lazy;
    a map is worked on whole. Positions that are NaN count as no deflection, and stay NaN.

    Parameters
    ----------
    com : Dataset, dims (*any, *dims)
        What :func:`center_of_mass` returns: `y` and `x`. Its mean over the map, which is only a tilt, is taken off.
    rotation : float
        Degrees by which the scan is turned against the detector: deflections are turned by it, from x towards y.
    flip : bool
        The detector is mirrored: its y changes sign, before it is turned.
    edges : {"mirror", "periodic"}
        How the map goes on: by its mirror images, or as it began, which is exact where it does, and bends everything
        where it does not.
    dims : iterable of str, optional
        The two dims of the scan: the one along which `y` deflects, and that of `x`. By default those of the positions.

    Returns
    -------
    DataArray
        Named ``phase``, its mean 0, in the units of the deflections times those of the scan. Where the detector is
        calibrated in 1/nm and the scan in nm, the phase in rad is 2 pi times this.

    Raises
    ------
    ResultError
        There is no `y` and `x`.
    RoleError
        The scan has not two dims, or it is not clear which are meant.
    UnitsError
        An axis of the scan is not even, or the two have different units.
    UsidError
        Maps cannot go on so.

    References
    ----------
    I. Lazic, E. G. T. Bosch, S. Lazar, Ultramicroscopy 160 (2016) 265.

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.diffraction((8, 8), (32, 32))
    >>> usidx.diffraction.phase_contrast(usidx.diffraction.center_of_mass(scan)).dims
    ('Y', 'X')
    """
    if edges not in ("mirror", "periodic"):
        raise UsidError(f"edges={edges!r}; it should be 'mirror' or 'periodic'.")
    pair = find_pair(com)
    if pair is None:
        raise ResultError(f"Deflections are the variables y and x; here are {list(map(str, com.data_vars))}.")
    y, x = pair
    chosen = choose_dims(y, dims, 2, role=POSITION)
    axes = [read_axis(y, dim) for dim in chosen]
    along = {axis.unit for axis in axes}
    if len(along) > 1 or y.attrs.get("units") != x.attrs.get("units"):
        raise UnitsError(f"Deflections in {y.attrs.get('units')!r} and {x.attrs.get('units')!r}, over axes in "
                         f"{[axis.unit for axis in axes]}: both should be in one unit.")  # fmt: skip
    attrs = {"long_name": "Integrated deflection"}
    if (unit := y.attrs.get("units")) is not None and (step := axes[0].unit) is not None:
        attrs["units"] = units.multiply(unit, step)
    steps, mirror = (axes[0].step, axes[1].step), edges == "mirror"
    kernel = partial(_integrate, steps=steps, angle=np.deg2rad(rotation), flip=bool(flip), mirror=mirror)
    beside = x.transpose(*(d for d in x.dims if d not in chosen), *chosen)
    made = over(y, chosen, kernel, Output(name="phase", attrs=attrs), beside=[beside])
    return add_choices(made, dims=list(chosen))


def _integrate(y: Array, x: Array, *, steps: tuple[float, float], angle: float, flip: bool, mirror: bool) -> Array:
    import scipy.fft

    known = np.isfinite(y) & np.isfinite(x)
    given = [np.where(known, one, 0.0) for one in (-y if flip else y, x)]
    turned = np.cos(angle) * given[0] + np.sin(angle) * given[1], np.cos(angle) * given[1] - np.sin(angle) * given[0]
    count = np.maximum(known.sum(axis=(-2, -1), keepdims=True), 1)
    fields = [np.where(known, one - one.sum(axis=(-2, -1), keepdims=True) / count, 0.0) for one in turned]
    if mirror:
        fields = [_reflect(_reflect(one, -2, -1.0 + 2 * k), -1, 1.0 - 2 * k) for k, one in enumerate(fields)]
    size = fields[0].shape[-2:]
    ky = 2j * np.pi * scipy.fft.fftfreq(size[0], steps[0])[:, np.newaxis]
    kx = 2j * np.pi * scipy.fft.rfftfreq(size[1], steps[1])
    square = np.abs(ky) ** 2 + np.abs(kx) ** 2
    square[0, 0] = np.inf
    slope = [scipy.fft.rfft2(one) for one in fields]
    phase = scipy.fft.irfft2((np.conj(ky) * slope[0] + np.conj(kx) * slope[1]) / square, s=size)
    phase = phase[..., : y.shape[-2], : y.shape[-1]]
    phase = np.where(known, phase, np.nan)
    return np.asarray(phase - np.where(known, phase, 0.0).sum(axis=(-2, -1), keepdims=True) / count)


def _reflect(values: Array, axis: int, sign: float) -> Array:
    """Return an array with its mirror image behind it."""
    return np.concatenate([values, sign * np.flip(values, axis)], axis=axis)
