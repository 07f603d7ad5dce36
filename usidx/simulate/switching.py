"""Voltage spectroscopy of ferroelectrics with known switching: hysteresis loops, and contact Kelvin probe curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import DTypeLike, NDArray

from usidx.simulate.fields import Chunks, SmoothField, assemble, make_spectroscopic_coordinate, match_chunks
from usidx.simulate.oscillation import (
    AMPLITUDE,
    WIDTH,
    Oscillation,
    check_sizes,
    check_turns,
    extend_over_steps,
    make_triangle,
)

__all__ = ["beps", "ckpfm"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_LOOP: Final = {
    "r_minus": ("R-", "V"),
    "switchable_polarization": ("Switchable Polarization", "V"),
    "v_minus": ("V-", "V"),
    "v_plus": ("V+", "V"),
    "slope": ("Slope", ""),
    "falling_width": ("Width of the Falling Branch", "V"),
    "rising_width": ("Width of the Rising Branch", "V"),
    "imprint": ("Imprint", "V"),
}
_KELVIN: Final = {"slope": ("Slope", ""), "junction_potential": ("Junction Contact Potential Difference", "V")}


def beps(
    shape: tuple[int, int] = (16, 16),
    frequencies: int = 48,
    *,
    dc_steps: int = 32,
    cycles: int = 1,
    in_field: bool = False,
    max_bias: float = 8.0,
    noise: float = 0.02,
    phase_offset: float = -0.4,
    seed: int = 0,
    dtype: DTypeLike = "complex64",
    chunks: Chunks = None,
) -> tuple[xr.DataArray, xr.Dataset]:
    r"""Simulate band excitation polarization switching: hysteresis loops with known switching voltages.

    At each position a triangular bias is swept, from 0 V up, and the response goes round a closed loop; the first
    cycle is like the others. Coercive bias, imprint, height and widths differ from place to place. With `chunks`
    scan and truth are lazy, and equal to those in memory for any chunking.

    Parameters
    ----------
    shape : tuple of int
        Rows (Y) and columns (X); the scan is 5 um wide.
    frequencies : int
        Steps of the band from 300 to 340 kHz.
    dc_steps : int
        Steps of one bias cycle, 0 V to `max_bias` to -`max_bias` to 0 V.
    cycles : int
        Bias cycles; more than one makes a dim ``Cycle``.
    in_field : bool
        Measure with the bias on, too: adds a dim ``Field``, 0 for out of field and 1 for in field, where the
        electrostatic force adds a straight line.
    max_bias : float
        In V.
    noise : float
        Standard deviation of the real and of the imaginary part, as a fraction of the typical response at resonance.
    phase_offset : float
        Phase of positive response in rad, as the electronics add it.
    seed : int
        Same seed, same scan.
    dtype : dtype
        A complex type.
    chunks : mapping of dim to block size or "auto", optional
        Dask blocks; "auto" cuts slabs of about 32 MB along Y with whole spectra.

    Returns
    -------
    scan : DataArray, dims (Y, X[, Cycle], DC_Offset[, Field], Frequency)
        Complex deflection in V, named ``Raw_Data``.
    truth : Dataset
        ``response`` (V, signed), ``amplitude``, ``frequency``, ``quality_factor`` and ``phase`` over all dims but
        Frequency; and over (Y, X) the loop out of field: ``v_plus``, ``v_minus``, ``imprint``, ``r_minus``,
        ``switchable_polarization``, ``slope``, ``rising_width``, ``falling_width``.

    Raises
    ------
    UsidError
        A size is below one, or the dtype is not complex.

    Notes
    -----
    The branches are :math:`R_- + \frac{P}{2}(1 + \mathrm{erf}((V - V_\pm)/w_\pm)) + sV`, with :math:`V_+` where the
    bias rises and :math:`V_-` where it falls: the nine-parameter loop of `usidx.models` with one width per branch.

    References
    ----------
    S. Jesse, H. N. Lee and S. V. Kalinin, Rev. Sci. Instrum. 77, 073702 (2006).

    Examples
    --------
    >>> from usidx.simulate import beps
    >>> scan, truth = beps((4, 4), 32, in_field=True)
    >>> scan.dims, truth.v_plus.dims, truth.v_plus.units
    (('Y', 'X', 'DC_Offset', 'Field', 'Frequency'), ('Y', 'X'), 'V')
    """
    check_sizes(dtype, rows=shape[0], columns=shape[1], frequencies=frequencies, cycles=cycles)
    check_turns(dc_steps=dc_steps)
    options: dict[str, Any] = {"shape": list(shape), "frequencies": frequencies, "dc_steps": dc_steps}
    options |= {"cycles": cycles, "in_field": in_field, "max_bias": max_bias, "noise": noise}
    options |= {"phase_offset": phase_offset, "seed": seed, "dtype": str(np.dtype(dtype))}
    swept = _make_loop_sweep(dc_steps, cycles, max_bias, in_field=in_field)
    loops = _Loops(shape[1], swept["DC_Offset"].values, tuple(swept), _draw_fields(seed, 6))
    return _measure(loops, _LOOP, swept, options, "simulate.beps", chunks)


def ckpfm(
    shape: tuple[int, int] = (16, 16),
    frequencies: int = 48,
    *,
    write_steps: int = 16,
    read_steps: int = 7,
    max_bias: float = 8.0,
    max_read: float = 3.0,
    noise: float = 0.02,
    phase_offset: float = -0.4,
    seed: int = 0,
    dtype: DTypeLike = "complex64",
    chunks: Chunks = None,
) -> tuple[xr.DataArray, xr.Dataset]:
    r"""Simulate contact Kelvin probe force microscopy: response over read voltages, after each write voltage.

    The response is a straight line over the read voltage that crosses zero at the junction potential, which goes
    round a loop with the write voltage. With `chunks` scan and truth are lazy, and equal to those in memory.

    Parameters
    ----------
    shape : tuple of int
        Rows (Y) and columns (X); the scan is 5 um wide.
    frequencies : int
        Steps of the band from 300 to 340 kHz.
    write_steps : int
        Write voltages, one triangular cycle up to `max_bias`.
    read_steps : int
        Read voltages, from -`max_read` to `max_read`.
    max_bias, max_read : float
        In V.
    noise, phase_offset, seed, dtype, chunks
        As in :func:`usidx.simulate.beps`.

    Returns
    -------
    scan : DataArray, dims (Y, X, write_bias, read_bias, Frequency)
        Complex deflection in V, named ``Raw_Data``.
    truth : Dataset
        ``response`` (V, signed), ``amplitude``, ``frequency``, ``quality_factor`` and ``phase`` over all dims but
        Frequency; over (Y, X, write_bias) the ``slope`` of the response by the read voltage, and
        ``junction_potential`` (V), where it is zero.

    Raises
    ------
    UsidError
        A size is below one, or the dtype is not complex.

    References
    ----------
    N. Balke et al., ACS Nano 8, 10229 (2014).

    Examples
    --------
    >>> from usidx.simulate import ckpfm
    >>> scan, truth = ckpfm((4, 4), 32)
    >>> scan.dims, truth.junction_potential.dims
    (('Y', 'X', 'write_bias', 'read_bias', 'Frequency'), ('Y', 'X', 'write_bias'))
    """
    sizes = {"rows": shape[0], "columns": shape[1], "frequencies": frequencies}
    check_sizes(dtype, **sizes, read_steps=read_steps)
    check_turns(write_steps=write_steps)
    options: dict[str, Any] = {"shape": list(shape), "frequencies": frequencies, "write_steps": write_steps}
    options |= {"read_steps": read_steps, "max_bias": max_bias, "max_read": max_read, "noise": noise}
    options |= {"phase_offset": phase_offset, "seed": seed, "dtype": str(np.dtype(dtype))}
    read = np.linspace(-max_read, max_read, read_steps)
    swept = {
        "write_bias": make_spectroscopic_coordinate(
            "write_bias", make_triangle(write_steps, max_bias), "Write bias", "V"
        ),
        "read_bias": make_spectroscopic_coordinate("read_bias", read, "Read bias", "V"),
    }
    lines = _Lines(shape[1], swept["write_bias"].values, read, _draw_fields(seed, 6))
    return _measure(lines, _KELVIN, swept, options, "simulate.ckpfm", chunks)


def _make_loop_sweep(dc_steps: int, cycles: int, max_bias: float, *, in_field: bool) -> dict[str, xr.Variable]:
    swept = {}
    if cycles > 1:
        swept["Cycle"] = make_spectroscopic_coordinate("Cycle", np.arange(cycles), "Cycle", "")
    swept["DC_Offset"] = make_spectroscopic_coordinate("DC_Offset", make_triangle(dc_steps, max_bias), "DC offset", "V")
    if in_field:
        swept["Field"] = make_spectroscopic_coordinate("Field", np.arange(2), "Field", "")
    return swept


def _draw_fields(seed: int, count: int) -> tuple[SmoothField, ...]:
    rng = np.random.default_rng(seed)
    return tuple(SmoothField.draw(rng, 0.4 * WIDTH) for _ in range(count))


def _measure(
    sample: _Loops | _Lines,
    titles: Mapping[str, tuple[str, str]],
    swept: dict[str, xr.Variable],
    options: dict[str, Any],
    tool: str,
    chunks: Chunks,
) -> tuple[xr.DataArray, xr.Dataset]:
    """Return the scan, and the oscillators together with what makes them."""
    shape = options["shape"]
    sizes = {"Y": shape[0], "X": shape[1], **{d: c.size for d, c in swept.items()}}
    *_, grains, quality = sample.fields
    oscillation = Oscillation(
        sample.compute_response, sizes | {"Frequency": options["frequencies"]}, options["noise"],
        options["phase_offset"], grains, quality, options["seed"], np.dtype(options["dtype"]),
    )  # fmt: skip
    truth = oscillation.build_truth(swept, chunks)
    for name, (title, units) in titles.items():
        dims = ("Y", "X", *sample.list_dims(name))
        over = {d: sizes[d] for d in dims}
        data = assemble(partial(sample.compute_figure, name), over, np.float64, match_chunks(chunks, over))
        truth[name] = xr.Variable(dims, data, {"long_name": title, "units": units})
    step = {"tool": tool, "parameters": options}
    return oscillation.scan(swept, step, chunks), truth


def _smooth(fields: tuple[SmoothField, ...], columns: int, number: int, y: Index, x: Index) -> Array:
    """Return one of the maps, within -1 and 1."""
    step = WIDTH / max(columns - 1, 1)
    found: Array = np.tanh(fields[number](y * step, x * step))
    return found


@dataclass(frozen=True)
class _Loops:
    """Hysteresis loops that differ from place to place."""

    columns: int
    bias: Array
    steps: tuple[str, ...]
    fields: tuple[SmoothField, ...]

    def list_dims(self, name: str) -> tuple[str, ...]:
        """Return the steps over which a figure is known."""
        return ()

    def compute_figure(self, name: str, y: Index, x: Index) -> Array:
        """Return one figure of the loop over (y, x)."""
        uneven = partial(_smooth, self.fields, self.columns, y=y, x=x)
        top = float(self.bias.max())
        coercive, imprint = top * (0.38 + 0.06 * uneven(0)), top * 0.06 * uneven(1)
        height = 2 * AMPLITUDE * (1 + 0.2 * uneven(2))
        figures = {
            "v_plus": imprint + coercive,
            "v_minus": imprint - coercive,
            "imprint": imprint,
            "switchable_polarization": height,
            "r_minus": -height * (0.5 + 0.05 * uneven(3)),
            "slope": np.full_like(height, 0.005 * AMPLITUDE),
            "rising_width": top * (0.1 + 0.03 * uneven(2)),
            "falling_width": top * (0.1 - 0.03 * uneven(3)),
        }
        return figures[name]

    def compute_response(self, y: Index, x: Index, *steps: Index) -> Array:
        """Return the response over (y, x, *steps)."""
        from scipy.special import erf  # not at import: it takes long

        count = len(steps)
        place = self.steps.index("DC_Offset")
        along = [1] * count
        along[place] = -1
        step = steps[place]
        bias = self.bias[step].reshape(along)
        is_falling = ((step / self.bias.size >= 0.25) & (step / self.bias.size < 0.75)).reshape(along)
        loop = {name: extend_over_steps(self.compute_figure(name, y, x), count) for name in _LOOP}
        rising = erf((bias - loop["v_plus"]) / loop["rising_width"])
        falling = erf((bias - loop["v_minus"]) / loop["falling_width"])
        branch = np.where(is_falling, falling, rising)
        found = loop["r_minus"] + loop["switchable_polarization"] * (1 + branch) / 2 + loop["slope"] * bias
        shape = (y.size, x.size, *(s.size for s in steps))
        if "Field" in self.steps:
            found = found + steps[-1] * 0.06 * AMPLITUDE * bias  # the electrostatic force, in field only
        return np.broadcast_to(found, shape).copy()


@dataclass(frozen=True)
class _Lines:
    """Straight lines over the read voltage, whose zero goes round a loop with the write voltage."""

    columns: int
    write: Array
    read: Array
    fields: tuple[SmoothField, ...]

    def list_dims(self, name: str) -> tuple[str, ...]:
        """Return the steps over which a figure is known."""
        return ("write_bias",)

    def compute_figure(self, name: str, y: Index, x: Index, write: Index) -> Array:
        """Return one figure of the lines over (y, x, write)."""
        uneven = [extend_over_steps(_smooth(self.fields, self.columns, k, y, x), 1) for k in range(3)]
        if name == "slope":
            slope = -0.3 * AMPLITUDE * (1 + 0.3 * uneven[0])
            return np.broadcast_to(slope, (y.size, x.size, write.size)).copy()
        bias, turn, top = self.write[write], write / self.write.size, float(self.write.max())
        is_falling = (turn >= 0.25) & (turn < 0.75)
        coercive = top * (0.4 + 0.1 * uneven[1])
        switched = np.tanh((bias + np.where(is_falling, coercive, -coercive)) / (0.2 * top))
        found: Array = 0.4 * uneven[2] + 1.2 * switched
        return found

    def compute_response(self, y: Index, x: Index, write: Index, read: Index) -> Array:
        """Return the response over (y, x, write, read)."""
        potential = self.compute_figure("junction_potential", y, x, write)[..., None]
        found: Array = self.compute_figure("slope", y, x, write)[..., None] * (self.read[read] - potential)
        return found
