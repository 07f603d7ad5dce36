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
from usidx.look.explorer.reading.scene import Scene
from usidx.look.explorer.reading.work import Task

__all__ = ["Reduce", "Region", "Window", "read_region", "read_step", "read_window"]

Reduce = Literal["mean", "sum", "centre"]
#: First and last index along dims of the signal, the last one left out.
Window = Mapping[str, tuple[int, int]]

# Of one block, as it is read.
_BLOCK_BYTES = 8_000_000
#: Cells a side of a map at the first glance, and of the map that follows.
_GLANCE, _LONGEST = 96, 512
_MOST_POINTS = 20_000
# Cells that are read in a moment however they lie.
_AT_ONCE = 40_000


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


def read_step(scene: Scene, steps: Mapping[str, int], task: Task, show: Callable[[xr.DataArray], None]) -> xr.DataArray:
    """Read the map of one step of every swept dim; a large one is shown coarse first."""
    one = scene.array.isel({d: steps[d] for d in scene.swept})
    if one.size > _AT_ONCE and scene.kind == "image":
        show(_thin(one, scene, _GLANCE).transpose(*scene.places).load())
    cut = _thin(one, scene)
    return _join(list(_cut_rows(cut, scene.places, task, at_least=8)), cut, scene.places)


def read_window(
    scene: Scene,
    window: Window,
    reduce: Reduce,
    fixed: Mapping[str, int],
    task: Task,
    show: Callable[[xr.DataArray], None] | None = None,
    weights: NDArray[np.bool_] | None = None,
) -> xr.DataArray:
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
    show : callable, optional
        Takes the map as far as it is; cells to come are NaN.
    weights : ndarray of bool, optional
        Which cells of the window count, in the order of its dims.
    """
    part = {d: slice(*window[d]) if d in window else fixed[d] for d in scene.swept}
    cut = _thin(scene.array.isel(part), scene)
    dims = [d for d in scene.swept if d in window]
    whole = np.full([cut.sizes[d] for d in scene.places], np.nan)
    made = cut.isel(dict.fromkeys(dims, 0)).transpose(*scene.places)
    row, parts = 0, 0
    for block in _cut_rows(cut.transpose(*scene.places, *dims), scene.places, task):
        found = _reduce(block, dims, reduce, weights)
        whole[row : row + len(found)] = found
        row, parts = row + len(found), parts + 1
        if show is not None and parts % 8 == 0:
            show(_describe(made, whole.copy(), reduce, cut, dims))
    return _describe(made, whole, reduce, cut, dims)


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


def _cut_rows(array: xr.DataArray, places: tuple[str, ...], task: Task, *, at_least: int = 1) -> Iterator[xr.DataArray]:
    """Read an array in blocks of rows of its first place dim; tells how far it is before each."""
    dim = places[0]
    for start, stop in _list_blocks(array, dim, at_least):
        task.tell(start / array.sizes[dim])
        yield array.isel({dim: slice(start, stop)}).load()


def _list_blocks(array: xr.DataArray, dim: str, at_least: int) -> list[tuple[int, int]]:
    """List first and last rows of what is read at once; what dask holds together, together, or it is made twice."""
    size = array.sizes[dim]
    step = max(at_least, _BLOCK_BYTES // max(1, array.nbytes // max(size, 1)), 1)
    rows = array.chunksizes[dim] if array.chunks is not None else (1,) * size
    ends: list[int] = [0]
    for end in accumulate(rows):
        if end - ends[-1] >= step or end == size:
            ends.append(end)
    return list(pairwise(ends))


def _join(blocks: list[xr.DataArray], like: xr.DataArray, places: tuple[str, ...]) -> xr.DataArray:
    joined = blocks[0] if len(blocks) == 1 else xr.concat(blocks, places[0], coords="minimal", compat="override")
    return joined.transpose(*places).assign_attrs(like.attrs).rename(like.name)
