"""Merlin detectors (.mib) -> frames over the scan, lazily.

Each frame is a header that begins with ``MQ1`` and tells its own size, and the pixels, big-endian. How the frames lie
in the scan tells the text file of the same name that ends in ``.hdr``: frames per trigger, which is once a line.
Without it the frames are one after another. Rows are kept as the file has them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.file_array import lay_out
from usidx.instruments.reader import Confidence, FormatReader

__all__ = ["READER"]

_MAGIC: Final = b"MQ1,"
_TYPES: Final = {"U08": ">u1", "U8": ">u1", "U16": ">u2", "U32": ">u4", "U64": ">u8"}
_MOST_PIXELS: Final = 1 << 28


@dataclass(frozen=True, slots=True)
class _Frame:
    header: int
    rows: int
    columns: int
    dtype: np.dtype[np.unsignedinteger]
    fields: tuple[str, ...]

    @property
    def bytes(self) -> int:
        return self.header + self.rows * self.columns * self.dtype.itemsize


def _recognize(path: Path, head: bytes) -> float:
    return Confidence(0.97, "begins with 'MQ1,'") if head.startswith(_MAGIC) else 0.0


def _parse(path: Path) -> xr.DataTree:
    with path.open("rb") as file:
        frame = _read_frame_header(file.read(4096))
    count, rest = divmod(path.stat().st_size, frame.bytes)
    if rest or not count:
        raise TranslationError(f"it ends within frame {count}: it is cut off, or damaged")
    text = _read_companion(path)
    shape = _find_scan(text, count)
    inner = frame.columns * frame.dtype.itemsize, frame.dtype.itemsize
    outer = (frame.bytes,) if len(shape) == 1 else (shape[1] * frame.bytes, frame.bytes)
    pixels = frame.rows, frame.columns
    data = lay_out(path, "mib", (*shape, *pixels), frame.dtype, offset=frame.header, strides=(*outer, *inner))
    names = ("frame",) if len(shape) == 1 else ("Y", "X")
    axes = [Axis(name, np.arange(n), "", "position") for name, n in zip(names, shape, strict=True)]
    names = "detector_Y", "detector_X"
    axes += [Axis(n, np.arange(size), "pixel", "spectroscopic") for n, size in zip(names, pixels, strict=True)]
    attrs = {"first_frame_header": ",".join(frame.fields), "frames_measured": count, **text}
    return build_tree([Channel("Counts", data, tuple(axes), "Counts", "counts")], attrs)


def _read_frame_header(head: bytes) -> _Frame:
    """Read: MQ1, number, bytes of the header, chips, columns, rows, type of the pixels, ..."""
    fields = tuple(part.strip() for part in head[:768].split(b"\0")[0].decode("latin-1").split(","))
    if len(fields) < 7 or fields[0] != "MQ1":
        raise TranslationError("its first frame has no header of a Merlin detector")
    size, columns, rows = int(fields[2]), int(fields[4]), int(fields[5])
    if fields[6] not in _TYPES:
        raise TranslationError(f"its pixels are of the type {fields[6]!r}, and only {', '.join(_TYPES)} are known")
    if not (0 < size < 1 << 16 and 0 < rows * columns < _MOST_PIXELS and rows > 0):
        raise TranslationError(f"its first frame tells a header of {size} bytes and {rows} x {columns} pixels")
    return _Frame(size, rows, columns, np.dtype(_TYPES[fields[6]]), fields[:20])


def _read_companion(path: Path) -> dict[str, str]:
    """Return what the text file beside the frames says, by its names without their unit."""
    beside = path.with_suffix(".hdr")
    if not beside.is_file():
        return {}
    lines = beside.read_bytes()[: 1 << 20].decode("utf-8", "replace").splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, sign, value in pairs if sign and name.strip()}


def _find_scan(text: dict[str, str], count: int) -> tuple[int, ...]:
    """Return (rows, columns) of the scan, or the number of frames where nobody tells."""
    line = next((value for name, value in text.items() if name.startswith("Frames per Trigger")), "")
    found = re.match(r"\d+", line)
    columns = int(found[0]) if found else 0
    return (count // columns, columns) if 1 < columns <= count and not count % columns else (count,)


READER: Final = FormatReader("mib", "Merlin detector (.mib)", _recognize, _parse, (".mib",))
