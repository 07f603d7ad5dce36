"""Band-excitation spectra -> the oscillator at each position and step: a guess, and the fit that starts from it."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import SelectionError, UsidWarning
from usidx.fitting.axes import Sweep, check_dtype, sweep_of
from usidx.fitting.fit import Value, fit
from usidx.fitting.models.sho import SHO
from usidx.label.blockwise import Output, along
from usidx.label.masking import apply_mask
from usidx.label.roles import Dims, choose_dims
from usidx.modes.band_excitation.guess import FIGURES, guess_oscillators
from usidx.modes.band_excitation.spikes import guess_past_spikes, measure_past_spikes
from usidx.results.fit_names import FitNames
from usidx.results.provenance import find_last_step
from usidx.results.verbs import add_choices, verb

__all__ = ["sho_fit"]

_FREQUENCY: Final = "Frequency"
_R2: Final = FIGURES.index("r2")
_POOR: Final = 0.5  # an r2 below it: not what the model describes
_BETTER: Final = 0.3  # of r2: by less than that few samples of noise may seem better when turned round
_FEW: Final = 32  # spectra that are looked at


#: ``SHO_Fit`` of BGlib, whose guess and fit name their methods.
_NAMES = FitNames(
    "SHO_Fit",
    fields={
        "amplitude": "Amplitude",
        "frequency": "Frequency",
        "quality_factor": "Quality Factor",
        "phase": "Phase",
    },
    attributes={
        "guess-method": "usidx SHO",
        "guess-algorithm": "linear_form",
        "fit-method": "usidx SHO",
        "fit-algorithm": "levenberg_marquardt",
    },
)


@verb(fit=lambda step: _NAMES)
def sho_fit(
    data: xr.DataArray,
    dim: str | None = None,
    *,
    coordinate: str | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    fixed: Mapping[str, Value] | None = None,
    mask: xr.DataArray | None = None,
    sigma: Value | None = None,
    absolute_sigma: bool = False,
    loss: str = "linear",
    loss_scale: float | None = None,
    tolerance: float = 1e-8,
    max_evaluations: int = 200,
    covariance: bool = False,
    retry: str | None = None,
) -> xr.Dataset:
    r"""Fit a damped oscillator to each band-excitation spectrum, and keep the guess that the fit starts from.

    A lazy array stays lazy: a block is read once, guessed and fitted. Every position and every step of what else was
    swept (bias, field, cycle, reversal curve, read and write voltage) is fitted by itself. Samples that are not
    finite are left out; a spectrum that cannot be fitted gets NaN, ``converged`` False and a ``status``. Noise can be
    fitted too: ``is_resonance`` is False where a constant is the better description.

    Parameters
    ----------
    data : DataArray, dims (*any, Frequency)
        Complex, its phase falling through a resonance as the model's does. Where it rises, as some instruments write
        it, fit ``data.conj()``; a warning says so when the fit is computed.
    dim : str, optional
        The dim along which the frequency runs. By default ``Frequency``, or the only spectroscopic one.
    coordinate : str, optional
        The frequencies. By default ``Frequency`` where it runs along `dim`, else the coordinate of the same name.
    mask : DataArray of bool, optional
        True where samples are left out, of the guess too; as in :func:`usidx.fit`.
    bounds, fixed, sigma, absolute_sigma, loss, loss_scale, tolerance, max_evaluations, covariance, retry
        As in :func:`usidx.fit`; none concerns the guess, but that with a robust `loss` spikes have no part in it, nor
        in ``is_resonance``.

    Returns
    -------
    Dataset
        Over the other dims of `data`: ``amplitude`` (> 0, the static one, in the units of the data), ``frequency``
        (in those of the coordinate), ``quality_factor`` and ``phase`` (rad, in (-pi, pi]), each with ``_stderr`` and
        ``_guess``; ``r2`` and ``r2_guess``; the other figures of :func:`usidx.fit`; and ``is_resonance``.
        :func:`usidx.write` makes ``<source>-SHO_Fit_NNN`` of it, with the compound datasets ``Guess`` and ``Fit`` of
        pycroscopy and BGlib.

    Raises
    ------
    RoleError
        It is not clear along which dim the frequency runs.
    SelectionError
        A name is not a parameter, a coordinate or a loss; or the frequencies start over along `dim`, where spectra of
        several excitations follow one another.
    UsidError
        The data is not complex, or nothing is left to fit.
    UnitsError
        The frequencies are not numbers.

    See Also
    --------
    response : Amplitude and phase as one signed number.
    correct_phase : Take the offset of the electronics out of the phase.

    Notes
    -----
    The model is :math:`H = A e^{i\varphi} \omega_0^2 / (\omega^2 - i\omega\omega_0/Q - \omega_0^2)`. It obeys
    :math:`(\omega^2 + i c \omega - d) H + e = 0` with :math:`c = -\omega_0/Q`, :math:`d = \omega_0^2`, which is
    linear in c, d and the complex e. Solved by least squares over all samples, each weighted by its power, this is
    the guess; where noise drowns it, resonances all over the band are tried. The fit minimises the squares of real
    and imaginary residuals by Levenberg and Marquardt's method.

    ``is_resonance`` says that ln(1 / (1 - r2)) > 4 ln n / (n - 5), with n real and imaginary parts: that four numbers
    more than a constant pay by the Bayesian information criterion, corrected for few samples. Two samples, which some
    oscillator always goes through, are never a resonance.

    References
    ----------
    S. Jesse, S. V. Kalinin, R. Proksch, A. P. Baddorf and B. J. Rodriguez, Nanotechnology 18, 435503 (2007).

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.band_excitation((4, 4), dc_steps=8)
    >>> found = usidx.sho_fit(scan)
    >>> found.frequency.dims, found.frequency.units, found.frequency_guess.units
    (('Y', 'X', 'DC_Offset'), 'Hz', 'Hz')
    >>> bool(abs(found.frequency - truth.frequency).median() < 50)
    True
    """
    sweep = _choose_sweep(data, choose_dims(data, dim, 1, called=(_FREQUENCY.lower(),)), coordinate)
    check_dtype(data.dtype, SHO(), data.name)
    seen, robust = apply_mask(data, mask), loss != "linear"
    guessed = _guess(seen, sweep, robust=robust)
    fitted = fit(
        data, SHO(), sweep.dims, coordinate=_name_coordinate(sweep), start={n: guessed[n] for n in SHO().names},
        bounds=bounds, fixed=fixed, mask=mask, sigma=sigma, absolute_sigma=absolute_sigma, loss=loss,
        loss_scale=loss_scale, tolerance=tolerance, max_evaluations=max_evaluations, covariance=covariance, retry=retry,
    )  # fmt: skip
    told = (find_last_step(fitted) or {})["parameters"]
    own = {"dim": [*sweep.dims], "start": {}, "guess": "linear form"}
    told_of = _leave_spikes_out(seen, sweep, fitted) if robust else fitted
    whole = _add_guess(fitted, guessed).assign(is_resonance=_is_resonance(told_of))
    return add_choices(whole, **told | own)


def _choose_sweep(data: xr.DataArray, dim: Dims, coordinate: str | None) -> Sweep:
    """Return where to fit: along a dim that fills no grid, over the frequencies and not over the samples' numbers."""
    found = sweep_of(data, SHO(), dim, coordinate)
    along = found.dims[0]
    if coordinate is not None or along == _FREQUENCY or along not in _list_dims_of_frequency(data):
        return found
    _check_one_band(data.coords[_FREQUENCY], along)
    return sweep_of(data, SHO(), along, _FREQUENCY)


def _name_coordinate(sweep: Sweep) -> str | None:
    name = sweep.coordinates[0].name
    return None if name is None or name == sweep.dims[0] else str(name)


def _list_dims_of_frequency(data: xr.DataArray) -> tuple[Hashable, ...]:
    return data.coords[_FREQUENCY].dims if _FREQUENCY in data.coords else ()


def _check_one_band(frequency: xr.DataArray, along: str) -> None:
    if frequency.chunks is not None or frequency.dtype.kind not in "iuf":
        return
    steps = np.diff(frequency.transpose(..., along).values, axis=-1)
    if not ((steps > 0).all() or (steps < 0).all()):
        told = [str(n) for n, c in frequency.coords.items() if c.dims == (along,) and n not in (along, _FREQUENCY)]
        step = next((n for n in told if not n.endswith("_index")), "...")
        raise SelectionError(
            f"Coordinate 'Frequency' goes up and down along {along!r}: spectra of several steps follow one another, "
            f"and one oscillator does not describe them. Select the samples of one step, as with "
            f"data.isel({along}=data[{step!r}].values == 0). Or name what to fit over with coordinate=..."
        )


def _guess(data: xr.DataArray, sweep: Sweep, *, robust: bool) -> xr.Dataset:
    """Return the guessed parameters and their r2, as lazy as the data."""
    kernel = partial(_guess_block, robust=robust, threads=None if data.chunks is None else 1)
    outputs = {name: Output(dims=(), dtype=np.float64) for name in FIGURES}
    return along(data, sweep.dims, kernel, outputs, beside=sweep.coordinates)


def _guess_block(
    y: npt.NDArray[Any], x: npt.NDArray[Any], robust: bool, threads: int | None
) -> tuple[npt.NDArray[Any], ...]:
    found = guess_oscillators(y, x, threads)
    seen, r2 = y, found[..., _R2]
    if robust:
        found, seen, r2 = guess_past_spikes(y, x, found, threads)
    _warn_of_conjugates(seen, x, r2)
    return tuple(np.moveaxis(found, -1, 0))


def _leave_spikes_out(data: xr.DataArray, sweep: Sweep, fitted: xr.Dataset) -> xr.Dataset:
    """Return r2 and number of the samples that are no spikes, as a robust fit sees them."""
    outputs = {"r2": Output(dims=(), dtype=np.float64), "samples": Output(dims=(), dtype=np.float64)}
    parameters = [fitted[n].reset_coords(drop=True) for n in SHO().names]
    return along(data, sweep.dims, measure_past_spikes, outputs, beside=[*sweep.coordinates, *parameters])


def _warn_of_conjugates(y: npt.NDArray[Any], x: npt.NDArray[Any], r2: npt.NDArray[np.float64]) -> None:
    """Warn where few spectra of a block are oscillators, and their conjugates are: phases run the other way round."""
    spectra, quality = y.reshape(r2.size, y.shape[-1]), r2.reshape(-1)
    missed = np.flatnonzero(~(quality >= _POOR) & np.isfinite(spectra).any(axis=-1) & (spectra != 0).any(axis=-1))
    if len(missed) == 0 or 2 * len(missed) < np.isfinite(quality).sum():
        return
    some = missed[:: -(-len(missed) // _FEW)]
    turned = guess_oscillators(spectra[some].conj(), np.broadcast_to(x, y.shape).reshape(spectra.shape)[some], 1)
    before, after = (np.median(np.nan_to_num(found)) for found in (quality[some], turned[:, _R2]))
    if after >= max(_POOR, before + _BETTER):
        warnings.warn(
            "The phases of most spectra rise through the resonance, where those of the model fall: the data is in the "
            "other convention of time, and cannot be fitted as it is. Fit data.conj().",
            UsidWarning,
            stacklevel=2,
        )


def _is_resonance(fitted: xr.Dataset) -> xr.Variable:
    """Tell resonances from what noise alone looks like: by how much more they explain than a constant."""
    count, price = 2.0 * fitted["samples"].clip(1), len(SHO().names)
    # The price of a parameter by Schwarz, made dearer where numbers are few, as by Hurvich and Tsai.
    spare = (count - price - 1.0).where(count > price + 1)
    left = 1.0 - fitted["r2"]
    # An exact fit leaves nothing; where there is no fit, or no number to spare, nothing is greater than NaN.
    found = (left < count ** (-price / spare)).variable
    return xr.Variable(found.dims, found.data, {"long_name": "Whether an Oscillator Says More Than a Constant"})


def _add_guess(fitted: xr.Dataset, guessed: xr.Dataset) -> xr.Dataset:
    """Put each guess behind the fit, with its units."""
    found = {}
    for name, guess in guessed.data_vars.items():
        like = fitted[name]
        attrs = {k: like.attrs[k] for k in ("units",) if k in like.attrs}
        title = str(like.attrs["long_name"])
        attrs["long_name"] = f"{title} of the Guess" if name == "r2" else f"Guess of {title}"
        found[f"{name}_guess"] = guess.variable.transpose(*like.dims).copy(deep=False)
        found[f"{name}_guess"].attrs = attrs
    return fitted.assign(found)
