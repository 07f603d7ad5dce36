"""Templates of groups and spectra -> the candidates that explain most, all groups and what is linear together.

What is linear is solved for with each candidate, so a candidate leaves the part of a spectrum that is at right angles
to its templates. Groups are added one to another: for each choice of those before, all candidates of the next are tried
on what they leave. Of two groups all pairs are tried.

References
----------
G. H. Golub and V. Pereyra, SIAM J. Numer. Anal. 10, 413 (1973).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Templates", "find_best", "make_templates"]

Array = npt.NDArray[np.float64]
Picks = npt.NDArray[np.intp]

_SAME: Final = 1e-5  # of a template's square: below it the others make it up
_PAIRS: Final = 60000  # of candidates of two groups
_KEPT: Final = 16  # choices, none like another, that a third group is added to
_ALIKE: Final = 0.95  # product of templates of unit length: such candidates lead to one minimum


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """Templates of a group's candidates, at right angles to all that is always there.

    Attributes
    ----------
    basis : ndarray, shape (row, candidate, linear, sample)
        Orthonormal for each candidate, zeros where a template is made up by others.
    there : ndarray, shape (row, candidate, sample), optional
        What is there without any linear parameter.
    low, high : ndarray, shape (row, candidate)
        Least and most of the product with the first template, where it is the only one and bounded.
    """

    basis: Array
    there: Array | None
    low: Array
    high: Array

    @property
    def shapes(self) -> Array:
        """One row of unit length for each candidate, (row, candidate, sample), to tell how alike two of them are."""
        if self.there is None or self.basis.any():
            return self.basis[:, :, 0]
        length = np.sqrt((self.there**2).sum(axis=2, keepdims=True))
        return np.asarray(self.there / np.where(length > 0.0, length, 1.0))


def make_templates(columns: Array, there: Array | None, always: Array, bounds: Array) -> Templates:
    """Return templates of columns (row, candidate, linear, sample).

    `always` (row, linear, sample) is the orthonormal basis of what is always there, `bounds` (row, linear, 2) are those
    of the linear parameters.
    """
    if not columns.shape[2]:
        columns = np.zeros((*columns.shape[:2], 1, columns.shape[3]))
    columns = np.where(np.isfinite(columns).all(axis=3, keepdims=True), columns, 0.0)
    before = np.sqrt((columns**2).sum(axis=3, keepdims=True))
    scaled = columns / np.where(before > 0.0, before, 1.0)
    basis = np.zeros_like(scaled)
    for k in range(scaled.shape[2]):
        left = _take_away(scaled[:, :, k], always)
        for j in range(k):
            left = left - (left * basis[:, :, j]).sum(axis=2, keepdims=True) * basis[:, :, j]
        square = (left**2).sum(axis=2, keepdims=True)
        basis[:, :, k] = np.where(square > _SAME, left / np.sqrt(np.where(square > _SAME, square, 1.0)), 0.0)
    if there is not None:
        there = _take_away(np.where(np.isfinite(there).all(axis=2, keepdims=True), there, 0.0), always)
    if bounds.shape[1] != 1:
        return Templates(basis, there, *np.array([-np.inf, np.inf])[:, None, None])
    length = (columns[:, :, 0] * basis[:, :, 0]).sum(axis=2)
    with np.errstate(invalid="ignore"):
        low, high = (np.where(length > 0.0, length * bounds[:, 0, k, None], (-np.inf, np.inf)[k]) for k in (0, 1))
    return Templates(basis, there, low, high)


def _take_away(values: Array, always: Array) -> Array:
    """Return the part of values (row, any, sample) at right angles to a basis (row, linear, sample)."""
    return values - (values @ always.transpose(0, 2, 1)) @ always


def find_best(y: Array, groups: Sequence[Templates], count: int) -> Picks:
    """Return good choices of candidates, (spectrum, choice, group), for spectra (spectrum, sample).

    `y` is at right angles to what is always there. Each order of the groups gives about `count` choices.
    """
    found = []
    for k in range(len(groups) if len(groups) > 2 else 1):
        order = [*range(k, len(groups)), *range(k)]
        if k and groups[order[0]].there is None and any(g.there is not None for g in groups):
            continue  # what moves by itself comes first
        picks = _add_groups(y, [groups[i] for i in order], count)
        found.append(picks[:, :, np.argsort(order)])
    return np.concatenate(found, axis=1)


def _add_groups(y: Array, groups: Sequence[Templates], count: int) -> Picks:
    first = groups[0]
    left = np.broadcast_to(y[:, None], (len(y), first.basis.shape[1], y.shape[1]))
    if first.there is None:
        products, squares = _multiply(y, first.basis), (y**2).sum(axis=1)[:, None]
    else:
        left = left - first.there
        products, squares = (left[:, :, None] * first.basis).sum(axis=3), (left**2).sum(axis=2)
    cost = squares - (products**2).sum(axis=2)
    outside = products[:, :, 0] if first.basis.shape[2] == 1 else np.zeros_like(cost)
    cost = _push_back(cost, outside, first.low, first.high)
    if len(groups) == 1:
        return _choose_different(cost, first.shapes, count)[:, :, None]
    room = max(1, _PAIRS // groups[1].basis.shape[1])
    kept = np.argsort(cost, axis=1, kind="stable")[:, :room] if room < cost.shape[1] else None
    if kept is None:
        kept = np.broadcast_to(np.arange(cost.shape[1]), cost.shape)
        basis, chosen = first.basis, products
    else:
        basis, chosen = _take(first.basis, kept), np.take_along_axis(products, kept[:, :, None], axis=1)
        left = np.take_along_axis(left, kept[:, :, None], axis=1)
    left = left - (chosen[:, :, :, None] * basis).sum(axis=2)
    picks, own = kept[:, :, None], np.take_along_axis(outside, kept, axis=1)
    low, high = (_take(np.broadcast_to(end, cost.shape), kept) for end in (first.low, first.high))
    single = first.basis.shape[2] == 1
    for k, group in enumerate(groups[1:], 1):
        table = _try_all(left, basis, group, (own, low, high) if single and k == 1 else None)
        if k == len(groups) - 1:
            return _choose_pairs(table, picks, groups, count)
        lowest = table.min(axis=2)
        some = _choose_different(lowest, first.shapes, min(_KEPT, lowest.shape[1]), picks[:, :, 0])
        left, basis, picks = _keep(table, some, left, basis, picks, group)
    raise AssertionError


def _multiply(y: Array, basis: Array) -> Array:
    """Return products of spectra (spectrum, sample) with (row, candidate, linear, sample)."""
    if len(basis) == 1:
        # One product for each spectrum: the rounding of one for all would depend on how many there are.
        return np.asarray(y[:, None] @ basis[0].reshape(-1, y.shape[1]).T).reshape(len(y), *basis.shape[1:3])
    return np.asarray(basis.reshape(len(y), -1, y.shape[1]) @ y[:, :, None]).reshape(len(y), *basis.shape[1:3])


def _take(table: Array, kept: Picks) -> Array:
    """Return some candidates of (row, candidate, ...), other ones for each spectrum."""
    rows = np.zeros((len(kept), 1), np.intp) if len(table) == 1 else np.arange(len(kept))[:, None]
    return np.asarray(table[rows, kept])


def _push_back(cost: Array, product: Array, low: Array, high: Array) -> Array:
    """Put what lies outside its bounds behind all else, still in order."""
    outside = (product < low) | (product > high)
    return np.where(outside, cost + 4.0 * np.abs(cost).max(axis=-1, keepdims=True, initial=0.0), cost)


def _try_all(left: Array, basis: Array, group: Templates, first: tuple[Array, Array, Array] | None) -> Array:
    """Return the cost (spectrum, choice, candidate) of each choice so far with each candidate of one more group.

    `left` (spectrum, choice, sample) is what the choices leave, `basis` (row, choice, linear, sample) theirs; `first`
    holds the product of a single template with the spectrum, and its bounds.
    """
    rows, candidates, linear, samples = group.basis.shape
    flat = group.basis.reshape(rows, candidates * linear, samples).transpose(0, 2, 1)
    products = (left @ flat).reshape(*left.shape[:2], candidates, linear)
    chosen = basis.reshape(len(basis), -1, samples)
    common = (chosen @ flat).reshape(-1, basis.shape[1], basis.shape[2], candidates, linear)
    cost = (left**2).sum(axis=2)[:, :, None]
    if linear != 1:
        square = np.eye(linear) * (1.0 + _SAME) - np.einsum("rbmkl,rbmkn->rbkln", common, common)
        solved = np.linalg.solve(square, np.broadcast_to(products, (*products.shape,))[..., None])[..., 0]
        return np.asarray(cost - (solved * products).sum(axis=3))
    alone = 1.0 - (common[..., 0] ** 2).sum(axis=2)
    amount = np.where(alone > _SAME, products[..., 0] / np.where(alone > _SAME, alone, 1.0), 0.0)
    cost = cost - amount * products[..., 0]
    outside = (amount < group.low[:, None]) | (amount > group.high[:, None])
    if first is not None:
        before = first[0][:, :, None] - common[:, :, 0, :, 0] * amount
        outside |= (before < first[1][:, :, None]) | (before > first[2][:, :, None])
    worst = np.abs(cost).max(axis=(1, 2), keepdims=True, initial=0.0)
    return np.asarray(np.where(outside, cost + 4.0 * worst, cost))


def _keep(
    cost: Array, order: Picks, left: Array, basis: Array, picks: Picks, group: Templates
) -> tuple[Array, Array, Picks]:
    """Return some choices with the best candidate added: what is left, the basis, and the choices."""
    best = np.argmin(cost, axis=2)
    added = np.take_along_axis(best, order, axis=1)
    old = _take(basis, order)
    old = np.broadcast_to(old, (len(left), *old.shape[1:]))
    new = _take(group.basis, added)
    new = new - np.swapaxes(old @ np.swapaxes(new, 2, 3), 2, 3) @ old
    for k in range(new.shape[2]):
        for j in range(k):
            new[:, :, k] -= (new[:, :, k] * new[:, :, j]).sum(axis=2, keepdims=True) * new[:, :, j]
        length = np.sqrt((new[:, :, k] ** 2).sum(axis=2, keepdims=True))
        new[:, :, k] = np.where(length**2 > _SAME, new[:, :, k] / np.maximum(length, _SAME), 0.0)
    left = np.take_along_axis(left, order[:, :, None], axis=1)
    left = left - ((left[:, :, None] * new).sum(axis=3, keepdims=True) * new).sum(axis=2)
    chosen = np.take_along_axis(picks, order[:, :, None], axis=1)
    return left, np.concatenate([old, new], axis=2), np.concatenate([chosen, added[:, :, None]], axis=2)


def _choose_pairs(cost: Array, picks: Picks, groups: Sequence[Templates], count: int) -> Picks:
    """Return the best choices: some that differ in what was chosen before, some that differ in the last candidate."""
    last, before = np.argmin(cost, axis=2), np.argmin(cost, axis=1)
    lowest = np.take_along_axis(cost, last[:, :, None], axis=2)[..., 0]
    some = _choose_different(lowest, groups[0].shapes if picks.shape[2] == 1 else None, count, picks[:, :, 0])
    first = np.take_along_axis(picks, some[:, :, None], axis=1)
    first = np.concatenate([first, np.take_along_axis(last, some, axis=1)[:, :, None]], axis=2)
    others = _choose_different(np.take_along_axis(cost, before[:, None], axis=1)[:, 0], groups[-1].shapes, count)
    second = np.take_along_axis(picks, np.take_along_axis(before, others, axis=1)[:, :, None], axis=1)
    return np.concatenate([first, np.concatenate([second, others[:, :, None]], axis=2)], axis=1)


def _choose_different(cost: Array, shapes: Array | None, count: int, names: Picks | None = None) -> Picks:
    """Return the places of the lowest costs (spectrum, choice), of those that are alike one; `names` are candidates."""
    cost, rows = cost.copy(), np.arange(len(cost))
    chosen = np.empty((len(cost), count), np.intp)
    for k in range(count):
        chosen[:, k] = np.argmin(cost, axis=1)
        if shapes is not None:
            candidate = chosen[:, k] if names is None else names[rows, chosen[:, k]]
            near = abs(_multiply_own(shapes, _take(shapes, candidate[:, None])[:, 0])) > _ALIKE
            near = near if names is None else np.take_along_axis(near, names, axis=1)
            cost = np.where(near, np.inf, cost)
        cost[rows, chosen[:, k]] = np.inf
    return chosen


def _multiply_own(shapes: Array, own: Array) -> Array:
    """Return products of one shape for each spectrum with those of all candidates."""
    if len(shapes) == 1:
        return np.asarray(own[:, None] @ shapes[0].T)[:, 0]
    return np.asarray(np.einsum("rks,rs->rk", shapes, own))
