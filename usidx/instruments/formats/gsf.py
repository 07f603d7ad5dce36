"""Gwyddion Simple Field -> a channel.

A text header of ``name = value`` lines, nulls up to a multiple of four bytes, float32 row by row from the top:
http://gwyddion.net/documentation/user-guide-en/gsf.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.format.layout import Array
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.file_array import lay_out
from usidx.instruments.reader import Confidence, FormatReader

__all__ = ["READER"]

_MAGIC: Final = b"Gwyddion Simple Field 1.0\n"
# No header is longer: it holds texts that people type.
_LONGEST_HEADER: Final = 1 << 20


def _recognize(path: Path, head: bytes) -> float:
    if head.startswith(_MAGIC):
        return Confidence(0.99, "begins with 'Gwyddion Simple Field 1.0'")
    return Confidence(0.0)


def _parse(path: Path) -> xr.DataTree:
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    end = head.find(b"\0")
    if not head.startswith(_MAGIC) or end < 0:
        raise TranslationError("it has no header of a Gwyddion Simple Field that ends")
    fields = _read_fields(head[len(_MAGIC) : end].decode("utf-8", "replace"))
    columns, rows = int(fields["XRes"]), int(fields["YRes"])
    data = lay_out(path, "gsf", (rows, columns), "<f4", offset=end + 4 - end % 4)
    units = fields.get("XYUnits", "")
    axes = tuple(
        Axis(name, _place(fields, name, count), units, "position") for name, count in (("Y", rows), ("X", columns))
    )
    title = fields.get("Title", "") or path.stem
    return build_tree([Channel(title, data, axes, title, fields.get("ZUnits", ""), attrs=dict(fields))])


def _read_fields(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, sign, value in pairs if sign}


def _place(fields: dict[str, str], axis: str, count: int) -> Array:
    """Return where pixels lie; a field without a size is one unit per pixel wide, as the format says."""
    size, offset = float(fields.get(f"{axis}Real", count)), float(fields.get(f"{axis}Offset", 0))
    if not 0 < size < np.inf:
        raise TranslationError(f"its {axis}Real is {size}, and a field has a width")
    places: Array = offset + np.arange(count) * (size / count)
    return places


READER: Final = FormatReader("gsf", "Gwyddion Simple Field (.gsf)", _recognize, _parse, (".gsf",))
