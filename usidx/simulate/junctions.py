"""Maps of current by bias with known conductance: contacts, diodes, and tunnelling into what has a spectrum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

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
from usidx.simulate.oscillation import check_sizes, extend_over_steps, index_unique, make_triangle
from usidx.version import usidx_version

__all__ = ["current_voltage"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Kind = Literal["ohmic", "diode", "tunnel", "superconductor", "kondo"]

_WIDTH: Final = 100e-9
_THERMAL: Final = 0.02585  # k T / e at 300 K, in V
_LARGEST: Final = 1e-9
_COLD: Final = 2.0 * 8.617333e-5  # k T / e at 2 K, in V
#: Energies by k T about the bias, and their share of the current; the sum is right to 1e-6.
_ABOUT: Final = np.linspace(-16, 16, 129)
_SHARES: Final = np.diff(_ABOUT)[0] / (4 * np.cosh(_ABOUT / 2) ** 2)
#: Per kind: the maps that make the curves, with their titles and units; and the largest bias.
_FIGURES: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "ohmic": {"resistance": ("Resistance", "V/A")},
    "diode": {"saturation_current": ("Saturation Current", "A"), "ideality": ("Ideality", "")},
    "tunnel": {
        "valence_edge": ("Valence Band Edge", "V"),
        "conduction_edge": ("Conduction Band Edge", "V"),
        "gap": ("Band Gap", "V"),
    },
    "superconductor": {
        "amplitude": ("Amplitude", "A/V"),
        "gap": ("Gap", "V"),
        "broadening": ("Broadening", "V"),
    },
    "kondo": {
        "amplitude": ("Amplitude", "A/V"),
        "center": ("Center", "V"),
        "width": ("Width", "V"),
        "q": ("Asymmetry", ""),
    },
}
_TOP: Final = {"ohmic": 1.0, "diode": 0.5, "tunnel": 2.0, "superconductor": 5e-3, "kondo": 50e-3}


def current_voltage(
    shape: tuple[int, int] = (16, 16),
    biases: int = 101,
    *,
    kind: Kind = "tunnel",
    sweep: Literal["up", "cycle"] = "up",
    noise: float = 0.001,
    seed: int = 0,
    dtype: DTypeLike = "float64",
    chunks: Chunks = None,
) -> tuple[xr.DataArray, xr.Dataset]:
    r"""Simulate a map of current-voltage curves, as conductive AFM or scanning tunnelling spectroscopy measures it.

    With `chunks` map and truth are lazy, and equal to those in memory for any chunking.

    Parameters
    ----------
    shape : tuple of int
        Rows (Y) and columns (X); the map is 100 nm wide.
    biases : int
        Steps of the bias, up to 1 V (ohmic), 0.5 V (diode), 2 V (tunnel), 5 mV (superconductor) or 50 mV (kondo) to
        either side.
    kind : {"ohmic", "diode", "tunnel", "superconductor", "kondo"}
        A resistance; a diode, :math:`I_s (e^{V / n V_T} - 1)` at 300 K; a gap without states, from whose edges the
        conductance rises linearly; a superconductor by Dynes' density of states, from a normal tip at 2 K; or a Kondo
        resonance of the shape of Fano.
    sweep : {"up", "cycle"}
        From negative to positive; or from 0 V up, down, and back to 0 V, both ways through the same curve.
    noise : float
        Standard deviation of the current, as a fraction of 1 nA, a typical current at the largest bias.
    seed : int
        Same seed, same map.
    dtype : dtype
        A real type.
    chunks : mapping of dim to block size or "auto", optional
        Dask blocks; "auto" cuts slabs of about 32 MB along Y with whole curves.

    Returns
    -------
    curves : DataArray, dims (Y, X, Bias)
        Current in A, named ``Raw_Data``.
    truth : Dataset
        Over (Y, X, Bias): ``current`` (A) without noise and its derivative ``conductance`` (A/V). Over (Y, X):
        ``resistance``; ``saturation_current`` and ``ideality``; ``valence_edge``, ``conduction_edge`` and ``gap``; or
        the parameters of :class:`usidx.models.Dynes`, whose gap is half the distance of the peaks, or of
        :class:`usidx.models.Fano`.

    Raises
    ------
    UsidError
        A size is below one, the kind or the sweep is not one of those named, or the dtype is not real.

    Examples
    --------
    >>> from usidx.simulate import current_voltage
    >>> curves, truth = current_voltage((4, 4))
    >>> curves.dims, curves.units, truth.conductance.units, truth.gap.units
    (('Y', 'X', 'Bias'), 'A', 'A/V', 'V')
    """
    check_sizes(rows=shape[0], columns=shape[1], biases=biases)
    for name, given, known in (("kind", kind, tuple(_FIGURES)), ("sweep", sweep, ("up", "cycle"))):
        if given not in known:
            raise UsidError(f"Unknown {name} {given!r}: give one of {', '.join(map(repr, known))}.")
    if np.dtype(dtype).kind != "f":
        raise UsidError(f"A current is real, dtype {str(dtype)!r} is not: give 'float64'.")
    top = _TOP[kind]
    bias = np.linspace(-top, top, biases) if sweep == "up" else make_triangle(biases, top)
    rng = np.random.default_rng(seed)
    fields = tuple(SmoothField.draw(rng, 0.4 * _WIDTH) for _ in range(2))
    contact = _Contact(shape[1], bias, kind, fields, noise, seed, np.dtype(dtype))
    swept = make_spectroscopic_coordinate("Bias", bias, "Bias", "V")
    coords = index_unique(make_position_coordinates(shape, _WIDTH) | {"Bias": swept})
    sizes = {"Y": shape[0], "X": shape[1], "Bias": biases}
    attrs = {"long_name": "Current", "units": "A"}
    data = assemble(contact.compute_noisy, sizes, contact.dtype, chunks)
    curves = xr.DataArray(data, dims=tuple(sizes), coords=coords, name="Raw_Data", attrs=attrs)
    options = {"shape": list(shape), "biases": biases, "kind": kind, "sweep": sweep, "noise": noise, "seed": seed}
    options |= {"dtype": str(contact.dtype)}
    step = {"tool": "simulate.current_voltage", "version": usidx_version(), "parameters": options}
    return put_steps(curves, [step]), _build_truth(contact, sizes, coords, chunks)


def _build_truth(contact: _Contact, sizes: dict[str, int], coords: xr.Coordinates, chunks: Chunks) -> xr.Dataset:
    places = {d: sizes[d] for d in ("Y", "X")}
    found = {
        "current": _make_variable(contact.compute_current, sizes, chunks, ("Current", "A")),
        "conductance": _make_variable(contact.compute_conductance, sizes, chunks, ("Differential conductance", "A/V")),
    }
    for name, described in _FIGURES[contact.kind].items():
        found[name] = _make_variable(partial(contact.compute_figure, name), places, chunks, described)
    return xr.Dataset(found, coords=coords)


def _make_variable(
    fill: Callable[..., Array], sizes: dict[str, int], chunks: Chunks, described: tuple[str, str]
) -> xr.Variable:
    data = assemble(fill, sizes, np.float64, match_chunks(chunks, sizes))
    return xr.Variable(tuple(sizes), data, {"long_name": described[0], "units": described[1]})


@dataclass(frozen=True)
class _Contact:
    """Everything that decides a map of curves."""

    columns: int
    bias: Array
    kind: str
    fields: tuple[SmoothField, ...]
    noise: float
    seed: int
    dtype: np.dtype[Any]

    def compute_figure(self, name: str, y: Index, x: Index) -> Array:
        """Return one figure of the curves over (y, x)."""
        step = _WIDTH / max(self.columns - 1, 1)
        first, second = (np.tanh(field(y * step, x * step)) for field in self.fields)
        low, high = -0.7 + 0.2 * first, 0.6 + 0.2 * second
        figures = {
            "resistance": 1e9 * (1 + 0.5 * first),
            "saturation_current": 1e-13 * np.exp(first),
            "ideality": 1.9 + 0.15 * second,
            "valence_edge": low,
            "conduction_edge": high,
            "gap": 1.3e-3 * (1 + 0.1 * first) if self.kind == "superconductor" else high - low,
            "amplitude": _LARGEST / _TOP[self.kind] * (1 + 0.2 * second),
            "broadening": 1e-4 * (1 + 0.3 * second),
            "center": 2e-3 * second,
            "width": 12e-3 * (1 + 0.2 * first),
            "q": 0.6 + 0.3 * second,
        }
        return figures[name]

    def compute_current(self, y: Index, x: Index, bias: Index) -> Array:
        """Return the current over (y, x, bias)."""
        return self._compute_curve(y, x, bias, 0)

    def compute_conductance(self, y: Index, x: Index, bias: Index) -> Array:
        """Return its derivative."""
        return self._compute_curve(y, x, bias, 1)

    def _compute_curve(self, y: Index, x: Index, bias: Index, order: int) -> Array:
        known = {name: extend_over_steps(self.compute_figure(name, y, x), 1) for name in _FIGURES[self.kind]}
        voltage = self.bias[bias]
        if self.kind == "ohmic":
            return voltage ** (1 - order) / known["resistance"]
        if self.kind == "diode":
            scale = known["ideality"] * _THERMAL
            risen = np.exp(voltage / scale)
            return known["saturation_current"] * ((risen - 1) if order == 0 else risen / scale)
        if self.kind == "superconductor":
            return known["amplitude"] * _tunnel_into_pairs(voltage, known["gap"], known["broadening"], order)
        if self.kind == "kondo":
            return known["amplitude"] * _pass_resonance(voltage, known, order)
        above = np.clip(voltage - known["conduction_edge"], 0, None)
        below = np.clip(known["valence_edge"] - voltage, 0, None)
        return _LARGEST * ((above**2 - below**2) / 2 if order == 0 else above + below)

    def compute_noisy(self, y: Index, x: Index, bias: Index) -> NDArray[Any]:
        """Return the current as it is measured."""
        block = self.compute_current(y, x, bias).astype(self.dtype)
        for number, row in enumerate(y):
            drawn = draw_row_noise(self.seed, int(row), (self.columns, self.bias.size), (x, bias))
            block[number] += (self.noise * _LARGEST * drawn).astype(self.dtype)
        return block


def _tunnel_into_pairs(voltage: Array, gap: Array, broadening: Array, order: int) -> Array:
    """Return the current from a warm tip, or its derivative, in units of the conductance of the normal state."""
    total: Array = np.zeros(np.broadcast_shapes(voltage.shape, gap.shape))
    for about, share in zip(_ABOUT, _SHARES, strict=True):
        energy = np.abs(voltage + about * _COLD) - 1j * broadening
        root = np.sqrt(energy**2 - gap**2)
        total += share * (np.sign(voltage + about * _COLD) * root.real if order == 0 else np.abs((energy / root).real))
    return total


def _pass_resonance(voltage: Array, known: Mapping[str, Array], order: int) -> Array:
    """Return the current through a resonance of Fano and what lies beside it, or its derivative."""
    half, q = 0.5 * known["width"], known["q"]
    away, zero = (voltage - known["center"]) / half, -known["center"] / half
    if order == 1:
        return np.asarray((q + away) ** 2 / (1 + away**2))
    turned = (q**2 - 1) * (np.arctan(away) - np.arctan(zero))
    return np.asarray(voltage + half * (turned + q * np.log((1 + away**2) / (1 + zero**2))))
