"""Formats that RosettaSciIO reads -> channels. It is GPL: an extra that is imported when a file is read, never before.

What it gives is mended on the way: spectrum images come with energy flagged as position, sizes and scales as fractions,
RGB as records, and some of its readers cannot be lazy.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.instruments.bridges.hdf5.tree import find_marks
from usidx.instruments.bridges.role_hints import Hint, find_roles
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.reader import Confidence, FormatReader, Package, silence_log

__all__ = [
    "BCF", "DIGITAL_SURF", "DM", "EDAX", "EMPAD", "JOBIN_YVON", "MRC", "MSA", "TIA", "TRIVISTA", "TVIPS", "VELOX",
    "WDF",
]  # fmt: skip

_PACKAGE: Final = Package("rsciio", "em", "rosettasciio")
_UNDEFINED: Final = {"<undefined>", "None", "_None_", "t.b.a."}
_DEEPEST: Final = 12
#: Of all that a file says, so many entries are kept.
_MOST_ENTRIES: Final = 5000


def _make(
    name: str,
    module: str,
    opens: str,
    extensions: tuple[str, ...],
    beginnings: tuple[bytes, ...] = (),
    inside: bytes = b"",
) -> FormatReader:
    """Make a reader of a format that begins so, or has a text near its start, or else is told by its name."""

    def recognize(path: Path, head: bytes) -> float:
        named = path.suffix.lower() in extensions
        if beginnings and head.startswith(beginnings) and not inside:
            return Confidence(0.9 if len(beginnings[0]) > 3 or named else 0.3, f"begins as {opens}")
        if inside and inside in head and (not beginnings or head.startswith(beginnings)):
            return Confidence(0.9, f"has {inside[:16]!r} near its start")
        if not beginnings and not inside and named:
            return Confidence(0.25, "the end of its name alone")
        return 0.0

    return _declare(name, module, opens, extensions, recognize)


def _declare(name: str, module: str, opens: str, extensions: tuple[str, ...], recognize: Any) -> FormatReader:
    return FormatReader(
        name=name,
        opens=opens,
        recognize=recognize,
        parse=lambda path: _parse(path, module),
        extensions=extensions,
        licence="GPL-3.0-or-later",
        package=_PACKAGE,
    )


def _recognize_velox(path: Path, head: bytes) -> float:
    marks = find_marks(path, head)
    if {"/Data", "/Version"} <= marks and ("/Operations" in marks or "/Presentation" in marks):
        return Confidence(0.95, "an HDF5 file with the groups of Velox")
    return 0.0


def _recognize_mrc(path: Path, head: bytes) -> float:
    if head[208:212] == b"MAP ":
        return Confidence(0.9, "has 'MAP ' where MRC files have it")
    return 0.0


def _parse(path: Path, module: str) -> xr.DataTree:
    with silence_log("rsciio"):
        held = _read(importlib.import_module(f"rsciio.{module}").file_reader, path)
    return build_tree([one for number, found in enumerate(held) for one in _describe(found, number, path.stem)])


def _read(file_reader: Any, path: Path) -> Sequence[Mapping[str, Any]]:
    try:
        found: Sequence[Mapping[str, Any]] = file_reader(str(path), lazy=True)
    except (NotImplementedError, TypeError):
        found = file_reader(str(path), lazy=False)
    return found


def _describe(found: Mapping[str, Any], number: int, stem: str) -> Iterator[Channel]:
    metadata = dict(found.get("metadata") or {})
    general, signal = metadata.get("General", {}), metadata.get("Signal", {})
    title = str(general.get("title") or "").strip() or (stem if number == 0 else f"{stem} {number}")
    quantity, units = _split_quantity(str(signal.get("quantity") or ""))
    attrs = dict(_flatten({"metadata": metadata, "original_metadata": found.get("original_metadata") or {}}))
    for suffix, data in _split_fields(found["data"]):
        axes = _describe_axes(found.get("axes") or [], data.shape)
        data, axes = _drop_single(data, axes)
        order = sorted(range(data.ndim), key=lambda k: axes[k].role != "position")
        turned = data.transpose(order) if order != list(range(data.ndim)) else data
        name = title.replace("/", "_") + suffix
        yield Channel(name, turned, tuple(axes[k] for k in order), quantity or name, units, attrs=attrs)


def _split_quantity(text: str) -> tuple[str, str]:
    """Split ``Intensity (counts)``."""
    name, _, units = text.partition("(")
    return name.strip(), units.rpartition(")")[0].strip()


def _split_fields(data: Any) -> Iterator[tuple[str, Any]]:
    """Split records (red, green, blue) into an array each, and take arrays out of the file that they hold open."""
    if data.dtype.names:
        for field in data.dtype.names:
            yield f"/{field}", data[field]
        return
    yield "", np.array(data) if isinstance(data, np.memmap) else data


def _describe_axes(axes: Sequence[Mapping[str, Any]], shape: tuple[int, ...]) -> list[Axis]:
    if len(axes) != len(shape):
        axes = [{} for _ in shape]
    if all(isinstance(one.get("index_in_array"), int) for one in axes):
        axes = sorted(axes, key=lambda one: int(one["index_in_array"]))
    names: list[str] = []
    for number, one in enumerate(axes):
        name = _clean(one.get("name")).replace("/", "_") or f"dim_{number}"
        names.append(name if name not in names else f"{name}_{number}")
    units = [_clean(one.get("units")) for one in axes]
    flags = [bool(one["navigate"]) if "navigate" in one else None for one in axes]
    roles = find_roles([Hint(*one) for one in zip(names, units, flags, strict=True)])
    return [
        Axis(name, _find_values(one, size), unit, role)
        for name, one, size, unit, role in zip(names, axes, shape, units, roles, strict=True)
    ]


def _find_values(axis: Mapping[str, Any], size: int) -> Any:
    """Return the values of an axis: a list of them, or even steps; a step that is none counts."""
    own = axis.get("axis")
    if own is not None and np.size(own) == size:
        return np.asarray(own, dtype="f8")
    scale, offset = float(axis.get("scale") or 1.0), float(axis.get("offset") or 0.0)
    if not np.isfinite(scale) or not np.isfinite(offset):
        scale, offset = 1.0, 0.0
    return offset + scale * np.arange(size)


def _drop_single(data: Any, axes: list[Axis]) -> tuple[Any, list[Axis]]:
    """Leave out dims of one entry that nobody named, as HyperSpy would."""
    kept = [k for k, one in enumerate(axes) if one.values.size > 1 or not one.name.startswith("dim_")]
    if len(kept) == len(axes) or not kept:
        return data, axes
    index = tuple(slice(None) if k in kept else 0 for k in range(len(axes)))
    return data[index], [axes[k] for k in kept]


def _clean(text: Any) -> str:
    found = "" if text is None else str(text).strip()
    return "" if found in _UNDEFINED else found


def _flatten(held: Mapping[str, Any], stem: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield (path with dots, value) of nested metadata: numbers, texts and short lists of them."""
    count = 0
    for name, value in held.items():
        path = f"{stem}{name}"
        if isinstance(value, Mapping) and depth < _DEEPEST:
            inner: Iterator[tuple[str, Any]] = _flatten(value, f"{path}.", depth + 1)
        elif isinstance(value, str | int | float | bool | np.generic):
            inner = iter([(path, value.item() if isinstance(value, np.generic) else value)])
        elif isinstance(value, list | tuple) and len(value) <= 64:
            inner = iter([(path, str(value))])
        else:
            continue
        for pair in inner:
            count += 1
            if count > _MOST_ENTRIES:
                return
            yield pair


DM: Final = _make(
    "dm", "digitalmicrograph", "DigitalMicrograph files (.dm3, .dm4)", (".dm3", ".dm4"),
    (b"\x00\x00\x00\x03", b"\x00\x00\x00\x04"),
)  # fmt: skip
VELOX: Final = _declare("velox", "emd", "Velox files (.emd)", (".emd",), _recognize_velox)
MRC: Final = _declare("mrc", "mrc", "MRC files (.mrc)", (".mrc", ".ali"), _recognize_mrc)
WDF: Final = _make("wdf", "renishaw", "Renishaw files (.wdf)", (".wdf",), (b"WDF1",))
TIA: Final = _make("tia", "tia", "TIA files (.ser, .emi)", (".ser", ".emi"), (b"\x49\x49\x97\x01", b"JK\x00\x02"))
BCF: Final = _make("bcf", "bruker", "Bruker composite files (.bcf)", (".bcf",), (b"AAMVHFSS",))
MSA: Final = _make("msa", "msa", "EMSA/MAS spectra (.msa)", (".msa", ".ems", ".mas", ".emsa"), (), b"EMSA/MAS")
DIGITAL_SURF: Final = _make(
    "digital_surf",
    "digitalsurf",
    "Digital Surf files (.sur, .pro)",
    (".sur", ".pro"),
    (b"DIGITAL SURF", b"DSCOMPRESSED"),
)
JOBIN_YVON: Final = _make("jobin_yvon", "jobinyvon", "Jobin Yvon files (.xml)", (".xml",), (), b"LSX_Tree")
TRIVISTA: Final = _make("trivista", "trivista", "TriVista files (.tvf)", (".tvf",), (), b"<XmlMain")
TVIPS: Final = _make("tvips", "tvips", "TVIPS files (.tvips)", (".tvips",))
EDAX: Final = _make("edax", "edax", "EDAX spectra and maps (.spd)", (".spd",), (b"MAPSPECTRA_DATA", b"FRMT"))
EMPAD: Final = _make("empad", "empad", "EMPAD headers with their data (.xml)", (".xml",), (), b"pixel_array_detector")
