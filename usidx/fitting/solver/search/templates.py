"""Spectra over one coordinate -> start values, from a grid of templates and one matrix product.

Each candidate for the parameters that are not linear gives templates: the derivatives by the linear ones. How much of
a spectrum they explain is the square of its product with their orthonormal basis, so all candidates are tried for all
spectra at once. The solver's own search does the same for one spectrum after the other; it serves where samples are
missing, or coordinates differ.

References
----------
G. H. Golub and V. Pereyra, SIAM J. Numer. Anal. 10, 413 (1973).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from usidx.fitting.formula.nodes import Node, make_parameter, make_variable
from usidx.fitting.formula.numpy_backend import interpret
from usidx.fitting.models.model import Model, build_graphs
from usidx.fitting.solver.search.terms import order_terms

__all__ = ["Grid", "bridge_gaps", "find_template_starts", "make_grid"]

Array = npt.NDArray[np.float64]
_MOST_VALUES: Final = 2**23  # of all templates together
_ROWS: Final = 192  # spectra at a time, always as many: a product's rounding does not depend on the size of a block
_FEW: Final = 64  # candidates: the templates of more lie close enough
_SAME: Final = 1e-7  # of a template's length: below it the others make it up


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Templates of all candidates.

    Attributes
    ----------
    values : ndarray, shape (candidate, parameter)
        What is not linear, and what is fixed; 0 for the linear ones.
    basis : ndarray, shape (sample, candidate, linear)
        Orthonormal for each candidate.
    inverse : ndarray, shape (candidate, linear, linear)
        From products with the basis to the linear parameters.
    offset : ndarray, shape (sample, candidate)
        The model where the linear parameters are 0.
    linear : ndarray of int
        Which parameters are linear.
    bounds : ndarray, shape (2, linear)
        Of these.
    """

    values: Array
    basis: Array
    inverse: Array
    offset: Array
    linear: npt.NDArray[np.intp]
    bounds: Array


def make_grid(
    model: Model,
    candidates: Array,
    searched: Sequence[bool],
    linear: Sequence[str],
    bounds: Array,
    x: Array,
    weight: Array | None,
    fixed: Array,
) -> Grid | None:
    """Return the templates over a coordinate (variable, sample), None where there are too many to hold.

    `candidates` (term, candidate, parameter) holds NaN where a term has fewer, `searched` says which terms have some,
    `bounds` is of shape (parameter, 2), and `fixed` (parameter) holds NaN for what is free. There are none either where
    the samples are fewer than the linear parameters.
    """
    values = _combine_candidates(model, candidates, searched)
    at = np.array([model.names.index(n) for n in linear], np.intp)
    values = np.clip(values, bounds[:, 0], bounds[:, 1])
    values[:, at] = 0.0
    values = np.where(np.isnan(fixed), values, fixed)
    if values.shape[0] * (len(at) + 1) * x.shape[1] > _MOST_VALUES or not 0 < len(at) <= x.shape[1]:
        return None
    columns, offset = _evaluate_templates(model, at, values, x)
    if weight is not None:
        # Samples of no weight need no value of the model, such as a power law at zero.
        columns, offset = (np.where(w > 0.0, a, 0.0) * w for a, w in ((columns, weight[:, None]), (offset, weight)))
    with np.errstate(all="ignore"):
        length = np.sqrt((columns**2).sum(axis=1, keepdims=True))
        unit = columns / length
    fine = np.isfinite(unit).all(axis=(1, 2)) & np.isfinite(offset).all(axis=1)
    basis, triangle = np.linalg.qr(unit[fine])
    # Templates that make each other up, as two widths far below the distance of samples, determine nothing.
    told_apart = np.abs(np.diagonal(triangle, axis1=1, axis2=2)).min(axis=1, initial=1.0) > _SAME
    kept = np.flatnonzero(fine)[told_apart]
    if not kept.size:
        return None
    inverse = np.linalg.inv(triangle[told_apart]) / length[kept].transpose(0, 2, 1)
    return Grid(
        values[kept],
        np.ascontiguousarray(basis[told_apart].transpose(1, 0, 2)),
        inverse,
        np.ascontiguousarray(offset[kept].T),
        at,
        bounds[at].T,
    )


def _combine_candidates(model: Model, candidates: Array, searched: Sequence[bool]) -> Array:
    """Return all combinations of the terms' candidates; of terms that are alike each combination once."""
    if sum(searched) == 1:
        candidates = _refine_candidates(candidates)
    choices = [
        range(int(np.isfinite(c).any(axis=1).sum())) if s else range(1)
        for c, s in zip(candidates, searched, strict=True)
    ]
    alike = [(a, b) for a, b in itertools.combinations(range(len(choices)), 2) if _are_alike(model, searched, a, b)]
    rows = [pick for pick in itertools.product(*choices) if all(pick[a] < pick[b] for a, b in alike)]
    values = np.zeros((len(rows), len(model.names)))
    for k, pick in enumerate(np.array(rows, np.intp).reshape(len(rows), len(choices)).T):
        own = candidates[k][pick]
        values = np.where(np.isnan(own), values, own)
    return values


def _refine_candidates(candidates: Array) -> Array:
    """Return three more candidates between any two, where these are few values of one parameter.

    A curve with two minima is led to the right one by a candidate that is near.
    """
    low, high = np.nanmin(candidates, axis=(0, 1)), np.nanmax(candidates, axis=(0, 1))
    varying = np.flatnonzero(low < high)
    if varying.size != 1 or low[varying[0]] <= 0.0 or candidates.shape[1] > _FEW:
        return candidates
    for _ in range(2):
        between = np.sqrt(candidates[:, 1:] * candidates[:, :-1])
        between = np.where(np.arange(candidates.shape[2]) == varying[0], between, candidates[:, 1:])
        candidates = np.concatenate([candidates, between], axis=1)
        candidates = np.take_along_axis(candidates, np.argsort(candidates[:, :, varying], axis=1), axis=1)
    return candidates


def _are_alike(model: Model, searched: Sequence[bool], a: int, b: int) -> bool:
    """Say whether two terms that are searched for are the same but for their names."""
    terms = order_terms(model)
    first, second = ({k: v for k, v in terms[t].describe().items() if k != "prefix"} for t in (a, b))
    return searched[a] and searched[b] and first == second


def _evaluate_templates(model: Model, at: npt.NDArray[np.intp], values: Array, x: Array) -> tuple[Array, Array]:
    """Return derivatives by the linear parameters, (candidate, sample, linear), and the model where those are 0."""
    known: dict[Node, npt.ArrayLike] = {make_parameter(n): values[:, k, None] for k, n in enumerate(model.names)}
    known |= {make_variable(k): row for k, row in enumerate(x)}
    part = build_graphs(model)[0]
    shape = (len(values), x.shape[1])
    columns = [np.broadcast_to(interpret(part[1 + k], known), shape) for k in at]
    return np.stack(columns, axis=-1), np.broadcast_to(interpret(part[0], known), shape)


def find_template_starts(grid: Grid, y: Array, weight: Array | None) -> Array:
    """Return start values (spectrum, parameter) for spectra (spectrum, sample), NaN where half the samples are missing.

    Other missing samples are bridged from neighbour to neighbour: the fit will leave them out, but for its start they
    do not matter.
    """
    samples, candidates, linear = grid.basis.shape
    tables = grid.basis.reshape(samples, -1)
    moved = bool(grid.offset.any())
    own = (grid.offset[:, :, None] * grid.basis).sum(axis=0)
    starts = np.full((len(y), grid.values.shape[1]), np.nan)
    block = np.zeros((_ROWS, samples))
    for begin in range(0, len(y), _ROWS):
        rows, known = bridge_gaps(y[begin : begin + _ROWS])
        block[: len(rows)] = rows if weight is None else rows * np.nan_to_num(np.maximum(weight, 0.0))
        products = (block @ tables).reshape(_ROWS, candidates, linear)
        if moved:
            products = products - own
        # A candidate leaves |y - offset|^2 less the squares of its products of a spectrum y; |y|^2 is common to all.
        score = -(products**2).sum(axis=2)
        if moved:
            score += (grid.offset**2).sum(axis=0) - 2.0 * (block @ grid.offset)
        found = _choose_best(grid, products, score)[: len(rows)]
        starts[begin : begin + len(rows)] = np.where(known[:, None], found, np.nan)
    return starts


def bridge_gaps(y: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return spectra without gaps, and which have not too many."""
    finite = np.isfinite(y)
    known = finite.sum(axis=1) > y.shape[1] // 2
    rows = np.where(known[:, None], y, 0.0)
    places = np.arange(y.shape[1])
    for i in np.flatnonzero(known & ~finite.all(axis=1)):
        rows[i] = np.interp(places, places[finite[i]], y[i, finite[i]])
    return rows, known


def _choose_best(grid: Grid, products: Array, score: Array) -> Array:
    """Return the parameters of the candidates with the lowest score, those first whose linear ones keep the bounds."""
    rows = np.arange(len(score))
    for k in np.flatnonzero(np.isfinite(grid.bounds).any(axis=0)):
        coefficient = sum(grid.inverse[:, k, j] * products[:, :, j] for j in range(products.shape[2]))
        outside = (coefficient < grid.bounds[0, k]) | (coefficient > grid.bounds[1, k])
        # Behind all candidates that keep the bounds, but still in order among themselves.
        score = np.where(outside, score + 4.0 * np.abs(score).max(axis=1, keepdims=True), score)
    best = np.argmin(score, axis=1)
    starts: Array = grid.values[best]
    starts[:, grid.linear] = (grid.inverse[best] @ products[rows, best][..., None])[..., 0]
    return starts
