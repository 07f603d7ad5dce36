"""Atoms -> their neighbours, the lattice that they are on, how it is strained, and how far atoms lie from others."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError, UnitsError, UsidError
from usidx.image.kernels.crystals import Crystal, count_cells, find_crystal, fit_gradients
from usidx.label import units
from usidx.results.verbs import verb

__all__ = ["displacements", "lattice", "neighbours", "strain"]

Array = npt.NDArray[Any]
_CAGE: Final = 1.5  # times as far as the nearest of a cage is its farthest, at most: else it is open, at an edge
_VECTORS: Final = ("a", "b")


@verb(source="atoms")
def neighbours(atoms: xr.Dataset, n: int) -> xr.Dataset:
    """Find the nearest neighbours of each atom.

    Computes the places of the atoms; the search takes n log n steps.

    Parameters
    ----------
    atoms : Dataset, dims (atom)
        ``y`` and ``x``, in one unit; NaN where there is no atom. Of a stack of images, those of one.
    n : int
        How many neighbours.

    Returns
    -------
    Dataset, dims (atom, neighbour)
        From the nearest to the farthest: ``index`` along ``atom``, -1 where there are no more; ``distance``;
        ``displacement_y`` and ``displacement_x``, from the atom to its neighbour; ``angle`` of that, from X
        towards Y, in radians. And ``y`` and ``x`` of the atoms.

    Raises
    ------
    ResultError
        The atoms have no ``y`` and ``x`` over ``atom`` alone.
    UnitsError
        ``y`` and ``x`` are in different units.
    UsidError
        `n` is no number of neighbours.

    Examples
    --------
    >>> import usidx
    >>> image, truth = usidx.simulate.atoms((64, 64))
    >>> usidx.image.neighbours(truth, 4).distance.round(3).values[12]
    array([0.24, 0.24, 0.24, 0.24])
    """
    places = _read_places(atoms)
    if not isinstance(n, int | np.integer) or n < 1:
        raise UsidError(f"n={n!r}; it should be a number of neighbours, 1 or more.")
    index, apart = _search(places, places, int(n), without_self=True)
    gap = np.where((index >= 0)[..., np.newaxis], places[index] - places[:, np.newaxis], np.nan)
    unit = _read_unit(atoms)
    dims = ("atom", "neighbour")
    variables = {
        "index": (dims, index, {"long_name": "Index"}),
        "distance": (dims, apart, {"long_name": "Distance"} | unit),
        "displacement_y": (dims, gap[..., 0], {"long_name": "Displacement Y"} | unit),
        "displacement_x": (dims, gap[..., 1], {"long_name": "Displacement X"} | unit),
        "angle": (dims, np.arctan2(gap[..., 0], gap[..., 1]), {"long_name": "Angle", "units": "rad"}),
    }
    return _place(variables, atoms).assign_coords(neighbour=np.arange(int(n)))


@verb(source="atoms")
def lattice(atoms: xr.Dataset) -> xr.Dataset:
    """Find the lattice that atoms are on: its two shortest vectors, the sites in a cell, and the cell of each atom.

    Computes the places of the atoms. Vacancies, strain that changes slowly, and up to eight sites in a cell are no
    hindrance. Only where atoms are counts: sublattices that differ in brightness alone are to be picked before.

    Parameters
    ----------
    atoms : Dataset, dims (atom)
        ``y`` and ``x``, in one unit; NaN where there is no atom. Of a stack of images, those of one.

    Returns
    -------
    Dataset, dims (atom)
        ``a_y``, ``a_x``, ``b_y``, ``b_x``: the vectors, a the one that lies nearer to X; ``origin_y``, ``origin_x``
        (site_number): where each site is in cell 0, 0. For each atom ``site``, ``index_a`` and ``index_b``, -1 and NaN
        where it is on none; ``ideal_y`` and ``ideal_x``, its place on the lattice that fits all best; ``y`` and ``x``.

    Raises
    ------
    ResultError
        The atoms have no ``y`` and ``x`` over ``atom`` alone, or they are on no lattice.
    UnitsError
        ``y`` and ``x`` are in different units.

    See Also
    --------
    displacements : Of atoms from their places on the lattice.

    Examples
    --------
    >>> import usidx
    >>> image, truth = usidx.simulate.atoms((64, 64))
    >>> found = usidx.image.lattice(truth)
    >>> float(found.a_x.round(3)), float(abs(found.a_y).round(3))
    (0.24, 0.0)
    """
    places = _read_places(atoms)
    known = np.asarray(np.isfinite(places).all(axis=1))
    crystal, cells, site = find_crystal(places[known])
    unit = _read_unit(atoms)
    on = site >= 0
    ideal = np.where(on[:, np.newaxis], crystal.origins[site] + cells @ crystal.vectors, np.nan)
    columns = {"index_a": np.where(on, cells[:, 0], np.nan), "index_b": np.where(on, cells[:, 1], np.nan),
               "ideal_y": ideal[:, 0], "ideal_x": ideal[:, 1]}  # fmt: skip
    sites = np.full(len(places), -1)
    sites[known] = site
    variables: dict[str, Any] = {"site": ("atom", sites, {"long_name": "Site"})}
    for name, values in columns.items():
        told = {"long_name": name.replace("_", " ").title()} | (unit if name.startswith("ideal") else {})
        variables[name] = ("atom", _spread(values, known), told)
    for axis, letter in enumerate("yx"):
        title = {"long_name": f"Origin {letter.title()}"} | unit
        variables[f"origin_{letter}"] = ("site_number", crystal.origins[:, axis], title)
        for k, name in enumerate(_VECTORS):
            title = {"long_name": f"{name.title()} {letter.title()}"} | unit
            variables[f"{name}_{letter}"] = ((), crystal.vectors[k, axis], title)
    return _place(variables, atoms)


@verb(source="atoms")
def strain(atoms: xr.Dataset, lattice: xr.Dataset, *, reach: int = 2) -> xr.Dataset:
    """Measure how the lattice around each atom is stretched, sheared and turned.

    Computes the places of the atoms.

    Parameters
    ----------
    atoms : Dataset, dims (atom)
        ``y`` and ``x``, in one unit; NaN where there is no atom.
    lattice : Dataset
        What counts as free of strain, from :func:`usidx.image.lattice`: of the same atoms, of some of them, or of
        other ones.
    reach : int
        Atoms so many cells away take part, 2 in a square of 5 by 5 cells: more makes the noise less, about as 1 over
        its square, and the picture less sharp.

    Returns
    -------
    Dataset, dims (atom)
        ``strain_yy``, ``strain_xx``, ``strain_xy`` and ``rotation`` (from X towards Y, in radians), each with its
        ``*_stderr``; ``y`` and ``x``. NaN where an atom is on no lattice or has too few around it.

    Raises
    ------
    ResultError
        The atoms have no ``y`` and ``x`` over ``atom`` alone, or the lattice is none.
    UnitsError
        Places, or the vectors of the lattice, are in different units.
    UsidError
        `reach` is no whole number of 1 or more.

    Notes
    -----
    The matrix F that takes the vectors of the lattice from an atom to those around it best to what is seen, by least
    squares, is I + strain + rotation. It counts cells from atom to atom, so strain may add up to many cells.

    Examples
    --------
    >>> import usidx
    >>> image, truth = usidx.simulate.atoms((128, 128), strain=0.01)
    >>> left = truth.isel(atom=truth.x.values < 1.2)
    >>> found = usidx.image.strain(truth, usidx.image.lattice(left))
    >>> float(found.strain_xx.max().round(4))
    0.01
    """
    places = _read_places(atoms)
    if not isinstance(reach, int | np.integer) or reach < 1:
        raise UsidError(f"reach={reach!r}; it should be a whole number of cells, 1 or more.")
    crystal = _read_crystal(lattice)
    _refuse_other_unit(atoms["y"], lattice["a_y"])
    known = np.asarray(np.isfinite(places).all(axis=1))
    cells, site = count_cells(places[known], crystal)
    gradient, error = fit_gradients(places[known], cells, site, crystal, int(reach))
    off = gradient - np.eye(2)
    values = {
        "strain_yy": (off[:, 0, 0], error[:, 0, 0]),
        "strain_xx": (off[:, 1, 1], error[:, 1, 1]),
        "strain_xy": ((off[:, 0, 1] + off[:, 1, 0]) / 2, np.hypot(error[:, 0, 1], error[:, 1, 0]) / 2),
        "rotation": ((off[:, 0, 1] - off[:, 1, 0]) / 2, np.hypot(error[:, 0, 1], error[:, 1, 0]) / 2),
    }
    variables = {}
    for name, (value, spread) in values.items():
        told = {"long_name": name.replace("_", " ").title(), "units": "rad" if name == "rotation" else "1"}
        variables[name] = ("atom", _spread(value, known), told)
        told = told | {"long_name": f"Standard Error of {told['long_name']}"}
        variables[f"{name}_stderr"] = ("atom", _spread(spread, known), told)
    return _place(variables, atoms)


@verb(source="atoms")
def displacements(atoms: xr.Dataset, other: xr.Dataset, *, n: int = 1) -> xr.Dataset:
    """Measure how far atoms lie from others: a lattice, another sublattice, or the same atoms in another image.

    Computes the places of the atoms.

    Parameters
    ----------
    atoms : Dataset, dims (atom)
        ``y`` and ``x``, in one unit; NaN where there is no atom.
    other : Dataset
        From :func:`usidx.image.lattice` of these atoms: each is measured from its place on the lattice. Or atoms, in
        the same unit: each is measured from the `n` nearest.
    n : int
        How many of the others make the center that an atom is measured from: 1 to follow atoms from image to image,
        4 for an atom in a cage of four, whose shift from the middle tells of the polarisation.

    Returns
    -------
    Dataset, dims (atom)
        ``displacement_y`` and ``displacement_x``, from the others to the atom, and ``distance``; ``y`` and ``x``. NaN
        where the nearest other is farther than half of what atoms are apart (for `n` of 1), where there are not `n`,
        or one of them is half as far again as the nearest: at the edge of a crystal there is no cage.

    Raises
    ------
    ResultError
        The atoms have no ``y`` and ``x`` over ``atom`` alone, or the lattice is of other atoms.
    UnitsError
        Places of both are in different units.
    UsidError
        `n` is no number of atoms.

    Examples
    --------
    >>> import usidx
    >>> image, truth = usidx.simulate.atoms((64, 64))
    >>> moved = truth.assign(x=truth.x + 0.03)
    >>> float(usidx.image.displacements(moved, truth).displacement_x.mean().round(3))
    0.03
    """
    places = _read_places(atoms)
    if not isinstance(n, int | np.integer) or n < 1:
        raise UsidError(f"n={n!r}; it should be a number of atoms, 1 or more.")
    if "ideal_y" in other:
        if other.sizes["atom"] != atoms.sizes["atom"]:
            raise ResultError(f"The lattice is of {other.sizes['atom']} atoms, and there are {atoms.sizes['atom']}.")
        _refuse_other_unit(atoms["y"], other["ideal_y"])
        center = np.stack([other["ideal_y"].values, other["ideal_x"].values], axis=1)
    else:
        center = _find_centers(places, _read_places(other), int(n))
        _refuse_other_unit(atoms["y"], other["y"])
    gap, unit = places - center, _read_unit(atoms)
    variables = {
        "displacement_y": ("atom", gap[:, 0], {"long_name": "Displacement Y"} | unit),
        "displacement_x": ("atom", gap[:, 1], {"long_name": "Displacement X"} | unit),
        "distance": ("atom", np.hypot(*gap.T), {"long_name": "Distance"} | unit),
    }
    return _place(variables, atoms)


def _find_centers(places: Array, others: Array, n: int) -> Array:
    index, apart = _search(places, others, n, without_self=False)
    center: Array = np.where((index >= 0)[..., np.newaxis], others[index], np.nan).mean(axis=1)
    if n == 1 and len(others) > 1:
        usual = np.nanmedian(_search(others, others, 1, without_self=True)[1])
        center[apart[:, 0] > usual / 2] = np.nan
    with np.errstate(invalid="ignore"):
        center[apart[:, -1] > _CAGE * apart[:, 0]] = np.nan
    return center


def _read_places(atoms: Any) -> Array:
    """Return y and x, shape (atom, 2)."""
    for name in ("y", "x"):
        if name not in atoms or atoms[name].dims != ("atom",):
            found = f"it is over {atoms[name].dims}; take one image, by isel" if name in atoms else "there is none"
            raise ResultError(f"{name!r} of atoms should be over 'atom' alone, and {found}.")
    _refuse_other_unit(atoms["y"], atoms["x"])
    return np.stack([np.asarray(atoms["y"].values, np.float64), np.asarray(atoms["x"].values, np.float64)], axis=1)


def _refuse_other_unit(places: xr.DataArray, others: xr.DataArray) -> None:
    """Refuse places of which no differences can be taken, since they are told in different units."""
    first, second = (_find_unit(one) for one in (places, others))
    if first and second and not units.is_same(first, second):
        raise UnitsError(
            f"{places.name!r} is in {first!r}, and {others.name!r} in {second!r}: there are no distances between them."
        )


def _find_unit(places: xr.DataArray) -> str | None:
    unit = places.attrs.get("units")
    return unit if isinstance(unit, str) else None


def _read_crystal(found: xr.Dataset) -> Crystal:
    names = [f"{v}_{letter}" for v in _VECTORS for letter in "yx"]
    missing = [name for name in (*names, "origin_y", "origin_x") if name not in found]
    if missing:
        raise ResultError(f"This lattice has no {missing[0]!r}; usidx.image.lattice(atoms) makes one.")
    origins = np.stack([np.atleast_1d(found["origin_y"].values), np.atleast_1d(found["origin_x"].values)], axis=1)
    return Crystal(np.array([float(found[name]) for name in names]).reshape(2, 2), origins)


def _read_unit(atoms: xr.Dataset) -> dict[str, str]:
    unit = _find_unit(atoms["y"])
    return {} if unit is None else {"units": unit}


def _place(variables: dict[str, Any], atoms: xr.Dataset) -> xr.Dataset:
    """Return a result beside the places of its atoms, with their coordinate."""
    made = xr.Dataset(variables)
    for name in ("y", "x"):
        told = {k: v for k, v in atoms[name].attrs.items() if k in ("long_name", "units")}
        made[name] = xr.Variable("atom", atoms[name].values, {"long_name": name.title()} | told)
    return made.assign_coords(atom=atoms["atom"]) if "atom" in atoms.coords else made


def _spread(values: Array, known: Array) -> Array:
    made = np.full((len(known), *values.shape[1:]), np.nan)
    made[known] = values
    return made


def _search(places: Array, others: Array, n: int, *, without_self: bool) -> tuple[Array, Array]:
    """Return indices and distances of the nearest, shape (atom, n); -1 and NaN where there are no more."""
    from scipy.spatial import cKDTree

    known, there = np.isfinite(places).all(axis=1), np.flatnonzero(np.isfinite(others).all(axis=1))
    index, apart = np.full((len(places), n), -1), np.full((len(places), n), np.nan)
    if not len(there) or not known.any():
        return index, apart
    first = int(without_self)
    far, at = cKDTree(others[there]).query(places[known], np.arange(1 + first, n + first + 1))
    index[known] = np.where(np.isfinite(far), np.append(there, -1)[at], -1)
    apart[known] = np.where(np.isfinite(far), far, np.nan)
    return index, apart
