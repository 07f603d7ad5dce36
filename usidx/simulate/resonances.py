"""A band-excitation scan of a ferroelectric film, with the truth that it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import DTypeLike, NDArray

from usidx.errors import UsidError
from usidx.label.roles import SPECTROSCOPIC
from usidx.results.provenance import put_steps
from usidx.simulate.fields import (
    Chunks,
    SmoothField,
    assemble,
    draw_row_noise,
    make_coordinate,
    make_position_coordinates,
    match_chunks,
)
from usidx.simulate.oscillation import check_sizes, index_unique, make_triangle
from usidx.version import usidx_version

__all__ = ["band_excitation"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_WIDTH = 5e-6
_BAND = (300e3, 340e3)
_AMPLITUDE = 50e-6
_QUALITY = 150.0
_MAX_BIAS = 8.0
_UNITS = {"amplitude": "V", "frequency": "Hz", "quality_factor": "", "phase": "rad"}
_LONG_NAMES = {
    "amplitude": "Amplitude",
    "frequency": "Resonance frequency",
    "quality_factor": "Quality factor",
    "phase": "Phase",
}


def band_excitation(
    shape: tuple[int, int] = (48, 48),
    frequencies: int = 64,
    *,
    dc_steps: int | None = None,
    cycles: int = 1,
    noise: float = 0.02,
    phase_offset: float = -0.4,
    seed: int = 0,
    dtype: DTypeLike = "complex64",
    chunks: Chunks = None,
) -> tuple[xr.DataArray, xr.Dataset]:
    r"""Simulate a band-excitation scan of a ferroelectric film, and say what went into it.

    The sample has antiparallel domains (phase apart by pi), walls where the amplitude drops to zero, grains whose
    height shifts the contact resonance, and a quality factor that varies slowly. With `dc_steps` a triangular bias is
    swept at each position, and the response goes round a hysteresis loop whose coercive bias and imprint vary.
    With `chunks` both the scan and the truth are lazy, and equal to those in memory for any chunking.

    Parameters
    ----------
    shape : tuple of int
        Rows (Y) and columns (X); the scan is 5 um wide.
    frequencies : int
        Steps of the band from 300 to 340 kHz.
    dc_steps : int, optional
        Steps of one bias cycle, 0 V to 8 V to -8 V to 0 V. By default no bias is swept.
    cycles : int
        Bias cycles; more than one makes a dim ``Cycle``.
    noise : float
        Standard deviation of the real and of the imaginary part, as a fraction of the response at resonance of the
        middle of a domain.
    phase_offset : float
        Phase of the up domains in rad, as the electronics add it; down domains are at ``phase_offset + pi``.
    seed : int
        Same seed, same scan.
    dtype : dtype
        A complex type.
    chunks : mapping of dim to block size or "auto", optional
        Dask blocks; "auto" cuts slabs of about 32 MB along Y with whole spectra.

    Returns
    -------
    scan : DataArray, dims (Y, X[, Cycle][, DC_Offset], Frequency)
        Complex deflection in V, named ``Raw_Data``.
    truth : Dataset
        ``amplitude`` (V), ``frequency`` (Hz), ``quality_factor``, ``phase`` (rad, in (-pi, pi]) over all dims but
        Frequency; ``domain`` (0 down, 1 up) and ``topography`` (m) over (Y, X).

    Raises
    ------
    UsidError
        A size is below one, cycles are asked for without a bias, or the dtype is not complex.

    Notes
    -----
    The response is that of a simple harmonic oscillator,
    :math:`H = A e^{i\varphi} \omega_0^2 / (\omega^2 - i\omega\omega_0/Q - \omega_0^2)`, so the amplitude is the
    static one and the response at resonance is :math:`A Q`.

    References
    ----------
    S. Jesse et al., Nanotechnology 18, 435503 (2007).

    Examples
    --------
    >>> from usidx.simulate import band_excitation
    >>> scan, truth = band_excitation((8, 8), 32)
    >>> scan.dims, scan.attrs["units"], float(truth.frequency.mean().round(-3))
    (('Y', 'X', 'Frequency'), 'V', 320000.0)
    """
    _check(shape, frequencies, dc_steps, cycles, dtype)
    film = _Film.draw(shape, frequencies, dc_steps, cycles, noise, phase_offset, seed, np.dtype(dtype))
    coords = film.make_coordinates()
    data = assemble(partial(_respond, film), {d: film.sizes[d] for d in coords}, film.dtype, chunks)
    attrs = {"long_name": "Cantilever deflection", "units": "V"}
    scan = xr.DataArray(data, dims=tuple(coords), coords=index_unique(coords), name="Raw_Data", attrs=attrs)
    options = {"shape": list(shape), "frequencies": frequencies, "dc_steps": dc_steps, "cycles": cycles}
    options |= {"noise": noise, "phase_offset": phase_offset, "seed": seed, "dtype": str(film.dtype)}
    step = {"tool": "simulate.band_excitation", "version": usidx_version(), "parameters": options}
    return put_steps(scan, [step]), _build_truth(film, coords, chunks)


def _check(shape: tuple[int, int], frequencies: int, dc_steps: int | None, cycles: int, dtype: DTypeLike) -> None:
    sizes = {"rows": shape[0], "columns": shape[1], "frequencies": frequencies, "cycles": cycles}
    sizes |= {} if dc_steps is None else {"dc_steps": dc_steps}
    check_sizes(**sizes)
    if cycles > 1 and dc_steps is None:
        raise UsidError(f"cycles={cycles} needs a bias to cycle through: give dc_steps, 32 for example.")
    if np.dtype(dtype).kind != "c":
        raise UsidError(f"A band-excitation response is complex, dtype {str(dtype)!r} is not: give 'complex64'.")


@dataclass(frozen=True)
class _Film:
    """Everything that decides the scan; its methods are functions of index vectors alone."""

    sizes: dict[str, int]
    has_bias: bool
    noise: float
    phase_offset: float
    seed: int
    dtype: np.dtype[Any]
    fields: dict[str, SmoothField]

    @classmethod
    def draw(
        cls,
        shape: tuple[int, int],
        frequencies: int,
        dc_steps: int | None,
        cycles: int,
        noise: float,
        phase_offset: float,
        seed: int,
        dtype: np.dtype[Any],
    ) -> _Film:
        sizes = {"Y": shape[0], "X": shape[1], "Cycle": cycles, "DC_Offset": dc_steps or 1, "Frequency": frequencies}
        rng = np.random.default_rng(seed)
        lengths = {"warp": 0.5, "strength": 0.8, "grains": 0.16, "tilt": 1.6, "quality": 0.6, "coercive": 0.4}
        fields = {name: SmoothField.draw(rng, length * _WIDTH) for name, length in lengths.items()}
        return cls(sizes, dc_steps is not None, noise, phase_offset, seed, dtype, fields)

    def make_coordinates(self) -> dict[str, xr.Variable]:
        coords = make_position_coordinates((self.sizes["Y"], self.sizes["X"]), _WIDTH)
        if self.sizes["Cycle"] > 1:
            counted = np.arange(self.sizes["Cycle"])
            coords["Cycle"] = make_coordinate("Cycle", counted, role=SPECTROSCOPIC, long_name="Cycle", units="")
        if self.has_bias:
            swept = self.compute_bias(np.arange(self.sizes["DC_Offset"]))
            coords["DC_Offset"] = make_coordinate(
                "DC_Offset", swept, role=SPECTROSCOPIC, long_name="DC offset", units="V"
            )
        band = self.compute_frequency(np.arange(self.sizes["Frequency"]))
        coords["Frequency"] = make_coordinate("Frequency", band, role=SPECTROSCOPIC, long_name="Frequency", units="Hz")
        return coords

    def compute_frequency(self, index: Index) -> Array:
        return np.linspace(*_BAND, self.sizes["Frequency"])[index]

    def compute_bias(self, index: Index) -> Array:
        if not self.has_bias:
            return np.zeros(index.size)
        return make_triangle(self.sizes["DC_Offset"], _MAX_BIAS)[index]

    def compute_field(self, name: str, y: Index, x: Index) -> Array:
        step = _WIDTH / max(self.sizes["X"] - 1, 1)
        return self.fields[name](y * step, x * step)

    def compute_polarisation(self, y: Index, x: Index) -> Array:
        """From -1 (down) to 1 (up): warped stripes with walls of about 60 nm."""
        step = _WIDTH / max(self.sizes["X"] - 1, 1)
        across = (0.8 * x[None, :] + 0.6 * y[:, None]) * step / _WIDTH
        stripes = np.sin(2 * np.pi * 2.2 * across + 1.6 * self.compute_field("warp", y, x)) + 0.15
        state: Array = np.tanh(stripes / 0.18)
        return state

    def compute_topography(self, y: Index, x: Index) -> Array:
        """Grains of some nm on a gentle slope, in m."""
        grains = self.compute_field("grains", y, x)
        height: Array = 4e-9 * np.tanh(grains) + 3e-9 * self.compute_field("tilt", y, x)
        return height

    def compute_response(self, y: Index, x: Index, cycle: Index, step: Index) -> Array:
        """Signed static response in V over (y, x, cycle, step)."""
        state = self.compute_polarisation(y, x)[:, :, None, None]
        strength = _AMPLITUDE * (1 + 0.12 * self.compute_field("strength", y, x))[:, :, None, None]
        if not self.has_bias:
            return np.broadcast_to(strength * state, (y.size, x.size, cycle.size, step.size))
        bias = self.compute_bias(step)[None, None, None, :]
        turn = (step / self.sizes["DC_Offset"])[None, None, None, :]
        uneven = self.compute_field("coercive", y, x)[:, :, None, None]
        coercive, imprint = 3 + 0.4 * uneven, 0.5 * state
        rising = np.tanh((bias - imprint - coercive) / 0.8)
        falling = np.tanh((bias - imprint + coercive) / 0.8)
        # The bias rises from 0 V first: an up domain is then already on the branch that only a fall leaves.
        first = (turn < 0.25) & (cycle[None, None, :, None] == 0)
        up = np.where(first, (1 + state) / 2, (turn >= 0.25) & (turn < 0.75))
        looped: Array = strength * (up * falling + (1 - up) * rising)
        return looped

    def compute_parameter(self, name: str, y: Index, x: Index, cycle: Index, step: Index) -> Array:
        """Return one parameter of the oscillator over (y, x, cycle, step)."""
        shape = (y.size, x.size, cycle.size, step.size)
        if name in ("amplitude", "phase"):
            signed = self.compute_response(y, x, cycle, step)
            if name == "amplitude":
                return np.abs(signed)
            return _wrap_phase(self.phase_offset + np.pi * (signed < 0))
        if name == "frequency":
            stiffened = 320e3 + 4.5e11 * self.compute_topography(y, x)
            softened: Array = -25.0 * self.compute_bias(step) ** 2
            return np.broadcast_to(stiffened[:, :, None, None] + softened, shape)
        quality = _QUALITY * np.exp(0.15 * self.compute_field("quality", y, x))
        return np.broadcast_to(quality[:, :, None, None], shape)


def _respond(film: _Film, y: Index, x: Index, *spectroscopic: Index) -> NDArray[Any]:
    """Fill one block of the scan, row by row so that the intermediates stay small."""
    cycle, step = _find_steps(film, spectroscopic[:-1])
    swept = film.compute_frequency(spectroscopic[-1])
    shape = (y.size, x.size, cycle.size, step.size, swept.size)
    block = np.empty(shape, film.dtype)
    level = film.noise * _AMPLITUDE * _QUALITY
    sizes = [film.sizes[d] for d in ("X", "Cycle", "DC_Offset", "Frequency")]
    known = {p: film.compute_parameter(p, y, x, cycle, step) for p in _UNITS}
    for number, row in enumerate(y):
        clean = _oscillate(swept, **{p: values[number] for p, values in known.items()})
        noise = draw_row_noise(film.seed, int(row), [2, *sizes], [np.arange(2), x, cycle, step, spectroscopic[-1]])
        block[number] = clean + level * (noise[0] + 1j * noise[1])
    return block.reshape(y.size, x.size, *(index.size for index in spectroscopic))


def _oscillate(
    swept: Array, amplitude: Array, frequency: Array, quality_factor: Array, phase: Array
) -> NDArray[np.complex128]:
    strength = (amplitude * np.exp(1j * phase) * frequency**2)[..., None]
    damping = (frequency / quality_factor)[..., None]
    response: Any = strength / (swept**2 - 1j * swept * damping - frequency[..., None] ** 2)
    return np.asarray(response)


def _find_steps(film: _Film, given: tuple[Index, ...]) -> tuple[Index, Index]:
    """Return the cycle and bias index vectors, zero where the scan lacks the dim."""
    one = np.zeros(1, np.intp)
    rest = list(given)
    cycle = rest.pop(0) if film.sizes["Cycle"] > 1 else one
    return cycle, rest.pop(0) if film.has_bias else one


def _compute_figure(film: _Film, name: str, y: Index, x: Index, *spectroscopic: Index) -> NDArray[Any]:
    cycle, step = _find_steps(film, spectroscopic)
    found = film.compute_parameter(name, y, x, cycle, step)
    return found.reshape(y.size, x.size, *(index.size for index in spectroscopic))


def _compute_domain(film: _Film, y: Index, x: Index) -> NDArray[np.int8]:
    return (film.compute_polarisation(y, x) > 0).astype(np.int8)


def _build_truth(film: _Film, coords: dict[str, xr.Variable], chunks: Chunks) -> xr.Dataset:
    coords_here = {dim: coord for dim, coord in coords.items() if dim != "Frequency"}
    sizes = {dim: film.sizes[dim] for dim in coords_here}
    over_positions = {dim: sizes[dim] for dim in ("Y", "X")}
    here = match_chunks(chunks, sizes)
    variables: dict[str, xr.Variable] = {}
    for name, units in _UNITS.items():
        data = assemble(partial(_compute_figure, film, name), sizes, np.float64, here)
        variables[name] = xr.Variable(tuple(sizes), data, {"long_name": _LONG_NAMES[name], "units": units})
    domain = assemble(partial(_compute_domain, film), over_positions, np.int8, match_chunks(chunks, over_positions))
    variables["domain"] = xr.Variable(("Y", "X"), domain, {"long_name": "Domain", "units": ""})
    height = assemble(film.compute_topography, over_positions, np.float64, match_chunks(chunks, over_positions))
    variables["topography"] = xr.Variable(("Y", "X"), height, {"long_name": "Height", "units": "m"})
    return xr.Dataset(variables, coords=index_unique(coords_here))


def _wrap_phase(phase: NDArray[Any]) -> Array:
    """Bring a phase into (-pi, pi]."""
    return np.pi - (np.pi - phase) % (2 * np.pi)
