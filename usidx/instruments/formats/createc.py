"""Createc images (.dat) and spectra (.VERT) -> channels in metres and amperes.

A header of 16384 bytes with lines ``name / other name=value``, then the images as counts of the converter: int16 for
``[Parameter]``, float32 for ``[Paramet32]``, the same deflated for ``[Paramco32]``, behind one unused cell.
Heights are counts * 20 V / 2^bits * GainZ * ZPiezoconst (in Å per V), currents counts * 20 V / 2^bits / 10^GainPre: the
lengths of the frame in the header follow from the same rule. Heights of spectra stay counts. Rows run from the top.
A scan that was stopped keeps the lines that were measured, in their places.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.format.layout import Array
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.reader import Confidence, FormatReader
from usidx.instruments.scan_frame import count_along, describe_frame

__all__ = ["DAT", "VERT"]

_HEADER: Final = 16384
_KINDS: Final = {b"[Parameter]": "<i2", b"[Paramet32]": "<f4", b"[Paramco32]": "<f4"}
_SPECTRA: Final = (b"[ParVERT30]", b"[ParVERT32]")
_ANGSTROM: Final = 1e-10
_VOLTS: Final = 20.0  # from end to end of the converter
_LARGEST_IMAGE: Final = 512 << 20
#: Signals of a spectrum by the bits of its code, behind index, bias, and z.
_SIGNALS: Final = (
    "Current", "dI_dV", "d2I_dV2", "ADC0", "ADC1", "ADC2", "ADC3", "Unknown 1", "Unknown 2", "Unknown 3",
    "dI_dV quadrature", "d2I_dV2 quadrature", "DAC0",
)  # fmt: skip


def _recognize_dat(path: Path, head: bytes) -> float:
    kind = head[:11]
    return Confidence(0.98, f"begins with {kind.decode()!r}") if kind in _KINDS else 0.0


def _recognize_vert(path: Path, head: bytes) -> float:
    kind = head[:11]
    return Confidence(0.98, f"begins with {kind.decode()!r}") if kind in _SPECTRA else 0.0


def _read_header(content: bytes) -> dict[str, str]:
    """Return the values by each of their names, the second of two."""
    lines = content.decode("cp1252", "replace").splitlines()
    # Behind the settings some versions keep a small picture.
    pairs = (line.strip().partition("=") for line in lines if line.strip().isprintable())
    return {name.split(" / ")[-1].strip(): value.strip() for name, sign, value in pairs if sign and name.strip(" /")}


def _get(header: dict[str, str], *names: str) -> float:
    for name in names:
        if name in header:
            return float(header[name])
    raise TranslationError(f"its header does not tell {names[0]!r}")


def _count_volts(header: dict[str, str]) -> float:
    """Return what one count stands for."""
    bits = re.match(r"\s*(\d+)", header.get("DAC-Type", "16bit"))
    return _VOLTS / 2.0 ** int(bits[1] if bits else 16)


def _parse_dat(path: Path) -> xr.DataTree:
    with path.open("rb") as file:
        head = file.read(_HEADER)
        kind = head[:11]
        if kind not in _KINDS or len(head) < _HEADER:
            raise TranslationError("its header is cut off, or not of a Createc image")
        header = _read_header(head)
        columns, rows = int(_get(header, "Num.X")), int(_get(header, "Num.Y"))
        count = int(_get(header, "Channels"))
        dtype = np.dtype(_KINDS[kind])
        size = dtype.itemsize * (1 + count * rows * columns)
        if min(rows, columns, count) < 1 or size > _LARGEST_IMAGE:
            raise TranslationError(f"its header tells {count} images of {rows} x {columns} pixels")
        content = file.read() if kind == b"[Paramco32]" else file.read(size)
    content = _unpack(content, size) if kind == b"[Paramco32]" else content
    if len(content) < size:
        raise TranslationError(f"its images have {len(content)} of {size} bytes: it is cut off, or damaged")
    images = np.frombuffer(content, dtype, offset=dtype.itemsize, count=size // dtype.itemsize - 1)
    return build_tree(_list_images(images.reshape(count, rows, columns), header), dict(header))


def _unpack(content: bytes, size: int) -> bytes:
    """Inflate as much as the header promises, and no more."""
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(content, size)
    except zlib.error as err:
        raise TranslationError(f"its images are damaged: {err}") from err
    if not inflater.eof and not inflater.unconsumed_tail:
        raise TranslationError("its images end too early: it is cut off")
    return found


def _list_images(images: Array, header: dict[str, str]) -> Iterator[Channel]:
    count, rows, columns = images.shape
    width, height = (_get(header, f"Length {one}[A]") * _ANGSTROM for one in "xy")
    measured = np.flatnonzero((images != 0).any(axis=(0, 2)))
    if not measured.size:
        raise TranslationError("no line of it was measured")
    kept = slice(measured[0], measured[-1] + 1)
    y = Axis("Y", count_along(rows, height, "Y")[kept], "m", "position")
    x = Axis("X", count_along(columns, width, "X"), "m", "position")
    frame = describe_frame("m", center=_find_center(header), size=(height, width), angle=_get(header, "Rotation"))
    attrs = {} if measured.size == rows else {"lines_measured": measured.size, "lines_planned": rows}
    signals = int(header.get("Chan(1,2,4)", 0) or 0) or max(count // 2, 1)
    for number, image in enumerate(images):
        name, units, factor = _scale(number % signals, header)
        direction = "backward" if number >= signals else "forward"
        data = image[kept].astype(float) * factor
        told = {"direction": direction, "counts_factor": factor, **attrs}
        yield Channel(f"{name}/{direction}", data, (y, x), name, units, frame, told)


def _scale(number: int, header: dict[str, str]) -> tuple[str, str, float]:
    """Return what an image shows, its unit, and what a count of it stands for."""
    volts = _count_volts(header)
    if number == 0:
        return "Z", "m", volts * _get(header, "GainZ") * _get(header, "ZPiezoconst") * _ANGSTROM
    if number == 1:
        return "Current", "A", volts / 10 ** _get(header, "GainPre 10^", "Gainpreamp")
    return f"Channel {number}", "V", volts


def _find_center(header: dict[str, str]) -> tuple[float, float]:
    """Return where the frame lies, (Y, X); offsets count against the axes."""
    volts = _count_volts(header)
    constants = _get(header, "Xpiezoconst", "XPiezoconst"), _get(header, "YPiezoconst", "Ypiezoconst")
    gains = _get(header, "GainX"), _get(header, "GainY")
    x, y = (-_get(header, f"Offset{n}") * volts * g * c for n, g, c in zip("XY", gains, constants, strict=True))
    return y * _ANGSTROM, x * _ANGSTROM


def _parse_vert(path: Path) -> xr.DataTree:
    content = path.read_bytes()
    start = re.search(rb"\r?\nDATA\r?\n", content)
    if start is None:
        raise TranslationError("it has no line DATA: it is cut off, or no spectrum")
    header = _read_header(content[: start.start()])
    told, _, body = content[start.end() :].decode("cp1252", "replace").partition("\n")
    points, x, y, code = (int(float(one)) for one in told.split()[:4])
    table = _read_table(body, points)
    volts = _count_volts(header)
    place = {
        "X": xr.Variable((), float(x), {"units": "counts", "usid_role": "position"}),
        "Y": xr.Variable((), float(y), {"units": "counts", "usid_role": "position"}),
    }
    return build_tree(_list_signals(table, code, header, volts, place), dict(header))


def _read_table(body: str, points: int) -> Array:
    try:
        table: Array = np.loadtxt(io.StringIO(body), ndmin=2)
    except ValueError as err:
        raise TranslationError(f"its table is damaged: {err}") from err
    if len(table) < points or table.shape[1] < 4:
        raise TranslationError(f"it has {table.shape} numbers, and its header tells {points} points")
    return table[:points] if points else table


def _list_signals(
    table: Array, code: int, header: dict[str, str], volts: float, place: dict[str, xr.Variable]
) -> Iterator[Channel]:
    """Give z and the signals that the code names, over the bias where it was swept, else over the points."""
    bias = table[:, 1] * 1e-3
    is_swept = np.ptp(bias) > 0
    points = Axis("point", np.arange(len(bias)), "", "spectroscopic")
    axis = Axis("Bias", bias, "V", "spectroscopic") if is_swept else points
    yield Channel("Z", table[:, 2].copy(), (axis,), "Z", "counts", place)
    if not is_swept:
        yield Channel("Bias", bias, (axis,), "Bias", "V", place)
    named = [name for bit, name in enumerate(_SIGNALS) if code >> bit & 1]
    before = max(table.shape[1] - len(named), 3)
    gain = 10 ** _get(header, "GainPre 10^", "Gainpreamp")
    for number in range(3, table.shape[1]):
        name = named[number - before] if number >= before else f"Column {number}"
        factor, units = (volts / gain, "A") if name == "Current" else (volts, "V")
        yield Channel(name, table[:, number] * factor, (axis,), name, units, place, {"counts_factor": factor})


DAT: Final = FormatReader("createc_dat", "Createc image (.dat)", _recognize_dat, _parse_dat, (".dat",))
VERT: Final = FormatReader("createc_vert", "Createc spectrum (.VERT)", _recognize_vert, _parse_vert, (".vert",))
