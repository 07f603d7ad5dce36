"""Small whole files in the shape of real measurements, each with the array and coordinates that a reader must find."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from usidx.testing.files import Expected, build_main, build_sparse
from usidx.testing.sides import DimSpec

__all__ = [
    "aborted_file",
    "beps_file",
    "distinct",
    "forc_file",
    "image_file",
    "raster",
    "relaxation_file",
    "shared_file",
    "snake_file",
    "sparse_file",
]

Array = npt.NDArray[Any]


def raster(rows: int = 3, columns: int = 4) -> list[DimSpec]:
    """Return two position dims, slowest first, whose values tell Y from X."""
    return [("Y", "m", 1e-6 * np.arange(rows)), ("X", "m", 2e-6 + 5e-7 * np.arange(columns))]


def distinct(shape: Sequence[int], *, dtype: npt.DTypeLike = "f4", seed: int = 0) -> Array:
    """Return an array in which every cell differs, so that a misplaced one shows; complex where the dtype is."""
    count = int(np.prod(shape))
    values = np.random.default_rng(seed).permutation(count).astype("f8") + 1
    if np.dtype(dtype).kind == "c":
        return (values + 1j * values[::-1]).astype(dtype).reshape(shape)
    return values.astype(dtype).reshape(shape)


def triangle(steps: int, top: float) -> Array:
    """Return one cycle of a triangular sweep, 0 to `top` to -`top` and back; values repeat."""
    return top * np.interp(np.arange(steps) / steps, [0, 0.25, 0.75, 1], [0, 1, -1, 0])


def beps_file(path: str | Path, **options: Any) -> Expected:
    """Build a band excitation polarization switching file: complex spectra over in-field and out-of-field steps.

    Field changes faster than DC_Offset although the file lists it after it, DC_Offset visits values twice, and the
    group holds the extra datasets which such files carry.

    Parameters
    ----------
    path : str or Path
        The file to make.
    **options
        Passed to `build_main`.

    Returns
    -------
    Expected
        Dims (Y, X, Cycle, DC_Offset, Field, Frequency), slowest first.
    """
    swept: list[DimSpec] = [
        ("Cycle", "", np.arange(2)),
        ("DC_Offset", "V", triangle(8, 5.0)),
        ("Field", "", [0, 1]),
        ("Frequency", "Hz", 3e5 + 1e4 * np.arange(7)),
    ]
    options = {"spectroscopic_columns": ("Frequency", "DC_Offset", "Field", "Cycle"), "quantity": "PFM"} | options
    array = distinct((3, 4, 2, 8, 2, 7), dtype="c8")
    built = build_main(path, array, raster(), swept, units="V", **options)
    _add_excitation(built)
    return built


def _add_excitation(built: Expected) -> None:
    """Add datasets that are not mains, some referenced from the main, as the instrument's software does."""
    with h5py.File(built.path, "r+") as file:
        main = file[built.main]
        main.parent["Noise_Floor"] = np.zeros((12, 1), dtype=[("super_band", "f4"), ("inter_bin_band", "f4")])
        main.parent["UDVS"] = np.arange(12.0).reshape(4, 3)
        main.parent["UDVS"].attrs["labels"] = np.array([b"step_num", b"dc_offset", b"ac_amp"])
        main.parent["Bin_Frequencies"] = built.coords["Frequency"][1]
        for name in ("Noise_Floor", "UDVS", "Bin_Frequencies"):
            main.attrs[name] = main.parent[name].ref
        main.attrs["In_Field_Plot_Group"] = main.regionref[:, :7]
        file.attrs.update({"data_type": "BEPSData", "translator": "ODF", "sample_name": "PZT"})
        file["Measurement_000"].attrs.update({"VS_mode": "DC modulation mode", "grid_size_x": 4, "IO_rate": "NaN"})


def forc_file(path: str | Path, **options: Any) -> Expected:
    """Build a first-order reversal curve file: the values of DC_Offset grow with each FORC.

    Parameters
    ----------
    path : str or Path
        The file to make.
    **options
        Passed to `build_main`.

    Returns
    -------
    Expected
        Dims (Y, X, FORC, DC_Offset, Frequency); the coordinate DC_Offset lies over (FORC, DC_Offset).
    """
    bias = np.stack([triangle(8, top) for top in (1.0, 2.0, 3.0)])[:, :, None]
    swept: list[DimSpec] = [
        ("FORC", "", np.arange(3)),
        ("DC_Offset", "V", bias),
        ("Frequency", "Hz", 3e5 + 1e4 * np.arange(5)),
    ]
    columns = ("Frequency", "DC_Offset", "FORC")
    options = {"spectroscopic_columns": columns} | options
    return build_main(path, distinct((3, 4, 3, 8, 5)), raster(), swept, **options)


def relaxation_file(path: str | Path, **options: Any) -> Expected:
    """Build a relaxation file: the column Field is determined by Repeats (the pulse is on at the first one only).

    Parameters
    ----------
    path : str or Path
        The file to make.
    **options
        Passed to `build_main`.

    Returns
    -------
    Expected
        Dims (Y, X, Voltage, Repeats, Frequency) and the coordinate Field over Repeats.
    """
    swept: list[DimSpec] = [
        ("Voltage", "V", np.linspace(-3, 3, 7)),
        ("Repeats", "", np.arange(5)),
        ("Frequency", "kHz", [300.0, 310.0, 320.0]),
    ]
    pulse = np.array([1, 0, 0, 0, 0]).reshape(1, 5, 1)
    options = {"spectroscopic_dependent": [("Field", "V", 1 - pulse, pulse)]} | options
    return build_main(path, distinct((3, 4, 7, 5, 3)), raster(), swept, **options)


def sparse_file(path: str | Path, **options: Any) -> Expected:
    """Build a file of randomly placed spectra: each position index counts alike, places are in the values.

    Parameters
    ----------
    path : str or Path
        The file to make.
    **options
        Passed to `build_main`.

    Returns
    -------
    Expected
        Dims (position, Frequency) and the coordinates X, Y over position; the underlying grid is 7 x 5.
    """
    cells = np.random.default_rng(3).permutation(35)[:8]
    places: list[DimSpec] = [("X", "nm", 50.0 * (cells % 7)), ("Y", "um", 1.25 * (cells // 7))]
    return build_sparse(path, distinct((8, 3)), places, [("Frequency", "kHz", [300.0, 315.0, 330.0])], **options)


def aborted_file(path: str | Path, **options: Any) -> Expected:
    """Build a raster of 5 x 7 that was stopped after 31 rows, in its last line.

    Parameters
    ----------
    path : str or Path
        The file to make.
    **options
        Passed to `build_main`.

    Returns
    -------
    Expected
        Dims (position, Bias) and the coordinates X, Y over position.
    """
    swept: list[DimSpec] = [("Bias", "V", np.linspace(-1, 1, 6))]
    return build_main(path, distinct((5, 7, 6)), raster(5, 7), swept, rows=31, **options)


def snake_file(path: str | Path, **options: Any) -> Expected:
    """Build a raster of 5 x 4 in which every other line was scanned backwards.

    Parameters
    ----------
    path : str or Path
        The file to make.
    **options
        Passed to `build_main`.

    Returns
    -------
    Expected
        Dims (Y, X, Bias): the order of acquisition does not show.
    """
    swept: list[DimSpec] = [("Bias", "V", np.linspace(-1, 1, 6))]
    return build_main(path, distinct((5, 4, 6)), raster(5, 4), swept, row_order="snake", **options)


def image_file(path: str | Path, **options: Any) -> Expected:
    """Build an image: nothing was swept, which the file holds as one step called "arb".

    Parameters
    ----------
    path : str or Path
        The file to make.
    **options
        Passed to `build_main`.

    Returns
    -------
    Expected
        Dims (Y, X, arb); the last has one step.
    """
    options = {"quantity": "Height", "units": "m"} | options
    return build_main(path, distinct((5, 4, 1)), raster(5, 4), **options)


def shared_file(path: str | Path, *, channels: int = 3, **options: Any) -> tuple[Expected, ...]:
    """Build a file of several channels which share their four ancillaries in the measurement's group.

    Parameters
    ----------
    path : str or Path
        The file to make.
    channels : int
        How many mains.
    **options
        Passed to `build_main` for the first channel.

    Returns
    -------
    tuple of Expected
        One per channel; dims (Y, X, arb).
    """
    built: list[Expected] = []
    with h5py.File(path, "w") as file:
        for number in range(channels):
            group = file.require_group(f"Measurement_000/Channel_{number:03d}")
            sides = (built[0].position, built[0].spectroscopic) if built else (raster(5, 4), ())
            array = distinct((5, 4, 1), seed=number)
            built.append(build_main(group, array, *sides, quantity=f"Channel {number}", **options))
    return tuple(built)
