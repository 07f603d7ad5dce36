"""Spectrum images of known endmembers, and maps of one Gaussian peak, with the truth they were made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import DTypeLike, NDArray

from usidx.errors import UsidError
from usidx.results.provenance import put_steps
from usidx.simulate.fields import (
    Chunks,
    SmoothField,
    assemble,
    draw_row_noise,
    make_position_coordinates,
    make_row_rng,
    make_spectroscopic_coordinate,
    match_chunks,
)
from usidx.simulate.oscillation import check_sizes
from usidx.version import usidx_version

__all__ = ["gaussian_map", "spectrum_image"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Noise = Literal["poisson", "gaussian", "none"]

_WIDTH = 10e-6
_NOISES = ("poisson", "gaussian", "none")


def spectrum_image(
    shape: tuple[int, int] = (48, 48),
    channels: int = 256,
    *,
    components: int = 3,
    technique: Literal["raman", "eels"] = "raman",
    counts: float = 200.0,
    noise: Noise = "poisson",
    seed: int = 0,
    dtype: DTypeLike = "float32",
    chunks: Chunks = None,
) -> tuple[xr.DataArray, xr.Dataset]:
    """Simulate a map of spectra that are mixtures of a few known ones.

    With `chunks` the map is lazy, and equal to the one in memory for any chunking.

    Parameters
    ----------
    shape : tuple of int
        Rows (Y) and columns (X); the map is 10 um wide.
    channels : int
        Steps of the spectrum.
    components : int
        Number of endmembers.
    technique : {"raman", "eels"}
        Narrow lines on a weak background, or edges on a power law.
    counts : float
        Largest value of an endmember; decides how strong Poisson noise is.
    noise : {"poisson", "gaussian", "none"}
        Gaussian noise has the standard deviation ``sqrt(counts)`` everywhere.
    seed : int
        Same seed, same map.
    dtype : dtype
        A real type.
    chunks : mapping of dim to block size or "auto", optional
        Dask blocks; "auto" cuts slabs of about 32 MB along Y with whole spectra.

    Returns
    -------
    spectra : DataArray, dims (Y, X, Raman_Shift) or (Y, X, Energy_Loss)
        Intensity in counts, named ``Raw_Data``.
    truth : Dataset
        ``scores`` (Y, X, component): the share of each endmember, adding up to one; ``components`` (component,
        Raman_Shift or Energy_Loss): the endmembers in counts. Their product is the map without noise.

    Raises
    ------
    UsidError
        A size is below one, or the technique or the noise is not one of those named.

    Examples
    --------
    >>> from usidx.simulate import spectrum_image
    >>> spectra, truth = spectrum_image((8, 8), 100)
    >>> spectra.dims, truth.scores.dims
    (('Y', 'X', 'Raman_Shift'), ('Y', 'X', 'component'))
    """
    check_sizes(rows=shape[0], columns=shape[1], channels=channels, components=components)
    _check_choice("noise", noise, _NOISES)
    _check_choice("technique", technique, tuple(_TECHNIQUES))
    rng = np.random.default_rng(seed)
    axis, endmembers = _TECHNIQUES[technique](rng, channels, components)
    dim, coords = str(axis.dims[0]), make_position_coordinates(shape, _WIDTH) | {str(axis.dims[0]): axis}
    fields = tuple(SmoothField.draw(rng, 0.5 * _WIDTH) for _ in range(components))
    mixture = _Mixture(shape[1], fields, counts * endmembers, noise, counts, seed, np.dtype(dtype))
    sizes = {"Y": shape[0], "X": shape[1], dim: channels}
    data = assemble(partial(_mix, mixture), sizes, mixture.dtype, chunks)
    attrs = {"long_name": "Intensity", "units": "counts"}
    spectra = xr.DataArray(data, dims=tuple(sizes), coords=coords, name="Raw_Data", attrs=attrs)
    options = {"shape": list(shape), "channels": channels, "components": components, "technique": technique}
    options |= {"counts": counts, "noise": noise, "seed": seed, "dtype": str(mixture.dtype)}
    return _put_step(spectra, "simulate.spectrum_image", options), _build_mixture_truth(mixture, sizes, coords, chunks)


def gaussian_map(
    shape: tuple[int, int] = (48, 48),
    channels: int = 128,
    *,
    offset: float = 0.0,
    noise: float = 0.02,
    seed: int = 0,
    dtype: DTypeLike = "float64",
    chunks: Chunks = None,
) -> tuple[xr.DataArray, xr.Dataset]:
    r"""Simulate a map of spectra that hold one Gaussian peak each.

    With `chunks` the map and its truth are lazy, and equal to those in memory for any chunking.

    Parameters
    ----------
    shape : tuple of int
        Rows (Y) and columns (X); the map is 10 um wide.
    channels : int
        Steps of the energy from 1.2 to 2.2 eV.
    offset : float
        Constant background in counts.
    noise : float
        Standard deviation as a fraction of the height of the typical peak, 100 counts.
    seed : int
        Same seed, same map.
    dtype : dtype
        A real type.
    chunks : mapping of dim to block size or "auto", optional
        Dask blocks; "auto" cuts slabs of about 32 MB along Y with whole spectra.

    Returns
    -------
    spectra : DataArray, dims (Y, X, Energy)
        Intensity in counts, named ``Raw_Data``.
    truth : Dataset, dims (Y, X)
        ``height`` (counts), ``amplitude`` (the area, counts eV), ``center`` and ``sigma`` (eV), ``offset`` (counts).

    Raises
    ------
    UsidError
        A size is below one.

    Notes
    -----
    The peak is :math:`A / (\sigma \sqrt{2\pi}) \exp(-(x - c)^2 / 2\sigma^2)` with the area `A`; its height is
    :math:`A / (\sigma \sqrt{2\pi})`.

    Examples
    --------
    >>> from usidx.simulate import gaussian_map
    >>> spectra, truth = gaussian_map((8, 8))
    >>> spectra.dims, truth.center.attrs["units"]
    (('Y', 'X', 'Energy'), 'eV')
    """
    check_sizes(rows=shape[0], columns=shape[1], channels=channels)
    rng = np.random.default_rng(seed)
    fields = tuple(SmoothField.draw(rng, 0.4 * _WIDTH) for _ in range(3))
    energy = make_spectroscopic_coordinate("Energy", np.linspace(1.2, 2.2, channels), "Energy", "eV")
    peaks = _Peaks(shape[1], channels, fields, offset, noise, seed, np.dtype(dtype))
    sizes, coords = {"Y": shape[0], "X": shape[1], "Energy": channels}, make_position_coordinates(shape, _WIDTH)
    data = assemble(partial(_compute_peaks, peaks), sizes, peaks.dtype, chunks)
    attrs = {"long_name": "Intensity", "units": "counts"}
    spectra = xr.DataArray(data, dims=tuple(sizes), coords=coords | {"Energy": energy}, name="Raw_Data", attrs=attrs)
    options = {"shape": list(shape), "channels": channels, "offset": offset, "noise": noise, "seed": seed}
    step = _put_step(spectra, "simulate.gaussian_map", options | {"dtype": str(peaks.dtype)})
    return step, _build_peak_truth(peaks, {d: sizes[d] for d in ("Y", "X")}, coords, chunks)


def _check_choice(name: str, found: str, known: tuple[str, ...]) -> None:
    if found not in known:
        raise UsidError(f"Unknown {name} {found!r}: give one of {', '.join(map(repr, known))}.")


def _put_step(spectra: xr.DataArray, tool: str, options: dict[str, Any]) -> xr.DataArray:
    return put_steps(spectra, [{"tool": tool, "version": usidx_version(), "parameters": options}])


def _make_raman(rng: np.random.Generator, channels: int, components: int) -> tuple[xr.Variable, Array]:
    shift = np.linspace(200.0, 3200.0, channels)
    lines = rng.uniform(300, 3100, (components, 6, 1))
    widths = rng.uniform(15, 45, (components, 6, 1))
    heights = rng.uniform(0.2, 1, (components, 6, 1))
    peaks = (heights / (1 + ((shift - lines) / widths) ** 2)).sum(axis=1)
    glow = 0.1 * np.exp(-(((shift - 1700) / 1200) ** 2))
    return make_spectroscopic_coordinate("Raman_Shift", shift, "Raman shift", "1/cm"), _to_one(peaks + glow)


def _make_eels(rng: np.random.Generator, channels: int, components: int) -> tuple[xr.Variable, Array]:
    loss = np.linspace(230.0, 750.0, channels)
    onsets = np.linspace(284.0, 650.0, components)[:, None]
    past = np.clip(loss - onsets, 0, None)
    white_line = 0.5 * np.exp(-(((loss - onsets - 8) / 5) ** 2))
    edge = (1 - np.exp(-past / 4)) * np.exp(-past / 250) + white_line
    background = rng.uniform(0.5, 1, (components, 1)) * (loss / loss[0]) ** -3.0
    return make_spectroscopic_coordinate("Energy_Loss", loss, "Energy loss", "eV"), _to_one(background + 0.45 * edge)


_TECHNIQUES = {"raman": _make_raman, "eels": _make_eels}


def _to_one(spectra: Array) -> Array:
    scaled: Array = spectra / spectra.max(axis=1, keepdims=True)
    return scaled


@dataclass(frozen=True)
class _Mixture:
    """Everything that decides a spectrum image."""

    columns: int
    fields: tuple[SmoothField, ...]
    endmembers: Array
    noise: str
    counts: float
    seed: int
    dtype: np.dtype[Any]

    def compute_shares(self, y: Index, x: Index) -> Array:
        """Each endmember has regions of its own with soft borders; shares add up to one."""
        step = _WIDTH / max(self.columns - 1, 1)
        weights = np.stack([np.exp(2.5 * field(y * step, x * step)) for field in self.fields], axis=-1)
        shared: Array = weights / weights.sum(axis=-1, keepdims=True)
        return shared

    def compute_clean(self, y: Index, x: Index) -> Array:
        """Return the whole spectra, endmember by endmember so that rounding does not depend on the block."""
        shares = self.compute_shares(y, x)
        summed: Array = sum(shares[..., [n]] * spectrum for n, spectrum in enumerate(self.endmembers))
        return summed


def _mix(mixture: _Mixture, y: Index, x: Index, channel: Index) -> NDArray[Any]:
    block = np.empty((y.size, x.size, channel.size), mixture.dtype)
    whole = np.arange(mixture.columns)
    channels = mixture.endmembers.shape[1]
    for number, row in enumerate(y):
        here = y[number : number + 1]
        if mixture.noise == "poisson":
            # Poisson draws take a varying amount of randomness, so the whole row is drawn and then cut.
            drawn = make_row_rng(mixture.seed, int(row)).poisson(mixture.compute_clean(here, whole)[0])
            block[number] = drawn[np.ix_(x, channel)]
            continue
        clean = mixture.compute_clean(here, x)[0][:, channel]
        if mixture.noise == "gaussian":
            drawn = draw_row_noise(mixture.seed, int(row), (mixture.columns, channels), (x, channel))
            clean = clean + np.sqrt(mixture.counts) * drawn
        block[number] = clean
    return block


def _build_mixture_truth(
    mixture: _Mixture, sizes: dict[str, int], coords: dict[str, xr.Variable], chunks: Chunks
) -> xr.Dataset:
    *positions, swept = sizes
    over = {d: sizes[d] for d in positions} | {"component": len(mixture.fields)}
    shares = assemble(partial(_compute_share, mixture), over, np.float64, match_chunks(chunks, over))
    attrs = {"long_name": "Share", "units": ""}
    scores = xr.Variable((*positions, "component"), shares, attrs)
    components = xr.Variable(("component", swept), mixture.endmembers, {"long_name": "Intensity", "units": "counts"})
    counted = {"component": np.arange(len(mixture.fields))}
    return xr.Dataset({"scores": scores, "components": components}, coords=coords | counted)


def _compute_share(mixture: _Mixture, y: Index, x: Index, component: Index) -> Array:
    return mixture.compute_shares(y, x)[..., component]


@dataclass(frozen=True)
class _Peaks:
    """Everything that decides a map of peaks."""

    columns: int
    channels: int
    fields: tuple[SmoothField, ...]
    offset: float
    noise: float
    seed: int
    dtype: np.dtype[Any]

    def compute_parameter(self, name: str, y: Index, x: Index) -> Array:
        step = _WIDTH / max(self.columns - 1, 1)
        strength, place, spread = (np.tanh(field(y * step, x * step)) for field in self.fields)
        height, sigma = 100 * (1 + 0.5 * strength), 0.05 * (1 + 0.4 * spread)
        known = {"height": height, "sigma": sigma, "center": 1.7 + 0.2 * place}
        known |= {"amplitude": height * sigma * np.sqrt(2 * np.pi), "offset": np.full_like(height, self.offset)}
        return known[name]


def _compute_peaks(peaks: _Peaks, y: Index, x: Index, channel: Index) -> NDArray[Any]:
    block = np.empty((y.size, x.size, channel.size), peaks.dtype)
    energy = np.linspace(1.2, 2.2, peaks.channels)[channel]
    maps = [peaks.compute_parameter(p, y, x) for p in ("height", "sigma", "center")]
    for number, row in enumerate(y):
        height, sigma, center = (one[number][:, None] for one in maps)
        drawn = draw_row_noise(peaks.seed, int(row), (peaks.columns, peaks.channels), (x, channel))
        block[number] = height * np.exp(-(((energy - center) / sigma) ** 2) / 2) + peaks.offset
        block[number] += (100 * peaks.noise * drawn).astype(peaks.dtype, copy=False)
    return block


def _build_peak_truth(
    peaks: _Peaks, sizes: dict[str, int], coords: dict[str, xr.Variable], chunks: Chunks
) -> xr.Dataset:
    units = {"height": "counts", "amplitude": "counts eV", "center": "eV", "sigma": "eV", "offset": "counts"}
    return xr.Dataset(
        {
            name: xr.Variable(
                tuple(sizes),
                assemble(partial(peaks.compute_parameter, name), sizes, np.float64, match_chunks(chunks, sizes)),
                {"long_name": name.capitalize(), "units": unit},
            )
            for name, unit in units.items()
        },
        coords=coords,
    )
