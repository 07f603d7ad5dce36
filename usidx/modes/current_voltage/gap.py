"""Differential conductance by bias -> the gap that it shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import RoleError, SelectionError, UsidError
from usidx.label.blockwise import Output, along
from usidx.modes.current_voltage.bias import read_bias
from usidx.modes.current_voltage.derivative import split_runs
from usidx.results.verbs import add_choices, verb

__all__ = ["gap"]

Array = npt.NDArray[np.float64]


@verb()
def gap(
    data: xr.DataArray,
    dim: str | None = None,
    *,
    threshold: float | None = None,
    inside: tuple[float, float] | None = None,
    sigmas: float = 5.0,
    stays: int = 3,
    center: float = 0.0,
) -> xr.Dataset:
    """Find the gap of a semiconductor: where the differential conductance rises above the noise to either side.

    A lazy array stays lazy. From `center` outwards the first sample is looked for that reaches the threshold, as do
    those after it; the edge lies between it and the sample before, by linear interpolation. A conductance that
    reaches the threshold at `center` has no gap, 0. Where a side never reaches it, or a missing sample leaves it
    open, edge and gap are NaN.

    Parameters
    ----------
    data : DataArray, dims (*any, Bias)
        Differential conductance, such as :func:`didv` or a lock-in amplifier gives it; one way of the sweep.
    dim : str, optional
        The dim of the bias. By default ``Bias``, or the only spectroscopic one.
    threshold : float, optional
        In the units of `data`.
    inside : tuple of float, optional
        (low, high) bias known to lie within the gap: the threshold of each spectrum is then the mean there plus
        `sigmas` standard deviations. Give this or `threshold`.
    sigmas : float
        With few of them noise passes for an edge, with many the edges are late.
    stays : int
        How many samples in a row must reach the threshold, so that a spike of noise is no edge.
    center : float
        Bias within the gap.

    Returns
    -------
    Dataset, dims (*any)
        ``gap``, ``valence_edge`` and ``conduction_edge`` in the units of the bias, and the ``threshold`` in those of
        `data`.

    Raises
    ------
    RoleError, UnitsError
        As in :func:`didv`; also a bias that turns round.
    SelectionError
        Not one of `threshold` and `inside` is given, or fewer than two samples lie inside.
    UsidError
        The data is not real, or `stays` is below one.

    Notes
    -----
    An edge that rises gradually is found late, by the bias that it takes to reach the threshold; the smoothing of
    :func:`didv` moves it, too. The bias is that between tip and sample: a gap in eV is smaller by what bends the
    bands.

    References
    ----------
    The noise floor within the gap as the threshold: Nature Physics (2025), doi:10.1038/s41567-025-02917-6, extended
    data figure 4.

    Examples
    --------
    >>> import usidx
    >>> curves, truth = usidx.simulate.current_voltage((4, 4), 201, noise=1e-4)
    >>> found = usidx.gap(usidx.didv(curves), inside=(-0.3, 0.3))
    >>> found.gap.units, bool((abs(found.gap - truth.gap) < 0.1).all())
    ('V', True)
    """
    swept = read_bias(data, dim)
    along_bias, bias = str(swept.name), swept.values.astype(np.float64)
    if len(split_runs(bias)) > 1:
        raise RoleError(
            f"The bias along {along_bias!r} turns round or stands still; select one way of the sweep first, such as "
            f"data.isel({along_bias}=slice(0, {split_runs(bias)[0].samples.size}))."
        )
    if stays < 1:
        raise UsidError(f"stays={stays}; give how many samples in a row must reach the threshold, 1 or more.")
    level = _choose_level(threshold, inside, sigmas, bias)
    kernel = partial(_find_edges, bias=bias, center=center, level=level, stays=stays)
    found = along(data, along_bias, kernel, _declare_outputs(data, swept))
    return add_choices(found, dim=along_bias)


def _declare_outputs(data: xr.DataArray, bias: xr.DataArray) -> dict[str, Output]:
    of_bias, of_data = ({k: v for k, v in a.attrs.items() if k == "units"} for a in (bias, data))
    attrs = {
        "gap": {"long_name": "Band Gap"} | of_bias,
        "valence_edge": {"long_name": "Valence Band Edge"} | of_bias,
        "conduction_edge": {"long_name": "Conduction Band Edge"} | of_bias,
        "threshold": {"long_name": "Threshold"} | of_data,
    }
    return {name: Output(dims=(), dtype=np.float64, attrs=own) for name, own in attrs.items()}


def _choose_level(
    threshold: float | None, inside: tuple[float, float] | None, sigmas: float, bias: Array
) -> Callable[[Array], Array]:
    """Return what tells the threshold of each spectrum."""
    if (threshold is None) == (inside is None):
        raise SelectionError(
            f"threshold={threshold!r} and inside={inside!r}: give one of the two, the conductance that counts as "
            f"an edge or a range of bias within the gap."
        )
    if inside is None:
        return lambda spectra: np.full(spectra.shape[:-1], threshold, dtype=np.float64)
    within = (bias >= min(inside)) & (bias <= max(inside))
    if within.sum() < 2:
        raise SelectionError(f"inside={inside!r}: {within.sum()} samples of the bias lie there; give a wider range.")

    def floor(spectra: Array) -> Array:
        noise = np.ascontiguousarray(spectra[..., within])
        top: Array = noise.mean(-1) + sigmas * noise.std(-1)
        return top

    return floor


def _find_edges(
    spectra: Array, *, bias: Array, center: float, level: Callable[[Array], Array], stays: int
) -> tuple[Array, ...]:
    """Return gap, both edges and the threshold of each spectrum."""
    spectra = spectra.astype(np.float64)
    limit = level(spectra)
    order = np.argsort(bias)
    swept, sorted_spectra = bias[order], spectra[..., order]
    above = int(np.searchsorted(swept, center))
    high = _find_edge(sorted_spectra[..., above:], swept[above:], limit, center, stays)
    at = int(np.searchsorted(swept, center, side="right"))
    low = _find_edge(sorted_spectra[..., :at][..., ::-1], swept[:at][::-1], limit, center, stays)
    return high - low, low, high, limit


def _find_edge(spectra: Array, bias: Array, limit: Array, center: float, stays: int) -> Array:
    """Return where spectra that lead away from the centre first reach the limit, and stay."""
    if not bias.size:
        return np.full(limit.shape, np.nan)
    single = spectra >= limit[..., None]
    reached = single.copy()
    for k in range(1, min(stays, bias.size)):
        reached[..., :-k] &= single[..., k:]  # the last samples have fewer after them
    first = np.argmax(reached, axis=-1)
    before = np.maximum(first - 1, 0)
    value, earlier = (np.take_along_axis(spectra, k[..., None], -1)[..., 0] for k in (first, before))
    rise = np.where(value > earlier, value - earlier, 1.0)
    share = np.where(first > 0, (limit - earlier) / rise, 0.0)
    found = bias[before] + share * (bias[first] - bias[before])
    found = np.where(first == 0, center, found)
    # A missing sample on the way may have been the edge.
    is_open = np.cumsum(np.isnan(spectra), axis=-1)
    passed = np.take_along_axis(is_open, first[..., None], -1)[..., 0] > 0
    return np.where(reached.any(-1) & ~passed, found, np.nan)
