"""Small files to try things on, made on the spot: one for each technique."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final, Literal

import xarray as xr

from usidx import simulate
from usidx.errors import ExistsError, UsidError
from usidx.io.write.results import write

__all__ = ["Kind", "example_file"]

Kind = Literal[
    "band_excitation",
    "switching",
    "relaxation",
    "tunnelling",
    "general_mode",
    "kelvin_probe",
    "force_map",
    "topography",
    "drift",
    "atoms",
    "raman",
    "eels",
    "4d_stem",
]

_Simulate = Callable[..., tuple[xr.DataArray, xr.Dataset]]
#: Kind -> the function of `usidx.simulate`, and what it is called with.
_KINDS: Final[Mapping[str, tuple[_Simulate, dict[str, Any]]]] = {
    "band_excitation": (simulate.band_excitation, {"shape": (12, 10), "frequencies": 32}),
    "switching": (simulate.beps, {"shape": (8, 8), "frequencies": 24, "dc_steps": 32}),
    "relaxation": (simulate.relaxation, {"shape": (8, 8), "times": 48, "biases": 3}),
    "tunnelling": (simulate.current_voltage, {"shape": (16, 16), "biases": 101}),
    "general_mode": (simulate.gmode_lines, {"shape": (8, 8)}),
    "kelvin_probe": (simulate.gkpfm, {"shape": (4, 4)}),
    "force_map": (simulate.force_map, {"shape": (12, 12), "samples": 200}),
    "topography": (simulate.stepped_surface, {"shape": (96, 128), "scars": 4}),
    "drift": (simulate.drifting_stack, {"shape": (64, 96), "frames": 8}),
    "atoms": (simulate.atoms, {"shape": (128, 128), "scatter": 0.004}),
    "raman": (simulate.spectrum_image, {"shape": (20, 24), "channels": 256, "technique": "raman"}),
    "eels": (simulate.spectrum_image, {"shape": (20, 24), "channels": 256, "technique": "eels"}),
    "4d_stem": (simulate.diffraction, {"shape": (16, 16), "detector": (32, 32)}),
}


def example_file(path: str | PathLike[str] | None = None, *, kind: Kind = "band_excitation") -> str:
    """Write a small simulated scan to a file: the ones that the pages of the documentation use.

    The same kind is the same scan each time. What is true of it, such as where its peaks are, is not in the file; the
    history of the array names the function of :mod:`usidx.simulate` that gives it, with each argument.

    Parameters
    ----------
    path : path, optional
        Where to, such as ``"scan.h5"``. By default a temporary folder that is removed when Python ends.
    kind : str
        What was measured. ``"band_excitation"``: piezoresponse over a band of frequencies, dims (Y, X, Frequency);
        ``"switching"``: the same at each step of a bias cycle, (Y, X, DC_Offset, Frequency); ``"relaxation"``: after
        pulses of bias, (Y, X, DC_Offset, Time); ``"tunnelling"``: current over bias, (Y, X, Bias);
        ``"general_mode"``: current digitised along each line without a break, (Y, Time); ``"kelvin_probe"``: deflection
        under a fast bias, (Y, X, Time); ``"force_map"``: a force curve at each position, approach and retract, (Y, X,
        time); ``"topography"``: heights with steps, particles, a background, lines that jump
        and scars, (Y, X); ``"drift"``: images of one place that drifts away, (Frame, Y, X); ``"atoms"``: columns of
        atoms, (Y, X); ``"raman"`` and ``"eels"``: maps of spectra, (Y, X, Raman_Shift) and (Y, X, Energy_Loss);
        ``"4d_stem"``: a diffraction pattern at each position, (Y, X, detector_Y, detector_X).

    Returns
    -------
    str
        The path; the one main dataset is ``/Measurement_000/Channel_000/Raw_Data``, of patterns ``.../Counts``.

    Raises
    ------
    ExistsError
        A file of that name exists.
    UsidError
        There is no such kind.

    Examples
    --------
    >>> import usidx
    >>> usidx.list_mains(usidx.example_file())
    ['/Measurement_000/Channel_000/Raw_Data']
    >>> usidx.open_main(usidx.example_file(kind="raman")).dims
    ('Y', 'X', 'Raman_Shift')
    """
    if kind not in _KINDS:
        raise UsidError(f"There is no example {kind!r}; there are {', '.join(map(repr, _KINDS))}.")
    if path is None:
        folder = tempfile.mkdtemp(prefix="usidx-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        path = str(Path(folder) / "scan.h5")
    if Path(path).exists():
        raise ExistsError(f"{fspath(path)!r} exists; give another name, or none for a temporary file.")
    make, options = _KINDS[kind]
    scan, _ = make(**options)
    write(scan, path)
    return fspath(path)
