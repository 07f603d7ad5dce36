"""Igor binary waves -> channels: images and force curves of Asylum Research, and waves of any other kind.

An image is stored column by column, and row 0 is the lowest: dim Y rises upwards. The layout is that of WaveMetrics'
technical note 003; igor2 reads the same values, but joins labels with what earlier ones left behind.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.instruments.bridges.igor.asylum import describe_curves, describe_images, parse_note
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.file_array import lay_out
from usidx.instruments.reader import Confidence, FormatReader

__all__ = ["READER"]

_KINDS: Final = {0x02: "f4", 0x04: "f8", 0x08: "i1", 0x10: "i2", 0x20: "i4", 0x80: "i8"}
_COMPLEX, _UNSIGNED = 0x01, 0x40
#: version -> (bytes of the first header, where the data lies)
_VERSIONS: Final = {2: (16, 126), 3: (20, 130), 5: (64, 384)}
_LABEL_BYTES: Final = 32
_LONGEST_NOTE: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class _Wave:
    """What the headers say: slowest dim first, as NumPy counts."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    steps: tuple[float, ...]
    starts: tuple[float, ...]
    units: str
    dim_units: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    note: str


def _recognize(path: Path, head: bytes) -> float:
    order = _find_order(head)
    if not order:
        return 0.0
    known = path.suffix.lower() in {".ibw", ".bwav"}
    if _has_right_sum(head, order):
        return Confidence(0.95, "a header of an Igor wave with the right checksum")
    return Confidence(0.6, "begins as an Igor wave, with the ending of one") if known else 0.0


def _find_order(head: bytes) -> str:
    for order in "<>":
        if len(head) > 2 and struct.unpack(f"{order}h", head[:2])[0] in _VERSIONS:
            return order
    return ""


def _has_right_sum(head: bytes, order: str) -> bool:
    """Say whether the two headers add up to zero, as Igor demands."""
    version = struct.unpack(f"{order}h", head[:2])[0]
    length = _VERSIONS[version][1] - (0 if version == 5 else 16)
    if len(head) < length:
        return False
    return not int(np.frombuffer(head[:length], f"{order}u2").sum(dtype="u8")) & 0xFFFF


def _parse(path: Path) -> xr.DataTree:
    wave = _read_wave(path)
    data = lay_out(path, "ibw", wave.shape, wave.dtype, offset=wave.start)
    note = parse_note(wave.note)
    attrs = {**note, "wave": wave.name}
    named = wave.labels[0] if wave.labels else ()
    if len(wave.shape) == 3 and (named or "ScanSize" in note):
        axes = [_make_axis(wave, dim, name, "position") for dim, name in ((1, "Y"), (2, "X"))]
        return build_tree(describe_images(data, named, axes, wave.units, note), attrs)
    if len(wave.shape) == 2 and "Raw" in named:
        return build_tree(
            describe_curves(data, named, _make_axis(wave, 1, "time", "spectroscopic"), wave.units, note), attrs
        )
    return build_tree([_describe_plain(data, wave)], attrs)


def _describe_plain(data: Any, wave: _Wave) -> Channel:
    """Describe a wave of which nothing is known but its scales: lengths are places, everything else was swept."""
    names = ("X", "Y", "Z", "T")[: len(wave.shape)][::-1]
    axes = []
    for dim, name in enumerate(names):
        units = wave.dim_units[dim]
        role = "position" if units.lstrip("numkfp") in {"m", "Å"} else "spectroscopic" if units else "unknown"
        axes.append(_make_axis(wave, dim, name, role))
    if all(axis.role == "unknown" for axis in axes):
        # A plain wave of one dim is a spectrum, and one of two is an image.
        role = "spectroscopic" if len(axes) == 1 else "position"
        axes = [
            _make_axis(wave, dim, name, role if dim >= len(axes) - 2 else "unknown") for dim, name in enumerate(names)
        ]
    return Channel(wave.name, data, tuple(axes), wave.name, wave.units)


def _make_axis(wave: _Wave, dim: int, name: str, role: Any) -> Axis:
    values = wave.starts[dim] + wave.steps[dim] * np.arange(wave.shape[dim])
    return Axis(name, values, wave.dim_units[dim], role)


def _read_wave(path: Path) -> _Wave:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(384)
        order = _find_order(head)
        if not order:
            raise TranslationError("it does not begin as an Igor wave of version 2, 3 or 5")
        version = struct.unpack(f"{order}h", head[:2])[0]
        if len(head) < _VERSIONS[version][1]:
            raise TranslationError("it ends within its header")
        wave, tail = (_read_new if version == 5 else _read_old)(head, order)
        if wave.start + prod(wave.shape) * wave.dtype.itemsize + sum(tail) > size:
            raise TranslationError(f"it is cut off: its header promises more than the {size} bytes that it has")
        if sum(tail) > _LONGEST_NOTE:
            raise TranslationError(f"its header promises {sum(tail)} bytes of notes")
        file.seek(wave.start + prod(wave.shape) * wave.dtype.itemsize)
        parts = [file.read(length) for length in tail]
    return _add_texts(wave, parts)


def _read_new(head: bytes, order: str) -> tuple[_Wave, list[int]]:
    """Read the headers of version 5.

    The sizes are those of formula, note and units, and of the units and labels of four dims.
    """
    sizes = struct.unpack(f"{order}i3i4i4i", head[8:56])
    tail = [int(one) for one in sizes]
    npnts, kind = struct.unpack(f"{order}ih", head[76:82])
    counts = struct.unpack(f"{order}4i", head[132:148])
    steps = struct.unpack(f"{order}4d", head[148:180])
    starts = struct.unpack(f"{order}4d", head[180:212])
    units = [_decode(head[216 + 4 * one : 220 + 4 * one]) for one in range(4)]
    shape = tuple(n for n in counts if n > 0)
    if min(*tail, *counts) < 0 or prod(shape) != npnts:
        raise TranslationError(f"its header is damaged: the dims {shape} do not hold {npnts} points")
    n = len(shape)
    wave = _Wave(
        _decode(head[92:124]), _find_dtype(kind, order, npnts), shape[::-1], 384, steps[:n][::-1], starts[:n][::-1],
        _decode(head[212:216]), tuple(units[:n][::-1]), ((),) * n, "",
    )  # fmt: skip
    return wave, tail


def _read_old(head: bytes, order: str) -> tuple[_Wave, list[int]]:
    """Read the headers of versions 2 and 3: one dim, texts of fixed length."""
    first = _VERSIONS[struct.unpack(f"{order}h", head[:2])[0]][0]
    note_bytes = struct.unpack(f"{order}i", head[6:10])[0]
    second = head[first:]
    kind = struct.unpack(f"{order}h", second[:2])[0]
    npnts = struct.unpack(f"{order}i", second[42:46])[0]
    step, start = struct.unpack(f"{order}2d", second[48:64])
    if npnts < 0 or note_bytes < 0:
        raise TranslationError(f"its header is damaged: it promises {npnts} points")
    wave = _Wave(
        _decode(second[6:26]), _find_dtype(kind, order, npnts), (npnts,), first + 110, (step,), (start,),
        _decode(second[34:38]), (_decode(second[38:42]),), ((),), "",
    )  # fmt: skip
    return wave, [16, note_bytes]  # 16 bytes that mean nothing lie before the note


def _find_dtype(kind: int, order: str, npnts: int) -> np.dtype[Any]:
    if kind == 0:
        raise TranslationError("it is a wave of texts, which holds no numbers")
    if not npnts:
        raise TranslationError("it is a wave without a point")
    plain = _KINDS.get(kind & ~(_COMPLEX | _UNSIGNED))
    if plain is None or (kind & _COMPLEX and plain[0] != "f"):
        raise TranslationError(f"its numbers are of the kind {kind:#x}, which is not known")
    if kind & _COMPLEX:
        plain = f"c{2 * int(plain[1])}"
    return np.dtype(order + (plain.replace("i", "u") if kind & _UNSIGNED else plain))


def _add_texts(wave: _Wave, parts: list[bytes]) -> _Wave:
    if len(parts) == 2:
        return _replace(wave, note=_decode(parts[1]))
    _, note, units, *more = parts
    n = len(wave.shape)
    dim_units = [_decode(long) or short for long, short in zip(more[:n][::-1], wave.dim_units, strict=True)]
    labels = tuple(_split_labels(one, size) for one, size in zip(more[4 : 4 + n][::-1], wave.shape, strict=True))
    return _replace(
        wave, note=_decode(note), units=_decode(units) or wave.units, dim_units=tuple(dim_units), labels=labels
    )


def _replace(wave: _Wave, **changes: Any) -> _Wave:
    return _Wave(**{name: changes.get(name, getattr(wave, name)) for name in _Wave.__slots__})


def _split_labels(content: bytes, count: int) -> tuple[str, ...]:
    """Return the label of each entry; the first text is that of the dim itself, if there is one."""
    starts = range(0, len(content) - _LABEL_BYTES + 1, _LABEL_BYTES)
    texts = tuple(_decode(content[one : one + _LABEL_BYTES]) for one in starts)
    return texts[1:] if len(texts) > count else texts


def _decode(content: bytes) -> str:
    text = content.partition(b"\0")[0]
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


READER: Final = FormatReader(
    name="ibw",
    opens="Igor binary waves, images and force curves of Asylum Research (.ibw)",
    recognize=_recognize,
    parse=_parse,
    extensions=(".ibw", ".bwav"),
)
