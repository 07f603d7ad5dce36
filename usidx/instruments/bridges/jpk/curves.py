"""Force curves, force maps and QI maps of JPK instruments -> channels over grid and time; read curve by curve.

A curve is its segments one after another (extend, pause, retract). Where curves differ in length, each is filled up
with NaN at its end, and `time` and `segment` are channels of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import dask.array as da
import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.format.layout import Array
from usidx.instruments.bridges.jpk.archive import Archive, Member, open_archive, read_member
from usidx.instruments.bridges.jpk.headers import (
    Conversion,
    Properties,
    expand_shared,
    find_conversion,
    parse_properties,
)
from usidx.instruments.bridges.jpk.maps import Grid, find_grid, read_place
from usidx.instruments.bridges.lazy_blocks import Blocks, open_blocks, read_version
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.reader import Confidence, FormatReader

__all__ = ["READER"]

_ENDINGS: Final = (".jpk-force", ".jpk-force-map", ".jpk-qi-data", ".jpk-qi-series")
_SHARED: Final = "shared-data/header.properties"
_ALL: Final = "header.properties"
_FLOAT: Final = np.dtype("f8")


@dataclass(frozen=True, slots=True)
class _Segment:
    """A part of a curve: its header, and the members that hold its channels."""

    header: Properties
    style: str
    duration: float
    channels: dict[str, Member]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What a channel has in one segment of one curve; no member where it was not recorded."""

    member: Member | None
    count: int
    conversion: Conversion


@dataclass(frozen=True)
class _CurveBlocks(Blocks):
    """A channel of all curves, (curve, sample), unpacked curve by curve."""

    path: Path
    version: tuple[int, int]
    curves: tuple[tuple[_Piece, ...], ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any] = _FLOAT

    def read(self, *parts: slice) -> Array:
        rows, columns = parts
        chosen = self.curves[rows]
        out = np.full((len(chosen), self.shape[1]), np.nan)
        with self.path.open("rb") as file:
            for row, pieces in zip(out, chosen, strict=True):
                start = 0
                for piece in pieces:
                    if piece.member is not None:
                        row[start : start + piece.count] = piece.conversion.apply(read_member(file, piece.member))
                    start += piece.count
        return out[:, columns]


@dataclass(frozen=True)
class _Rhythm(Blocks):
    """When each sample was taken, from the start of its curve, or the number of its segment; NaN past its end."""

    path: Path
    version: tuple[int, int]
    counts: tuple[tuple[int, ...], ...]
    durations: tuple[tuple[float, ...], ...]
    shape: tuple[int, ...]
    numbers: bool = False
    dtype: np.dtype[Any] = _FLOAT

    def read(self, *parts: slice) -> Array:
        rows, columns = parts
        counts, durations = self.counts[rows], self.durations[rows]
        out = np.full((len(counts), self.shape[1]), np.nan)
        for row, own, lasting in zip(out, counts, durations, strict=True):
            start, at = 0.0, 0
            for number, (count, duration) in enumerate(zip(own, lasting, strict=True)):
                times = np.linspace(start, start + duration, count, endpoint=False)
                row[at : at + count] = number if self.numbers else times
                start, at = start + duration, at + count
        return out[:, columns]


def _recognize(path: Path, head: bytes) -> float:
    if not head.startswith(b"PK\x03\x04"):
        return 0.0
    if b"header.properties" in head and (b"segments/" in head or b"index/" in head or b"jpk" in head):
        return Confidence(0.95, "a zip archive of headers and segments, as JPK writes it")
    if path.name.lower().endswith(_ENDINGS):
        return Confidence(0.6, "a zip archive with an ending of JPK")
    if b"header.properties" in head or b"data-image" in head:
        return Confidence(0.5, "a zip archive with a JPK header")
    return 0.0


def _parse(path: Path) -> xr.DataTree:
    archive = open_archive(path)
    general = parse_properties(archive.read_text(_ALL))
    shared = parse_properties(archive.read_text(_SHARED))
    if not any("force" in text or "imaging" in text for pair in general.items() for text in pair):
        raise TranslationError("its header says nothing of force curves; it is no force curve or map of JPK")
    curves, headers = _list_curves(archive, shared)
    grid = find_grid(general, headers) if _is_map(archive) else None
    counts = _count_samples(curves)
    single = {} if grid else read_place(general)
    attrs = {f"header.{name}": value for name, value in general.items()}
    attrs |= {f"shared-data.{name}": value for name, value in shared.items()}
    return build_tree(_list_channels(path, curves, counts, grid, single), attrs)


def _is_map(archive: Archive) -> bool:
    return any(name.startswith("index/") for name in archive.members)


def _list_curves(archive: Archive, shared: Properties) -> tuple[list[list[_Segment]], list[Properties]]:
    """Return the segments of each curve, and the header of each curve with its number as ``index``."""
    held: dict[tuple[int, int], dict[str, Member]] = defaultdict(dict)
    for name, member in archive.members.items():
        parts = name.split("/")
        where = parts[2:] if parts[0] == "index" else parts
        if len(where) >= 3 and where[0] == "segments" and where[1].isdigit():
            index = int(parts[1]) if parts[0] == "index" and parts[1].isdigit() else 0
            held[index, int(where[1])]["/".join(where[2:])] = member
    curves: dict[int, list[_Segment]] = defaultdict(list)
    for index, number in sorted(held):
        stem = f"index/{index}/" if _is_map(archive) else ""
        own = parse_properties(archive.read_text(f"{stem}segments/{number}/segment-header.properties"))
        curves[index].append(_describe_segment(expand_shared(own, shared), held[index, number]))
    if not curves:
        raise TranslationError("it holds no segment of a curve")
    headers: list[Properties] = [
        {"index": str(index), **parse_properties(archive.read_text(f"index/{index}/{_ALL}"))} for index in curves
    ]
    return list(curves.values()), headers


def _describe_segment(header: dict[str, str], members: dict[str, Member]) -> _Segment:
    stem = "force-segment-header"
    style = header.get(f"{stem}.settings.segment-settings.style") or header.get(f"{stem}.settings.style", "")
    channels = {}
    for channel in header.get("channels.list", "").split():
        member = members.get(header.get(f"channel.{channel}.data.file.name", ""))
        if member is not None:
            channels[channel] = member
    return _Segment(header, style, float(header.get(f"{stem}.duration", "nan")), channels)


def _count_samples(curves: Sequence[Sequence[_Segment]]) -> list[list[int]]:
    """Return how many samples each segment of each curve has; all of its channels have as many."""
    return [[_count_in_segment(segment) for segment in curve] for curve in curves]


def _count_in_segment(segment: _Segment) -> int:
    counts = set()
    for channel, member in segment.channels.items():
        counts.add(member.size // np.dtype(find_conversion(segment.header, channel).dtype).itemsize)
    if len(counts) > 1:
        raise TranslationError(f"the channels of a segment have different lengths: {sorted(counts)}")
    return counts.pop() if counts else 0


def _list_channels(
    path: Path, curves: list[list[_Segment]], counts: list[list[int]], grid: Grid | None, place: dict[str, xr.Variable]
) -> list[Channel]:
    longest = max(sum(one) for one in counts)
    if not longest:
        raise TranslationError("none of its curves has a sample")
    version = read_version(path)
    durations = tuple(tuple(segment.duration for segment in curve) for curve in curves)
    rhythm = _Rhythm(path, version, tuple(map(tuple, counts)), durations, (len(curves), longest))
    samples, coords = _describe_samples(rhythm), dict(place) if grid is None else grid.coords(counts)
    if samples.name == "time":
        segments = replace(rhythm, numbers=True).read(slice(0, 1), slice(None))[0].astype("i2")
        coords["segment"] = xr.Variable(("time",), segments, {"long_name": "segment of the curve"})
    axes = (*(() if grid is None else grid.axes), samples)
    found = [
        Channel(
            name, _shape(open_blocks(blocks, name), grid), axes, conversion.quantity, conversion.units, coords, attrs
        )
        for name, blocks, conversion, attrs in _open_channels(path, curves, counts, version)
    ]
    if samples.name != "time":
        segments = replace(rhythm, numbers=True)
        found.append(Channel("time", _shape(open_blocks(rhythm, "time"), grid), axes, "time", "s", coords))
        found.append(Channel("segment", _shape(open_blocks(segments, "segment"), grid), axes, "segment", "", coords))
    return found


def _describe_samples(rhythm: _Rhythm) -> Axis:
    """Return the axis of time where all curves have the same one, else one that counts."""
    if len(set(rhythm.counts)) == len(set(rhythm.durations)) == 1:
        times = rhythm.read(slice(0, 1), slice(None))[0]
        if (np.diff(times) > 0).all():
            return Axis("time", times, "s", "spectroscopic")
    return Axis("sample", np.arange(rhythm.shape[1], dtype="f8"), "", "spectroscopic")


def _shape(data: Any, grid: Grid | None) -> Any:
    """Lay curves over the grid; a single curve has no dim of position."""
    if grid is None:
        return data[0]
    return data if grid.order is None else _place(data[grid.order], grid.shape)


def _place(data: Any, shape: tuple[int, int]) -> Any:
    if isinstance(data, da.Array):
        # Whole rows of the grid, else dask has to join blocks first.
        rows = max(1, data.chunks[0][0] // shape[1])
        data = data.rechunk({0: rows * shape[1]})
    return data.reshape((*shape, data.shape[1]))


def _open_channels(
    path: Path, curves: list[list[_Segment]], counts: list[list[int]], version: tuple[int, int]
) -> list[tuple[str, _CurveBlocks, Conversion, dict[str, Any]]]:
    found = []
    names = dict.fromkeys(name for curve in curves for segment in curve for name in segment.channels)
    known: dict[tuple[str, ...], Conversion] = {}
    longest = max(sum(one) for one in counts)
    for name in names:
        rows = tuple(
            tuple(_make_piece(segment, name, count, known) for segment, count in zip(curve, own, strict=True))
            for curve, own in zip(curves, counts, strict=True)
        )
        conversions = {(p.conversion.quantity, p.conversion.units) for row in rows for p in row if p.member is not None}
        if len(conversions) > 1:
            raise TranslationError(f"channel {name!r} is in different units from curve to curve: {sorted(conversions)}")
        first = next(p.conversion for row in rows for p in row if p.member is not None)
        header = next(s.header for curve in curves for s in curve if name in s.channels)
        told = {key: value for key, value in header.items() if key.startswith((f"channel.{name}.", "force-segment"))}
        found.append((name, _CurveBlocks(path, version, rows, (len(rows), longest)), first, told))
    return found


_NOTHING: Final = Conversion("f8", (), "", "")


def _make_piece(segment: _Segment, name: str, count: int, known: dict[tuple[str, ...], Conversion]) -> _Piece:
    member = segment.channels.get(name)
    if member is None:
        return _Piece(None, count, _NOTHING)
    # Most curves refer to the same conversion: one object for all keeps the array small.
    stem = f"channel.{name}."
    key = tuple(sorted(f"{k}={v}" for k, v in segment.header.items() if k.startswith(stem) and "file" not in k))
    if key not in known:
        known[key] = find_conversion(segment.header, name)
    return _Piece(member, count, known[key])


READER: Final = FormatReader(
    name="jpk",
    opens="JPK force curves and maps (.jpk-force, .jpk-force-map, .jpk-qi-data)",
    recognize=_recognize,
    parse=_parse,
    extensions=_ENDINGS,
)
