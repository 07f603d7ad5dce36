"""Disks of a scanned beam that known fields deflect, with the truth they were made from."""

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
    make_position_coordinates,
    make_spectroscopic_coordinate,
    match_chunks,
)
from usidx.simulate.oscillation import check_positive, check_sizes
from usidx.version import usidx_version

__all__ = ["diffraction"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_WIDTH = 20e-9  # metres that the scan is wide
_WAVES = 6  # whole ones over the scan, at most: the field repeats itself from scan to scan
_RING = 1.25, 1.75  # of the disk's radius: where what the specimen scatters goes
_PIXEL = 1.0  # mrad


def diffraction(
    shape: tuple[int, int] = (32, 32),
    detector: tuple[int, int] = (64, 64),
    *,
    radius: float = 8.0,
    deflection: float = 2.0,
    scattered: float = 0.3,
    center: tuple[float, float] = (0.0, 0.0),
    counts: float = 2e4,
    noise: Literal["poisson", "none"] = "poisson",
    seed: int = 0,
    dtype: DTypeLike = "uint16",
    chunks: Chunks = None,
) -> tuple[xr.DataArray, xr.Dataset]:
    """Simulate a 4-D scan: at each position a disk that a field deflects, and a ring of what the specimen scatters.

    With `chunks` the scan is lazy, and equal to the one in memory for any chunking.

    Parameters
    ----------
    shape : tuple of int
        Rows (Y) and columns (X); the scan is 20 nm wide.
    detector : tuple of int
        Its pixels along y and x, each of 1 mrad; 0 is in the middle.
    radius : float
        Of the disk, in mrad; its edge is one pixel wide.
    deflection : float
        Standard deviation of the deflections along each axis, in mrad.
    scattered : float
        Share of the electrons that the densest place sends into the ring, from 1.25 to 1.75 radii.
    center : (y, x)
        Where a beam that is not deflected hits the detector, in mrad.
    counts : float
        Electrons of each pattern.
    noise : {"poisson", "none"}
        Of the counts.
    seed : int
        Same seed, same scan.
    dtype : dtype
        Of the counts; whole numbers are rounded where there is no noise.
    chunks : mapping of dim to block size or "auto", optional
        Dask blocks; "auto" cuts slabs of about 32 MB along Y with whole patterns.

    Returns
    -------
    scan : DataArray, dims (Y, X, detector_Y, detector_X)
        Named ``Counts``.
    truth : Dataset, dims (Y, X)
        ``deflection_y``, ``deflection_x`` in mrad; ``phase``, whose slope they are, in mrad m; ``density``, from 0 to
        1, the share of `scattered` that each place sends into the ring.

    Raises
    ------
    UsidError
        A size is below one, or the noise is not one of those named.

    Examples
    --------
    >>> from usidx.simulate import diffraction
    >>> scan, truth = diffraction((8, 8), (32, 32))
    >>> scan.dims
    ('Y', 'X', 'detector_Y', 'detector_X')
    """
    _check(shape, detector, radius, noise)
    rng = np.random.default_rng(seed)
    coords = make_position_coordinates(shape, _WIDTH)
    places = coords["Y"].values, coords["X"].values
    field = _Field.draw(rng, shape, places, deflection)
    density = SmoothField.draw(rng, 0.5 * _WIDTH)
    axes = [np.asarray((np.arange(n) - (n - 1) / 2) * _PIXEL, np.float64) for n in detector]
    beam = _Beam(field, density, places, (axes[0], axes[1]), radius, scattered, center, counts, noise, seed,
                 np.dtype(dtype))  # fmt: skip
    for name, values in zip(("detector_Y", "detector_X"), axes, strict=True):
        coords[name] = make_spectroscopic_coordinate(name, values, "Angle", "mrad")
    sizes = {name: c.size for name, c in coords.items()}
    values = assemble(partial(_fill, beam), sizes, beam.dtype, chunks)
    attrs = {"long_name": "Counts", "units": "counts"}
    scan = xr.DataArray(values, dims=tuple(sizes), coords=coords, name="Counts", attrs=attrs)
    options = {"shape": list(shape), "detector": list(detector), "radius": radius, "deflection": deflection}
    options |= {"scattered": scattered, "center": list(center), "counts": counts, "noise": noise, "seed": seed}
    step = {"tool": "simulate.diffraction", "version": usidx_version(), "parameters": options}
    return put_steps(scan, [step]), _build_truth(beam, coords, chunks)


def _check(shape: tuple[int, int], detector: tuple[int, int], radius: float, noise: str) -> None:
    if not isinstance(detector, tuple | list) or len(detector) != 2:
        raise UsidError(f"detector={detector!r}; it should be two sizes, of rows and columns.")
    check_sizes(rows=shape[0], columns=shape[1], detector_rows=detector[0], detector_columns=detector[1])
    check_positive(radius=radius)
    if noise not in ("poisson", "none"):
        raise UsidError(f"noise={noise!r}; it should be 'poisson' or 'none'.")


@dataclass(frozen=True, slots=True)
class _Field:
    """A phase of a few waves, each of a whole number of periods over the scan, and its slopes."""

    waves: Array  # (wave, 2), in radians per metre
    heights: Array
    shifts: Array

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: tuple[int, int], places: Any, deflection: float) -> _Field:
        """Draw one whose slopes have this standard deviation."""
        spans = [n * (p[1] - p[0] if n > 1 else _WIDTH) for n, p in zip(shape, places, strict=True)]
        most = [min(2, max((n - 1) // 2, 0)) for n in shape]
        periods = np.array([rng.integers(-m, m + 1, _WAVES) for m in most]).T
        periods[(periods == 0).all(axis=1)] = [0, 1]
        waves = 2 * np.pi * periods / spans
        heights = rng.uniform(0.5, 1.0, _WAVES) / np.hypot(*waves.T)
        field = cls(waves, heights, rng.uniform(0, 2 * np.pi, _WAVES))
        size = np.sqrt(np.mean([field.find_slope(places[0], places[1], axis) ** 2 for axis in (0, 1)]))
        return cls(waves, heights * (deflection / size if size else 0.0), field.shifts)

    def find_phase(self, y: Array, x: Array) -> Array:
        """Return the phase on the grid of `y` by `x`."""
        return self._add(y, x, np.sin, self.heights)

    def find_slope(self, y: Array, x: Array, axis: int) -> Array:
        """Return its slope along an axis."""
        return self._add(y, x, np.cos, self.heights * self.waves[:, axis])

    def _add(self, y: Array, x: Array, wave: Any, heights: Array) -> Array:
        found: Array = np.zeros((y.size, x.size))
        for (along_y, along_x), height, shift in zip(self.waves, heights, self.shifts, strict=True):
            found += height * wave(np.add.outer(along_y * y, along_x * x) + shift)
        return found


@dataclass(frozen=True, slots=True)
class _Beam:
    """All that decides what is counted."""

    field: _Field
    density: SmoothField
    places: tuple[Array, Array]
    axes: tuple[Array, Array]
    radius: float
    scattered: float
    center: tuple[float, float]
    counts: float
    noise: str
    seed: int
    dtype: np.dtype[Any]

    def find_density(self, y: Array, x: Array) -> Array:
        """Return how much is scattered, from 0 to 1."""
        return np.asarray(0.5 + 0.5 * np.tanh(self.density(y, x)))


def _fill(beam: _Beam, rows: Index, columns: Index, along_y: Index, along_x: Index) -> NDArray[Any]:
    y, x = beam.places[0][rows], beam.places[1][columns]
    moved = [beam.field.find_slope(y, x, axis) + beam.center[axis] for axis in (0, 1)]
    density = beam.scattered * beam.find_density(y, x)
    found = np.empty((rows.size, columns.size, along_y.size, along_x.size), beam.dtype)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            whole = _draw_pattern(beam, (moved[0][i, j], moved[1][i, j]), density[i, j], int(row), int(column))
            found[i, j] = whole[np.ix_(along_y, along_x)]
    return found


def _draw_pattern(beam: _Beam, at: tuple[float, float], density: float, row: int, column: int) -> NDArray[Any]:
    distance = np.hypot(beam.axes[0][:, np.newaxis] - at[0], beam.axes[1] - at[1])
    edges = [np.clip((r * beam.radius - distance) / _PIXEL + 0.5, 0, 1) for r in (1.0, *_RING)]
    areas = [np.pi * (r * beam.radius / _PIXEL) ** 2 for r in (1.0, *_RING)]
    pattern: NDArray[Any] = (1 - density) * edges[0] / areas[0] + density * (edges[2] - edges[1]) / (
        areas[2] - areas[1]
    )
    pattern *= beam.counts
    if beam.noise == "poisson":
        pattern = np.random.default_rng([beam.seed, row, column]).poisson(pattern)
    whole = np.rint(pattern) if beam.dtype.kind in "iu" else pattern
    return whole.astype(beam.dtype)


def _build_truth(beam: _Beam, coords: dict[str, xr.Variable], chunks: Chunks) -> xr.Dataset:
    sizes = {d: coords[d].size for d in ("Y", "X")}
    cut = match_chunks(chunks, sizes)
    made = {
        "deflection_y": (partial(_find_slope, beam, 0), "Deflection along y", "mrad"),
        "deflection_x": (partial(_find_slope, beam, 1), "Deflection along x", "mrad"),
        "phase": (partial(_find_phase, beam), "Integrated deflection", "mrad m"),
        "density": (partial(_find_density, beam), "Density", ""),
    }
    variables = {
        name: xr.Variable(tuple(sizes), assemble(fill, sizes, np.float64, cut), {"long_name": text, "units": unit})
        for name, (fill, text, unit) in made.items()
    }
    return xr.Dataset(variables, coords={d: coords[d] for d in sizes})


def _find_slope(beam: _Beam, axis: int, rows: Index, columns: Index) -> Array:
    return beam.field.find_slope(beam.places[0][rows], beam.places[1][columns], axis)


def _find_phase(beam: _Beam, rows: Index, columns: Index) -> Array:
    return beam.field.find_phase(beam.places[0][rows], beam.places[1][columns])


def _find_density(beam: _Beam, rows: Index, columns: Index) -> Array:
    return beam.find_density(beam.places[0][rows], beam.places[1][columns])
