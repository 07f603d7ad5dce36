"""An array in a file to pictures of a part of it: block by block, so that memory stays small and work can be ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.look.draw.downsample import make_ruler, thin
from usidx.look.draw.numbers import find_quantity
from usidx.look.explorer.reading.growing import Draft, grow
from usidx.look.explorer.reading.scene import Scene
from usidx.look.explorer.reading.work import Task

__all__ = ["Reduce", "Region", "Window", "read_region", "read_step", "read_window"]

Reduce = Literal["mean", "sum", "centre"]
#: First and last index along dims of the signal, the last one left out.
Window = Mapping[str, tuple[int, int]]

# Of one block, as it is read.
_BLOCK_BYTES = 8_000_000
# Cells a side of a map.
_LONGEST = 512
_MOST_POINTS = 20_000
# An array of so many bytes is read in a moment, however it is stored.
_AT_ONCE = 64_000_000


@dataclass(frozen=True)
class Region:
    """Places of a map: a box of rows and columns, and which cells in it count.

    Attributes
    ----------
    box : mapping of dim to (first, last)
        Last left out.
    cells : ndarray of bool
        Of the box.
    """

    box: Window
    cells: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """How many places there are."""
        return int(self.cells.sum())


def read_step(scene: Scene, steps: Mapping[str, int], task: Task, show: Callable[[Draft], None]) -> Draft:
    """Read the map of one step of every swept dim; where it takes a while it is shown coarse first."""
    cut = _thin(scene.array.isel({d: steps[d] for d in scene.swept}), scene).transpose(*scene.places)
    return _grow_rows(
        cut, scene, lambda rows: rows.values, lambda values: cut.copy(deep=False, data=values), task, show
    )


def read_window(
    scene: Scene,
    window: Window,
    reduce: Reduce,
    fixed: Mapping[str, int],
    task: Task,
    show: Callable[[Draft], None],
    weights: NDArray[np.bool_] | None = None,
) -> Draft:
    """Read what a window of the signal makes of each place: its mean, its sum, or its centre along the first dim.

    Parameters
    ----------
    scene : Scene
        What is looked at.
    window : mapping of dim to (first, last)
        Steps that count, the last one left out.
    reduce : {"mean", "sum", "centre"}
        What of them.
    fixed : mapping of dim to index
        Of the other swept dims.
    task : Task
        Told how far it is.
    show : callable
        Takes the map as far as it is.
    weights : ndarray of bool, optional
        Which cells of the window count, in the order of its dims.
    """
    part = {d: slice(*window[d]) if d in window else fixed[d] for d in scene.swept}
    dims = [d for d in scene.swept if d in window]
    cut = _thin(scene.array.isel(part), scene).transpose(*scene.places, *dims)
    made = cut.isel(dict.fromkeys(dims, 0))
    return _grow_rows(
        cut,
        scene,
        lambda rows: _reduce(rows.load(), dims, reduce, weights),
        lambda values: _describe(made, values, reduce, cut, dims),
        task,
        show,
    )


def _reduce(block: xr.DataArray, dims: list[str], reduce: Reduce, weights: NDArray[np.bool_] | None) -> Any:
    """Reduce a block over the dims of the window; of complex values the magnitude counts."""
    values = np.abs(block.values) if block.dtype.kind == "c" else block.values.astype(np.float64)
    axes = tuple(range(values.ndim - len(dims), values.ndim))
    if weights is not None:
        values = np.where(weights, values, 0)
        return values.sum(axis=axes) / (weights.sum() if reduce == "mean" else 1)
    if reduce == "centre":
        along = make_ruler(block, dims[-1]).values
        amounts = values.sum(axis=axes[:-1]) if len(axes) > 1 else values
        with np.errstate(invalid="ignore", divide="ignore"):
            return (amounts * along).sum(axis=-1) / amounts.sum(axis=-1)
    return values.mean(axis=axes) if reduce == "mean" else values.sum(axis=axes)


def _describe(
    made: xr.DataArray, values: NDArray[np.float64], reduce: Reduce, cut: xr.DataArray, dims: list[str]
) -> xr.DataArray:
    """Label a map of a window: its quantity, and the unit of what was reduced."""
    ruler = make_ruler(cut, dims[-1])
    of = f"|{find_quantity(cut)}|" if cut.dtype.kind == "c" else find_quantity(cut)
    centre = reduce == "centre"
    attrs = {
        "long_name": f"Centre along {ruler.quantity}" if centre else f"{reduce.capitalize()} of {of}",
        "units": ruler.unit if centre else cut.attrs.get("units", ""),
    }
    coords = {name: c for name, c in made.coords.items() if set(c.dims) <= set(made.dims) and c.ndim}
    return xr.DataArray(values, coords, made.dims, name=reduce, attrs=attrs)


def read_region(
    scene: Scene, region: Region, fixed: Mapping[str, int], task: Task
) -> tuple[xr.DataArray, xr.DataArray]:
    """Read the mean over the places of a region, and the standard deviation; of complex values, of the magnitude."""
    part: dict[str, Any] = {d: slice(*span) for d, span in region.box.items()}
    cut = scene.array.isel(part | dict(fixed))
    rest = [str(d) for d in cut.dims if d not in scene.places]
    cut = cut.transpose(*scene.places, *rest)
    count, first, total, squares = 0, None, 0.0, 0.0
    row = 0
    for block in _cut_rows(cut, scene.places, task):
        values = np.abs(block.values) if block.dtype.kind == "c" else block.values.astype(np.float64)
        chosen = values[region.cells[row : row + len(values)]]
        row += len(values)
        if not len(chosen):
            continue
        # Sums are taken of differences to the first spectrum: of raw values the squares would cancel.
        first = chosen[0].copy() if first is None else first
        chosen = chosen - first
        count, total, squares = count + len(chosen), total + chosen.sum(axis=0), squares + (chosen**2).sum(axis=0)
    like = cut.isel(dict.fromkeys(scene.places, 0))
    coords = {name: c for name, c in like.coords.items() if c.ndim}
    mean = (0.0 if first is None else first) + total / max(count, 1)
    spread = np.sqrt(np.maximum(squares / max(count, 1) - (total / max(count, 1)) ** 2, 0))
    attrs = {k: v for k, v in cut.attrs.items() if k in ("long_name", "units")}
    return (
        xr.DataArray(mean, coords, rest, name=cut.name, attrs=attrs),
        xr.DataArray(spread, coords, rest, name=cut.name, attrs=attrs),
    )


def _thin(array: xr.DataArray, scene: Scene, longest: int = _LONGEST) -> xr.DataArray:
    limit = longest if scene.kind == "image" else _MOST_POINTS
    return thin(array, scene.places, limit)[0]


def _cut_rows(array: xr.DataArray, places: tuple[str, ...], task: Task) -> Iterator[xr.DataArray]:
    """Read an array in blocks of rows of its first place dim; tells how far it is before each."""
    dim = places[0]
    for start, stop in _list_blocks(array, dim):
        task.tell(start / array.sizes[dim])
        yield array.isel({dim: slice(start, stop)}).load()


def _list_blocks(array: xr.DataArray, dim: str) -> list[tuple[int, int]]:
    """List first and last rows of what is read at once; what dask holds together, together, or it is made twice."""
    size = array.sizes[dim]
    step = max(_BLOCK_BYTES // max(1, array.nbytes // max(size, 1)), 1)
    rows = array.chunksizes[dim] if array.chunks is not None else (1,) * size
    ends: list[int] = [0]
    for end in accumulate(rows):
        if end - ends[-1] >= step or end == size:
            ends.append(end)
    return list(pairwise(ends))


def _grow_rows(
    cut: xr.DataArray,
    scene: Scene,
    work: Callable[[xr.DataArray], NDArray[Any]],
    draw: Callable[[NDArray[Any]], xr.DataArray],
    task: Task,
    show: Callable[[Draft], None],
) -> Draft:
    """Make a map of what `work` makes of its rows, coarse first where that takes a while."""
    dim = scene.places[0]
    blocks = _list_stored_blocks(cut, dim, scene.array.sizes[dim], is_small=scene.array.nbytes <= _AT_ONCE)
    most = _BLOCK_BYTES // max(1, cut.nbytes // cut.sizes[dim])
    return grow(blocks, most, lambda rows: work(cut.isel({dim: rows})), draw, task, show)


def _list_stored_blocks(array: xr.DataArray, dim: str, whole: int, *, is_small: bool) -> list[tuple[int, int]]:
    """List the rows that are read together: what is stored together is decoded together, else more than once.

    Parameters
    ----------
    array : DataArray
        What is read; of its rows every n-th may have been left out.
    dim : str
        That of the rows.
    whole : int
        How many rows there are in the file.
    is_small : bool
        Whether all is read at once.
    """
    size = array.sizes[dim]
    if array.chunks is not None:
        return list(pairwise(accumulate(array.chunksizes[dim], initial=0)))
    stored = int(array.encoding.get("preferred_chunks", {}).get(dim, 1))
    step = size if is_small else min(max(1, -(-stored * size // whole)), size)
    most = max(1, _BLOCK_BYTES // max(1, array.nbytes // max(size, 1)))
    return [
        (row, min(row + most, stop))
        for start in range(0, size, step)
        for stop in [min(start + step, size)]
        for row in range(start, stop, most)
    ]
