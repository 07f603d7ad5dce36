"""Files as the translators of band-excitation and general-mode microscopes leave them, made with h5py alone.

What the translators add to a raw dataset is there: the table of voltage steps (UDVS), bins, noise floor, region
references, averaged plot groups. Every spectrum is that of an oscillator which is known: the truth of a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import numpy.typing as npt

__all__ = [
    "CHANNEL",
    "Scan",
    "add_loop_fit",
    "add_sho_fit",
    "be_line",
    "beps",
    "ckpfm",
    "forget_units",
    "gmode_line",
    "relaxation",
    "stop_halfway",
    "sts",
    "two_waves",
]

Array = npt.NDArray[Any]

CHANNEL: Final = "Measurement_000/Channel_000"
SHO32: Final = ("Amplitude [V]", "Frequency [Hz]", "Quality Factor", "Phase [rad]", "R2 Criterion")
LOOP32: Final = ("a_0", "a_1", "a_2", "a_3", "a_4", "b_0", "b_1", "b_2", "b_3", "R2 Criterion")
METRICS32: Final = ("Area", "Centroid x", "Centroid y", "Rotation Angle [rad]", "Offset")
SWITCHING32: Final = (
    "V+", "V-", "Imprint", "R+", "R-", "Switchable Polarization", "Work of Switching", "Nucleation Bias 1",
    "Nucleation Bias 2",
)  # fmt: skip
_NOISE32: Final = [(name, "f4") for name in ("super_band", "inter_bin_band", "sub_band")]
_OFFSET: Final = 0.6  # rad, of the electronics


@dataclass(frozen=True)
class Scan:
    """A file that was made, and what is true of it.

    Attributes
    ----------
    path : Path
        The file.
    dims : tuple of str
        Slowest first, of `truth`.
    truth : dict of str to ndarray
        By name, over `dims` (broadcastable).
    """

    path: Path
    dims: tuple[str, ...]
    truth: dict[str, Array] = field(repr=False)
    main: str = f"{CHANNEL}/Raw_Data"


def oscillator(frequency: Array, amplitude: Array, center: Array, quality: Array, phase: Array) -> Array:
    """Return the complex response of a driven damped oscillator."""
    w, w0 = frequency, center[..., None]
    turn = amplitude[..., None] * np.exp(1j * phase[..., None]) * w0**2
    response: Array = turn / (w**2 - 1j * w * w0 / quality[..., None] - w0**2)
    return response


def be_line(
    path: Path, rows: int = 12, columns: int = 16, bins: int = 61, *, padded: int = 0, text: str = "bytes"
) -> Scan:
    """Make a scan with one spectrum per pixel; `padded` pixels at the end were not acquired and are zeros."""
    frequency = np.linspace(320e3, 380e3, bins, dtype="f4")
    truth = _resonances((rows, columns), seed=1)
    spectra = _noisy(oscillator(frequency.astype("f8"), **truth), 2)
    matrix = spectra.reshape(rows * columns, bins)
    matrix[len(matrix) - padded :] = 0
    udvs = np.array([[1, 0, 2, 1, 1, 1]], dtype="f4")
    with h5py.File(path, "w") as file:
        channel = _head(file, "BELineData", rows, columns, {"num_bins": bins, "num_udvs_steps": 1})
        _excitation(channel, udvs, ["step_num", "dc_offset", "ac_amp", "wave_type", "wave_mod", "be-line"], frequency)
        position = _positions(channel, rows, columns, text=text)
        spectral = _table(channel, "Spectroscopic", ["Frequency"], ["Hz"], [np.arange(bins)], [frequency], text=text)
        _main(channel, matrix, position, spectral, text=text)
        _plot_group(channel, matrix, frequency, 1, "None")
    return Scan(path, ("Y", "X"), truth)


def beps(
    path: Path, rows: int = 4, columns: int = 5, steps: int = 32, bins: int = 41, *, cycles: int = 2, forcs: int = 1,
    field: str = "in and out-of-field", padded: int = 0, text: str = "bytes",
) -> Scan:  # fmt: skip
    """Make a switching-spectroscopy scan: the pulse is measured during (Field 1) and after it (Field 0).

    The truth holds switching voltages too. In reversal curves (`forcs` > 1) the voltage reaches further each time.
    """
    both = field == "in and out-of-field"
    fields = (1, 0) if both else ((1,) if field == "in-field" else (0,))
    shape = (forcs, cycles, steps, len(fields))
    dc = np.zeros(shape, dtype="f4")
    dc += _course(steps)[:, None] * (8.0 * (np.arange(forcs) + 1.0) / forcs)[:, None, None, None]
    frequency = np.linspace(310e3, 390e3, bins, dtype="f4")
    where = _resonances((rows, columns), seed=2)
    polarization, switching = _loops(dc[..., 0], rows, columns)
    in_field = np.array([0.02 if f else 0.0 for f in fields])
    signed = 1e-4 * (polarization[..., None] + in_field * dc)  # the electrostatic part during the pulse
    wide = {name: np.broadcast_to(v[:, :, None, None, None, None], signed.shape) for name, v in where.items()}
    wide |= {"amplitude": np.abs(signed), "phase": _OFFSET + np.where(signed < 0, np.pi, 0.0)}
    spectra = _noisy(oscillator(frequency.astype("f8"), **wide), 3)
    matrix = spectra.reshape(rows * columns, -1)
    matrix[len(matrix) - padded :] = 0
    labels, units, values = _swept(dc, np.array(fields, "f4"), frequency)
    kept = [0, 1, *([2] if both else []), *([3] if cycles > 1 else []), *([4] if forcs > 1 else [])]
    udvs = np.stack([np.arange(dc.size), dc.ravel(), np.full(dc.size, 2.0), np.ones(dc.size)], axis=1).astype("f4")
    with h5py.File(path, "w") as file:
        told = {
            "VS_mode": "DC modulation mode", "VS_measure_in_field_loops": field, "VS_cycle_fraction": "full",
            "VS_number_of_cycles": cycles, "FORC_num_of_FORC_cycles": forcs, "VS_steps_per_full_cycle": steps,
        }  # fmt: skip
        channel = _head(file, "BEPSData", rows, columns, told)
        _excitation(channel, udvs, ["step_num", "dc_offset", "ac_amp", "wave_type"], frequency)
        position = _positions(channel, rows, columns, text=text)
        indices = _counted([values[k] for k in kept])
        spectral = _table(
            channel, "Spectroscopic", [labels[k] for k in kept], [units[k] for k in kept], indices,
            [values[k] for k in kept], text=text,
        )  # fmt: skip
        for table in spectral:
            table.attrs["Field_parameters"] = np.array([b"out-of-field", b"in-field"])
        _main(channel, matrix, position, spectral, text=text)
        _plot_group(channel, matrix, frequency, dc.size, "DC_Offset")
    truth = {name: np.asarray(v) for name, v in wide.items()} | {"signed": signed, "DC_Offset": dc} | switching
    return Scan(path, ("Y", "X", "FORC", "Cycle", "DC_Offset", "Field"), truth)


def ckpfm(path: Path, rows: int = 3, columns: int = 4, *, writes: int = 12, reads: int = 7, bins: int = 31) -> Scan:
    """Make a contact Kelvin probe scan: read voltages after each write voltage, with labels of LabView's own."""
    frequency = np.linspace(310e3, 390e3, bins)
    write, read = 9.0 * _course(writes), np.linspace(-3.0, 3.0, reads)
    where = _resonances((rows, columns), seed=4)
    potential = 0.2 * np.sign(write)[:, None, None] * np.ones((reads, 2))
    signed = 1e-5 * (read[:, None] * np.ones(2) - potential) + 2e-6
    signed = np.broadcast_to(signed, (rows, columns, *signed.shape))
    wide = {name: np.broadcast_to(v[:, :, None, None, None], signed.shape) for name, v in where.items()}
    wide |= {"amplitude": np.abs(signed), "phase": np.where(signed < 0, np.pi, 0.0)}
    matrix = _noisy(oscillator(frequency, **wide), 5).reshape(rows * columns, -1)
    grid = np.meshgrid(np.arange(writes), np.arange(reads), np.arange(2), np.arange(bins), indexing="ij")
    indices = [grid[k].ravel() for k in (3, 2, 0, 1)]
    values = [frequency[indices[0]], indices[1], write[indices[2]], read[indices[3]]]
    with h5py.File(path, "w") as file:
        channel = _head(file, "cKPFMData", rows, columns, {"VS_mode": "load user defined VS Wave from file"})
        _excitation(channel, np.full((writes * reads * 2, 5), np.nan, "f4"), list("abcde"), frequency.astype("f4"))
        position = _positions(channel, rows, columns, text="str", dtype="f8")
        labels, units = ["Frequency", "Field", "write_bias", "read_bias"], ["Hz", "", "V", "V"]
        spectral = _table(channel, "Spectroscopic", labels, units, indices, values, text="str", dtype="f8")
        _main(channel, matrix, position, spectral, text="str", quantity="quantity", units="a.u.")
    truth = {name: np.asarray(v) for name, v in wide.items()} | {"signed": np.asarray(signed)}
    return Scan(path, ("Y", "X", "write_bias", "read_bias", "Field"), truth)


def relaxation(path: Path, rows: int = 3, columns: int = 4, *, times: int = 24, bins: int = 31) -> Scan:
    """Make a relaxation scan: after each pulse the response is measured many times."""
    frequency, bias = np.linspace(310e3, 390e3, bins, dtype="f4"), np.linspace(-6, 6, 5)
    time = 0.05 * np.arange(times)
    where = _resonances((rows, columns), seed=6)
    constant = 0.2 + 0.02 * np.arange(rows * columns).reshape(rows, columns)
    decay = np.exp(-time / constant[:, :, None, None])
    signed = 1e-4 * (1.0 + 0.5 * (1.0 + np.abs(bias) / 6)[:, None] * decay)
    wide = {name: np.broadcast_to(v[:, :, None, None], signed.shape) for name, v in where.items()}
    wide |= {"amplitude": signed, "phase": np.full(signed.shape, _OFFSET)}
    matrix = _noisy(oscillator(frequency.astype("f8"), **wide), 7).reshape(rows * columns, -1)
    grid = np.meshgrid(np.arange(bias.size), np.arange(times), np.arange(bins), indexing="ij")
    indices = [grid[k].ravel() for k in (2, 1, 0)]
    values = [frequency[indices[0]], time[indices[1]], bias[indices[2]]]
    with h5py.File(path, "w") as file:
        channel = _head(file, "BEPSData", rows, columns, {"VS_mode": "DC modulation mode"})
        position = _positions(channel, rows, columns)
        labels, units = ["Frequency", "Time", "DC_Offset"], ["Hz", "s", "V"]
        spectral = _table(channel, "Spectroscopic", labels, units, indices, values)
        _main(channel, matrix, position, spectral)
    return Scan(path, ("Y", "X", "DC_Offset", "Time"), {"signed": signed, "time_constant": constant})


def two_waves(path: Path, rows: int = 3, columns: int = 4, *, bins: tuple[int, int] = (21, 33), steps: int = 4) -> Scan:
    """Make a scan whose steps take turns between two excitations with bands of their own.

    With as many bins in both the steps fill a grid, over which the frequencies differ.
    """
    bands = [np.linspace(320e3, 380e3, bins[0]), np.linspace(300e3, 400e3, bins[1])]
    truth = _resonances((rows, columns), seed=8)
    spectra = [oscillator(bands[k % 2], **truth) for k in range(steps)]
    matrix = _noisy(np.concatenate(spectra, axis=-1).reshape(rows * columns, -1), 9)
    starts = [0, 0 if bins[0] == bins[1] else bins[0]]
    indices = [
        np.concatenate([starts[k % 2] + np.arange(bins[k % 2]) for k in range(steps)]),
        np.concatenate([np.full(bins[k % 2], k) for k in range(steps)]),
    ]
    values = [np.concatenate([bands[k % 2] for k in range(steps)]), indices[1].astype("f4")]
    with h5py.File(path, "w") as file:
        channel = _head(file, "BEPSData", rows, columns, {"VS_mode": "load user defined VS Wave from file"})
        _excitation(channel, np.full((steps, 4), np.nan, "f4"), list("abcd"), np.concatenate(bands).astype("f4"))
        position = _positions(channel, rows, columns)
        spectral = _table(channel, "Spectroscopic", ["Frequency", "UDVS_Step"], ["Hz", ""], indices, values)
        _main(channel, matrix, position, spectral)
    return Scan(path, ("Y", "X"), truth)


def gmode_line(path: Path, lines: int = 6, samples: int = 4096, *, dtype: str = "f2") -> Scan:
    """Make a general-mode scan: a row of samples per line, and nothing but the line as position."""
    excitation = np.sin(2 * np.pi * 16 * np.arange(samples) / samples).astype("f4")
    signal = excitation * (1.0 + np.arange(lines))[:, None]
    with h5py.File(path, "w") as file:
        channel = _head(file, "GLineData", lines, 1, {"num_bins": samples, "IO_rate": "4 MHz"})
        position = _table(channel, "Position", ["Y"], ["m"], [np.arange(lines)], [np.arange(lines)])
        spectral = _table(channel, "Spectroscopic", ["Excitation"], ["V"], [np.arange(samples)], [excitation])
        _main(channel, signal.astype(dtype), position, spectral, quantity="Deflection")
    return Scan(path, ("Y", "Excitation"), {"signal": signal})


def sts(path: Path, rows: int = 5, columns: int = 6, points: int = 121) -> Scan:
    """Make tunnelling spectra of a gap that varies over the surface; current in nA over bias in V."""
    bias = np.linspace(-1.5, 1.5, points)
    half = 0.3 + 0.02 * np.arange(rows * columns).reshape(rows, columns)
    current = np.sign(bias) * np.clip(np.abs(bias) - half[..., None], 0, None)
    current = current + np.random.default_rng(0).normal(0, 1e-3, current.shape)
    with h5py.File(path, "w") as file:
        channel = _head(file, "OmicronSTS", rows, columns, {})
        position = _positions(channel, rows, columns)
        spectral = _table(channel, "Spectroscopic", ["Bias"], ["V"], [np.arange(points)], [bias])
        matrix = current.reshape(rows * columns, points).astype("f4")
        _main(channel, matrix, position, spectral, quantity="Current", units="nA")
    return Scan(path, ("Y", "X", "Bias"), {"current": current, "gap": 2 * half})


def add_sho_fit(scan: Scan, *, dtype: str = "f4", fitted: bool = True) -> None:
    """Add the fit of oscillators as the old programs left it, with the truth for figures."""
    names = ("amplitude", "frequency", "quality_factor", "phase")
    parts = {n: np.asarray(scan.truth[{"frequency": "center", "quality_factor": "quality"}.get(n, n)]) for n in names}
    steps = int(np.prod(parts["amplitude"].shape[2:]))
    with h5py.File(scan.path, "r+") as file:
        raw = file[scan.main]
        group = _results(file, raw, "SHO_Fit")
        group.attrs.update({"guess-method": "pycroscopy BESHO", "last_pixel": raw.shape[0]})
        inds, vals = (file[raw.attrs[f"Spectroscopic_{what}"]] for what in ("Indices", "Values"))
        labels = [_told(v) for v in inds.attrs["labels"]]
        first = inds[labels.index("Frequency")] == 0
        rows = [k for k, label in enumerate(labels) if label != "Frequency"]
        if rows:
            units = [_told(inds.attrs["units"][k]) for k in rows]
            indices, values = ([table[k][first] for k in rows] for table in (inds, vals))
            side = _table(group, "Spectroscopic", [labels[k] for k in rows], units, indices, values)
        else:
            side = _table(group, "Spectroscopic", ["Single_Step"], [""], [np.zeros(1)], [np.ones(1)])
        position = tuple(file[raw.attrs[f"Position_{what}"]] for what in ("Indices", "Values"))
        matrix = np.zeros((raw.shape[0], steps), dtype=[(name, dtype) for name in SHO32])
        for name, label in zip(names, SHO32, strict=False):
            matrix[label] = parts[name].reshape(raw.shape[0], steps)
        matrix["R2 Criterion"] = 0.99
        for name in ("Guess", "Fit") if fitted else ("Guess",):
            _main(group, matrix, position, side, name=name, quantity="SHO", units="compound", chunks=(1, steps))


def stop_halfway(scan: Scan, *, rows: int) -> None:
    """Leave the fit as it is when the program was stopped: zeros, and a status that says how far it came."""
    with h5py.File(scan.path, "r+") as file:
        group = file[f"{CHANNEL}/Raw_Data-SHO_Fit_000"]
        fit = group["Fit"]
        fit[rows:] = np.zeros_like(fit[rows:])
        group["completed_guess_positions"] = np.ones(len(fit), "u1")
        group["completed_fit_positions"] = (np.arange(len(fit)) < rows).astype("u1")


def add_loop_fit(scan: Scan, *, dtype: str = "f4") -> None:
    """Add a fit of loops beside the fit of oscillators; parameters are the truth's, over cycles and fields."""
    with h5py.File(scan.path, "r+") as file:
        source = file[f"{CHANNEL}/Raw_Data-SHO_Fit_000/Fit"]
        group = _results(file, source, "Loop_Fit")
        group.attrs.update({"projection_method": "pycroscopy BE loop model", "guess_method": "pycroscopy Cluster Tree"})
        inds, vals = (file[source.attrs[f"Spectroscopic_{what}"]] for what in ("Indices", "Values"))
        position = tuple(file[source.attrs[f"Position_{what}"]] for what in ("Indices", "Values"))
        loops = scan.truth["signed"].reshape(source.shape).astype("f4")
        _main(group, loops, position, (inds, vals), name="Projected_Loops", quantity="Intensity", units="a.u.")
        labels = [_told(v) for v in inds.attrs["labels"]]
        first = inds[labels.index("DC_Offset")] == 0
        rows = [k for k, label in enumerate(labels) if label != "DC_Offset"]
        units = [_told(inds.attrs["units"][k]) for k in rows]
        indices, values = ([table[k][first] for k in rows] for table in (inds, vals))
        if not rows:
            rows, labels, units, indices, values = [0], ["Single_Step"], [""], [np.zeros(1)], [np.ones(1)]
        side = _table(group, "Loop_Metrics", [labels[k] for k in rows], units, indices, values)
        shape = (source.shape[0], int(first.sum()))
        for name, fields in (
            ("Loop_Metrics", METRICS32), ("Guess", LOOP32), ("Fit", LOOP32), ("Fit_Loop_Parameters", SWITCHING32),
        ):  # fmt: skip
            matrix = np.zeros(shape, dtype=[(label, dtype) for label in fields])
            for label, key in (("a_2", "v_minus"), ("a_3", "v_plus"), ("V-", "v_minus"), ("V+", "v_plus")):
                if label in fields:
                    matrix[label] = scan.truth[key].reshape(-1)[:, None]
            _main(group, matrix, position, side, name=name, quantity="Metrics", units="compound")


def forget_units(scan: Scan) -> None:
    """Take out what translators did not write before 2018: quantity and units, of the data and of its dims."""
    with h5py.File(scan.path, "r+") as file:
        main = file[scan.main]
        del main.attrs["quantity"], main.attrs["units"]
        for side in ("Position", "Spectroscopic"):
            for what in ("Indices", "Values"):
                del file[main.attrs[f"{side}_{what}"]].attrs["units"]


def _told(text: Any) -> str:
    return text.decode() if isinstance(text, bytes) else str(text)


def _results(file: h5py.File, source: h5py.Dataset, tool: str) -> h5py.Group:
    group: h5py.Group = source.parent.create_group(f"{source.name.rsplit('/', 1)[-1]}-{tool}_000")
    group.attrs.update({"timestamp": "2018_03_12-10_20_30", "machine_id": "pc", "tool": tool, "num_source_dsets": 1})
    group.attrs["source_000"] = source.ref
    return group


def _resonances(shape: tuple[int, int], seed: int) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    return {
        "amplitude": random.uniform(5e-5, 2e-4, shape),
        "center": 350e3 + 8e3 * random.uniform(-1, 1, shape),
        "quality": random.uniform(60, 200, shape),
        "phase": random.uniform(-3, 3, shape),
    }


def _noisy(spectra: Array, seed: int) -> Array:
    random = np.random.default_rng(seed)
    size = 1e-3 * np.abs(spectra).max()
    noise = random.normal(0, size, spectra.shape) + 1j * random.normal(0, size, spectra.shape)
    noisy: Array = (spectra + noise).astype("c8")
    return noisy


def _course(steps: int) -> Array:
    """Return one triangular cycle, from 0 up to 1, down to -1 and back."""
    course: Array = np.interp(np.arange(steps) / steps, [0, 0.25, 0.75, 1], [0, 1, -1, 0])
    return course


def _loops(dc: Array, rows: int, columns: int) -> tuple[Array, dict[str, Array]]:
    """Return polarizations (Y, X, *dc) of loops which run counter-clockwise, and their switching voltages."""
    falling = -2.0 - 0.05 * np.arange(rows * columns).reshape(rows, columns)
    rising = 3.0 + 0.05 * np.arange(rows * columns).reshape(rows, columns)
    goes_up = np.roll(dc, -1, axis=-1) > dc
    goes_up[..., -1] = True
    center = np.where(goes_up, rising[..., None, None, None], falling[..., None, None, None])
    return np.tanh((dc - center) / 0.8), {"v_minus": falling, "v_plus": rising}


def _swept(dc: Array, fields: Array, frequency: Array) -> tuple[list[str], list[str], list[Array]]:
    """Return labels, units and rows of values: not in the order in which they change."""
    whole = (*dc.shape, frequency.size)
    forc, cycle = (np.arange(dc.shape[k], dtype="f4").reshape([-1 if j == k else 1 for j in range(5)]) for k in (0, 1))
    rows = [frequency, dc[..., None], fields[:, None], cycle, forc]
    values = [np.broadcast_to(row, whole).ravel().astype("f4") for row in rows]
    return ["Frequency", "DC_Offset", "Field", "Cycle", "FORC"], ["Hz", "V", "", "", ""], values


def _counted(values: Sequence[Array]) -> list[Array]:
    """Count steps as the translators do: a row's index goes up where its value changes, and starts over where that of
    a slower row does.
    """
    changes = [np.concatenate([[False], row[1:] != row[:-1]]) for row in values]
    order = np.argsort([-c.sum() for c in changes], kind="stable")
    found = [np.zeros(len(row), dtype="u4") for row in values]
    for place, k in enumerate(order):
        slower = np.zeros(len(changes[k]), dtype=bool)
        for other in order[place + 1 :]:
            slower |= changes[other]
        count = 0
        for column in range(len(slower)):
            count = 0 if slower[column] else count + int(changes[k][column])
            found[k][column] = count
    return found


def _head(file: h5py.File, kind: str, rows: int, columns: int, parameters: dict[str, Any]) -> h5py.Group:
    file.attrs.update({"data_type": kind, "translator": "ODF", "grid_size_x": columns, "grid_size_y": rows})
    file.attrs.update({"experiment_date": "19-Jun-2009 18:44:56", "current_position_x": columns - 1})
    measurement = file.create_group("Measurement_000")
    measurement.attrs.update({"grid_num_rows": rows, "grid_num_cols": columns, "IO_Analog_Input_1": "+/- 10V, FFT"})
    measurement.attrs.update(parameters)
    channel = measurement.create_group("Channel_000")
    channel.attrs.update({"Channel_Input": "IO_Analog_Input_1", "channel_type": "BE"})
    return channel


def _excitation(channel: h5py.Group, udvs: Array, labels: list[str], frequency: Array) -> None:
    channel["Excitation_Waveform"] = np.zeros(1024, "f4")
    channel["UDVS"] = udvs
    channel["UDVS"].attrs["labels"] = np.array([label.encode() for label in labels])
    for k, label in enumerate(labels):
        channel["UDVS"].attrs[label] = channel["UDVS"].regionref[:, k : k + 1]
    channel["UDVS_Indices"] = np.arange(len(udvs), dtype="u4")
    channel["Bin_Step"] = channel["Bin_Indices"] = np.arange(frequency.size, dtype="u4")
    channel["Bin_Frequencies"], channel["Bin_FFT"] = frequency, np.ones(frequency.size, "c8")
    channel["Bin_Wfm_Type"] = np.ones(frequency.size, "i4")


def _positions(
    channel: h5py.Group, rows: int, columns: int, *, text: str = "bytes", dtype: str = "u4"
) -> tuple[h5py.Dataset, h5py.Dataset]:
    y, x = (grid.ravel() for grid in np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"))
    return _table(channel, "Position", ["X", "Y"], ["m", "m"], [x, y], [x, y], text=text, dtype=dtype)


def _table(
    group: h5py.Group, role: str, labels: list[str], units: list[str], indices: Sequence[Array],
    values: Sequence[Array], *, text: str = "bytes", dtype: str = "u4",
) -> tuple[h5py.Dataset, h5py.Dataset]:  # fmt: skip
    made = []
    for what, columns, kind in (("Indices", indices, dtype), ("Values", values, "f4")):
        data = np.stack([np.asarray(c) for c in columns]).astype(kind)
        table = group.create_dataset(f"{role}_{what}", data=data.T if role == "Position" else data)
        table.attrs["labels"], table.attrs["units"] = _texts(labels, text), _texts(units, text)
        for k, label in enumerate(labels):
            one = (slice(None), slice(k, k + 1)) if role == "Position" else (slice(k, k + 1), slice(None))
            table.attrs[label] = table.regionref[one]
        made.append(table)
    return made[0], made[1]


def _texts(texts: list[str], text: str) -> Any:
    return np.array([t.encode() for t in texts]) if text == "bytes" else np.array(texts, h5py.string_dtype())


def _main(
    group: h5py.Group, matrix: Array, position: tuple[h5py.Dataset, ...], spectral: tuple[h5py.Dataset, ...], *,
    name: str = "Raw_Data", quantity: str = "Piezoresponse", units: str = "V", text: str = "bytes", **storage: Any,
) -> None:  # fmt: skip
    storage = storage or {"compression": "gzip", "chunks": (min(4, len(matrix)), matrix.shape[1])}
    main = group.create_dataset(name, data=matrix, **storage)
    main.attrs["quantity"] = quantity.encode() if text == "bytes" else quantity
    main.attrs["units"] = units.encode() if text == "bytes" else units
    main.attrs.update({"timestamp": "2018_03_12-10_20_30", "pycroscopy_version": "0.59.6"})
    for side, tables in (("Position", position), ("Spectroscopic", spectral)):
        for what, table in zip(("Indices", "Values"), tables, strict=True):
            main.attrs[f"{side}_{what}"] = table.ref
    for extra in ("Bin_Frequencies", "UDVS", "Bin_FFT", "Excitation_Waveform"):
        if extra in group:
            main.attrs[extra] = group[extra].ref


def _plot_group(channel: h5py.Group, matrix: Array, frequency: Array, steps: int, label: str) -> None:
    mean = matrix.mean(axis=0).reshape(steps, frequency.size)
    group = channel.create_group("Spatially_Averaged_Plot_Group_000")
    group.attrs["Name"] = "out-of-field"
    group["Mean_Spectrogram"], group["Step_Averaged_Response"] = mean, mean.mean(axis=0)
    group["Bin_Frequencies"] = frequency
    group["Spectroscopic_Parameter"] = np.arange(steps, dtype="f4")
    group["Spectroscopic_Parameter"].attrs["Name"] = label
    group["Max_Response"] = group["Min_Response"] = np.zeros(len(matrix), "f4")
    channel["Noise_Floor"] = np.zeros((len(matrix), steps), dtype=_NOISE32)
    raw = channel["Raw_Data"]
    raw.attrs["Noise_Floor"] = channel["Noise_Floor"].ref
    raw.attrs["out-of-field_Plot_Group"] = raw.regionref[:, : frequency.size]
