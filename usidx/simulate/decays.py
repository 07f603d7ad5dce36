"""Responses that relax after bias pulses, with the decays that they were made from."""

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
from usidx.simulate.oscillation import AMPLITUDE, WIDTH, Oscillation, check_sizes, extend_over_steps
from usidx.version import usidx_version

__all__ = ["relaxation"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Kind = Literal["exponential", "double", "stretched"]

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "exponential": ("amplitude", "time_constant", "offset"),
    "double": ("amplitude", "time_constant", "amplitude_2", "time_constant_2", "offset"),
    "stretched": ("amplitude", "time_constant", "beta", "offset"),
}
_UNITS: Final = {"amplitude": "V", "time_constant": "s", "amplitude_2": "V", "time_constant_2": "s", "beta": ""}
_DURATION: Final = 2.0


def relaxation(
    shape: tuple[int, int] = (16, 16),
    times: int = 64,
    *,
    biases: int = 6,
    kind: Kind = "exponential",
    frequencies: int | None = None,
    noise: float = 0.02,
    phase_offset: float = -0.4,
    seed: int = 0,
    dtype: DTypeLike | None = None,
    chunks: Chunks = None,
) -> tuple[xr.DataArray, xr.Dataset]:
    r"""Simulate the response that relaxes for two seconds after each of some bias pulses.

    With `chunks` scan and truth are lazy, and equal to those in memory for any chunking.

    Parameters
    ----------
    shape : tuple of int
        Rows (Y) and columns (X); the scan is 5 um wide.
    times : int
        Samples of each decay.
    biases : int
        Pulses, from -6 V to 6 V; the response that they leave grows with them.
    kind : {"exponential", "double", "stretched"}
        One decay, two (some tens of ms, and a second or so), or one that is stretched.
    frequencies : int, optional
        Give the band-excitation spectra of the response, with so many steps of the band; by default the response.
    noise : float
        Standard deviation as a fraction of the typical response; of spectra, of that at resonance.
    phase_offset : float
        Of spectra: phase of positive response in rad.
    seed : int
        Same seed, same scan.
    dtype : dtype, optional
        By default float64, of spectra complex64.
    chunks : mapping of dim to block size or "auto", optional
        Dask blocks; "auto" cuts slabs of about 32 MB along Y.

    Returns
    -------
    scan : DataArray, dims (Y, X, DC_Offset, Time[, Frequency])
        In V.
    truth : Dataset
        Over (Y, X, DC_Offset) the decay: ``amplitude`` (V), ``time_constant`` (s) and ``offset`` (V), of two decays
        ``amplitude_2`` and ``time_constant_2`` (the longer one), of a stretched one ``beta``. Over time the
        ``response``; of spectra ``frequency``, ``quality_factor`` and ``phase``, too.

    Raises
    ------
    UsidError
        A size is below one, the kind is not one of those named, or the dtype does not go with the scan.

    Notes
    -----
    :math:`a e^{-(t/\tau)^\beta} + c`, with :math:`\beta = 1` but for the stretched one.

    Examples
    --------
    >>> from usidx.simulate import relaxation
    >>> scan, truth = relaxation((4, 4), kind="double")
    >>> scan.dims, truth.time_constant_2.units, bool((truth.time_constant < truth.time_constant_2).all())
    (('Y', 'X', 'DC_Offset', 'Time'), 's', True)
    """
    if kind not in _NAMES:
        raise UsidError(f"Unknown kind {kind!r}: give one of {', '.join(map(repr, _NAMES))}.")
    is_raw = frequencies is not None
    dtype = np.dtype(dtype or ("complex64" if is_raw else "float64"))
    check_sizes(dtype if is_raw else None, rows=shape[0], columns=shape[1], times=times, biases=biases)
    check_sizes(frequencies=1 if frequencies is None else frequencies)
    if not is_raw and dtype.kind != "f":
        raise UsidError(f"A response is real, dtype {str(dtype)!r} is not: give 'float64', or frequencies for spectra.")
    decays = _Decays.draw(shape[1], times, biases, kind, noise, seed, dtype)
    options = {"shape": list(shape), "times": times, "biases": biases, "kind": kind, "frequencies": frequencies}
    options |= {"noise": noise, "phase_offset": phase_offset, "seed": seed, "dtype": str(dtype)}
    step = {"tool": "simulate.relaxation", "version": usidx_version(), "parameters": options}
    swept = {
        "DC_Offset": make_spectroscopic_coordinate("DC_Offset", decays.bias, "DC offset", "V"),
        "Time": make_spectroscopic_coordinate("Time", decays.time, "Time", "s"),
    }
    sizes = {"Y": shape[0], "X": shape[1], "DC_Offset": biases, "Time": times}
    if frequencies is None:
        scan, truth = _simulate_responses(decays, sizes, swept, step, chunks)
    else:
        *_, grains, quality = decays.fields
        over = sizes | {"Frequency": frequencies}
        seen = Oscillation(decays.compute_response, over, noise, phase_offset, grains, quality, seed, dtype)
        scan, truth = seen.scan(swept, step, chunks), seen.build_truth(swept, chunks).drop_vars("amplitude")
    return scan, _add_decays(truth, decays, sizes, chunks)


def _simulate_responses(
    decays: _Decays, sizes: dict[str, int], swept: dict[str, xr.Variable], step: dict[str, Any], chunks: Chunks
) -> tuple[xr.DataArray, xr.Dataset]:
    coords = make_position_coordinates((sizes["Y"], sizes["X"]), WIDTH) | swept
    attrs = {"long_name": "Response", "units": "V"}
    data = assemble(decays.compute_noisy, sizes, decays.dtype, chunks)
    scan = xr.DataArray(data, dims=tuple(sizes), coords=coords, name="Raw_Data", attrs=attrs)
    clean = assemble(decays.compute_response, sizes, np.float64, match_chunks(chunks, sizes))
    return put_steps(scan, [step]), xr.Dataset({"response": (tuple(sizes), clean, attrs)}, coords=coords)


def _add_decays(truth: xr.Dataset, decays: _Decays, sizes: dict[str, int], chunks: Chunks) -> xr.Dataset:
    over = {d: sizes[d] for d in ("Y", "X", "DC_Offset")}
    for name in _NAMES[decays.kind]:
        data = assemble(partial(decays.compute_figure, name), over, np.float64, match_chunks(chunks, over))
        attrs = {"long_name": name.replace("_", " ").title(), "units": _UNITS.get(name, "V")}
        truth[name] = xr.Variable(tuple(over), data, attrs)
    return truth


@dataclass(frozen=True)
class _Decays:
    """Everything that decides the decays."""

    columns: int
    time: Array
    bias: Array
    kind: str
    noise: float
    seed: int
    dtype: np.dtype[Any]
    fields: tuple[SmoothField, ...]

    @classmethod
    def draw(
        cls, columns: int, times: int, biases: int, kind: str, noise: float, seed: int, dtype: np.dtype[Any]
    ) -> _Decays:
        rng = np.random.default_rng(seed)
        fields = tuple(SmoothField.draw(rng, 0.4 * WIDTH) for _ in range(5))
        time, bias = np.linspace(0.0, _DURATION, times), np.linspace(-6.0, 6.0, biases)
        return cls(columns, time, bias, kind, noise, seed, dtype, fields)

    def compute_figure(self, name: str, y: Index, x: Index, bias: Index) -> Array:
        """Return one figure of the decays over (y, x, bias)."""
        step = WIDTH / max(self.columns - 1, 1)
        uneven = [extend_over_steps(np.tanh(field(y * step, x * step)), 1) for field in self.fields[:3]]
        push = self.bias[bias] / 6.0
        # Away from zero, so that there is something that relaxes.
        height = AMPLITUDE * (0.6 + 0.15 * uneven[0]) * np.where(push < 0, -1.0, 1.0) * (0.5 + 0.5 * np.abs(push))
        slow = self.kind != "double"
        figures: dict[str, Callable[[], Array]] = {
            "amplitude": lambda: height,
            "time_constant": lambda: (0.3 if slow else 0.06) * np.exp(0.3 * uneven[1] + 0.2 * push),
            "amplitude_2": lambda: 0.7 * height,
            "time_constant_2": lambda: 0.7 * np.exp(0.25 * uneven[2] + 0.2 * push),
            "beta": lambda: 0.6 + 0.1 * uneven[2] + 0.0 * push,
            "offset": lambda: 0.4 * AMPLITUDE * (push + 0.2 * uneven[2]),
        }
        return figures[name]()

    def compute_response(self, y: Index, x: Index, bias: Index, time: Index) -> Array:
        """Return the response over (y, x, bias, time)."""
        known = {name: self.compute_figure(name, y, x, bias)[..., None] for name in _NAMES[self.kind]}
        elapsed = self.time[time]
        found = known["offset"] + known["amplitude"] * np.exp(
            -((elapsed / known["time_constant"]) ** known.get("beta", 1.0))
        )
        if self.kind == "double":
            found = found + known["amplitude_2"] * np.exp(-elapsed / known["time_constant_2"])
        return np.asarray(found)

    def compute_noisy(self, y: Index, x: Index, bias: Index, time: Index) -> NDArray[Any]:
        """Return the response as it is measured."""
        block = self.compute_response(y, x, bias, time).astype(self.dtype)
        sizes = (self.columns, self.bias.size, self.time.size)
        for number, row in enumerate(y):
            drawn = draw_row_noise(self.seed, int(row), sizes, (x, bias, time))
            block[number] += (self.noise * AMPLITUDE * drawn).astype(self.dtype)
        return block
