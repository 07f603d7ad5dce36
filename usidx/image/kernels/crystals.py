"""Places -> the lattice that they are on, the cell of each, and how the lattice is deformed around it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.errors import ResultError

__all__ = ["Crystal", "count_cells", "find_crystal", "fit_gradients"]

Array = npt.NDArray[Any]
_LOOKED_AT: Final = 28  # neighbours of each atom among which vectors are looked for
_ALIKE: Final = 0.18  # of the distance of nearest atoms: vectors as close as this are one
_SHARE: Final = 0.8  # of the atoms that could have one, have a partner at a vector of the lattice
_STRAY: Final = 0.25  # of the distance of nearest atoms, that an atom may lie beside where one before it points
_SAMPLED: Final = 20_000  # steps among which vectors are looked for
_MOST_SITES: Final = 8


@dataclass(frozen=True, slots=True)
class Crystal:
    """A lattice.

    Attributes
    ----------
    vectors : ndarray, shape (2, 2)
        a and b, each y and x.
    origins : ndarray, shape (site, 2)
        Where the atoms of the cell 0, 0 are.
    """

    vectors: Array
    origins: Array


def find_crystal(places: Array) -> tuple[Crystal, Array, Array]:
    """Return the lattice of finite places, shape (atom, 2), the cells, shape (atom, 2), and sites of the atoms.

    Raises
    ------
    ResultError
        There is none.
    """
    if len(places) < 4:
        raise ResultError(f"{len(places)} atoms are no lattice; 4 at least are needed.")
    cells, site = _walk(places, vectors := _find_vectors(places))
    return _fit_crystal(places, cells, site, vectors), cells, site


def count_cells(places: Array, crystal: Crystal) -> tuple[Array, Array]:
    """Return the cells, shape (atom, 2), and sites of atoms that lie on a lattice, the sites in any order."""
    if len(places) < 4:
        return np.zeros((len(places), 2)), np.full(len(places), -1)
    return _walk(places, crystal.vectors)


def _measure_gap(places: Array) -> float:
    from scipy.spatial import cKDTree

    return float(np.median(cKDTree(places).query(places, 2)[0][:, 1]))


def _find_vectors(places: Array) -> Array:
    """Return the two shortest vectors at which nearly every atom has another."""
    from scipy.spatial import cKDTree

    tree, count = cKDTree(places), min(_LOOKED_AT, len(places) - 1)
    gap = _measure_gap(places)
    index = tree.query(places, count + 1)[1][:, 1:]
    steps = (places[index] - places[:, np.newaxis]).reshape(-1, 2)
    chosen: list[Array] = []
    hull = _find_hull(places)
    for vector in _cluster_steps(steps, _ALIKE * gap, len(places)):
        if chosen and abs(np.linalg.det([chosen[0], vector])) < 0.25 * np.hypot(*chosen[0]) * np.hypot(*vector):
            continue
        if _measure_share(places, tree, hull, vector, 1.5 * _ALIKE * gap) > _SHARE:
            chosen.append(vector)
        if len(chosen) == 2:
            return _order_vectors(np.array(chosen))
    raise ResultError(f"These {len(places)} atoms are on no lattice: no two vectors lead from most of them to others.")


def _cluster_steps(steps: Array, radius: float, atoms: int) -> list[Array]:
    """Return the vectors that many steps are close to, shortest first, one of each and its opposite."""
    every = max(1, len(steps) // _SAMPLED)
    backwards = (steps[:, 1] < -radius) | ((steps[:, 1] < radius) & (steps[:, 0] < 0))
    halved = np.where(backwards[:, np.newaxis], -steps, steps)[::every]
    least = 0.2 * atoms / every
    cells, counts = np.unique(np.rint(halved / radius), axis=0, return_counts=True)
    found: list[Array] = []
    for seed in radius * cells[counts > least / 4]:  # a vector may lie where four cells meet
        center = seed
        for _ in range(5):
            near = np.hypot(*(halved - center).T) < 1.5 * radius
            center = halved[near].mean(axis=0) if near.any() else center
        is_new = all(np.hypot(*(center - one)) > 2 * radius for one in found)
        if np.count_nonzero(near) > least and is_new:
            found.append(center)
    return sorted(found, key=lambda vector: float(np.hypot(*vector)))


def _find_hull(places: Array) -> Array:
    """Return the lines around the atoms, shape (line, 3): a point p is inside where line[:2] @ p + line[2] <= 0."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        found: Array = ConvexHull(places).equations
    except QhullError as err:
        raise ResultError(f"These {len(places)} atoms are on no lattice: they lie on one line.") from err
    return found


def _measure_share(places: Array, tree: Any, hull: Array, vector: Array, tolerance: float) -> float:
    """Return how many of the atoms from which a vector does not lead out of the crystal have an atom at its end."""
    ends = places + vector
    ends = ends[(ends @ hull[:, :2].T + hull[:, 2] <= 0).all(axis=1)]
    return float((tree.query(ends)[0] < tolerance).mean()) if len(ends) else 0.0


def _order_vectors(vectors: Array) -> Array:
    """Return first the vector that lies nearer to X, which points there, then the one that points to Y."""
    flat = np.abs(vectors[:, 1]) / np.hypot(*vectors.T)
    a, b = vectors if flat[0] >= flat[1] else vectors[::-1]
    return np.stack([a if a[1] > 0 else -a, b if b[0] > 0 else -b])


def _walk(places: Array, vectors: Array) -> tuple[Array, Array]:
    """Return cells and sites, found by going from atom to atom; -1 for atoms that nothing leads to."""
    # Sorted, so that who stands where in the list changes nothing.
    order = np.lexsort((places[:, 1], places[:, 0]))
    cells, site = _walk_sorted(places[order], vectors)
    back = np.argsort(order)
    return cells[back], site[back]


def _walk_sorted(places: Array, vectors: Array) -> tuple[Array, Array]:
    from scipy.sparse.csgraph import connected_components

    graph, steps = _link(places, vectors)
    pieces = connected_components(graph, directed=False)[1]
    sizes = np.bincount(pieces)
    cells, site = np.zeros((len(places), 2)), np.full(len(places), -1)
    shares: list[Array] = []  # of the cell, where each site is
    gap, turn = _measure_gap(places), np.linalg.inv(vectors)
    for piece in np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes > 1)]:
        own = np.flatnonzero(pieces == piece)
        cells[own] = _count_from(own, places, graph, steps)
        main = np.flatnonzero(site == 0)
        offset, begin = _measure_offset(places, own, main)
        share = offset @ turn
        known = [np.hypot(*((share - s - np.rint(share - s)) @ vectors)) < _STRAY * gap for s in shares]
        if not any(known) and len(shares) < _MOST_SITES and sizes[piece] > 0.1 * sizes.max():
            shares.append(share - np.floor(share + 1e-3))
            known.append(np.True_)
        if any(known):
            number = int(np.argmax(known))
            shift = np.rint(share - shares[number]) + (cells[begin[1]] if main.size else 0)
            cells[own] += shift - cells[begin[0]]
            site[own] = number
    return cells, site


def _measure_offset(places: Array, own: Array, main: Array) -> tuple[Array, tuple[int, int]]:
    """Return the step to a piece from the atoms that are counted already, where they are closest, and these two."""
    from scipy.spatial import cKDTree

    if not main.size:
        middle = int(own[np.argmin(np.hypot(*(places[own] - places.mean(axis=0)).T))])
        return np.zeros(2), (middle, middle)
    far, at = cKDTree(places[main]).query(places[own])
    first = int(np.argmin(far))
    pair = int(own[first]), int(main[at[first]])
    return places[pair[0]] - places[pair[1]], pair


def _link(places: Array, vectors: Array) -> tuple[Any, Array]:
    """Return the graph of atoms that are a vector apart, the number of the step + 1 as its weight, and all steps."""
    from scipy.sparse import coo_array
    from scipy.spatial import cKDTree

    steps = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1)])
    far, at = cKDTree(places).query(places[:, np.newaxis] + steps @ vectors)
    atom, step = np.nonzero(far < _STRAY * _measure_gap(places))
    shape = (len(places), len(places))
    return coo_array((step + 1, (atom, at[atom, step])), shape=shape).tocsr(), steps


def _count_from(own: Array, places: Array, graph: Any, steps: Array) -> Array:
    """Return the cells of a piece, from the atom in its middle on, which is in cell 0, 0."""
    start = int(own[np.argmin(np.hypot(*(places[own] - places[own].mean(axis=0)).T))])
    cells, seen, waiting = {start: (0, 0)}, {start}, deque([start])
    first, targets, kinds = graph.indptr, graph.indices, graph.data
    both = graph.T.tocsr()
    while waiting:
        atom = waiting.popleft()
        i, j = cells[atom]
        for tables, sign in (((first, targets, kinds), 1), ((both.indptr, both.indices, both.data), -1)):
            for k in range(tables[0][atom], tables[0][atom + 1]):
                following = int(tables[1][k])
                if following not in seen:
                    step = steps[tables[2][k] - 1]
                    cells[following] = (i + sign * int(step[0]), j + sign * int(step[1]))
                    seen.add(following)
                    waiting.append(following)
    return np.array([cells[int(atom)] for atom in own], np.float64)


def _fit_crystal(places: Array, cells: Array, site: Array, vectors: Array) -> Crystal:
    """Return the lattice that fits all atoms best."""
    on, count = site >= 0, int(site.max()) + 1
    design = np.concatenate([cells[on], np.eye(count)[site[on]]], axis=1)
    found = np.linalg.lstsq(design, places[on], rcond=None)[0]
    return Crystal(found[:2], found[2:])


def fit_gradients(places: Array, cells: Array, site: Array, crystal: Crystal, reach: int) -> tuple[Array, Array]:
    """Return what takes steps of the lattice to those between the atoms of one site around each atom.

    Parameters
    ----------
    places, cells, site : ndarray, shapes (atom, 2), (atom, 2) and (atom,)
        Atoms of site -1 are left out.
    crystal : Crystal
        Its vectors count.
    reach : int
        Cells.

    Returns
    -------
    gradient, error : ndarray, shape (atom, 2, 2)
        Rows are y and x of the atoms, columns those of the lattice; standard errors from what is left.
    """
    table = _tabulate(cells.astype(int), site, reach)
    count, sums = np.zeros(len(places)), np.zeros((len(places), 4))
    squares = np.zeros((len(places), 4, 4))
    at = np.array([site, *(cells.astype(int) - cells.min(axis=0).astype(int) + reach).T])
    for i, j in np.ndindex(2 * reach + 1, 2 * reach + 1):
        step = np.array([i - reach, j - reach])
        other = np.where(site >= 0, table[at[0], at[1] + step[0], at[2] + step[1]], -1)
        there = other >= 0
        both = np.column_stack([np.broadcast_to(step @ crystal.vectors, places.shape), places[other] - places])
        both[~there] = 0
        count += there
        sums += both
        squares += both[:, :, np.newaxis] * both[:, np.newaxis]
    count = np.maximum(count, 1)[:, np.newaxis, np.newaxis]
    spread = squares - sums[:, :, np.newaxis] * sums[:, np.newaxis] / count
    return _solve_gradients(spread, count)


def _solve_gradients(spread: Array, count: Array) -> tuple[Array, Array]:
    """Return gradients and errors from the centered squares of steps of lattice and atoms, where there are enough."""
    lattice, crossed, seen = spread[:, :2, :2], spread[:, :2, 2:], spread[:, 2:, 2:]
    size = np.trace(lattice, axis1=1, axis2=2)
    good = (count[:, 0, 0] > 3) & (np.linalg.det(lattice) > 1e-3 * size**2)
    inverse = np.full(lattice.shape, np.nan)
    inverse[good] = np.linalg.inv(lattice[good])
    gradient = np.einsum("akl,alm->amk", inverse, crossed)
    left = np.einsum("akk->ak", seen) - np.einsum("amk,akm->am", gradient, crossed)
    noise = np.maximum(left, 0) / np.maximum(count[:, 0] - 3, 1)
    return gradient, np.sqrt(noise[:, :, np.newaxis] * np.einsum("akk->ak", inverse)[:, np.newaxis])


def _tabulate(cells: Array, site: Array, reach: int) -> Array:
    """Return the atom of each site and cell, -1 where there is none, with a margin."""
    lowest = cells.min(axis=0)
    sizes = cells.max(axis=0) - lowest + 1 + 2 * reach
    table = np.full((max(int(site.max()) + 1, 1), *sizes), -1)
    on = np.flatnonzero(site >= 0)
    place = cells[on] - lowest + reach
    table[site[on], place[:, 0], place[:, 1]] = on
    return table
