"""Small files of instruments, written from the descriptions of their formats, and what is true of them."""

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

__all__ = ["MAKERS", "SmallScan", "find_arrays", "make_mib", "make_sxm"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class SmallScan:
    """A file that was made.

    Attributes
    ----------
    path : Path
        The file.
    reader : str
        Who should know it.
    truth : dict of str to ndarray
        By the path of the leaf.
    is_counted : bool
        Whether the format tells how long it is, so that a part of it is known as such.
    """

    path: Path
    reader: str
    truth: dict[str, Array]
    is_counted: bool = True


def find_arrays(tree: xr.DataTree) -> dict[str, xr.DataArray]:
    """Return the array of each leaf by its path."""
    return {node.path: next(iter(node.to_dataset().data_vars.values())) for node in tree.leaves}


def ramp(*shape: int, dtype: str = "f4") -> Array:
    return (np.arange(np.prod(shape)).reshape(shape) + 1).astype(dtype)


def make_gsf(folder: Path) -> SmallScan:
    field = ramp(3, 5)
    head = b"Gwyddion Simple Field 1.0\nXRes = 5\nYRes = 3\nXReal = 5e-9\nYReal = 3e-9\nXYUnits = m\n"
    head += b"ZUnits = V\nTitle = Z\n"
    path = folder / "field.gsf"
    path.write_bytes(head + b"\0" * (4 - len(head) % 4) + field.astype("<f4").tobytes())
    return SmallScan(path, "gsf", {"/Z": field})


def make_npy(folder: Path) -> SmallScan:
    cells = ramp(4, 6, dtype=">i2")
    np.save(folder / "cells.npy", np.asfortranarray(cells))
    return SmallScan(folder / "cells.npy", "npy", {"/cells": cells})


def make_npz(folder: Path) -> SmallScan:
    image, curve = ramp(3, 4), ramp(7, dtype="f8")
    np.savez_compressed(folder / "both.npz", image=image, curve=curve)
    return SmallScan(folder / "both.npz", "npz", {"/image": image, "/curve": curve})


def make_sxm(folder: Path, direction: str = "down") -> SmallScan:
    frames = ramp(3, 4, 6)
    head = (
        f":NANONIS_VERSION:\n2\n:SCANIT_TYPE:\n  FLOAT  MSBFIRST\n:SCAN_PIXELS:\n  6  4\n:SCAN_RANGE:\n 6E-9 8E-9\n"
        f":SCAN_OFFSET:\n 1E-7 2E-7\n:SCAN_ANGLE:\n 30\n:SCAN_DIR:\n{direction}\n:Bias>Bias (V):\n0.25\n"
        ":DATA_INFO:\n\tChannel\tName\tUnit\tDirection\tCalibration\tOffset\n\t14\tZ\tm\tboth\t1\t0\n"
        "\t0\tCurrent\tA\tforward\t1\t0\n\n:SCANIT_END:\n\n\n"
    )
    path = folder / f"{direction}.sxm"
    path.write_bytes(head.encode() + b"\x1a\x04" + frames.astype(">f4").tobytes())
    return SmallScan(
        path, "nanonis_sxm", dict(zip(["/Z/forward", "/Z/backward", "/Current/forward"], frames, strict=True))
    )


def make_3ds(folder: Path) -> SmallScan:
    parameters, sweeps = ramp(2, 3, 4), ramp(2, 3, 2, 5)
    parameters[..., :2] = -1, 1
    head = (
        'Grid dim="3 x 2"\r\nGrid settings=1E-9;2E-9;6E-9;4E-9;15\r\nSweep Signal="Bias (V)"\r\n'
        'Fixed parameters="Sweep Start;Sweep End"\r\nExperiment parameters="X (m);Y (m)"\r\n# Parameters (4 byte)=4\r\n'
        'Points=5\r\nChannels="Current (A);LIX 1 omega (V)"\r\n:HEADER_END:\r\n'
    )
    points = np.concatenate([parameters, sweeps.reshape(2, 3, 10)], axis=-1)
    path = folder / "grid.3ds"
    path.write_bytes(head.encode() + points.astype(">f4").tobytes())
    return SmallScan(path, "nanonis_3ds", {"/Current": sweeps[:, :, 0], "/LIX 1 omega": sweeps[:, :, 1]})


def make_nanonis_dat(folder: Path) -> SmallScan:
    table = ramp(5, 3, dtype="f8")
    lines = ["\t".join(f"{cell:.3E}" for cell in row) for row in table]
    head = "Experiment\tbias spectroscopy\t\r\nX (m)\t1E-9\t\r\nY (m)\t2E-9\t\r\n\r\n[DATA]\r\n"
    titles = "Bias calc (V)\tCurrent (A)\tCurrent [bwd] (A)\r\n"
    path = folder / "curve.dat"
    path.write_bytes((head + titles + "\r\n".join(lines) + "\r\n").encode())
    truth = {"/Current/forward": table[:, 1], "/Current/backward": table[:, 2]}
    return SmallScan(path, "nanonis_dat", truth, is_counted=False)


def make_createc(folder: Path) -> SmallScan:
    """Make a scan of 4 x 5 pixels that was stopped after the two lowest lines."""
    counts = ramp(2, 4, 5)
    counts[:, :2] = 0
    head = (
        "[Paramco32]\r\nDAC-Type=20bit\r\nNum.X / Num.X=5\r\nNum.Y / Num.Y=4\r\nChannels / Channels=2\r\n"
        "Chan(1,2,4) / Chan(1,2,4)=2\r\nGainX / GainX=10\r\nGainY / GainY=10\r\nGainZ / GainZ=3\r\n"
        "Rotation / Rotation=90\r\nGainpreamp / GainPre 10^=9\r\nScanrotoffx / OffsetX=0\r\n"
        "Scanrotoffy / OffsetY=0\r\nLength x[A]=50\r\nLength y[A]=40\r\nZPiezoconst=8\r\nXpiezoconst=37\r\n"
        "YPiezoconst=37\r\n"
    )
    cells = np.concatenate([[0], counts.ravel()]).astype("<f4")
    path = folder / "image.dat"
    path.write_bytes(head.encode("cp1252").ljust(16380) + b"DATA" + zlib.compress(cells.tobytes()))
    z, current = counts[0, 2:] * (20 / 2**20 * 3 * 8 * 1e-10), counts[1, 2:] * (20 / 2**20 / 1e9)
    return SmallScan(path, "createc_dat", {"/Z/forward": z, "/Current/forward": current})


def make_vert(folder: Path) -> SmallScan:
    lines = [f"{n}\t{-100 + 50 * n}\t0\t{1000 * n}" for n in range(5)]
    head = "[ParVERT30]\r\nDAC-Type=20bit\r\nGainpreamp / GainPre 10^=9\r\nDATA\r\n    5    10    20    1\r\n"
    path = folder / "curve.VERT"
    path.write_bytes((head + "\r\n".join(lines) + "\r\n").encode())
    return SmallScan(path, "createc_vert", {"/Current": np.arange(5) * 1000 * 20 / 2**20 / 1e9}, is_counted=False)


def widen(text: str, size: int) -> bytes:
    return text.encode("utf-16-le").ljust(2 * size, b"\0")


def make_park(folder: Path) -> SmallScan:
    raw = ramp(3, 4)
    table = struct.pack("<i", 0) + widen("Z Height", 32) + widen("Tapping", 8) + struct.pack("<diiii", 0, 0, 1, 4, 3)
    table += struct.pack("<didiiidddd", 0, 0, 0.1, 1, 0, 0, 4.0, 3.0, 0, 0) + struct.pack("<dd", 1, 2) + widen("um", 8)
    table += struct.pack("<ddddd", 0, 0, -12.5, 2.0, 1.0) + widen("um", 8)
    start = 8 + 2 + 4 * 12 + 4
    tags = [
        (50432, 4, 1, 235082497),
        (50433, 4, 1, 16777218),
        (50434, 1, 48, start),
        (50435, 7, len(table), start + 48),
    ]
    head = b"II*\0" + struct.pack("<IH", 8, 4) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    path = folder / "park.tiff"
    path.write_bytes(head + raw.astype("<f4").tobytes() + table)
    return SmallScan(path, "park", {"/Z Height": raw * -25.0 + 1.0})


def make_mib(folder: Path, shape: tuple[int, int] = (3, 4), pixels: tuple[int, int] = (6, 8)) -> SmallScan:
    frames = ramp(*shape, *pixels, dtype="u2")
    path = folder / "scan.mib"
    with path.open("wb") as file:
        for number, frame in enumerate(frames.reshape(-1, *pixels)):
            head = f"MQ1,{number + 1:06d},00384,01,{pixels[1]:04d},{pixels[0]:04d},U16,   1x1,01,2026-11-29 12:00:00.0,"
            file.write(head.encode().ljust(384, b"\0") + frame.astype(">u2").tobytes())
    told = f"HDR,\t\r\nFrames in Acquisition (Number):\t{frames.shape[0] * shape[1]}\r\n"
    (folder / "scan.hdr").write_text(f"{told}Frames per Trigger (Number):\t{shape[1]}\r\nEnd\t\r\n")
    return SmallScan(path, "mib", {"/Counts": frames})


def make_raw(folder: Path) -> SmallScan:
    cells = ramp(2, 3, 4, 5, dtype="u2")
    (folder / "four.raw").write_bytes(b"HEAD" + cells.astype("<u2").tobytes())
    roles = ["position", "position", "spectroscopic", "spectroscopic"]
    axes = [{"name": n, "role": role, "scale": 0.5, "units": "nm"} for n, role in zip("YXvu", roles, strict=True)]
    told = {"shape": cells.shape, "dtype": "<u2", "offset": 4, "axes": axes, "units": "counts"}
    (folder / "four.json").write_text(json.dumps(told))
    return SmallScan(folder / "four.raw", "raw", {"/four": cells})


def make_csv(folder: Path) -> SmallScan:
    path = folder / "table.csv"
    path.write_bytes("Energy [eV];Counts\r\n1,5;10\r\n2,5;20\r\n3,5;40\r\n".encode("utf-16"))
    return SmallScan(path, "text_table", {"/Counts": np.array([10.0, 20.0, 40.0])}, is_counted=False)


MAKERS: Final[dict[str, Callable[[Path], SmallScan]]] = {
    "gsf": make_gsf,
    "npy": make_npy,
    "npz": make_npz,
    "nanonis_sxm": make_sxm,
    "nanonis_3ds": make_3ds,
    "nanonis_dat": make_nanonis_dat,
    "createc_dat": make_createc,
    "createc_vert": make_vert,
    "park": make_park,
    "mib": make_mib,
    "raw": make_raw,
    "text_table": make_csv,
}
