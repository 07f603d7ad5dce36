"""Hypothesis strategies: any labelled array that a USID file can hold.

Hypothesis belongs to the extra ``test``; no other module of the kit needs it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from hypothesis import strategies as st

from usidx.label.roles import POSITION, ROLE, SPECTROSCOPIC

__all__ = ["DTYPES", "acquisition_orders", "data_values", "labelled_arrays"]

Array = npt.NDArray[Any]
Coords = dict[str, xr.Variable]

DTYPES = ("i2", "u1", "u4", "f4", "f8", "c8", "c16", "?")
NAMES = {
    POSITION: ("X", "Y", "Z", "Angle of tip", "µ position", "Sample"),
    SPECTROSCOPIC: ("Frequency", "DC_Offset", "Field", "Cycle", "FORC", "Bias voltage"),
}
UNITS = ("m", "V", "kHz", "a.u.", "", "µm", "nA/V")
QUANTITIES = ("Current", "Cantilever deflection", "Höhe", "C")


@st.composite
def labelled_arrays(
    draw: st.DrawFn,
    *,
    dtypes: tuple[str, ...] = DTYPES,
    max_size: int = 5,
    sparse: bool = True,
    dependent: bool = True,
    any_order: bool = False,
) -> xr.DataArray:
    """Draw arrays in memory as an opened file would give them.

    One to three position dims and none to three spectroscopic ones, slowest first, the position dims first; those of
    one step are scalar coordinates. A coordinate increases, decreases, is unsorted, or repeats itself and then has no
    index. Coordinates may depend on other dims of their side, even the one that bears its dim's name.

    Parameters
    ----------
    draw : callable
        Given by Hypothesis.
    dtypes : tuple of str
        Of the data.
    max_size : int
        Most steps of a dim.
    sparse : bool
        Whether positions may lie on no grid: one dim "position" with places as coordinates over it.
    dependent : bool
        Whether coordinates may depend on other dims.
    any_order : bool
        Whether dims may come in any order.

    Returns
    -------
    SearchStrategy of DataArray
    """
    coords: Coords = {}
    dims: dict[str, int] = {}
    for role, least in ((POSITION, 1), (SPECTROSCOPIC, 0)):
        side = _draw_sparse_side if role == POSITION and sparse and draw(st.booleans()) else _draw_grid_side
        found, sizes = draw(side(role, least, max_size, dependent=dependent))
        coords |= found
        dims |= sizes
    values = draw(data_values(tuple(dims.values()), draw(st.sampled_from(dtypes))))
    attrs = {"long_name": draw(st.sampled_from(QUANTITIES)), "units": draw(st.sampled_from(UNITS))}
    array = xr.DataArray(values, dims=tuple(dims), coords=_index_coordinates(coords), name="Raw_Data", attrs=attrs)
    return array.transpose(*draw(st.permutations(list(dims)))) if any_order else array


@st.composite
def data_values(draw: st.DrawFn, shape: tuple[int, ...], dtype: str) -> Array:
    """Draw values of any dtype; floats now and then hold what is not a number."""
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    kind = np.dtype(dtype).kind
    if kind in "iub":
        return random.integers(0, 2 if kind == "b" else 100, shape).astype(dtype)
    values = random.normal(size=shape) + (1j * random.normal(size=shape) if kind == "c" else 0)
    values = np.asarray(values).astype(dtype)
    if values.size and draw(st.booleans()):
        values.flat[0] = np.nan
    return values


def acquisition_orders(n: int) -> st.SearchStrategy[Array]:
    """Draw orders in which n rows were acquired: as they are, backwards, with a part backwards, or any.

    Parameters
    ----------
    n : int
        How many rows.

    Returns
    -------
    SearchStrategy of ndarray
        Permutations of 0 .. n-1.
    """
    forth = np.arange(n)
    partly = st.integers(0, n).map(lambda k: np.concatenate([forth[:k], forth[k:][::-1]]))
    anyhow = st.permutations(range(n)).map(np.array)
    return st.one_of(st.just(forth), st.just(forth[::-1]), partly, anyhow).map(lambda order: order.astype(int))


@st.composite
def _draw_grid_side(
    draw: st.DrawFn, role: str, least: int, max_size: int, *, dependent: bool
) -> tuple[Coords, dict[str, int]]:
    """Draw the dims of one side, slowest first, with their coordinates."""
    names = draw(st.permutations(NAMES[role]))
    count = draw(st.integers(least, 3))
    sizes = {name: draw(st.integers(1, max_size)) for name in names[:count]}
    coords = {name: draw(_draw_coordinate(name, size, role)) for name, size in sizes.items()}
    dims = {name: size for name, size in sizes.items() if size > 1}
    if dependent and dims:
        coords |= draw(_draw_dependent_coordinates(role, dims, names[count]))
    return coords, dims


@st.composite
def _draw_sparse_side(
    draw: st.DrawFn, role: str, least: int, max_size: int, *, dependent: bool
) -> tuple[Coords, dict[str, int]]:
    """Draw places on no grid, at least two, so that there is a dim; no place is told by one coordinate alone."""
    size = draw(st.integers(2, max(2, max_size)))
    names = draw(st.permutations(("X", "Y", "Z")))[: draw(st.integers(2, 3))]
    coords = {role: xr.Variable((role,), np.arange(size), {ROLE: role})}
    for name in names:
        values = draw(st.lists(_draw_numbers(), min_size=size, max_size=size).filter(lambda found: len(set(found)) > 1))
        coords[name] = xr.Variable((role,), np.array(values), draw(_draw_attributes(role)))
    return coords, {role: size}


@st.composite
def _draw_coordinate(draw: st.DrawFn, name: str, size: int, role: str) -> xr.Variable:
    attrs = draw(_draw_attributes(role))
    if size == 1:
        return xr.Variable((), draw(_draw_numbers()), attrs)
    values = np.array(draw(st.lists(_draw_numbers(), min_size=size, max_size=size, unique=True)))
    kind = draw(st.sampled_from(("increasing", "decreasing", "unsorted", "repeated")))
    if kind in {"increasing", "decreasing"}:
        values = np.sort(values)[:: 1 if kind == "increasing" else -1]
    if kind == "repeated":
        values[-1] = values[0]
    return xr.Variable((name,), values, attrs)


@st.composite
def _draw_dependent_coordinates(draw: st.DrawFn, role: str, dims: dict[str, int], spare: str) -> Coords:
    """Draw none or more of: a dim whose values vary with another dim, and a coordinate that dims determine."""
    found: Coords = {}
    own = draw(st.sampled_from(sorted(dims)))
    others = [d for d in dims if d != own]
    varies, has_spare = draw(st.booleans()), draw(st.booleans())
    if others and varies:
        other = draw(st.sampled_from(others))
        values = np.add.outer(100.0 * np.arange(1, dims[other] + 1), draw(_draw_uneven(dims[own])))
        # The dims of a coordinate are in the order of the array; a file knows no other.
        slowest_first = tuple(d for d in dims if d in {own, other})
        varying = xr.Variable((other, own), values, draw(_draw_attributes(role)))
        found[own] = varying.transpose(*slowest_first)
    # Fewer values than the dim has steps, or the file could not tell which of the two is the dim.
    long = [d for d, size in dims.items() if size > 2]
    if long and has_spare:
        over = draw(st.sampled_from(long))
        values = (np.arange(dims[over]) % 2) * draw(st.integers(1, 9).map(float))
        found[spare] = xr.Variable((over,), values, draw(_draw_attributes(role)))
    return found


def _draw_uneven(size: int) -> st.SearchStrategy[Array]:
    numbers = st.lists(_draw_numbers(), min_size=size, max_size=size, unique=True)
    return numbers.map(lambda found: np.array(found) / 64)


def _draw_numbers() -> st.SearchStrategy[float]:
    """Draw numbers that are exact in single precision too, as most files hold them."""
    return st.integers(-800, 800).map(lambda number: number / 8)


def _draw_attributes(role: str) -> st.SearchStrategy[dict[str, str]]:
    return st.sampled_from(UNITS).map(lambda unit: {ROLE: role, "units": unit})


def _index_coordinates(coords: Coords) -> xr.Coordinates:
    """Index what can label a dim; the rest stays plain, even under its dim's name."""
    labels = {name: v for name, v in coords.items() if v.dims == (name,) and len(np.unique(v.values)) == v.size}
    plain = {name: v for name, v in coords.items() if name not in labels}
    return xr.Coordinates(plain, indexes={}).assign(xr.Coordinates(labels))
