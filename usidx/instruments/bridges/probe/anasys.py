"""Files of Anasys (Bruker) nanoIR instruments -> channels: height maps and infrared spectra.

Rows come from the top, so dim Y falls. A map lies around its centre; the numbers are float32 in base 64 within XML.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.format.layout import Array
from usidx.instruments.bridges.probe.safe_xml import parse_xml
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.reader import Confidence, FormatReader
from usidx.instruments.scan_frame import describe_frame, make_even_axis

__all__ = ["READER"]

_MARKS: Final = (b"anasysinstruments", "anasysinstruments".encode("utf-16-le"))


def _recognize(path: Path, head: bytes) -> float:
    if any(mark in head for mark in _MARKS):
        return Confidence(0.98, "XML that names Anasys Instruments")
    if head.startswith(b"\x1f\x8b") and any(mark in _unpack_start(head) for mark in _MARKS):
        return Confidence(0.98, "packed XML that names Anasys Instruments")
    return 0.0


def _unpack_start(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, 4096)
    except zlib.error:
        return b""


def _parse(path: Path) -> xr.DataTree:
    root = parse_xml(path)
    if root.tag.rsplit("}", 1)[-1] != "Document":
        raise TranslationError(f"its XML is a {root.tag!r}, and not a document of Anasys")
    channels = [_describe_map(one) for one in root.iter("HeightMap")]
    return build_tree([*channels, *_describe_spectra(root)], dict(root.attrib))


def _describe_map(held: Element) -> Channel:
    columns, rows = (int(_number(held, f"Resolution/{name}")) for name in "XY")
    values = _decode(held.findtext("SampleBase64"))
    if min(rows, columns) <= 0 or values.size != rows * columns:
        raise TranslationError(f"a height map of {rows} x {columns} pixels has {values.size} numbers")
    height, width = _number(held, "Size/Y"), _number(held, "Size/X")
    center = _number(held, "Position/Y"), _number(held, "Position/X")
    axes = (
        make_even_axis("Y", rows, -height / rows, "um", start=center[0] + height / 2),
        make_even_axis("X", columns, width / columns, "um", start=center[1] - width / 2),
    )
    tags = {tag.get("Name", ""): tag.get("Value", "") for tag in held.iter("Tag")}
    name = held.get("Label", "") or held.get("DataChannel", "") or "Height map"
    units = (held.findtext("UnitPrefix") or "") + (held.findtext("Units") or "")
    angle = _number(held, "Rotation/Yaw", 0.0)
    return Channel(
        name.replace("/", "_"),
        values.reshape(rows, columns),
        axes,
        held.get("DataChannel", "") or name,
        units,
        describe_frame("um", center=center, size=(height, width), angle=angle),
        _list_texts(held) | tags,
    )


def _describe_spectra(root: Element) -> Iterator[Channel]:
    """Describe the spectra of each signal; those with the same wavenumbers share a channel, over their places."""
    groups: dict[tuple[Any, ...], list[tuple[Element, Array]]] = defaultdict(list)
    for spectrum in root.iter("IRRenderedSpectra"):
        for held in spectrum.iter("DataChannels"):
            values = _decode(held.findtext("SampleBase64"))
            if values.size:
                name = held.findtext("Name") or held.get("DataChannel", "") or "Spectrum"
                key = name, values.size, *_find_wavenumbers(spectrum, held, values.size), held.findtext("Units") or ""
                groups[key].append((spectrum, values))
    for (name, count, start, step, units), found in groups.items():
        axes = (
            Axis("position", np.arange(len(found), dtype="f8"), "", "position"),
            make_even_axis("Wavenumber", count, step, "1/cm", start=start, role="spectroscopic"),
        )
        places = {axis: np.array([_number(s, f"Location/{axis}") for s, _ in found]) for axis in "YX"}
        coords = {axis: xr.Variable(("position",), v, {"units": "um"}) for axis, v in places.items()}
        labels = {f"spectrum_{n}": s.findtext("Label") or "" for n, (s, _) in enumerate(found)}
        data = np.stack([values for _, values in found])
        yield Channel(name.replace("/", "_"), data, axes, name, units, coords, _list_texts(found[0][0]) | labels)


def _find_wavenumbers(spectrum: Element, held: Element, count: int) -> tuple[float, float]:
    """Return the first wavenumber and the step: of the spectrum, or of the signal itself."""
    first, last = _number(spectrum, "StartWavenumber"), _number(spectrum, "EndWavenumber")
    if np.isfinite(first) and np.isfinite(last) and count > 1 and last != first:
        return first, (last - first) / (count - 1)
    start, resolution = _number(held, "Start"), _number(held, "Resolution")
    if np.isfinite(start) and resolution:
        return start, 1 / resolution
    raise TranslationError("a spectrum does not say at which wavenumbers it was taken")


def _decode(text: str | None) -> Array:
    try:
        return np.frombuffer(base64.b64decode(text or ""), "<f4")
    except (binascii.Error, ValueError) as err:
        raise TranslationError(f"its numbers are damaged ({err})") from err


def _number(held: Element, path: str, otherwise: float = float("nan")) -> float:
    try:
        return float(held.findtext(path) or otherwise)
    except ValueError:
        return otherwise


def _list_texts(held: Element) -> dict[str, str]:
    """Return short texts of an element and of its children, by their path."""
    found: dict[str, str] = {}
    for child in held:
        text = (child.text or "").strip()
        if text and len(text) <= 256 and len(child) == 0:
            found[child.tag] = text
        found |= {f"{child.tag}.{name}": value for name, value in _list_texts(child).items()} if len(child) else {}
    return found


READER: Final = FormatReader(
    name="anasys",
    opens="Anasys nanoIR documents (.axz, .axd)",
    recognize=_recognize,
    parse=_parse,
    extensions=(".axz", ".axd"),
)
