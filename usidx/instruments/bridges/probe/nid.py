"""Nanosurf files -> channels: images, line scans and spectra of all groups, forward and backward; read by ranges.

A text header in sections, ``#!``, then the data sets one after another in the order of the groups. The lowest row comes
first: dim Y rises upwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.file_array import lay_out
from usidx.instruments.reader import Confidence, FormatReader
from usidx.instruments.scan_frame import describe_frame, make_even_axis

__all__ = ["READER"]

_MAGIC: Final = b"[DataSet]"
_MARK: Final = b"#!"
_LONGEST_HEADER: Final = 8 << 20
_LENGTHS: Final = {"m", "mm", "um", "µm", "nm", "pm", "Å"}

_Section = Mapping[str, str]


def _recognize(path: Path, head: bytes) -> float:
    if head.startswith(_MAGIC):
        return Confidence(0.95, "begins with '[DataSet]'")
    return 0.0


def _parse(path: Path) -> xr.DataTree:
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    end = head.find(b"\n" + _MARK)
    if not head.startswith(_MAGIC) or end < 0:
        raise TranslationError("it has no header of a Nanosurf file that ends")
    sections = _read_sections(head[:end].decode("latin-1"))
    attrs = {f"{s}.{k}": v for s, told in sections.items() if not s.startswith("DataSet-") for k, v in told.items()}
    attrs |= {f"DataSet-Info.{k}": v for k, v in sections.get("DataSet-Info", {}).items()}
    return build_tree(_list_channels(path, sections, end + 1 + len(_MARK)), attrs)


def _read_sections(text: str) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, str]] = {}
    inner: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("[") and line.rstrip().endswith("]"):
            inner = sections.setdefault(line.strip()[1:-1], {})
        else:
            name, equals, value = line.partition("=")
            if equals:
                inner[name.strip()] = value.strip()
    return sections


def _list_channels(path: Path, sections: Mapping[str, _Section], start: int) -> Iterator[Channel]:
    general = sections["DataSet"]
    most = len(general)  # a line of it for each channel, whatever its counts say
    for group in range(min(most, int(general.get("GroupCount", "0")))):
        for number in range(min(most, int(general.get(f"Gr{group}-Count", "0")))):
            held = sections.get(general.get(f"Gr{group}-Ch{number}", ""))
            if held is None:
                continue
            dtype = _find_dtype(held)
            points, lines = int(held.get("Points", "0")), int(held.get("Lines", "1"))
            yield _describe(path, held, dtype, (lines, points), start, sections.get("DataSet-Info", {}))
            start += lines * points * dtype.itemsize


def _find_dtype(held: _Section) -> np.dtype[Any]:
    if held.get("SaveMode", "Binary") != "Binary":
        raise TranslationError(f"it stores data as {held['SaveMode']!r}; only 'Binary' is read")
    bits, sign = int(held.get("SaveBits", "32")), "i" if held.get("SaveSign", "Signed") == "Signed" else "u"
    if bits not in {8, 16, 32}:
        raise TranslationError(f"its numbers have {bits} bits")
    return np.dtype(f"{'<' if held.get('SaveOrder', 'Intel') == 'Intel' else '>'}{sign}{bits // 8}")


def _describe(
    path: Path, held: _Section, dtype: np.dtype[Any], shape: tuple[int, int], start: int, info: _Section
) -> Channel:
    low, span = float(held.get("Dim2Min", "0")), float(held["Dim2Range"])
    # The numbers span the whole range of their type; those with a sign begin half of it below zero.
    shift = low + (span / 2 if dtype.kind == "i" else 0.0)
    data = lay_out(path, "nid", shape, dtype, offset=start, scale=span / 256**dtype.itemsize, shift=shift)
    is_image = held.get("Dim0Unit", "") in _LENGTHS and shape[0] > 1 and held.get("Dim1Unit", "") in _LENGTHS
    axes = (
        _make_axis(held, 1, shape[0], "Y" if is_image else "", is_image),
        _make_axis(held, 0, shape[1], "X", is_image),
    )
    coords = _describe_scan(held, axes, info) if is_image else {}
    name, frame = held.get("Dim2Name", "Channel").replace("/", "_"), held.get("Frame", "").replace("/", "_")
    return Channel(f"{name}/{frame}" if frame else name, data, axes, name, held.get("Dim2Unit", ""), coords, dict(held))


def _make_axis(held: _Section, dim: int, count: int, name: str, is_image: bool) -> Axis:
    low, span = float(held.get(f"Dim{dim}Min", "0")), float(held.get(f"Dim{dim}Range", "0"))
    units = held.get(f"Dim{dim}Unit", "")
    if is_image:
        return make_even_axis(name, count, span / count, units, start=low)
    named = held.get(f"Dim{dim}Name", "") or ("Line" if dim else "Sample")
    if dim:
        return make_even_axis(named, count, 1.0, "")
    return make_even_axis(named, count, span / max(1, count - 1), units, start=low, role="spectroscopic")


def _describe_scan(held: _Section, axes: tuple[Axis, ...], info: _Section) -> dict[str, xr.Variable]:
    size = float(held.get("Dim1Range", "nan")), float(held.get("Dim0Range", "nan"))
    angle = info.get("Rotation", "").partition("°")[0].strip()
    try:
        turned = float(angle)
    except ValueError:
        turned = float("nan")
    return describe_frame(axes[0].units, size=size, angle=turned)


READER: Final = FormatReader(
    name="nid",
    opens="Nanosurf images and spectra (.nid, .ezd)",
    recognize=_recognize,
    parse=_parse,
    extensions=(".nid", ".ezd"),
)
