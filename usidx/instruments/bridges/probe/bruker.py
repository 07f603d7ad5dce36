"""Images of Bruker (Veeco, Digital Instruments) Nanoscope files -> channels; read by ranges.

The lowest row comes first: dim Y rises upwards. Numbers become physical values by the scale of each image and the
sensitivity that it names. Force curves are refused: nobody has shown that a free reader scales them right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Final

import xarray as xr

from usidx.errors import TranslationError
from usidx.instruments.channel import Channel, build_tree
from usidx.instruments.file_array import lay_out
from usidx.instruments.reader import Confidence, FormatReader
from usidx.instruments.scan_frame import describe_frame, make_even_axis

__all__ = ["READER"]

_BEGINNINGS: Final = (b"\\*File list", b"\\*EC File list", b"\\*Force file list", b"?*File list")
_IMAGES: Final = {"ciao image list", "afm image list", "stm image list", "image list", "ncafm image list"}
_END: Final = b"\\*File list end"
_LONGEST_HEADER: Final = 4 << 20
#: From here on numbers have 32 bits, whatever `Bytes/pixel` says.
_WIDE_VERSION: Final = 0x09200000
#: ``V [Sens. Zsens] (0.005 V/LSB) 329.9 V``; units may have brackets of their own.
_VALUE: Final = re.compile(
    r"^(?P<kind>[VCS])\s*(?:\[(?P<soft>[^]]*)\])?\s*(?:\((?:[^()]|\([^()]*\))*\))?\s*(?P<rest>.*)$"
)
_PREFIXES: Final = {
    "": 1.0,
    "m": 1e-3,
    "u": 1e-6,
    "~": 1e-6,
    "µ": 1e-6,
    "n": 1e-9,
    "p": 1e-12,
    "f": 1e-15,
    "k": 1e3,
    "M": 1e6,
}


@dataclass(slots=True)
class _Section:
    """A list of the header; names are in lower case, as programs differ in them."""

    name: str
    told: dict[str, str] = field(default_factory=dict)

    def number(self, name: str) -> int:
        try:
            return int(float(self.told[name]))
        except (KeyError, ValueError) as err:
            raise TranslationError(f"the list {self.name!r} of its header has no whole number for {name!r}") from err


def _recognize(path: Path, head: bytes) -> float:
    if head.startswith(_BEGINNINGS):
        return Confidence(0.98, "begins with the header of a Nanoscope file")
    return 0.0


def _parse(path: Path) -> xr.DataTree:
    sections = _read_header(path)
    told: dict[str, str] = {}
    for section in sections:
        if section.name not in _IMAGES:
            told |= {f"{section.name}.{name}": value for name, value in section.told.items()}
    mode = next((v for k, v in told.items() if k.endswith(".operating mode")), "")
    if mode.startswith("Force") or any("force image list" in one.name for one in sections):
        raise TranslationError("it holds force curves of a Nanoscope, which are not read: only its images are")
    images = [one for one in sections if one.name in _IMAGES]
    return build_tree([_describe_image(path, one, sections) for one in images], told)


def _read_header(path: Path) -> list[_Section]:
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    if head.startswith(b"?"):
        raise TranslationError("its data is stored as text, which is not read")
    end = head.find(_END)
    if not head.startswith(_BEGINNINGS) or end < 0:
        raise TranslationError("it has no header of a Nanoscope file that ends")
    sections: list[_Section] = []
    for line in head[:end].decode("latin-1").splitlines():
        if line.startswith("\\*"):
            sections.append(_Section(line[2:].strip().lower()))
        elif line.startswith("\\") and sections:
            name, _, value = line[1:].partition(": ")
            sections[-1].told.setdefault(name.rstrip(":").strip().lower(), value.strip())
    return sections


def _describe_image(path: Path, image: _Section, sections: list[_Section]) -> Channel:
    size, units = _find_size(image, sections)
    rows, columns, scale_bytes, stored_bytes, size = _find_shape(image, sections, size)
    factor, z_units = _find_scale(image, sections, scale_bytes)
    data = lay_out(
        path, "bruker", (rows, columns), f"<i{stored_bytes}", offset=image.number("data offset"), scale=factor
    )
    axes = (
        make_even_axis("Y", rows, size[0] / rows, units),
        make_even_axis("X", columns, size[1] / columns, units),
    )
    name, way = _find_name(image), image.told.get("line direction", "").lower()
    return Channel(
        f"{name}/{way}" if way in {"trace", "retrace"} else name,
        data,
        axes,
        name,
        z_units,
        _describe_scan(sections, size, units),
        dict(image.told),
    )


def _find_name(image: _Section) -> str:
    """Return what people call the image: the text in quotes of ``S [ZSensor] "Height Sensor"``."""
    value = next((v for k, v in image.told.items() if k.endswith(":image data") or k == "image data"), "")
    quoted = re.search(r'"([^"]+)"', value)
    return (quoted.group(1) if quoted else value or "Image").replace("/", "_")


def _find_size(image: _Section, sections: list[_Section]) -> tuple[tuple[float, float], str]:
    """Return (height, width) and their unit, from ``10 10 ~m``, or of old files from ``10000 nm``."""
    texts = image.told.get("scan size", "").split() or _find_in_scan(sections, "scan size").split()
    numbers = [float(one) for one in texts if re.fullmatch(r"[-+.\deE]+", one)]
    if not numbers or not min(numbers[:2]) > 0:
        raise TranslationError(f"its image has the scan size {' '.join(texts)!r}, which is none")
    units = (texts[-1] if len(texts) > len(numbers) else "").replace("~", "u")
    return (numbers[1] if len(numbers) > 1 else numbers[0], numbers[0]), units


def _find_shape(
    image: _Section, sections: list[_Section], size: tuple[float, float]
) -> tuple[int, int, int, int, tuple[float, float]]:
    """Return rows, columns, bytes by which it is scaled, bytes as stored, and the size.

    Some files have a wrong resolution in the list of the image; then the one of the scan is right.
    """
    rows, columns = image.number("number of lines"), image.number("samps/line")
    length = image.number("data length")
    scaled = image.number("bytes/pixel") if "bytes/pixel" in image.told else 2
    if scaled not in {2, 4} or min(rows, columns) <= 0:
        raise TranslationError(f"its image has {rows} x {columns} pixels of {scaled} bytes")
    version = next((s.told["version"] for s in sections if "version" in s.told), "0")
    wide = int(version, 16) >= _WIDE_VERSION and length >= 4 * rows * columns
    stored = 4 if wide else scaled
    scan = [_find_in_scan(sections, name) for name in ("lines", "samps/line")]
    if length != prod((rows, columns, stored)) and all(text.isdigit() for text in scan):
        whole = int(scan[0]), int(scan[1])
        if length == prod(whole) * stored:
            size = size[0] * whole[0] / rows, size[1] * whole[1] / columns
            rows, columns = whole
    if rows * columns * stored > length:
        raise TranslationError(f"its image of {rows} x {columns} pixels does not fit into its {length} bytes")
    return rows, columns, scaled, stored, size


def _find_scale(image: _Section, sections: list[_Section], scale_bytes: int) -> tuple[float, str]:
    """Return what a step of the stored numbers is worth, and the unit."""
    text = next((image.told[k] for k in ("@4:z scale", "@3:z scale", "@2:z scale", "@z scale") if k in image.told), "")
    found = _VALUE.match(text)
    if found is None or not found["rest"]:
        raise TranslationError("its image has no '@2:Z scale': files of version 4.2 and before are not read")
    value, units = _split(found["rest"])
    factor = value / 256**scale_bytes
    sensitivity = _find_value(sections, f"@{(found['soft'] or '').lower()}") if found["soft"] else None
    if sensitivity is None:
        return factor, units
    worth, ratio = _split(sensitivity)
    top, slash, bottom = ratio.partition("/")
    if not slash:
        return factor * worth, ratio or units
    return factor * worth * _convert(units, bottom), top


def _convert(found: str, wanted: str) -> float:
    """Return how much of a unit is one of another that differs in its prefix only."""
    if found == wanted:
        return 1.0
    for stem in (found, found[1:]):
        if stem and wanted.endswith(stem) and wanted[: -len(stem)] in _PREFIXES:
            prefix = found[: len(found) - len(stem)]
            if prefix in _PREFIXES:
                return _PREFIXES[prefix] / _PREFIXES[wanted[: -len(stem)]]
    raise TranslationError(f"its image is scaled in {found!r}, but its sensitivity is per {wanted!r}")


def _split(text: str) -> tuple[float, str]:
    number, _, units = text.strip().partition(" ")
    return float(number), units.strip()


def _find_value(sections: list[_Section], name: str) -> str | None:
    for section in sections:
        found = _VALUE.match(section.told.get(name, ""))
        if found is not None and found["rest"]:
            return found["rest"]
    return None


def _find_in_scan(sections: list[_Section], name: str) -> str:
    return next((s.told[name] for s in sections if s.name.endswith("scan list") and name in s.told), "")


def _describe_scan(sections: list[_Section], size: tuple[float, float], units: str) -> dict[str, xr.Variable]:
    center = [_read_length(_find_in_scan(sections, f"{axis} offset"), units) for axis in "yx"]
    angle = _find_in_scan(sections, "rotate ang.")
    turned = float(angle) if re.fullmatch(r"[-+.\deE]+", angle) else None
    frame = describe_frame(units, size=size, angle=turned)
    return frame | describe_frame(units, center=(center[0], center[1]))


def _read_length(text: str, units: str) -> float:
    try:
        value, own = _split(text)
        return value * _convert(own.replace("~", "u"), units)
    except (ValueError, TranslationError):
        return float("nan")


READER: Final = FormatReader(
    name="bruker",
    opens="Images of Bruker Nanoscope files (.spm, .001, .di)",
    recognize=_recognize,
    parse=_parse,
    extensions=(".spm", ".di"),
)
