"""Currents through contacts under a fast periodic bias, with known resistance, hysteresis and capacitance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

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
    make_spectroscopic_coordinate,
    match_chunks,
)
from usidx.simulate.oscillation import check_positive, check_sizes, index_unique
from usidx.version import usidx_version

__all__ = ["giv", "gmode_lines"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_WIDTH: Final = 1e-6
_TOP: Final = 6.0  # V
_HUM: Final = 0.213  # of the rate of samples: frequency of a disturbance that no harmonic of the bias meets
_ATTRS: Final = {"long_name": "Current", "units": "nA"}


def giv(
    shape: tuple[int, int] = (16, 16),
    samples: int = 500,
    *,
    frequency: float = 200.0,
    nodes: int = 125,
    noise: float = 0.03,
    seed: int = 0,
    dtype: DTypeLike = "float64",
    chunks: Chunks = None,
) -> tuple[xr.DataArray, xr.Dataset]:
    r"""Simulate currents under a fast sinusoidal bias (G-IV), a period at each pixel.

    With `chunks` map and truth are lazy, and equal to those in memory for any chunking.

    Parameters
    ----------
    shape : tuple of int
        Rows (Y) and columns (X); the map is 1 um wide.
    samples : int
        Of a period of the bias, which begins at 0 V and goes up to 6 V first.
    frequency : float
        Of the bias, in Hz.
    nodes : int
        Biases at which the truth tells the resistance.
    noise : float
        Standard deviation in nA.
    seed : int
        Same seed, same map.
    dtype : dtype
        A real type.
    chunks : mapping of dim to block size or "auto", optional
        Dask blocks; "auto" cuts slabs of about 32 MB along Y with whole periods.

    Returns
    -------
    currents : DataArray, dims (Y, X, Bias)
        In nA, named ``Raw_Data``.
    truth : Dataset
        Over (Y, X, direction, voltage) ``resistance`` in GOhm, over (Y, X) ``capacitance`` in pF, over (Y, X, Bias)
        ``current`` in nA, without noise and capacitance.

    Raises
    ------
    UsidError
        A size is below one, or the dtype is not real.

    Notes
    -----
    :math:`I = V g(V) + C dV/dt`, with a conductance :math:`g` of some nS that differs from place to place, rises with
    the bias, and is higher on the way up than on the way down.

    Examples
    --------
    >>> from usidx.simulate import giv
    >>> currents, truth = giv((4, 4))
    >>> currents.dims, currents.units, truth.resistance.units, truth.capacitance.units
    (('Y', 'X', 'Bias'), 'nA', 'GOhm', 'pF')
    """
    contacts = _Contacts.draw(shape, samples, frequency, noise, 0.0, seed, dtype)
    options = {"shape": list(shape), "samples": samples, "frequency": frequency, "nodes": nodes, "noise": noise}
    options |= {"seed": seed, "dtype": str(contacts.dtype)}
    step = {"tool": "simulate.giv", "version": usidx_version(), "parameters": options}
    sizes = {"Y": shape[0], "X": shape[1], "Bias": samples}
    swept = make_spectroscopic_coordinate("Bias", contacts.bias, "Bias", "V")
    coords = index_unique(make_position_coordinates(shape, _WIDTH) | {"Bias": swept})
    data = assemble(contacts.compute_pixels, sizes, contacts.dtype, chunks)
    currents = xr.DataArray(data, dims=tuple(sizes), coords=coords, name="Raw_Data", attrs=_ATTRS)
    return put_steps(currents, [step]), _build_truth(contacts, sizes, coords, nodes, chunks)


def gmode_lines(
    shape: tuple[int, int] = (16, 16),
    samples: int = 500,
    *,
    frequency: float = 200.0,
    nodes: int = 125,
    noise: float = 0.3,
    hum: float = 2.0,
    seed: int = 0,
    dtype: DTypeLike = "float64",
    chunks: Chunks = None,
) -> tuple[xr.DataArray, xr.Dataset]:
    """Simulate general-mode lines: the currents of :func:`giv`, digitised without a break while each line is scanned.

    With `chunks` lines and truth are lazy, and equal to those in memory for any chunking.

    Parameters
    ----------
    shape : tuple of int
        Lines (Y), and pixels of each; the map is 1 um wide.
    samples : int
        Of a pixel, in which the bias goes through a period.
    frequency, nodes, seed, dtype, chunks
        As in :func:`giv`.
    noise : float
        Standard deviation in nA.
    hum : float
        Amplitude in nA of a disturbance at 0.213 times the rate of the samples, 21.3 kHz by default.

    Returns
    -------
    lines : DataArray, dims (Y, Time)
        In nA, named ``Raw_Data``; the bias is a coordinate along ``Time``.
    truth : Dataset
        As in :func:`giv`, of the pixels.

    Raises
    ------
    UsidError
        As in :func:`giv`.

    Examples
    --------
    >>> from usidx.simulate import gmode_lines
    >>> lines, truth = gmode_lines((4, 8), 100)
    >>> dict(lines.sizes), lines.bias.units, dict(truth.capacitance.sizes)
    ({'Y': 4, 'Time': 800}, 'V', {'Y': 4, 'X': 8})
    """
    contacts = _Contacts.draw(shape, samples, frequency, noise, hum, seed, dtype)
    options = {"shape": list(shape), "samples": samples, "frequency": frequency, "nodes": nodes, "noise": noise}
    options |= {"hum": hum, "seed": seed, "dtype": str(contacts.dtype)}
    step = {"tool": "simulate.gmode_lines", "version": usidx_version(), "parameters": options}
    sizes = {"Y": shape[0], "Time": shape[1] * samples}
    time = np.arange(sizes["Time"]) / (samples * frequency)
    places = make_position_coordinates(shape, _WIDTH)
    swept = {"Time": make_spectroscopic_coordinate("Time", time, "Time", "s")}
    bias = xr.Variable(("Time",), np.tile(contacts.bias, shape[1]), {"long_name": "Bias", "units": "V"})
    coords = xr.Coordinates({"Y": places["Y"], **swept}).assign(bias=bias)
    data = assemble(contacts.compute_lines, sizes, contacts.dtype, chunks)
    lines = xr.DataArray(data, dims=tuple(sizes), coords=coords, name="Raw_Data", attrs=_ATTRS)
    of_pixels = {"Y": shape[0], "X": shape[1], "Bias": samples}
    bias_of_pixel = make_spectroscopic_coordinate("Bias", contacts.bias, "Bias", "V")
    return put_steps(lines, [step]), _build_truth(
        contacts, of_pixels, index_unique(places | {"Bias": bias_of_pixel}), nodes, chunks
    )


def _build_truth(
    contacts: _Contacts, sizes: dict[str, int], coords: xr.Coordinates, nodes: int, chunks: Chunks
) -> xr.Dataset:
    voltage = np.linspace(contacts.bias.min(), contacts.bias.max(), nodes)
    places = {d: sizes[d] for d in ("Y", "X")}
    over = {**places, "direction": 2, "voltage": nodes}
    parts: dict[str, tuple[Callable[..., Array], dict[str, int], tuple[str, str]]] = {
        "resistance": (partial(contacts.compute_resistance, voltage), over, ("Resistance", "GOhm")),
        "capacitance": (contacts.compute_capacitance, places, ("Capacitance", "pF")),
        "current": (contacts.compute_current, sizes, ("Current", "nA")),
    }
    found = {}
    for name, (fill, own, (title, units)) in parts.items():
        data = assemble(fill, own, np.float64, match_chunks(chunks, own))
        found[name] = xr.Variable(tuple(own), data, {"long_name": title, "units": units})
    swept = make_spectroscopic_coordinate("voltage", voltage, "Bias", "V")
    direction = make_spectroscopic_coordinate("direction", ["forward", "reverse"], "Direction", "")
    direction.attrs.pop("units")
    return xr.Dataset(found, coords=coords).assign_coords(direction=direction, voltage=swept)


@dataclass(frozen=True)
class _Contacts:
    """Everything that decides the currents."""

    shape: tuple[int, int]
    bias: Array
    slope: Array  # V/s
    frequency: float
    noise: float
    hum: float
    fields: tuple[SmoothField, ...]
    seed: int
    dtype: np.dtype[Any]

    @classmethod
    def draw(
        cls,
        shape: tuple[int, int],
        samples: int,
        frequency: float,
        noise: float,
        hum: float,
        seed: int,
        dtype: DTypeLike,
    ) -> _Contacts:
        check_sizes(rows=shape[0], columns=shape[1], samples=samples)
        check_positive(frequency=frequency)
        if np.dtype(dtype).kind != "f":
            raise UsidError(f"A current is real, dtype {str(dtype)!r} is not: give 'float64'.")
        phase = 2 * np.pi * np.arange(samples) / samples
        rng = np.random.default_rng(seed)
        fields = tuple(SmoothField.draw(rng, 0.4 * _WIDTH) for _ in range(3))
        slope = 2 * np.pi * frequency * _TOP * np.cos(phase)
        return cls(shape, _TOP * np.sin(phase), slope, frequency, noise, hum, fields, seed, np.dtype(dtype))

    def compute_figures(self, y: Index, x: Index) -> tuple[Array, Array, Array]:
        """Return conductance and its hysteresis in nS, and capacitance in pF, over (y, x)."""
        step = _WIDTH / max(self.shape[1] - 1, 1)
        level, loop, stored = (np.tanh(field(y * step, x * step)) for field in self.fields)
        return 2.5 + level, 0.4 + 0.2 * loop, 2.5 + stored

    def compute_conductance(self, y: Index, x: Index, voltage: Array, sign: Array) -> Array:
        """Return nS over (y, x, *voltage); `sign` is 1 where the bias rises, and -1 where it falls."""
        level, loop, _ = self.compute_figures(y, x)
        level, loop = (figure.reshape(*figure.shape, *(1,) * voltage.ndim) for figure in (level, loop))
        return np.asarray(level * (1 + 0.4 * np.tanh(voltage / 2)) + loop * sign * np.exp(-((voltage / 2) ** 2)))

    def compute_resistance(self, voltage: Array, y: Index, x: Index, direction: Index, node: Index) -> Array:
        """Return GOhm over (y, x, direction, voltage)."""
        sign = np.array([1.0, -1.0])[direction][:, np.newaxis]
        swept = np.broadcast_to(voltage[node], (direction.size, node.size))
        return 1 / self.compute_conductance(y, x, swept, sign)

    def compute_capacitance(self, y: Index, x: Index) -> Array:
        """Return pF over (y, x)."""
        return self.compute_figures(y, x)[2]

    def compute_current(self, y: Index, x: Index, sample: Index) -> Array:
        """Return nA over (y, x, sample), of the resistance alone."""
        voltage, sign = self.bias[sample], np.where(self.slope[sample] > 0, 1.0, -1.0)
        return voltage * self.compute_conductance(y, x, voltage, sign)

    def compute_whole_rows(self, y: Index, x: Index, sample: Index) -> Array:
        """Return nA over (y, x, sample), without noise."""
        stored = 1e-3 * self.compute_capacitance(y, x)
        return self.compute_current(y, x, sample) + stored[..., np.newaxis] * self.slope[sample]

    def compute_pixels(self, y: Index, x: Index, sample: Index) -> NDArray[Any]:
        """Return what is measured, pixel by pixel."""
        block = self.compute_whole_rows(y, x, sample).astype(self.dtype)
        for number, row in enumerate(y):
            drawn = draw_row_noise(self.seed, int(row), (self.shape[1], self.bias.size), (x, sample))
            block[number] += (self.noise * drawn).astype(self.dtype)
        return block

    def compute_lines(self, y: Index, time: Index) -> NDArray[Any]:
        """Return what is measured, line by line."""
        size = self.shape[1] * self.bias.size
        block = np.empty((y.size, time.size), self.dtype)
        hum = self.hum * np.sin(2 * np.pi * _HUM * time)
        for number, row in enumerate(y):
            here = y[number : number + 1]
            line = self.compute_whole_rows(here, np.arange(self.shape[1]), np.arange(self.bias.size)).reshape(size)
            drawn = draw_row_noise(self.seed, int(row), (size,), (time,))
            block[number] = line[time] + hum + self.noise * drawn
        return block
