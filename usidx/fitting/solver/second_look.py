"""Spectra whose fit is doubted -> fits from starts of another kind, and the best of all.

The first start of a fit is found fast, one term after the other. Where what is left shows that this was not enough, all
that is allowed is searched for on a grid, all terms together, with fixed and tied parameters as they are and within
the bounds; a given start is one more candidate. Nothing here looks at another spectrum.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.fitting.kernels.columns import CONVERGED, CONVERGED_ON_BOUND, TOO_FEW_SAMPLES, Columns
from usidx.fitting.models.model import Model
from usidx.fitting.solver.compiled import Options, add_derived
from usidx.fitting.solver.search.groups import Group, evaluate_templates, split_model
from usidx.fitting.solver.search.proposals import propose
from usidx.fitting.solver.search.screen import find_best, make_templates
from usidx.fitting.solver.search.templates import bridge_gaps
from usidx.fitting.solver.search.terms import find_linear_parameters
from usidx.fitting.solver.tables import choose_better, take_rows
from usidx.tasks.process.blas import limit_blas

__all__ = ["Spectra", "look_again"]

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
FitRows = Callable[[Rows, Array, Options], Array]
_STARTS: Final = 4  # of each kind
_MOST_SAMPLES: Final = 512  # more are averaged in bins
_VALUES: Final = 2**22  # of templates, or of pairs, that are held at a time
_ROUNDS: Final = 2  # in which each group is looked for anew
_FAR: Final = 3.5  # standard deviations by which what is left is smoother than noise
_MOST_EXCHANGED: Final = 3  # equal terms: there are six orders of three
_MUCH: Final = 1e-6  # of chi2: less is no better fit


@dataclass(frozen=True, slots=True)
class Spectra:
    """What is fitted; the arrays are those of `solver.compiled.solve_block`.

    Attributes
    ----------
    y : ndarray, shape (spectrum, sample)
        Data.
    x : ndarray, shape (spectrum or 1, variable, sample)
        Coordinates.
    weight : ndarray, shape (spectrum or 1, sample), optional
        One by the standard deviation.
    start : ndarray, shape (spectrum or 1, parameter)
        Values of what is fixed, and given starts; NaN for what is looked for.
    """

    y: npt.NDArray[Any]
    x: Array
    weight: Array | None
    start: Array

    def take(self, rows: Rows) -> Spectra:
        """Return some of them."""
        weight = None if self.weight is None else take_rows(self.weight, rows)
        return Spectra(self.y[rows], take_rows(self.x, rows), weight, take_rows(self.start, rows))


def look_again(fit_rows: FitRows, first: Array, model: Model, options: Options, spectra: Spectra) -> Array:
    """Return the table with the fits replaced that are better from another start.

    `fit_rows(rows, start, options)` fits some of the spectra; `first` is the table of the first fits of all.
    """
    at, out = Columns(len(model.names)), _look(fit_rows, first, model, options, spectra)
    rows, plain = _find_doubtful(out, spectra.y, at), _forget_all(model, options, spectra)
    rows = rows[_is_sure(out[rows], at, 2 if model.is_complex else 1)]
    if not rows.size or plain is None:
        return out
    # Whoever knows less may find more: fits of which nothing is known are one more place to begin.
    less, start = plain
    own = replace(spectra.take(rows), start=take_rows(start, rows))
    alone = fit_rows(rows, own.start, less)
    alone = _look(lambda some, begin, how: fit_rows(rows[some], begin, how), alone, model, less, own)
    with np.errstate(all="ignore"):
        for begin in _list_allowed(model, options, alone[:, at.parameters], take_rows(spectra.start, rows)):
            some = np.flatnonzero(np.isfinite(begin).all(axis=1))
            if some.size:
                better = choose_better(out[rows[some]], fit_rows(rows[some], begin[some], options), at, gain=_MUCH)
                out[rows[some]] = better
    return out


def _forget_all(model: Model, options: Options, spectra: Spectra) -> tuple[Options, Array] | None:
    """Return what fits begin with of which nothing is known, None where nothing is known that could be forgotten."""
    found = [n for t in model.terms if t.search != "given" for n in t.names]
    free = tuple(n for n in model.names if n in options.free or n in found)
    bounds = dict(options.bounds) | {p.name: p.bounds for p in model.parameters if p.name in found}
    start = np.where(np.isin(model.names, found), np.nan, spectra.start)
    same = (
        all(bounds[n] == options.bounds[n] for n in options.free)
        and np.isnan(spectra.start[:, np.isin(model.names, found)]).all()
    )
    if free == options.free and same:
        return None
    return replace(options, free=free, bounds=bounds, covariance=False), start


def _list_allowed(model: Model, options: Options, found: Array, start: Array) -> Iterator[Array]:
    """Give starts from parameters of fits of which nothing was known, brought within what is allowed.

    Which of equal terms is the first they do not say.
    """
    free = [model.names.index(n) for n in options.free]
    limits = np.array([options.bounds[n] for n in options.free], np.float64)
    for order in _list_orders(model, options):
        begin = np.broadcast_to(start, found.shape).copy()
        begin[:, free] = np.clip(found[:, order][:, free], limits[:, 0], limits[:, 1])
        yield begin


def _list_orders(model: Model, options: Options) -> Iterator[list[int]]:
    """Give the parameters as they are, and with equal terms in other orders where not the same is said of them."""
    yield list(range(len(model.names)))
    kinds: dict[str, list[Model]] = {}
    for term in model.terms:
        kinds.setdefault(_describe_kind(term), []).append(term)
    for terms in kinds.values():
        said = [[n in options.free and options.bounds[n] for n in t.names] for t in terms]
        if len(terms) > _MOST_EXCHANGED or all(one == said[0] for one in said):
            continue
        for turned in itertools.permutations(terms):
            if turned != tuple(terms):
                place = {
                    a: b for t, u in zip(terms, turned, strict=True) for a, b in zip(t.names, u.names, strict=True)
                }
                yield [model.names.index(place.get(n, n)) for n in model.names]


def _describe_kind(term: Model) -> str:
    """Return what terms have in common that can be exchanged; a tied parameter is none of its term's names."""
    told = term.describe()
    own = [name.removeprefix(str(told.get("prefix", ""))) for name in term.names]
    return repr(({k: v for k, v in told.items() if k != "prefix"}, own))


def _look(fit_rows: FitRows, first: Array, model: Model, options: Options, spectra: Spectra) -> Array:
    """Return the table with the fits replaced that are better from another start, with what is known."""
    at = Columns(len(model.names))
    out, doubtful = _look_without_start(fit_rows, first, model, options, spectra)
    for start in _swap_terms(model, options, first[:, at.parameters]):
        own = np.flatnonzero(np.isfinite(start).all(axis=1))
        out = out.copy()
        out[own] = choose_better(out[own], fit_rows(own, start[own], options), at, gain=_MUCH)
    rows = np.union1d(doubtful, _find_doubtful(out, spectra.y, at))
    if not rows.size:
        return out
    out = out.copy()

    def try_all(rows: Rows, options: Options, starts: Iterator[Array]) -> None:
        for start in starts:
            out[rows] = choose_better(out[rows], fit_rows(rows, start, options), at, gain=_MUCH)

    with np.errstate(all="ignore"):  # candidates may be far off
        try_all(rows, options, _list_starts(model, options, spectra.take(rows)))
        for _ in range(_ROUNDS):
            still = rows[_find_doubtful(out[rows], spectra.y[rows], at)]
            try_all(still, options, _move_each(model, options, spectra.take(still), out[still, at.parameters]))
        failed = rows[~(out[rows, at.status] > 0)]
        finest = [
            p for p in model.parameters if p.finest and p.name in options.free and p.bounds == options.bounds[p.name]
        ]
        steps = _measure_steps(take_rows(spectra.x, failed)) if finest and failed.size else np.empty(0)
        for step in np.unique(steps[steps > 0.0]):
            coarser = {p.name: (p.finest * step, p.bounds[1]) for p in finest}
            own = failed[np.broadcast_to(steps == step, failed.shape)]
            how = replace(options, bounds={**options.bounds, **coarser})
            try_all(own, how, _list_starts(model, how, spectra.take(own)))
    return out


def _look_without_start(
    fit_rows: FitRows, first: Array, model: Model, options: Options, spectra: Spectra
) -> tuple[Array, Rows]:
    """Return the better of the fits from given starts and from none, and where that from none raises a doubt.

    A start that leads into another minimum need not leave a pattern that is seen; knowing it must not do harm.
    """
    at, linear = Columns(len(model.names)), find_linear_parameters(model, options.free)
    found = {n for t in model.terms if t.search != "given" for n in t.names} & set(options.free)
    own = np.flatnonzero(np.isfinite(spectra.start[:, np.isin(model.names, list(found))]).any(axis=1))
    if not options.beside or not own.size or found <= set(linear):
        return first, np.empty(0, np.intp)
    rows = np.arange(len(first)) if len(spectra.start) == 1 else own
    bare = np.where(np.isin(model.names, list(found)), np.nan, take_rows(spectra.start, rows))
    # Starts may differ, what is left of them seldom does: looks at one row and at equal ones are not the same.
    if np.array_equal(bare, np.broadcast_to(bare[:1], bare.shape), equal_nan=True):
        bare = bare[:1]
    second, out = fit_rows(rows, bare, options), first.copy()
    out[rows] = choose_better(first[rows], second, at, gain=_MUCH)
    return out, rows[_find_doubtful(second, spectra.y[rows], at)]


def _swap_terms(model: Model, options: Options, found: Array) -> Iterator[Array]:
    """Give starts in which two terms of one kind change places, NaN where bounds forbid it.

    Where a width is fixed, which of two peaks has it makes little difference to what is left, and so raises no doubt.
    """
    for one, other in itertools.combinations(model.terms, 2):
        pairs = list(zip(one.names, other.names, strict=False))
        said = [
            [(n in options.free, n in options.free and options.bounds[n]) for n in names]
            for names in zip(*pairs, strict=True)
        ]
        if _describe_kind(one) != _describe_kind(other) or len(one.names) != len(other.names) or said[0] == said[1]:
            continue
        start, inside = found.copy(), np.ones(len(found), bool)
        for pair in pairs:
            a, b = (model.names.index(n) for n in pair)
            if pair[0] in options.free and pair[1] in options.free:
                start[:, [a, b]] = found[:, [b, a]]
                for name, k in zip(pair, (a, b), strict=True):
                    low, high = options.bounds[name]
                    inside &= (start[:, k] >= low) & (start[:, k] <= high)
        yield np.where(inside[:, None], start, np.nan)


def _measure_steps(x: Array) -> Array:
    """Return the distance of samples along the first coordinate."""
    ordered = np.sort(np.where(np.isfinite(x[:, 0]), x[:, 0], np.nan), axis=1)
    return np.asarray(np.nanmedian(np.diff(ordered, axis=1), axis=1))


def _find_doubtful(table: Array, y: npt.NDArray[Any], at: Columns) -> Rows:
    """Return the fits that failed where another start may help, or left more than noise behind.

    That asks for no other spectrum, so a doubt does not depend on how a map is cut into blocks.
    """
    status = table[:, at.status]
    failed = np.flatnonzero(~(status > 0) & (status != TOO_FEW_SAMPLES))
    flat = (y[failed] == y[failed, :1]).all(axis=1)
    left = np.flatnonzero(np.isin(status, (CONVERGED, CONVERGED_ON_BOUND)) & (table[:, at.pattern] > _FAR))
    return np.sort(np.concatenate([failed[~flat], left]))


def _is_sure(table: Array, at: Columns, parts: int) -> npt.NDArray[np.bool_]:
    """Say which doubts few spectra of noise raise: of short ones the pattern is above its limit more often.

    Its scatter is that of one by a number near one, so one less one by it is as likely high as low.
    """
    scatter = np.sqrt(table[:, at.samples] * parts)
    pattern = np.where(table[:, at.status] > 0, table[:, at.pattern], np.inf)
    with np.errstate(invalid="ignore"):
        ratio = 1.0 / (1.0 + pattern / scatter)
    return np.asarray((1.0 - ratio) * scatter > np.minimum(_FAR, 0.7 * scatter))


def _list_starts(model: Model, options: Options, spectra: Spectra) -> Iterator[Array]:
    """Give starts, (spectrum, parameter), NaN for what is linear: with what is given as a start, and without."""
    free = np.isin(model.names, options.free)
    fixed = np.where(free, np.nan, spectra.start)
    held = tuple(n for n in options.free if np.isfinite(spectra.start[:, model.names.index(n)]).all())
    ways = [options.free]
    if 0 < len(held) < len(options.free):
        ways.append(tuple(n for n in options.free if n not in held))
    for way in ways:
        kept = np.where(np.isin(model.names, way), fixed, spectra.start)
        yield from _search(model, way, options, spectra, kept)


def _move_each(model: Model, options: Options, spectra: Spectra, found: Array) -> Iterator[Array]:
    """Give starts in which one group is looked for anew while the others stay where they were found."""
    groups = [g.searched for g in split_model(model, options.free) if g.searched]
    fixed = np.where(np.isin(model.names, options.free), np.nan, spectra.start)
    for own in groups if len(groups) > 1 and len(found) else ():
        held = {n for searched in groups for n in searched} - set(own)
        way = tuple(n for n in options.free if n not in held)
        yield from _search(model, way, options, spectra, np.where(np.isin(model.names, list(held)), found, fixed))


def _search(model: Model, free: tuple[str, ...], options: Options, spectra: Spectra, fixed: Array) -> Iterator[Array]:
    groups = split_model(model, free)
    searched = [g for g in groups if g.searched]
    if not searched:
        return
    ordered = _prepare(model, spectra)
    bounds = np.array([[options.bounds[n] for n in model.names]], np.float64)
    values = [propose(model, g.searched, ordered.x, bounds, spectra.start) for g in searched]
    shared = len(ordered.x) == len(fixed) == 1 and all(len(v) == 1 for v in values)
    shared &= ordered.weight is None or len(ordered.weight) == 1
    with limit_blas():
        picks = _pick(model, free, groups, values, ordered, fixed, bounds, shared=shared)
    for k in range(picks.shape[1]):
        start = np.broadcast_to(np.where(np.isin(model.names, free), np.nan, fixed), (len(ordered.y), len(model.names)))
        start = start.copy()
        for i, (group, value) in enumerate(zip(searched, values, strict=True)):
            rows = np.zeros(len(start), np.intp) if len(value) == 1 else np.arange(len(start))
            start[:, [model.names.index(n) for n in group.searched]] = value[rows, picks[:, k, i]]
        yield start


def _prepare(model: Model, spectra: Spectra) -> Spectra:
    """Return spectra without gaps, in the order of a single coordinate, in bins where there are many samples."""
    x, y, weight = spectra.x, spectra.y, spectra.weight
    if model.variables == 1 and not model.derived:
        order = np.argsort(x[:, 0], axis=1, kind="stable")
        x = np.take_along_axis(x, order[:, None], axis=2)
        y = np.take_along_axis(y, np.broadcast_to(order, y.shape), axis=1)
        if weight is not None:
            order = np.broadcast_to(order, (max(len(order), len(weight)), order.shape[1]))
            weight = np.take_along_axis(np.broadcast_to(weight, order.shape), order, axis=1)
    y = (
        bridge_gaps(y.real)[0] + 1j * bridge_gaps(y.imag)[0]
        if model.is_complex
        else bridge_gaps(np.asarray(y, float))[0]
    )
    x = np.where(np.isfinite(x), x, 0.0)
    if weight is not None:
        weight = np.where(np.isfinite(weight) & (weight > 0.0), weight, 0.0)
    size = -(-y.shape[1] // _MOST_SAMPLES)
    if size > 1 and model.variables == 1 and not model.derived:
        x, y = _average(x, size), _average(y, size)
        weight = None if weight is None else _average(weight, size)
    return Spectra(y, add_derived(model, x), weight, spectra.start)


def _average(values: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Return means of so many neighbours; what is left over at the end is dropped."""
    count = values.shape[-1] // size
    return np.asarray(values[..., : count * size].reshape(*values.shape[:-1], count, size).mean(axis=-1))


def _pick(
    model: Model, free: tuple[str, ...], groups: tuple[Group, ...], values: list[Array], spectra: Spectra, fixed: Array,
    bounds: Array, *, shared: bool,
) -> Rows:  # fmt: skip
    """Return the places of good candidates, (spectrum, choice, group)."""
    per_row = sum(v.shape[1] * spectra.x.shape[2] for v in values) * (1 if shared else 6)
    pairs = min(60000, int(np.prod([v.shape[1] for v in values[:2]], dtype=float))) if len(values) > 1 else 0
    step = max(1, _VALUES // max(4 * pairs, per_row if not shared else 1, 1))
    known = _make_all(model, free, groups, values, spectra, fixed, bounds) if shared else None
    found = []
    for begin in range(0, len(spectra.y), step):
        rows = np.arange(begin, min(begin + step, len(spectra.y)))
        own = spectra.take(rows)
        if known is None:
            part = [take_rows(v, rows) for v in values]
            always, tables, rest = _make_all(model, free, groups, part, own, take_rows(fixed, rows), bounds)
        else:
            always, tables, rest = known
        y = _weigh(_stack_parts(own.y, model), own.weight, model)[:, None] - rest
        y = (y - (y @ always.transpose(0, 2, 1)) @ always)[:, 0]
        found.append(find_best(y, tables, _STARTS))
    return np.concatenate(found)


def _make_all(
    model: Model, free: tuple[str, ...], groups: tuple[Group, ...], values: list[Array], spectra: Spectra,
    fixed: Array, bounds: Array,
) -> tuple[Array, list[Any], Array]:  # fmt: skip
    """Return the basis of what is always there, the templates of the groups, and what is there without parameters."""

    def evaluate(group: Group, value: Array) -> tuple[Array, Array | None]:
        columns, there = evaluate_templates(model, free, group, value, spectra.x, np.where(np.isnan(fixed), 0.0, fixed))
        columns = _weigh(columns, None if spectra.weight is None else spectra.weight[:, None, None], model)
        if there is not None:
            there = _weigh(there, None if spectra.weight is None else spectra.weight[:, None], model)
        return columns, there

    linear, rest = evaluate(groups[0], np.zeros((1, 1, 0)))
    always = _orthonormalise(linear[:, 0])
    moves = any(g.moves for g in groups)
    tables = []
    for group, value in zip((g for g in groups if g.searched), values, strict=True):
        columns, there = evaluate(group, value)
        limits = bounds[:, [model.names.index(n) for n in group.linear]]
        tables.append(make_templates(columns, there, always, limits))
    none = np.zeros((1, 1, 1))
    return always, tables, none if rest is None or moves else rest


def _orthonormalise(columns: Array) -> Array:
    """Return an orthonormal basis of columns (row, linear, sample); no column is left where there is none."""
    if not columns.shape[1]:
        return np.zeros((1, 1, columns.shape[2]))
    columns = np.where(np.isfinite(columns), columns, 0.0)
    length = np.sqrt((columns**2).sum(axis=2, keepdims=True))
    found: Array = np.linalg.qr((columns / np.where(length > 0.0, length, 1.0)).transpose(0, 2, 1))[0]
    return found.transpose(0, 2, 1)


def _stack_parts(y: npt.NDArray[Any], model: Model) -> Array:
    """Return real numbers, the imaginary parts behind the real ones."""
    return np.concatenate([y.real, y.imag], axis=1) if model.is_complex else np.asarray(y, np.float64)


def _weigh(values: Array, weight: Array | None, model: Model) -> Array:
    if weight is None:
        return values
    return values * (np.concatenate([weight, weight], axis=-1) if model.is_complex else weight)
