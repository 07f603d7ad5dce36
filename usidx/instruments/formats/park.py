"""Park Systems' TIFF -> its channel. What image viewers show is a thumbnail; the data is a tag of its own.

Tag 50434 has the cells row by row, 50435 a table that says what they are. Values are cells * gain * scale + offset,
where the gain is negative in many files. Rows are kept in the order of the file.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final

import xarray as xr

from usidx.errors import TranslationError
from usidx.instruments.channel import Channel, build_tree
from usidx.instruments.file_array import lay_out
from usidx.instruments.formats.tiff_pages import is_tiff, read_tags
from usidx.instruments.reader import Confidence, FormatReader
from usidx.instruments.scan_frame import describe_frame, make_scan_axes

__all__ = ["READER"]

_MAGIC, _VERSION, _DATA, _TABLE = 50432, 50433, 50434, 50435
_TYPES: Final = {2: "<f4", 1: "<i4", 0: "<i2"}
_SIZES: Final = {"<f4": 4, "<i4": 4, "<i2": 2}
#: The table: name and type, texts of two bytes a character by their length.
_FIELDS: Final = (
    ("image_type", "i"), ("source", "32w"), ("mode", "8w"), ("low_pass_filter", "d"), ("auto_flatten", "i"),
    ("ac_track", "i"), ("columns", "i"), ("rows", "i"), ("angle", "d"), ("sine_scan", "i"), ("overscan", "d"),
    ("is_forward", "i"), ("is_up", "i"), ("is_swapped", "i"), ("width", "d"), ("height", "d"), ("offset_x", "d"),
    ("offset_y", "d"), ("scan_rate", "d"), ("set_point", "d"), ("set_point_units", "8w"), ("tip_bias", "d"),
    ("sample_bias", "d"), ("gain", "d"), ("z_scale", "d"), ("z_offset", "d"), ("units", "8w"),
)  # fmt: skip


def _recognize(path: Path, head: bytes) -> float:
    if is_tiff(head) and {_MAGIC, _DATA, _TABLE} <= set(read_tags(path)):
        return Confidence(0.99, "is a TIFF with the tags of Park Systems")
    return 0.0


def _parse(path: Path) -> xr.DataTree:
    tags = read_tags(path)
    if not {_DATA, _TABLE} <= set(tags):
        raise TranslationError("it has no tags of Park Systems: it is cut off, or another TIFF")
    with path.open("rb") as file:
        file.seek(tags[_TABLE][2])
        table = _read_table(file.read(tags[_TABLE][1]))
    if table["image_type"] != 0:
        raise TranslationError("it holds a curve or a spectrum, and only images are known")
    rows, columns = table["rows"], table["columns"]
    _, size, offset = tags[_DATA]
    cells = rows * columns
    dtype = "<f4" if cells > 0 and size == 4 * cells else "<i2"
    if min(rows, columns) < 1 or size not in {2 * cells, 4 * cells}:
        raise TranslationError(f"its table tells {rows} x {columns} pixels, and its data has {size} bytes")
    factor = table["gain"] * table["z_scale"]
    data = lay_out(path, "park", (rows, columns), dtype, offset=offset, scale=factor, shift=table["z_offset"])
    return build_tree([_make_channel(data, table)], {})


def _read_table(content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    place = 0
    for name, kind in _FIELDS:
        size = 2 * int(kind[:-1]) if kind.endswith("w") else struct.calcsize(f"<{kind}")
        part = content[place : place + size]
        if len(part) < size:
            raise TranslationError("its table of settings is cut off")
        text = part.decode("utf-16-le", "replace").split("\0")[0] if kind.endswith("w") else None
        found[name] = struct.unpack(f"<{kind}", part)[0] if text is None else text
        place += size
    return found


def _make_channel(data: Any, table: dict[str, Any]) -> Channel:
    size = table["height"], table["width"]
    axes = make_scan_axes(table["rows"], table["columns"], size, "um")
    frame = describe_frame("um", center=(table["offset_y"], table["offset_x"]), size=size, angle=table["angle"])
    direction = "forward" if table["is_forward"] else "backward"
    name = table["source"].strip() or "Image"
    return Channel(name.replace("/", "_"), data, axes, name, table["units"], frame, {**table, "direction": direction})


READER: Final = FormatReader("park", "Park Systems image (.tiff)", _recognize, _parse, ())
