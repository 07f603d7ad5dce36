"""Table of figures of a sum -> the same with equal terms in one order over the whole map.

Which of two equal peaks is the first no spectrum says: the fit of each may end either way. So they are put in order by
their position, or where start values differ each goes where its own is nearest. Bounds, fixed and tied parameters that
hold for one of them only say by themselves which it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from usidx.fitting.formula.nodes import Node, make_parameter
from usidx.fitting.formula.numpy_backend import interpret
from usidx.fitting.kernels.columns import Columns
from usidx.fitting.models.model import Model
from usidx.fitting.models.tied import Ties
from usidx.fitting.solver.search.terms import find_linear_parameters

__all__ = ["Alike", "find_alike", "sort_alike"]

Array = npt.NDArray[np.float64]
#: For each of several equal terms the places of its parameters, that of its position first.
Alike = tuple[tuple[int, ...], ...]


def find_alike(model: Model, ties: Ties | None, *said: Mapping[str, Any]) -> tuple[Alike, ...]:
    """Return the terms that can change places: of one kind, and with the same said of each.

    Parameters
    ----------
    model : Model
        With all its parameters.
    ties : Ties, optional
        Those that follow from others.
    *said : mapping
        Bounds and fixed values.
    """
    kinds: dict[str, list[Model]] = {}
    for term in model.terms if model.has_formula else ():
        told = [_describe_said(term, mapping) for mapping in said]
        kind = {k: v for k, v in term.describe().items() if k != "prefix"}
        kinds.setdefault(repr((kind, told)), []).append(term)
    found = []
    for terms in kinds.values():
        first = _find_position(terms[0])
        if len(terms) > 1 and first is not None:
            order = [first, *(k for k in range(len(terms[0].names)) if k != first)]
            found.append(tuple(tuple(model.names.index(t.names[k]) for k in order) for t in terms))
    return tuple(alike for alike in found if ties is None or _can_change_places(ties, alike))


def _describe_said(term: Model, said: Mapping[str, Any]) -> list[object]:
    """Return what is said of a term's parameters, such that what is not a number is the same only as itself."""
    values = [said.get(name) for name in term.names]
    return [v if v is None or isinstance(v, float | int | tuple | list) else id(v) for v in values]


def _find_position(term: Model) -> int | None:
    """Return which parameter says where a term is: its centre, or the first that is not linear."""
    linear = find_linear_parameters(term, term.names)
    places = [k for k, p in enumerate(term.parameters) if p.role == "center" or p.name.endswith("center")]
    places += [k for k, name in enumerate(term.names) if name not in linear]
    return places[0] if places else None


def _can_change_places(ties: Ties, alike: Alike) -> bool:
    """Say whether tied parameters still follow from the others when two terms change places."""
    names = ties.model.names
    rng = np.random.default_rng(0)
    own = {p.name: rng.uniform(0.5, 2.0, 4) for p in ties.independent}
    known: Mapping[Node, npt.ArrayLike] = {make_parameter(n): v for n, v in own.items()}
    values = [interpret(ties.formulas.get(n, make_parameter(n)), known) for n in names]
    row = np.stack([np.broadcast_to(v, 4) for v in values])
    for one, other in itertools.pairwise(alike):
        changed = row.copy()
        changed[list(one)], changed[list(other)] = row[list(other)], row[list(one)]
        known = {make_parameter(n): changed[k] for k, n in enumerate(names)}
        for name, graph in ties.formulas.items():
            if not np.allclose(interpret(graph, known), changed[names.index(name)], rtol=1e-9, equal_nan=True):
                return False
    return True


def sort_alike(table: Array, groups: Sequence[Alike], start: Array, n: int, *, covariance: bool) -> Array:
    """Put equal terms in order; the table of `n` parameters is changed in place.

    Where start values (spectrum or 1, `n`) tell them apart each term goes where its own are nearest, all other terms
    by their position.
    """
    at = Columns(n)
    for alike in groups:
        places = np.array(alike)
        found = table[:, places]
        rank = np.argsort(found[:, :, 0], axis=1, kind="stable")
        told = start[:, places]
        told = np.where((told == told[:, :1]).all(axis=1, keepdims=True), np.nan, told)
        for i in np.flatnonzero(np.isfinite(told).any(axis=(1, 2)) & (table[:, at.status] > 0)):
            rank[i] = _assign(found[i], told[i if len(told) > 1 else 0])
        rows = np.flatnonzero((rank != np.arange(len(alike))).any(axis=1))
        order = np.broadcast_to(np.arange(n), (rows.size, n)).copy()
        order[:, places] = places[rank[rows]]
        for part in (at.parameters, at.stderr):
            table[rows, part] = np.take_along_axis(table[rows, part], order, axis=1)
        if covariance and rows.size:
            square = table[rows, at.covariance].reshape(rows.size, n, n)
            square = square[np.arange(rows.size)[:, None, None], order[:, :, None], order[:, None, :]]
            table[rows, at.covariance] = square.reshape(rows.size, n * n)
    return table


def _assign(found: Array, told: Array) -> npt.NDArray[np.intp]:
    """Return which of the terms found (term, parameter) each one is that starts were told of, NaN where none was."""
    used = [0] if np.isfinite(told[:, 0]).any() else np.flatnonzero(np.isfinite(told).any(axis=0))
    scale = np.ptp(found, axis=0)
    away = abs(found[None] - told[:, None]) / np.where(scale > 0.0, scale, 1.0)
    rank = linear_sum_assignment(np.nan_to_num(away[:, :, used], posinf=1e300).sum(axis=2))[1]
    free = np.flatnonzero(np.isnan(told[:, used]).all(axis=1))
    rank[free] = rank[free][np.argsort(found[rank[free], 0], kind="stable")]
    return np.asarray(rank, np.intp)
