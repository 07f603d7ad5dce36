"""Images whose picture drifts from frame to frame, and surfaces as a scanning probe shows them, with the truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import DTypeLike, NDArray

from usidx.errors import UsidError
from usidx.results.provenance import put_steps
from usidx.simulate.fields import (
    Chunks,
    SmoothField,
    assemble,
    draw_row_noise,
    make_position_coordinates,
    make_spectroscopic_coordinate,
)
from usidx.simulate.oscillation import check_sizes
from usidx.version import usidx_version

__all__ = ["drifting_stack", "stepped_surface"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Kind = Literal["lattice", "topography"]

_STEP = 1e-9
_SPACING = 9.3
_ATOM = 2.0
#: Atoms along a side, after which they come again.
_LARGEST = 128


def drifting_stack(
    shape: tuple[int, int] = (128, 192),
    frames: int = 12,
    *,
    kind: Kind = "topography",
    drift: float = 0.35,
    noise: float = 0.1,
    seed: int = 0,
    dtype: DTypeLike = "float32",
    chunks: Chunks = None,
) -> tuple[xr.DataArray, xr.Dataset]:
    """Simulate images of one picture that drifts.

    With `chunks` the stack is lazy, and equal to the one in memory for any chunking.

    Parameters
    ----------
    shape : tuple of int
        Rows (Y) and columns (X), 1 nm apart.
    frames : int
        How many images.
    kind : {"topography", "lattice"}
        Smooth and random, or atoms on a square lattice in which some are missing.
    drift : float
        Samples from frame to frame along both dims, on the average; 0.7 of it at random.
    noise : float
        Standard deviation as a fraction of that of the picture.
    seed : int
        Same seed, same stack.
    dtype : dtype
        A real type.
    chunks : mapping of dim to block size or "auto", optional
        Dask blocks; "auto" cuts the stack between frames.

    Returns
    -------
    stack : DataArray, dims (Frame, Y, X)
        Height in nm, named ``Raw_Data``, with a standard deviation of about 1.
    truth : Dataset
        ``shift_Y`` and ``shift_X`` (Frame): how far the picture has moved, in m; ``picture`` (Y, X): the first image
        without noise.

    Raises
    ------
    UsidError
        A size is below one, or there is no such kind.

    Examples
    --------
    >>> from usidx.simulate import drifting_stack
    >>> stack, truth = drifting_stack((32, 48), frames=3)
    >>> dict(stack.sizes), truth.shift_Y.attrs["units"]
    ({'Frame': 3, 'Y': 32, 'X': 48}, 'm')
    """
    check_sizes(rows=shape[0], columns=shape[1], frames=frames)
    if kind not in ("topography", "lattice"):
        raise UsidError(f"kind={kind!r}; give one of 'topography', 'lattice'.")
    rng = np.random.default_rng(seed)
    steps = rng.normal(drift, 0.7 * abs(drift), (frames, 2))
    steps[0] = 0
    picture = SmoothField.draw(rng, 16.0) if kind == "topography" else _Lattice.draw(rng)
    moving = _Moving(picture, np.cumsum(steps, axis=0), noise, seed, (shape[0], shape[1]), np.dtype(dtype))
    sizes = {"Frame": frames, "Y": shape[0], "X": shape[1]}
    frame = make_spectroscopic_coordinate("Frame", np.arange(frames), "Frame", "")
    places = make_position_coordinates(shape, _STEP * max(shape[1] - 1, 1))
    data = assemble(partial(_show, moving), sizes, moving.dtype, chunks)
    attrs = {"long_name": "Height", "units": "nm"}
    stack = xr.DataArray(data, {"Frame": frame, **places}, tuple(sizes), "Raw_Data", attrs)
    options = {"shape": list(shape), "frames": frames, "kind": kind, "drift": drift, "noise": noise, "seed": seed}
    told = {"long_name": "Shift", "units": "m"}
    truth = xr.Dataset(
        {
            **{f"shift_{d}": ("Frame", _STEP * moving.shifts[:, n], told) for n, d in enumerate(("Y", "X"))},
            "picture": (
                ("Y", "X"),
                picture(np.arange(shape[0], dtype=np.float64), np.arange(shape[1], dtype=np.float64)),
                attrs,
            ),
        },
        coords={"Frame": frame, **places},
    )
    return _put_step(stack, "drifting_stack", options | {"dtype": str(moving.dtype)}), truth


def _put_step(made: xr.DataArray, tool: str, options: dict[str, Any]) -> xr.DataArray:
    return put_steps(made, [{"tool": f"simulate.{tool}", "version": usidx_version(), "parameters": options}])


@dataclass(frozen=True, slots=True)
class _Lattice:
    """Atoms on a square lattice, of which some are missing; known at any point, with a deviation of about 1."""

    there: Array

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Lattice:
        return cls((rng.random((_LARGEST, _LARGEST)) >= 0.07).astype(np.float64))

    def __call__(self, y: Array, x: Array) -> Array:
        rows, columns = (np.arange(np.floor(p.min() / _SPACING) - 2, np.ceil(p.max() / _SPACING) + 3) for p in (y, x))
        there = self.there[np.ix_(rows.astype(int) % _LARGEST, columns.astype(int) % _LARGEST)]
        along_y, along_x = (
            np.exp(-((p[:, np.newaxis] - _SPACING * atoms) ** 2) / (2 * _ATOM**2))
            for p, atoms in ((y, rows), (x, columns))
        )
        return np.asarray(3.3 * along_y @ there @ along_x.T)


@dataclass(frozen=True, slots=True)
class _Moving:
    """Everything that decides a stack of images."""

    picture: Any
    shifts: Array
    noise: float
    seed: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]


def _show(moving: _Moving, frame: Index, y: Index, x: Index) -> NDArray[Any]:
    block = np.empty((frame.size, y.size, x.size), moving.dtype)
    for number, one in enumerate(frame):
        down, right = moving.shifts[one]
        # The whole image, so that rounding does not depend on the block.
        whole = moving.picture(np.arange(moving.shape[0]) - down, np.arange(moving.shape[1]) - right)
        drawn = draw_row_noise(moving.seed, int(one), moving.shape, (y, x))
        block[number] = whole[np.ix_(y, x)] + moving.noise * drawn
    return block


def stepped_surface(
    shape: tuple[int, int] = (192, 256),
    *,
    steps: int = 2,
    particles: int = 25,
    scars: int = 0,
    offsets: float = 0.3,
    noise: float = 0.05,
    seed: int = 0,
    dtype: DTypeLike = "float64",
) -> tuple[xr.DataArray, xr.Dataset]:
    """Simulate the image of a surface of terraces and particles by a probe that scans it line by line.

    Parameters
    ----------
    shape : tuple of int
        Rows (Y), each a scanned line, and columns (X), 1 nm apart.
    steps : int
        Edges, each 1 nm higher than the last terrace.
    particles : int
        Round and smooth, 2 to 10 nm high.
    scars : int
        Pieces of lines at which the probe lost the surface.
    offsets : float
        Standard deviation of the height of a line in nm; half of that is kept from line to line.
    noise : float
        Standard deviation in nm.
    seed : int
        Same seed, same surface.
    dtype : dtype
        A real type.

    Returns
    -------
    image : DataArray, dims (Y, X)
        Height in nm, named ``Raw_Data``, with a tilt, a bow, line offsets, scars and noise.
    truth : Dataset, dims (Y, X)
        ``surface``: terraces and particles; ``background``: tilt, bow and line offsets, in nm; ``scar``: where.

    Raises
    ------
    UsidError
        A size is below one.

    Examples
    --------
    >>> from usidx.simulate import stepped_surface
    >>> image, truth = stepped_surface((48, 64))
    >>> image.dims, truth.surface.attrs["units"]
    (('Y', 'X'), 'nm')
    """
    check_sizes(rows=shape[0], columns=shape[1])
    rng = np.random.default_rng(seed)
    y, x = np.arange(shape[0], dtype=float)[:, np.newaxis], np.arange(shape[1], dtype=float)
    surface = np.zeros(shape)
    for number in range(steps):
        surface += x + (0.35 - 0.55 * number) * y > (number + 1) * shape[1] / (steps + 1)
    for _ in range(particles):
        row, column, size, height = rng.uniform([0, 0, 3, 2], [*shape, 8, 10])
        surface += height * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * size**2))
    wandering = np.cumsum(rng.normal(0, offsets / 2, shape[0])) + rng.normal(0, offsets, shape[0])
    background = 0.01 * x + 0.02 * y + 3e-5 * (x - 100) ** 2 + wandering[:, np.newaxis]
    scar = _draw_scars(rng, shape, scars)
    seen = surface + background + 3 * scar + noise * rng.normal(size=shape)
    places = make_position_coordinates(shape, _STEP * max(shape[1] - 1, 1))
    attrs = {"long_name": "Height", "units": "nm"}
    image = xr.DataArray(seen.astype(dtype), places, ("Y", "X"), "Raw_Data", attrs)
    known = {"surface": surface, "background": background, "scar": scar}
    truth = xr.Dataset({n: (("Y", "X"), v, attrs if n != "scar" else {}) for n, v in known.items()}, coords=places)
    options = {"shape": list(shape), "steps": steps, "particles": particles, "scars": scars, "offsets": offsets}
    options |= {"noise": noise, "seed": seed, "dtype": str(np.dtype(dtype))}
    return _put_step(image, "stepped_surface", options), truth


def _draw_scars(rng: np.random.Generator, shape: tuple[int, int], count: int) -> NDArray[np.bool_]:
    found = np.zeros(shape, bool)
    for _ in range(count):
        row, first = int(rng.integers(1, max(shape[0] - 1, 2))), int(rng.integers(shape[1]))
        found[min(row, shape[0] - 1), first : first + int(rng.integers(10, 40))] = True
    return found
