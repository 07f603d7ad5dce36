"""A simulated band-excitation scan -> a file as the translators of such microscopes leave it, by plain h5py."""

from __future__ import annotations

from os import PathLike, fspath
from typing import Any, Final

import h5py
import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import UsidError

__all__ = ["instrument_file"]

Array = npt.NDArray[Any]

_UDVS: Final = ("step_num", "dc_offset", "ac_amp", "wave_type", "wave_mod", "be-line")
_NOISE: Final = [(name, "f4") for name in ("super_band", "inter_bin_band", "sub_band")]
_FIELDS: Final = {0: "out-of-field", 1: "in-field"}


def instrument_file(path: str | PathLike[str], scan: xr.DataArray) -> str:
    """Write a simulated band-excitation scan as the translators of the instruments do.

    Beside the spectra there is what they add: parameters of the scan as attributes, the table of voltage steps
    (``UDVS``), frequencies, steps and phases of the bins, ``Noise_Floor``, and for each field of the measurement a
    ``Spatially_Averaged_Plot_Group_NNN``, which a region reference of the main dataset belongs to. Ancillary values
    are of single precision, labels are bytes, chunks are compressed. Computes a lazy scan line by line.

    Parameters
    ----------
    path : path
        The file to make.
    scan : DataArray, dims (Y, X, *steps, Frequency)
        Complex, of :mod:`usidx.simulate`: ``band_excitation``, ``beps``, ``ckpfm``, or ``relaxation`` with
        ``frequencies``.

    Returns
    -------
    str
        HDF5 path of the main dataset.

    Raises
    ------
    UsidError
        The scan has no complex spectra over ``Frequency``.
    FileExistsError
        There is such a file.

    Examples
    --------
    >>> import tempfile, usidx
    >>> from pathlib import Path
    >>> from usidx.testing.instrument import instrument_file
    >>> scan, truth = usidx.simulate.beps((4, 5), 32, dc_steps=16, in_field=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     main = instrument_file(Path(folder) / "beps.h5", scan)
    ...     opened = usidx.open_main(Path(folder) / "beps.h5", main).compute()
    >>> opened.dims, bool((opened == scan.values).all())
    (('Y', 'X', 'DC_Offset', 'Field', 'Frequency'), True)
    """
    if scan.dtype.kind != "c" or scan.dims[:2] != ("Y", "X") or scan.dims[-1] != "Frequency":
        raise UsidError(
            f"Array {scan.name!r} with dims {scan.dims} of dtype {scan.dtype} is no band-excitation scan: give complex "
            f"spectra over (Y, X, ..., Frequency), as those of usidx.simulate.beps."
        )
    with h5py.File(fspath(path), "x") as file:
        channel = _make_groups(file, scan)
        swept = _make_grid(scan, [str(d) for d in scan.dims[2:]])
        _add_excitation(channel, scan, swept)
        main = _add_main(channel, scan, swept)
        mean = _fill(main, scan)
        _add_plot_groups(channel, main, scan, mean)
        return str(main.name)


def _find_kind(scan: xr.DataArray) -> str:
    if "write_bias" in scan.dims:
        return "cKPFMData"
    return "BEPSData" if "DC_Offset" in scan.dims else "BELineData"


def _find_voltage(scan: xr.DataArray) -> str | None:
    return next((name for name in ("DC_Offset", "write_bias") if name in scan.dims), None)


def _make_groups(file: h5py.File, scan: xr.DataArray) -> h5py.Group:
    """Make the groups with the parameters of the scan."""
    rows, columns, bins = (scan.sizes[d] for d in ("Y", "X", "Frequency"))
    band, voltage = scan["Frequency"].values, _find_voltage(scan)
    told = {
        "data_type": _find_kind(scan),
        "translator": "ODF",
        "experiment_date": "12-Mar-2018",
        "sample_name": "simulated",
    }
    file.attrs.update(told | {"project_name": "", "user_name": "", "grid_size_x": columns, "grid_size_y": rows})
    measurement = file.create_group("Measurement_000")
    steps = scan[0, 0].size // bins
    measurement.attrs.update(
        {
            "data_type": _find_kind(scan), "grid_num_rows": rows, "grid_num_cols": columns, "num_pix": rows * columns,
            "num_bins": bins, "num_udvs_steps": steps, "BE_center_frequency_[Hz]": float(band.mean()),
            "BE_band_width_[Hz]": float(np.ptp(band)), "IO_Analog_Input_1": "+/- 10V, FFT", "IO_rate": "4 MHz",
        }
    )  # fmt: skip
    if voltage is not None:
        both = "in and out-of-field" if "Field" in scan.dims else "out-of-field"
        mode = "load user defined VS Wave from file" if _find_kind(scan) == "cKPFMData" else "DC modulation mode"
        measurement.attrs.update(
            {
                "VS_mode": mode, "VS_cycle_fraction": "full", "VS_measure_in_field_loops": both,
                "VS_number_of_cycles": scan.sizes.get("Cycle", 1), "VS_steps_per_full_cycle": scan.sizes[voltage],
                "VS_amplitude_[V]": float(np.abs(scan[voltage].values).max()),
            }
        )  # fmt: skip
    channel = measurement.create_group("Channel_000")
    channel.attrs.update({"Channel_Input": "IO_Analog_Input_1", "channel_type": "BE"})
    return channel


def _make_grid(scan: xr.DataArray, dims: list[str]) -> dict[str, tuple[Array, Array]]:
    """Return index and value of each dim in every cell of a side, fastest first."""
    indices = np.indices([scan.sizes[d] for d in dims]).reshape(len(dims), -1)
    return {d: (i, scan[d].values[i]) for d, i in zip(dims[::-1], indices[::-1], strict=True)}


def _add_excitation(channel: h5py.Group, scan: xr.DataArray, swept: dict[str, tuple[Array, Array]]) -> None:
    bins = scan.sizes["Frequency"]
    step = np.arange(swept["Frequency"][0].size) // bins
    udvs = np.full((step[-1] + 1, len(_UDVS)), np.nan, "f4")
    voltage = _find_voltage(scan)
    udvs[:, 0], udvs[:, 2:] = np.arange(len(udvs)), (1.0, 1.0, 1.0, 1.0)
    udvs[:, 1] = 0.0 if voltage is None else swept[voltage][1][::bins]
    table = channel.create_dataset("UDVS", data=udvs)
    table.attrs["labels"] = _encode_texts(_UDVS)
    table.attrs["units"] = _encode_texts(["", "V", "A", "", "", ""])
    for k, label in enumerate(_UDVS):
        table.attrs[label] = table.regionref[:, k : k + 1]
    channel["Excitation_Waveform"] = np.zeros(4 * bins, "f4")
    channel["UDVS_Indices"] = channel["Bin_Step"] = step.astype("u4")
    channel["Bin_Indices"] = np.arange(bins, dtype="u4")
    channel["Bin_Frequencies"] = scan["Frequency"].values.astype("f4")
    channel["Bin_FFT"], channel["Bin_Wfm_Type"] = np.ones(bins, "c8"), np.ones(bins, "i4")
    channel["Noise_Floor"] = np.zeros((scan.sizes["Y"] * scan.sizes["X"], len(udvs)), _NOISE)


def _add_main(channel: h5py.Group, scan: xr.DataArray, swept: dict[str, tuple[Array, Array]]) -> h5py.Dataset:
    count, width = scan.sizes["Y"] * scan.sizes["X"], swept["Frequency"][0].size
    main = channel.create_dataset(
        "Raw_Data", (count, width), "c8", chunks=(1, width), maxshape=(None, width), compression="gzip"
    )
    main.attrs.update({"quantity": "Piezoresponse", "units": str(scan.attrs.get("units", "V"))})
    main.attrs.update({"timestamp": "2018_03_12-10_20_30", "machine_id": "microscope-pc", "platform": "Windows-7"})
    for role, side in (("Position", _make_grid(scan, ["Y", "X"])), ("Spectroscopic", swept)):
        units = _encode_texts([str(scan[d].attrs.get("units", "")) for d in side])
        for place, (what, dtype) in enumerate((("Indices", "u4"), ("Values", "f4"))):
            rows = np.stack([pair[place] for pair in side.values()]).astype(dtype)
            table = channel.create_dataset(f"{role}_{what}", data=rows.T if role == "Position" else rows)
            table.attrs["labels"], table.attrs["units"] = _encode_texts(side), units
            if "Field" in side:
                table.attrs["Field_parameters"] = _encode_texts(_FIELDS.values())
            main.attrs[f"{role}_{what}"] = table.ref
    for name in ("Excitation_Waveform", "UDVS", "UDVS_Indices", "Bin_Frequencies", "Bin_FFT", "Noise_Floor"):
        main.attrs[name] = channel[name].ref
    return main


def _fill(main: h5py.Dataset, scan: xr.DataArray) -> Array:
    """Write the spectra line by line, and return their mean (*steps, Frequency)."""
    columns, total = scan.sizes["X"], np.zeros(scan.shape[2:], np.complex128)
    for row in range(scan.sizes["Y"]):
        line = scan.isel(Y=row).values
        main[row * columns : (row + 1) * columns] = line.reshape(columns, -1)
        total += line.sum(axis=0)
    mean: Array = total / len(main)
    return mean


def _add_plot_groups(channel: h5py.Group, main: h5py.Dataset, scan: xr.DataArray, mean: Array) -> None:
    """Add the mean over all places, for each field by itself."""
    steps = [str(d) for d in scan.dims[2:-1]]
    fields = range(scan.sizes["Field"]) if "Field" in steps else [None]
    voltage = _find_voltage(scan)
    for number, which in enumerate(fields):
        part = mean if which is None else mean.take(which, axis=steps.index("Field"))
        group = channel.create_group(f"Spatially_Averaged_Plot_Group_{number:03d}")
        name = "out-of-field" if which is None else _FIELDS[int(scan["Field"].values[which])]
        group.attrs["Name"] = name
        group["Mean_Spectrogram"] = part.reshape(-1, mean.shape[-1]).astype("c8")
        group["Step_Averaged_Response"] = group["Mean_Spectrogram"][()].mean(axis=0)
        group["Bin_Frequencies"] = channel["Bin_Frequencies"][()]
        shown = np.zeros(1) if voltage is None else scan[voltage].values
        group["Spectroscopic_Parameter"] = shown.astype("f4")
        group["Spectroscopic_Parameter"].attrs["Name"] = voltage or "None"
        group["Max_Response"] = group["Min_Response"] = np.zeros(len(main), "f4")
        main.attrs[f"{name}_Plot_Group"] = main.regionref[:, : mean.shape[-1]]


def _encode_texts(texts: Any) -> Array:
    return np.array([str(text).encode() for text in texts])
