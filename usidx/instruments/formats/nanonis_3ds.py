"""Nanonis grids -> a channel per signal, (Y, X, swept).

A header of ``key=value`` lines, then for each point, X fastest, its parameters and its sweep of each channel, float32.
Points lie from the corner of the frame on, rows from the bottom; the parameters of the points are coordinates. A grid
that was stopped ends behind a point: the points that were not measured are NaN.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.format.layout import Array
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.file_array import lay_out
from usidx.instruments.reader import Confidence, FormatReader
from usidx.instruments.scan_frame import describe_frame, make_scan_axes
from usidx.instruments.unit_texts import split_units

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["READER"]

_MAGIC: Final = b"Grid dim="
_END: Final = b":HEADER_END:"
_LONGEST_HEADER: Final = 4 << 20
# A grid that was stopped is as large as it was planned, with NaN; a damaged header may plan anything.
_LARGE: Final = 64 << 20
_MOST_PLANNED: Final = 100
# Coordinates for each point; grids with more parameters than this are none.
_MOST_PARAMETERS: Final = 1000


@dataclass(frozen=True, slots=True)
class _Grid:
    """How the points lie in the file."""

    path: Path
    header: dict[str, str]
    offset: int
    columns: int
    rows: int
    points: int
    parameters: tuple[str, ...]
    channels: tuple[str, ...]

    @property
    def point_bytes(self) -> int:
        return 4 * (len(self.parameters) + self.points * len(self.channels))

    @property
    def measured(self) -> int:
        """Points that the file has."""
        size = self.path.stat().st_size - self.offset
        count, rest = divmod(size, self.point_bytes)
        wanted = self.rows * self.columns
        if (count < wanted and rest) or not count:
            raise TranslationError(
                f"it ends within point {count} of {wanted}: it is cut off, or damaged (a grid that was stopped ends "
                "behind a point)"
            )
        if wanted * self.point_bytes > max(_LARGE, _MOST_PLANNED * size):
            raise TranslationError(
                f"it has {count} points of a grid of {self.rows} x {self.columns}, which nobody planned"
            )
        return min(count, wanted)

    def read(self, first: int, count: int) -> da.Array:
        """Return `count` cells of each point from number `first` on, dims (Y, X, cell), NaN where none was measured."""
        import dask.array as da

        measured = self.measured
        whole, rest = divmod(measured, self.columns)
        parts = [self._lay(0, whole, self.columns, first, count)] if whole else []
        if rest:
            line = self._lay(whole, 1, rest, first, count)
            parts.append(da.pad(line, ((0, 0), (0, self.columns - rest), (0, 0)), constant_values=np.nan))
        missing = self.rows - ceil(measured / self.columns)
        if missing:
            parts.append(da.full((missing, self.columns, count), np.nan, dtype=np.float32))
        return parts[0] if len(parts) == 1 else da.concatenate(parts)

    def _lay(self, row: int, rows: int, columns: int, first: int, count: int) -> da.Array:
        line = self.columns * self.point_bytes
        offset = self.offset + row * line + 4 * first
        strides = (line, self.point_bytes, 4)
        return lay_out(self.path, "nanonis_3ds", (rows, columns, count), ">f4", offset=offset, strides=strides)


def _recognize(path: Path, head: bytes) -> float:
    if head.startswith(_MAGIC) or (_MAGIC in head and _END in head):
        return Confidence(0.99, "its header says 'Grid dim='")
    return 0.0


def _parse(path: Path) -> xr.DataTree:
    grid = _read_grid(path)
    return build_tree(_list_channels(grid), dict(grid.header))


def _read_grid(path: Path) -> _Grid:
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    end = head.find(_END)
    if end < 0:
        raise TranslationError("its header of a Nanonis grid does not end: it is cut off, or damaged")
    start = end + len(_END) + (2 if head[end + len(_END) :][:2] == b"\r\n" else 1)
    header = _read_header(head[:end].decode("latin-1"))
    columns, rows = (int(n) for n in header["Grid dim"].split("x"))
    points, told = int(header["Points"]), int(header["# Parameters (4 byte)"])
    if min(columns, rows, points) < 1 or not 0 <= told <= _MOST_PARAMETERS:
        raise TranslationError(f"its grid is {columns} x {rows} of {points} points and {told} parameters")
    named = [*_split(header.get("Fixed parameters", "")), *_split(header.get("Experiment parameters", ""))]
    parameters = [named[n] if n < len(named) else f"Parameter {n}" for n in range(told)]
    return _Grid(path, header, start, columns, rows, points, tuple(parameters), _split(header["Channels"]))


def _read_header(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip(): value.strip().strip('"') for key, sign, value in pairs if sign}


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(";") if part.strip())


def _list_channels(grid: _Grid) -> Iterator[Channel]:
    center_x, center_y, width, height, angle = (float(n) for n in grid.header["Grid settings"].split(";"))
    y, x = make_scan_axes(grid.rows, grid.columns, (height, width))
    parameters = grid.read(0, len(grid.parameters)).compute() if grid.parameters else None
    coords = describe_frame("m", center=(center_y, center_x), size=(height, width), angle=angle)
    coords |= _describe_points(grid, parameters)
    swept, more = _find_sweep(grid, parameters)
    measured = grid.measured
    attrs = {} if measured == grid.rows * grid.columns else {"points_measured": measured}
    for number, title in enumerate(grid.channels):
        name, units = split_units(title)
        data = grid.read(len(grid.parameters) + number * grid.points, grid.points)
        yield Channel(name.replace("/", "_"), data, (y, x, swept), name, units, {**coords, **more}, dict(attrs))


def _describe_points(grid: _Grid, parameters: Array | None) -> dict[str, xr.Variable]:
    """Return the parameters of the points as coordinates; where the tip was is no axis of the frame, and no channel."""
    found: dict[str, xr.Variable] = {}
    for number, title in enumerate(grid.parameters):
        name, units = split_units(title)
        name = f"tip_{name}" if name in {"X", "Y", "Z"} else name
        if parameters is not None and name not in found:
            found[name] = xr.Variable(("Y", "X"), parameters[..., number], {"units": units})
    return found


def _find_sweep(grid: _Grid, parameters: Array | None) -> tuple[Axis, dict[str, xr.Variable]]:
    """Return what was swept: from start to end where all points agree, else counted, with its values per point."""
    name, units = split_units(grid.header.get("Sweep Signal", "") or "Sweep")
    ends = [grid.parameters.index(end) for end in ("Sweep Start", "Sweep End") if end in grid.parameters]
    if parameters is None or len(ends) != 2:
        return Axis(name, np.arange(grid.points), "", "spectroscopic", f"{name} (step)"), {}
    start, end = (np.asarray(parameters[..., place], float) for place in ends)
    first, last = start.flat[0], end.flat[0]
    if first != last and np.all((start == first) | np.isnan(start)) and np.all((end == last) | np.isnan(end)):
        return Axis(name, np.linspace(first, last, grid.points), units, "spectroscopic"), {}
    steps = np.linspace(0, 1, grid.points)
    values = start[..., None] + (end - start)[..., None] * steps
    own = xr.Variable(("Y", "X", f"{name}_step"), values, {"units": units, "long_name": name})
    return Axis(f"{name}_step", np.arange(grid.points), "", "spectroscopic"), {name: own}


READER: Final = FormatReader("nanonis_3ds", "Nanonis grid spectroscopy (.3ds)", _recognize, _parse, (".3ds",))
