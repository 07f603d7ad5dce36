"""Smooth random maps, noise by row and lazy blocks: what every simulated scan is made of.

Everything is a function of the cell, never of the block that it is computed in, so a scan is the same scan for any
chunking, and the same as the one in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, DTypeLike, NDArray

from usidx.label.roles import POSITION, ROLE, SPECTROSCOPIC

__all__ = [
    "Chunks",
    "SmoothField",
    "assemble",
    "draw_row_noise",
    "make_coordinate",
    "make_position_coordinates",
    "make_row_rng",
    "make_spectroscopic_coordinate",
    "match_chunks",
]

Chunks = Mapping[str, Any] | Literal["auto"] | None

# Slabs of this size keep a handful of blocks per worker far below a laptop's memory.
_BLOCK_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class SmoothField:
    """A random map of zero mean and unit variance: a sum of plane waves, known at any point."""

    along_y: NDArray[np.float64]
    along_x: NDArray[np.float64]
    phase: NDArray[np.float64]

    @classmethod
    def draw(cls, rng: np.random.Generator, length: float, waves: int = 32) -> SmoothField:
        """Draw a map whose features are about `length` long, in the unit of the coordinates."""
        wavenumber = 2 * np.pi / length * rng.uniform(0.5, 1.5, waves)
        direction = rng.uniform(0, 2 * np.pi, waves)
        phase = rng.uniform(0, 2 * np.pi, waves)
        return cls(wavenumber * np.sin(direction), wavenumber * np.cos(direction), phase)

    def __call__(self, y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float64]:
        """Return the map at the grid of `y` by `x`; a wave on a grid is an outer product."""
        rows = np.exp(1j * (np.outer(self.along_y, y) + self.phase[:, None]))
        columns = np.exp(1j * np.outer(self.along_x, x))
        field: NDArray[np.float64] = np.zeros((y.size, x.size))
        # Wave by wave and not as one matrix product, whose rounding depends on the size of the block.
        for row, column in zip(rows, columns, strict=True):
            field += np.multiply.outer(row.real, column.real)
            field -= np.multiply.outer(row.imag, column.imag)
        field *= np.sqrt(2 / self.phase.size)
        return field


def make_row_rng(seed: int, row: int) -> np.random.Generator:
    """Return the generator of one row of the scan; rows are independent of each other and of the blocks."""
    return np.random.default_rng([seed, row])


def draw_row_noise(
    seed: int, row: int, sizes: Sequence[int], picked: Sequence[NDArray[np.intp]]
) -> NDArray[np.float32]:
    """Draw the normal noise of a whole row, then pick the cells that the block covers."""
    whole = make_row_rng(seed, row).standard_normal(tuple(sizes), dtype=np.float32)
    return whole[np.ix_(*picked)]


def assemble(fill: Callable[..., NDArray[Any]], sizes: Mapping[str, int], dtype: DTypeLike, chunks: Chunks) -> Any:
    """Fill an array from a function of its index vectors, at once (``chunks=None``) or block by block on dask."""
    if chunks is None:
        return fill(*(np.arange(n) for n in sizes.values()))
    import dask.array as da

    blocks = da.core.normalize_chunks(
        _choose_chunks(sizes, chunks), tuple(sizes.values()), limit=_BLOCK_BYTES, dtype=dtype
    )
    pairs: list[Any] = []
    for number, (size, sections) in enumerate(zip(sizes.values(), blocks, strict=True)):
        pairs += [da.arange(size, chunks=(sections,)), (number,)]
    meta = np.empty((0,) * len(sizes), dtype)
    return da.blockwise(fill, tuple(range(len(sizes))), *pairs, dtype=dtype, meta=meta)


def _choose_chunks(sizes: Mapping[str, int], chunks: Mapping[str, Any] | Literal["auto"]) -> tuple[Any, ...]:
    """Whole spectra, slabs along the slowest dim; what the caller names is as the caller says."""
    slowest = next(iter(sizes))
    named = {slowest: "auto"} if chunks == "auto" else dict(chunks)
    return tuple(named.get(dim, -1) for dim in sizes)


def make_coordinate(dim: str, values: ArrayLike, *, role: str, long_name: str, units: str) -> xr.Variable:
    """Build a coordinate that says what it is."""
    return xr.Variable((dim,), np.asarray(values), {ROLE: role, "long_name": long_name, "units": units})


def make_position_coordinates(shape: tuple[int, int], width: float) -> dict[str, xr.Variable]:
    """Build Y and X in metres with square pixels, `width` metres along X."""
    step = width / max(shape[1] - 1, 1)
    named = {"Y": np.arange(shape[0]) * step, "X": np.arange(shape[1]) * step}
    return {d: make_coordinate(d, v, role=POSITION, long_name=d, units="m") for d, v in named.items()}


def make_spectroscopic_coordinate(dim: str, values: ArrayLike, long_name: str, units: str) -> xr.Variable:
    """Build the coordinate of a swept dim."""
    return make_coordinate(dim, values, role=SPECTROSCOPIC, long_name=long_name, units=units)


def match_chunks(chunks: Chunks, sizes: Mapping[str, int]) -> Chunks:
    """Cut the truth along the dims that it shares with the scan."""
    return chunks if chunks is None or chunks == "auto" else {d: n for d, n in chunks.items() if d in sizes}
