"""Signed response at each position and step -> band-excitation spectra, and the oscillators behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.errors import UsidError
from usidx.results.provenance import put_steps
from usidx.simulate.fields import (
    Chunks,
    SmoothField,
    assemble,
    draw_row_noise,
    make_position_coordinates,
    make_spectroscopic_coordinate,
    match_chunks,
)
from usidx.version import usidx_version

__all__ = [
    "AMPLITUDE",
    "WIDTH",
    "Oscillation",
    "check_positive",
    "check_sizes",
    "check_turns",
    "extend_over_steps",
    "index_unique",
    "make_triangle",
]

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Signed = Callable[..., Array]

WIDTH: Final = 5e-6
AMPLITUDE: Final = 50e-6
_BAND: Final = (300e3, 340e3)
_QUALITY: Final = 150.0
_TRUTH: Final = {
    "response": ("Response", "V"),
    "amplitude": ("Amplitude", "V"),
    "frequency": ("Resonance frequency", "Hz"),
    "quality_factor": ("Quality factor", ""),
    "phase": ("Phase", "rad"),
}


@dataclass(frozen=True)
class Oscillation:
    """A cantilever that answers with a signed response, V over (y, x, *steps), at a resonance that differs by place.

    Attributes
    ----------
    signed : callable
        Index vectors of Y, X and the steps -> static response in V.
    sizes : mapping
        Of Y, X, the steps and Frequency, slowest first.
    noise : float
        Standard deviation of real and imaginary part, as a fraction of `AMPLITUDE` at resonance.
    phase_offset : float
        Phase of positive response.
    grains, quality : SmoothField
        Shift the resonance, and change its width.
    seed : int
        Of the noise.
    dtype : dtype
        Complex.
    """

    signed: Signed
    sizes: Mapping[str, int]
    noise: float
    phase_offset: float
    grains: SmoothField
    quality: SmoothField
    seed: int
    dtype: np.dtype[Any]

    @property
    def band(self) -> Array:
        """Return the frequencies in Hz."""
        return np.linspace(*_BAND, self.sizes["Frequency"])

    def compute_figure(self, name: str, y: Index, x: Index, *steps: Index) -> Array:
        """Return one figure of the oscillator over (y, x, *steps)."""
        signed = self.signed(y, x, *steps)
        if name == "response":
            return signed
        if name == "amplitude":
            return np.abs(signed)
        if name == "phase":
            turned = self.phase_offset + np.where(signed < 0, np.pi, 0.0)
            return np.asarray(np.pi - (np.pi - turned) % (2 * np.pi))
        step = WIDTH / max(self.sizes["X"] - 1, 1)
        if name == "frequency":
            here: Array = 320e3 + 2e3 * np.tanh(self.grains(y * step, x * step))
        else:
            here = np.asarray(_QUALITY * np.exp(0.15 * self.quality(y * step, x * step)))
        return np.broadcast_to(extend_over_steps(here, len(steps)), signed.shape)

    def compute_spectra(self, y: Index, x: Index, *spectroscopic: Index) -> NDArray[Any]:
        """Fill one block, row by row so that the intermediates stay small."""
        *steps, frequency = spectroscopic
        swept = self.band[frequency]
        block = np.empty((y.size, x.size, *(s.size for s in spectroscopic)), self.dtype)
        level = self.noise * AMPLITUDE * _QUALITY
        sizes = [n for d, n in self.sizes.items() if d != "Y"]
        for number, row in enumerate(y):
            here = y[number : number + 1]
            signed, resonance, quality = (
                self.compute_figure(p, here, x, *steps)[0][..., None]
                for p in ("response", "frequency", "quality_factor")
            )
            clean = signed * np.exp(1j * self.phase_offset) * resonance**2
            clean = clean / (swept**2 - 1j * swept * resonance / quality - resonance**2)
            drawn = draw_row_noise(self.seed, int(row), [2, *sizes], [np.arange(2), x, *steps, frequency])
            block[number] = clean + level * (drawn[0] + 1j * drawn[1])
        return block

    def scan(self, swept: Mapping[str, xr.Variable], step: Mapping[str, Any], chunks: Chunks) -> xr.DataArray:
        """Return the spectra, labelled; `swept` are the coordinates of the steps, `step` says what was called."""
        band = make_spectroscopic_coordinate("Frequency", self.band, "Frequency", "Hz")
        coords = make_position_coordinates((self.sizes["Y"], self.sizes["X"]), WIDTH) | {**swept, "Frequency": band}
        data = assemble(self.compute_spectra, dict(self.sizes), self.dtype, chunks)
        attrs = {"long_name": "Cantilever deflection", "units": "V"}
        scan = xr.DataArray(data, dims=tuple(self.sizes), coords=index_unique(coords), name="Raw_Data", attrs=attrs)
        return put_steps(scan, [{"version": usidx_version(), **step}])

    def build_truth(self, swept: Mapping[str, xr.Variable], chunks: Chunks) -> xr.Dataset:
        """Return the oscillators and the signed response over all dims but Frequency."""
        sizes = {d: n for d, n in self.sizes.items() if d != "Frequency"}
        coords = make_position_coordinates((sizes["Y"], sizes["X"]), WIDTH) | dict(swept)
        found = {
            name: xr.Variable(
                tuple(sizes),
                assemble(partial(self.compute_figure, name), sizes, np.float64, match_chunks(chunks, sizes)),
                {"long_name": title, "units": units},
            )
            for name, (title, units) in _TRUTH.items()
        }
        return xr.Dataset(found, coords=index_unique(coords))


def extend_over_steps(here: Array, steps: int) -> Array:
    """Give a map (y, x) as many more dims as there are steps."""
    return here.reshape(*here.shape, *(1,) * steps)


def make_triangle(steps: int, top: float) -> Array:
    """Return one cycle of a triangular sweep, 0 to `top` to -`top` to 0, without the last sample."""
    turn = np.arange(steps) / steps
    swept: Array = top * (4 * np.abs((turn - 0.25) % 1 - 0.5) - 1)
    return swept


def index_unique(coords: Mapping[str, xr.Variable]) -> xr.Coordinates:
    """Give no index to a sweep that passes the same values twice; selecting by such a value means nothing."""
    repeated = {d: v for d, v in coords.items() if np.unique(v.values).size < v.size}
    ordered = xr.Coordinates({d: v for d, v in coords.items() if d not in repeated})
    return ordered.assign(xr.Coordinates(repeated, indexes={}))


def check_turns(**steps: int) -> None:
    """Refuse a triangle that does not go up and down.

    Raises
    ------
    UsidError
        As above.
    """
    for name, count in steps.items():
        if count < 3:
            raise UsidError(f"Cannot simulate loops with {name}={count}: give 3 or more, to go up and down.")


def check_positive(**values: float) -> None:
    """Refuse what is divided by where it is not above zero.

    Raises
    ------
    UsidError
        As above.
    """
    for name, value in values.items():
        if not value > 0:
            raise UsidError(f"Cannot simulate a scan with {name}={value!r}: give a number above 0.")


def check_sizes(dtype: Any = None, **sizes: int) -> None:
    """Refuse sizes below one, and a dtype that cannot hold a response.

    Raises
    ------
    UsidError
        As above.
    """
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or size < 1:
            raise UsidError(f"Cannot simulate a scan with {name}={size!r}: give a whole number of 1 or more.")
    if dtype is not None and np.dtype(dtype).kind != "c":
        raise UsidError(f"A band-excitation response is complex, dtype {str(dtype)!r} is not: give 'complex64'.")
