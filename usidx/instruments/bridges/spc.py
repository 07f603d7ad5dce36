"""Galactic (Thermo) SPC files, new and old -> channels: a spectrum, or a series of them.

The new layout is of 1996 (version 0x4B), the old one of before (0x4D), where 32-bit numbers have their halves turned.
EDAX's files of the same name are others.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.format.layout import Array
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.reader import Confidence, FormatReader

__all__ = ["READER"]

_NEW, _OLD = 0x4B, 0x4D
_SHORT, _MULTI, _OWN_X, _X_VALUES = 0x01, 0x04, 0x40, 0x80
_FLOATS: Final = -128
_NEW_HEADER, _OLD_HEADER, _SUB_HEADER = 512, 256, 32
_MOST_SPECTRA: Final = 1 << 20
_X: Final = {
    1: ("Wavenumber", "1/cm"), 2: ("Wavelength", "um"), 3: ("Wavelength", "nm"), 4: ("Time", "s"), 5: ("Time", "min"),
    6: ("Frequency", "Hz"), 7: ("Frequency", "kHz"), 8: ("Frequency", "MHz"), 9: ("Mass", "m/z"), 10: ("Shift", "ppm"),
    13: ("Raman shift", "1/cm"), 14: ("Energy", "eV"), 17: ("Channel", ""), 18: ("Angle", "deg"),
    20: ("Temperature", "°C"), 21: ("Temperature", "K"), 23: ("Time", "ms"), 24: ("Time", "us"), 25: ("Time", "ns"),
    26: ("Frequency", "GHz"), 27: ("Length", "cm"), 28: ("Length", "m"), 29: ("Length", "mm"), 30: ("Time", "h"),
}  # fmt: skip
_Y: Final = {
    1: ("Interferogram", ""), 2: ("Absorbance", ""), 3: ("Kubelka-Munk", ""), 4: ("Counts", "counts"),
    5: ("Voltage", "V"), 6: ("Angle", "deg"), 7: ("Current", "mA"), 8: ("Length", "mm"), 9: ("Voltage", "mV"),
    10: ("log(1_R)", ""), 11: ("Percent", "%"), 12: ("Intensity", ""), 13: ("Relative intensity", ""),
    128: ("Transmission", ""), 129: ("Reflectance", ""), 131: ("Emission", ""),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Header:
    flags: int
    version: int
    exponent: int
    points: int
    first: float
    last: float
    spectra: int
    x_kind: int
    y_kind: int
    z_kind: int
    comment: str
    start: int


def _recognize(path: Path, head: bytes) -> float:
    if path.suffix.lower() != ".spc" or len(head) < _OLD_HEADER or head[1] not in {_NEW, _OLD}:
        return 0.0
    try:
        header = _read_header(head)
    except TranslationError:
        return 0.0
    return Confidence(0.7, f"a header of the version {header.version:#x} of SPC") if header.points else 0.0


def _parse(path: Path) -> xr.DataTree:
    content = path.read_bytes()
    header = _read_header(content)
    spectra = list(_list_spectra(content, header))
    if not spectra:
        raise TranslationError("it holds no spectrum")
    name, units = _Y.get(header.y_kind, ("Intensity", ""))
    label, x_units = _X.get(header.x_kind, ("Abscissa", ""))
    attrs = {"comment": header.comment}
    same = all(np.array_equal(one[0], spectra[0][0]) for one in spectra)
    if not same:
        return build_tree(
            [Channel(name, y, (Axis(label, x, x_units, "spectroscopic"),), name, units) for x, y, _ in spectra], attrs
        )
    x = Axis(label, spectra[0][0], x_units, "spectroscopic")
    if len(spectra) == 1:
        return build_tree([Channel(name, spectra[0][1], (x,), name, units)], attrs)
    z_label, z_units = _X.get(header.z_kind, ("Spectrum", ""))
    places = np.array([z for _, _, z in spectra])
    if len(np.unique(places)) < len(places):
        z_label, z_units, places = "Spectrum", "", np.arange(len(spectra), dtype="f8")
    axes = (Axis(z_label if z_label != label else f"{z_label}_z", places, z_units, "position"), x)
    return build_tree([Channel(name, np.stack([y for _, y, _ in spectra]), axes, name, units)], attrs)


def _read_header(content: bytes) -> _Header:
    if len(content) < _OLD_HEADER or content[1] not in {_NEW, _OLD}:
        raise TranslationError("it does not begin as an SPC file of the versions 0x4B and 0x4D")
    flags, version = content[0], content[1]
    if version == _NEW:
        if len(content) < _NEW_HEADER:
            raise TranslationError("it ends within its header")
        exponent, points = struct.unpack("<bi", content[3:8])
        first, last, spectra = struct.unpack("<ddi", content[8:28])
        kinds, comment, start = content[28:31], content[88:218], _NEW_HEADER
    else:
        exponent, count, first, last = struct.unpack("<hfff", content[2:16])
        if not 0 <= count < 2**31:
            raise TranslationError(f"its header promises {count} points")
        points, spectra = int(count), _MOST_SPECTRA if flags & _MULTI else 1
        kinds, comment, start = bytes([content[16], content[17], 0]), content[64:194], _OLD_HEADER - _SUB_HEADER
    if not 0 <= points <= len(content) or not 0 <= spectra <= _MOST_SPECTRA:
        raise TranslationError(f"its header promises {spectra} spectra of {points} points")
    text = comment.partition(b"\0")[0].decode("latin-1").strip()
    return _Header(
        flags, version, exponent, points, first, last, max(1, spectra), kinds[0], kinds[1], kinds[2], text, start
    )


def _list_spectra(content: bytes, header: _Header) -> Iterator[tuple[Array, Array, float]]:
    """Yield (x, y, z) of each spectrum."""
    at, common = header.start, np.linspace(header.first, header.last, header.points)
    if header.flags & _X_VALUES and not header.flags & _OWN_X:
        common, at = _take(content, at, header.points, "<f4").astype("f8"), at + 4 * header.points
    for _ in range(header.spectra):
        if header.version == _OLD and len(content) - at < _SUB_HEADER:
            return
        head = content[at : at + _SUB_HEADER]
        if len(head) < _SUB_HEADER:
            raise TranslationError("it is cut off between two spectra")
        exponent, z, points = head[1], *struct.unpack("<f", head[4:8]), *struct.unpack("<i", head[16:20])
        at, x = at + _SUB_HEADER, common
        count = header.points
        if header.flags & _OWN_X:
            count = points
            x, at = _take(content, at, count, "<f4").astype("f8"), at + 4 * count
        own = exponent - 256 if exponent > 127 else exponent
        y, size = _read_numbers(content, at, count, header, own)
        at += size
        yield x, y, float(z)


def _read_numbers(content: bytes, at: int, count: int, header: _Header, own: int) -> tuple[Array, int]:
    """Read the numbers of a spectrum: floats, or whole numbers whose unit is a power of two."""
    exponent = own if header.flags & _MULTI else header.exponent
    if _FLOATS in {exponent, header.exponent}:
        return _take(content, at, count, "<f4"), 4 * count
    if header.flags & _SHORT:
        return _take(content, at, count, "<i2") * 2.0 ** (exponent - 16), 2 * count
    numbers = _take(content, at, count, "<i4")
    if header.version == _OLD:
        numbers = numbers.view("<u2").reshape(-1, 2)[:, ::-1].copy().view("<i4").reshape(-1)
    return numbers * 2.0 ** (exponent - 32), 4 * count


def _take(content: bytes, at: int, count: int, dtype: str) -> Array:
    if count <= 0 or at + count * np.dtype(dtype).itemsize > len(content):
        raise TranslationError(f"it is cut off: its header promises {count} points, at byte {at} of {len(content)}")
    return np.frombuffer(content, dtype, count, at)


READER: Final = FormatReader(
    name="spc",
    opens="Galactic spectra (.spc)",
    recognize=_recognize,
    parse=_parse,
    extensions=(".spc",),
)
