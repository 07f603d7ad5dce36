"""Amplitude and phase of an oscillator -> the signed response, with the offset of the electronics taken out."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import ResultError, RoleError, UnitsError
from usidx.label.roles import position_dims
from usidx.results.declarations import HANDED_ON
from usidx.results.verbs import verb

__all__ = ["correct_phase", "phase_offset", "response"]

Offset = float | xr.DataArray

_OFFSET: Final = "phase_offset"


@verb()
def phase_offset(fit: xr.Dataset, *, per_position: bool = False) -> xr.DataArray:
    r"""Estimate the phase that electronics and wiring add to that of the sample.

    Lazy where `fit` is. Domains up and down answer half a turn apart, so the phases of a ferroelectric lie about two
    values, the offset and the offset plus pi. Values that are not finite, such as those of failed fits, are left out.

    Parameters
    ----------
    fit : Dataset
        With ``amplitude`` and ``phase`` (rad), as :func:`usidx.sho_fit` returns it.
    per_position : bool
        Estimate an offset for each position, for a phase that drifts during the scan; needs something swept, and
        response at each position. By default one for all.

    Returns
    -------
    DataArray, dims () or (*position)
        In rad; NaN where nothing finite is left. One for all lies in (-pi/2, pi/2]; those of positions lie within
        pi/2 of it, so that neighbours get the same sign.

    Raises
    ------
    ResultError
        A variable is missing.
    RoleError
        `per_position`, and the fit has no position dims, or nothing but these.
    UnitsError
        The phase is not in rad.

    See Also
    --------
    correct_phase : Take it out.

    Notes
    -----
    The phases are doubled, which brings the two values together, and averaged as directions, weighted by the square
    of the amplitude: :math:`\frac{1}{2} \arg \sum A^2 e^{2i\varphi}`. It does not matter where a phase is cut.
    Which of the two directions is up no phase can tell: add pi where the sign comes out reversed.

    References
    ----------
    K. V. Mardia and P. E. Jupp, Directional Statistics, Wiley (2000), on axial data.

    Examples
    --------
    >>> import usidx
    >>> scan, _ = usidx.simulate.band_excitation((8, 8), phase_offset=-0.4)
    >>> usidx.phase_offset(usidx.sho_fit(scan)).round(2).item()
    -0.4
    """
    amplitude, phase = _find_variable(fit, "amplitude"), _read_phase(fit)
    doubled = amplitude**2 * np.exp(2j * phase)
    over = _list_dims_within_positions(fit) if per_position else list(phase.dims)
    found = _compute_half_angle(doubled.sum())
    if per_position:
        # The nearer of the two directions to that of all: else the sign would flip from pixel to pixel.
        local = _compute_half_angle(doubled.sum(over))
        found = found + _wrap_angle(local - found, np.pi)
    attrs = {"long_name": "Phase Offset", "units": "rad"}
    return found.rename(_OFFSET).assign_attrs(attrs)


@verb(keeps=True, outputs=HANDED_ON)
def correct_phase(fit: xr.Dataset, offset: Offset | None = None, *, per_position: bool = False) -> xr.Dataset:
    """Take an offset out of the phase of a fit.

    Lazy where `fit` is. What :func:`usidx.evaluate` makes of the corrected fit is turned likewise, so compare the data
    with the fit as it was.

    Parameters
    ----------
    fit : Dataset
        With ``amplitude`` and ``phase`` (rad), as :func:`usidx.sho_fit` returns it.
    offset : float or DataArray, optional
        In rad; dims among those of the phase. By default that of :func:`usidx.phase_offset`.
    per_position : bool
        Estimate an offset for each position; not together with `offset`.

    Returns
    -------
    Dataset
        The fit with ``phase``, and ``phase_guess`` where there is one, less the offset, in (-pi, pi]; and
        ``phase_offset``, what was taken out altogether.

    Raises
    ------
    ResultError
        A variable is missing.
    RoleError
        `offset` has a dim that the phase lacks, or is given together with `per_position`; also as in
        :func:`usidx.phase_offset`.
    UnitsError
        `offset` or the phase says that it is in another unit than rad.

    Examples
    --------
    >>> import usidx
    >>> scan, _ = usidx.simulate.band_excitation((8, 8), phase_offset=-0.4)
    >>> corrected = usidx.correct_phase(usidx.sho_fit(scan))
    >>> abs(usidx.phase_offset(corrected)).round(6).item()
    0.0
    """
    phase = _read_phase(fit)
    if offset is None:
        taken = phase_offset(fit, per_position=per_position)
    elif per_position:
        raise RoleError("per_position=True asks for an estimate, and an offset is given; give one of the two.")
    else:
        taken = _check_offset(offset, phase)
    corrected = {n: _turn_back(fit[n], taken) for n in ("phase", "phase_guess") if n in fit}
    before = fit.get(_OFFSET, 0.0)
    bare = taken.reset_coords(drop=True) + before
    total = bare.assign_attrs({"long_name": "Phase Offset", "units": "rad"})
    return fit.assign({**corrected, _OFFSET: total})


@verb()
def response(
    fit: xr.Dataset, *, offset: Offset = 0.0, sensitivity: float | None = None, units: str | None = None
) -> xr.DataArray:
    r"""Return amplitude and phase as one signed number, A cos(phase).

    Lazy where `fit` is; NaN where the fit failed.

    Parameters
    ----------
    fit : Dataset
        With ``amplitude`` and ``phase`` (rad), as :func:`usidx.sho_fit` returns it.
    offset : float or DataArray
        Taken from the phase, in rad; see :func:`usidx.correct_phase`.
    sensitivity : float, optional
        What one unit of the amplitude amounts to, such as the pm of deflection that one V of the detector means.
    units : str, optional
        The unit that `sensitivity` leads to; goes with it.

    Returns
    -------
    DataArray, dims (*any)
        In the units of the amplitude, or in `units`.

    Raises
    ------
    ResultError
        A variable is missing.
    RoleError
        `offset` has a dim that the phase lacks.
    UnitsError
        One of `sensitivity` and `units` is given without the other, or `offset` or the phase is not
        in rad.

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.band_excitation((8, 8), phase_offset=0.0)
    >>> signed = usidx.response(usidx.sho_fit(scan), sensitivity=1e5, units="pm")
    >>> signed.units, bool(((signed > 0) == (truth.domain == 1)).mean() > 0.95)
    ('pm', True)
    """
    amplitude, phase = _find_variable(fit, "amplitude"), _read_phase(fit)
    if (sensitivity is None) != (units is None):
        raise UnitsError(
            f"sensitivity={sensitivity!r} and units={units!r}: a sensitivity needs the unit that it leads to, "
            f"such as sensitivity=85.0, units='pm'."
        )
    signed = amplitude * np.cos(phase - _check_offset(offset, phase).reset_coords(drop=True))
    found = (signed if sensitivity is None else signed * sensitivity).transpose(*phase.dims).rename("response")
    unit = amplitude.attrs.get("units") if units is None else units
    found.attrs = {"long_name": "Response"} | ({} if unit is None else {"units": unit})
    return found


def _find_variable(fit: xr.Dataset, name: str) -> xr.DataArray:
    if isinstance(fit, xr.Dataset) and name in fit:
        return fit[name]
    found = f"it has {tuple(fit.data_vars)}" if isinstance(fit, xr.Dataset) else f"it is a {type(fit).__name__}"
    only_guessed = isinstance(fit, xr.Dataset) and f"{name}_guess" in fit
    advice = (
        "It is a guess alone; take that as fit.rename(amplitude_guess='amplitude', phase_guess='phase')."
        if only_guessed
        else "Fit with usidx.sho_fit, or open a stored fit with usidx.open_result."
    )
    raise ResultError(f"The result has no variable {name!r}; {found}. {advice}")


def _read_phase(fit: xr.Dataset) -> xr.DataArray:
    phase = _find_variable(fit, "phase")
    unit = phase.attrs.get("units", "rad")
    if unit != "rad":
        raise UnitsError(f"The phase is in {unit!r}, and 'rad' is wanted. Convert it, and set its attribute units.")
    return phase


def _list_dims_within_positions(fit: xr.Dataset) -> list[Any]:
    """Return the dims to average over so that positions are left."""
    where = position_dims(fit)
    if not where:
        raise RoleError(f"The fit with dims {tuple(fit.sizes)} has no position dims; mark them with .usid.set_roles.")
    over = [d for d in fit["phase"].dims if d not in where]
    if not any(fit.sizes[d] > 1 for d in over):
        raise RoleError(
            f"The phase has the dims {fit['phase'].dims}: with one value for each position its offset cannot be told "
            f"from the phase itself. Estimate one offset for all."
        )
    return over


def _compute_half_angle(total: xr.DataArray) -> xr.DataArray:
    """Return half the direction of a sum, in (-pi/2, pi/2]; NaN where nothing was added."""
    direction: Any = np.arctan2(total.imag, total.real)
    return _wrap_angle(direction / 2, np.pi).where(abs(total) > 0)


def _wrap_angle(angle: xr.DataArray, period: float) -> xr.DataArray:
    """Bring an angle within half a period of zero, the upper end included."""
    wrapped: xr.DataArray = period / 2 - (period / 2 - angle) % period
    return wrapped


def _turn_back(phase: xr.DataArray, offset: xr.DataArray) -> xr.DataArray:
    turned = _wrap_angle(phase - offset.reset_coords(drop=True), 2 * np.pi)
    return turned.transpose(*phase.dims).assign_attrs(phase.attrs)


def _check_offset(offset: Offset, phase: xr.DataArray) -> xr.DataArray:
    given = xr.DataArray(offset)
    extra = [d for d in given.dims if d not in phase.dims]
    if extra:
        raise RoleError(f"offset: dim {extra[0]!r} is not among the dims {phase.dims} of the phase.")
    unit = given.attrs.get("units", "rad")
    if unit != "rad":
        raise UnitsError(f"offset: in {unit!r}, and the phase is in 'rad'. Convert it first.")
    return given
