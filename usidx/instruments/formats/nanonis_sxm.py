"""Nanonis scans -> a channel for each direction of each signal.

A header of ``:KEY:`` lines, then frames of float32, one after another. A frame holds its lines as they were scanned:
the first line is the top one of a scan downwards, and backward lines run from right to left. The arrays keep that
order, and their axes say it: Y falls in scans downwards, X falls in backward frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.instruments.channel import Channel, build_tree
from usidx.instruments.file_array import lay_out
from usidx.instruments.reader import Confidence, FormatReader
from usidx.instruments.scan_frame import describe_frame, make_scan_axes

__all__ = ["READER"]

_MAGIC: Final = b":NANONIS_VERSION:"
_END: Final = b":SCANIT_END:"
_START: Final = b"\x1a\x04"  # of the data
_LONGEST_HEADER: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class _Signal:
    name: str
    units: str
    directions: tuple[str, ...]


def _recognize(path: Path, head: bytes) -> float:
    return Confidence(0.99, "begins with ':NANONIS_VERSION:'") if head.startswith(_MAGIC) else 0.0


def _parse(path: Path) -> xr.DataTree:
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    end = head.find(_END)
    start = head.find(_START, end)
    if not head.startswith(_MAGIC) or end < 0 or start < 0:
        raise TranslationError("its header of a Nanonis scan does not end: it is cut off, or damaged")
    header = _read_header(head[:end].decode("utf-8", "replace"))
    return build_tree(_list_channels(path, header, start + len(_START)), dict(header))


def _read_header(text: str) -> dict[str, str]:
    """Return the lines below each ``:KEY:``."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(":") and line.rstrip().endswith(":") and len(line) > 2:
            lines = found.setdefault(line.strip()[1:-1], [])
        else:
            lines.append(line.strip("\r"))
    return {key: "\n".join(one.strip() for one in value).strip() for key, value in found.items()}


def _list_channels(path: Path, header: dict[str, str], offset: int) -> Iterator[Channel]:
    columns, rows = (int(n) for n in header["SCAN_PIXELS"].split())
    width, height = (float(n) for n in header["SCAN_RANGE"].split())
    center_x, center_y = (float(n) for n in header["SCAN_OFFSET"].split())
    size, angle = (height, width), float(header["SCAN_ANGLE"])
    frame = describe_frame("m", center=(center_y, center_x), size=size, angle=angle)
    kind = header.get("SCANIT_TYPE", "FLOAT MSBFIRST").split()
    if kind[:1] != ["FLOAT"]:
        raise TranslationError(f"its data are of the type {kind}, and only FLOAT is known")
    dtype = np.dtype("<f4" if "LSBFIRST" in kind else ">f4")
    is_down = header.get("SCAN_DIR", "down").strip() == "down"
    for number, (signal, direction) in enumerate((s, d) for s in _list_signals(header) for d in s.directions):
        place = offset + number * rows * columns * dtype.itemsize
        data = lay_out(path, "nanonis_sxm", (rows, columns), dtype, offset=place)
        axes = make_scan_axes(rows, columns, size, flip_y=is_down, flip_x=direction == "backward")
        attrs = {"direction": direction, **_tell_missing(data[:, 0].compute())}
        yield Channel(f"{signal.name}/{direction}", data, axes, signal.name, signal.units, frame, attrs)


def _list_signals(header: dict[str, str]) -> Iterator[_Signal]:
    """Give the signals of the table, in the order of the frames."""
    titles, *rows = [line.split("\t") for line in header["DATA_INFO"].splitlines() if line.strip()]
    places = {title.strip(): number for number, title in enumerate(titles)}
    for row in rows:
        name, units, told = (row[places[title]].strip() for title in ("Name", "Unit", "Direction"))
        directions = ("forward", "backward") if told == "both" else (told,)
        yield _Signal(name.replace("/", "_"), units, directions)


def _tell_missing(column: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> dict[str, int]:
    """Say how many lines were scanned where the scan was stopped: the others are NaN."""
    missing = int(np.isnan(column).sum())
    return {"lines_measured": column.size - missing} if missing else {}


READER: Final = FormatReader("nanonis_sxm", "Nanonis scan (.sxm)", _recognize, _parse, (".sxm",))
