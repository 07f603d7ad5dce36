"""Force curves, force maps and QI maps of JPK instruments -> channels over grid and time; read curve by curve.

A curve is its segments one after another (extend, pause, retract). Where curves differ in length, each is filled up
with NaN at its end, and `time` and `segment` are channels of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
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
    group_shared,
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
#: What the header of a channel says of one segment only.
_OF_EACH: Final = (".data.file.name", ".num-points")


@dataclass(frozen=True, slots=True)
class _Segment:
    """A part of a curve: how long it took, how many samples it has, and where those of each channel lie."""

    duration: float
    count: int
    channels: dict[str, tuple[Member, Conversion]]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What a channel has in one segment of one curve; no member where it was not recorded."""

    member: Member | None
    count: int
    conversion: Conversion


@dataclass(frozen=True)
class _CurveBlocks(Blocks):
    """A channel of all curves, (curve, sample), unpacked curve by curve."""

    reader = "jpk"
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

    reader = "jpk"
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
    curves, headers, told = _list_curves(archive, group_shared(shared))
    grid = find_grid(general, headers) if _is_map(archive) else None
    if grid is not None:
        curves = [curves[number] for number in grid.order]
    single = {} if grid else read_place(general)
    attrs = {f"header.{name}": value for name, value in general.items()}
    attrs |= {f"shared-data.{name}": value for name, value in shared.items()}
    return build_tree(_list_channels(path, curves, grid, single, told), attrs)


def _is_map(archive: Archive) -> bool:
    return any(name.startswith("index/") for name in archive.members)


def _list_curves(
    archive: Archive, shared: Mapping[str, Properties]
) -> tuple[list[list[_Segment]], list[Properties], dict[str, Properties]]:
    """Return the segments of each curve, the header of each curve with its number as ``index``, and of each channel."""
    held: dict[tuple[int, int], dict[str, Member]] = defaultdict(dict)
    for name, member in archive.members.items():
        parts = name.split("/")
        where = parts[2:] if parts[0] == "index" else parts
        if len(where) >= 3 and where[0] == "segments" and where[1].isdigit():
            index = int(parts[1]) if parts[0] == "index" and parts[1].isdigit() else 0
            held[index, int(where[1])]["/".join(where[2:])] = member
    curves: dict[int, list[_Segment]] = defaultdict(list)
    known: dict[tuple[str, ...], Conversion] = {}
    told: dict[str, Properties] = {}
    is_map = _is_map(archive)
    with archive.open() as file:
        for index, number in sorted(held):
            stem = f"index/{index}/" if is_map else ""
            text = archive.read_text_from(file, f"{stem}segments/{number}/segment-header.properties")
            segment = _describe_segment(parse_properties(text), shared, held[index, number], known, told)
            curves[index].append(segment)
        texts = {index: archive.read_text_from(file, f"index/{index}/{_ALL}") for index in curves}
    if not curves:
        raise TranslationError("it holds no segment of a curve")
    headers: list[Properties] = [{"index": str(index), **parse_properties(text)} for index, text in texts.items()]
    return list(curves.values()), headers, told


def _describe_segment(
    own: Properties,
    shared: Mapping[str, Properties],
    members: Mapping[str, Member],
    known: dict[tuple[str, ...], Conversion],
    told: dict[str, Properties],
) -> _Segment:
    """Describe a segment; conversions are kept in `known`, since most curves refer to the same, headers in `told`."""
    channels: dict[str, tuple[Member, Conversion]] = {}
    counts: set[int] = set()
    for channel in own.get("channels.list", "").split():
        begins = f"channel.{channel}."
        member = members.get(own.get(f"{begins}data.file.name", ""))
        if member is None:
            continue
        key = tuple(f"{k}={v}" for k, v in own.items() if k.startswith(begins) and not k.endswith(_OF_EACH))
        if key not in known:
            header = expand_shared(own, shared, begins)
            known[key] = find_conversion(header, channel)
            told.setdefault(channel, header)
        channels[channel] = member, known[key]
        counts.add(member.size // np.dtype(known[key].dtype).itemsize)
    if len(counts) > 1:
        raise TranslationError(f"the channels of a segment have different lengths: {sorted(counts)}")
    duration = float(own.get("force-segment-header.duration", "nan"))
    return _Segment(duration, counts.pop() if counts else 0, channels)


def _list_channels(
    path: Path,
    curves: list[list[_Segment]],
    grid: Grid | None,
    place: dict[str, xr.Variable],
    told: Mapping[str, Properties],
) -> list[Channel]:
    counts = tuple(tuple(segment.count for segment in curve) for curve in curves)
    longest = max(sum(one) for one in counts)
    if not longest:
        raise TranslationError("none of its curves has a sample")
    version = read_version(path)
    durations = tuple(tuple(segment.duration for segment in curve) for curve in curves)
    rhythm = _Rhythm(path, version, counts, durations, (len(curves), longest))
    samples, coords = _describe_samples(rhythm), dict(place) if grid is None else grid.coords(counts)
    if samples.name == "time":
        numbers = replace(rhythm, numbers=True).read(slice(0, 1), slice(None))[0].astype("i2")
        coords["segment"] = xr.Variable(("time",), numbers, {"long_name": "segment of the curve"})
    axes = (*(() if grid is None else grid.axes), samples)
    found = [
        Channel(name, _lay(blocks, name, grid), axes, one.quantity, one.units, coords, _list_attrs(told[name], one))
        for name, blocks, one in _open_channels(path, curves, version, longest)
    ]
    if samples.name != "time":
        segments = replace(rhythm, numbers=True)
        found.append(Channel("time", _lay(rhythm, "time", grid), axes, "time", "s", coords))
        found.append(Channel("segment", _lay(segments, "segment", grid), axes, "segment", "", coords))
    return found


def _list_attrs(told: Properties, conversion: Conversion) -> dict[str, str | float]:
    """Return what the header says of a channel, and by which spring constant and sensitivity volts became a force."""
    names = {"spring_constant": "force", "inverse_sensitivity": "distance"} if conversion.units == "N" else {}
    ends = {name: f".conversion-set.conversion.{slot}.scaling.multiplier" for name, slot in names.items()}
    found = {name: float(v) for name, end in ends.items() for key, v in told.items() if key.endswith(end)}
    return {**told, **found}


def _describe_samples(rhythm: _Rhythm) -> Axis:
    """Return the axis of time where all curves have the same one, else one that counts."""
    if len(set(rhythm.counts)) == len(set(rhythm.durations)) == 1:
        times = rhythm.read(slice(0, 1), slice(None))[0]
        if (np.diff(times) > 0).all():
            return Axis("time", times, "s", "spectroscopic")
    return Axis("sample", np.arange(rhythm.shape[1], dtype="f8"), "", "spectroscopic")


def _lay(blocks: Blocks, name: str, grid: Grid | None) -> da.Array:
    """Lay curves over the grid, in blocks of whole rows; a single curve has no dim of position."""
    if grid is None:
        return open_blocks(blocks, name)[0]
    *_, columns = grid.shape
    data = open_blocks(blocks, name, (columns, blocks.shape[1]))
    return data.reshape((*grid.shape, blocks.shape[1]))


def _open_channels(
    path: Path, curves: list[list[_Segment]], version: tuple[int, int], longest: int
) -> list[tuple[str, _CurveBlocks, Conversion]]:
    found = []
    for name in dict.fromkeys(name for curve in curves for segment in curve for name in segment.channels):
        rows = tuple(tuple(_make_piece(segment, name) for segment in curve) for curve in curves)
        used = dict.fromkeys(piece.conversion for row in rows for piece in row if piece.member is not None)
        kinds = {(one.quantity, one.units) for one in used}
        if len(kinds) > 1:
            raise TranslationError(f"channel {name!r} is in different units from curve to curve: {sorted(kinds)}")
        found.append((name, _CurveBlocks(path, version, rows, (len(rows), longest)), next(iter(used))))
    return found


_NOTHING: Final = Conversion("f8", (), "", "")


def _make_piece(segment: _Segment, name: str) -> _Piece:
    member, conversion = segment.channels.get(name, (None, _NOTHING))
    return _Piece(member, segment.count, conversion)


READER: Final = FormatReader(
    name="jpk",
    opens="JPK force curves and maps (.jpk-force, .jpk-force-map, .jpk-qi-data)",
    recognize=_recognize,
    parse=_parse,
    extensions=_ENDINGS,
)
