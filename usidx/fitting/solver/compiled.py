"""Block of spectra and a model -> table of figures, one row per spectrum, on threads.

The kernels are compiled at the first call and kept on disk. They hold no lock of the interpreter, so that plain
threads share_slices the work; inside a dask task one thread does, for dask runs the tasks side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.fitting.compile import layout as at
from usidx.fitting.compile.bytecode import OPERATIONS, Program, assemble
from usidx.fitting.compile.layout import LOSSES, Tables
from usidx.fitting.formula.nodes import ZERO, differentiate, make_parameter, substitute
from usidx.fitting.kernels.columns import Columns
from usidx.fitting.models.model import Model, build_graphs
from usidx.fitting.solver.canonical import make_canonical
from usidx.fitting.solver.search.templates import Grid, find_template_starts, make_grid
from usidx.fitting.solver.search.terms import find_linear_parameters, order_terms
from usidx.fitting.solver.tables import take_rows
from usidx.tasks.pool import share_slices
from usidx.tasks.process.blas import limit_blas

__all__ = ["Options", "add_derived", "evaluate_block", "solve_block"]

Array = npt.NDArray[np.float64]
_SEARCHES: Final = {
    "candidates": at.SEARCH_CANDIDATES,
    "given": at.SEARCH_CANDIDATES,
    "peak": at.SEARCH_PEAK,
    "resonance": at.SEARCH_RESONANCE,
}
_ROLES: Final = {"": at.ROLE_CANDIDATE, "center": at.ROLE_CENTER, "width": at.ROLE_WIDTH}


@dataclass(frozen=True, slots=True)
class Options:
    """What decides a fit besides model and data.

    Attributes
    ----------
    free : tuple of str
        Parameters that are fitted; the others stay at their start values.
    bounds : mapping
        Lowest and highest value of each parameter.
    loss, loss_scale : str, float
        Robust loss, and the residual from which on it is; NaN for the noise of each spectrum (see `solver.solve`).
    tolerance : float
        A fit ends when the next step promises to lower the cost by less than this fraction.
    max_evaluations : int
        After so many evaluations a fit has failed.
    covariance : bool
        Whether the table holds the covariance too.
    doubt : bool
        Whether other starts are tried where a fit failed or left a pattern.
    beside : bool
        Whether what is given a start is fitted without it too.
    """

    free: tuple[str, ...]
    bounds: Mapping[str, tuple[float, float]]
    loss: str = "linear"
    loss_scale: float = 1.0
    tolerance: float = 1e-8
    max_evaluations: int = 200
    covariance: bool = False
    doubt: bool = True
    beside: bool = True


@cache
def _assemble_program(model: Model, free: tuple[str, ...]) -> Program:
    keep = [0, *(1 + model.names.index(name) for name in free)]
    outputs = [[part[k] for k in keep] for part in build_graphs(model)]
    return assemble(outputs, model.names, model.variables + model.derived)


def _copy_tables(model: Model, options: Options, samples: int, *, weighted: bool) -> Tables:
    """Return fresh tables for one thread."""
    limits = tuple((float(low), float(high)) for low, high in (options.bounds[name] for name in options.free))
    known = _make_tables(
        model, options.free, limits, options.loss, options.loss_scale, options.tolerance, options.max_evaluations,
        samples, weighted,
    )  # fmt: skip
    return deepcopy(known)  # kernels write into their tables


@lru_cache(maxsize=16)
def _make_tables(
    model: Model, free: tuple[str, ...], limits: tuple[tuple[float, float], ...], loss: str, loss_scale: float,
    tolerance: float, max_evaluations: int, samples: int, weighted: bool,
) -> Tables:  # fmt: skip
    """Return the tables that blocks of one array begin with."""
    bounds = dict(zip(free, limits, strict=True))
    options = Options(free, bounds, loss, loss_scale, tolerance, max_evaluations)
    program = _assemble_program(model, free)
    count, parts, n = len(free), len(program.outputs), len(model.names)
    head = np.zeros(at.HEAD_SIZE, np.int64)
    head[at.N_PARAMETERS], head[at.N_FREE], head[at.N_PARTS] = n, count, parts
    head[at.N_VARIABLES], head[at.N_TERMS] = program.n_variables, len(model.terms)
    head[at.N_NUMBER_CODE], head[at.N_VALUE_CODE] = len(program.number_code), program.n_value_code
    head[at.HAS_WEIGHT], head[at.LOSS] = weighted, LOSSES[options.loss]
    head[at.MAX_EVALUATIONS], head[at.LEVEL_ONLY] = options.max_evaluations, _is_level_only(model, free)
    head[at.SCALES] = _has_one_scale(model, options)
    # Tables of varying height follow each other in `bench`, after the rows that always are there.
    rows = {at.MATRIX: count, at.TRIAL_MATRIX: count, at.FACTOR: count + 1, at.SCALED: count + 2}
    first = at.BENCH_ROWS
    for place, length in rows.items():
        head[place] = first
        first += length
    head[at.REGISTERS], head[at.SCRATCH] = first, first + program.n_rows
    # Rows of `data`: coordinates, y by parts, weight, residual by parts, running sums, and what machine code keeps.
    head[at.Y] = program.n_variables
    head[at.WEIGHT] = head[at.Y] + parts
    head[at.RESIDUAL] = head[at.WEIGHT] + 1
    head[at.TOTAL] = head[at.RESIDUAL] + parts
    head[at.KEPT] = head[at.TOTAL] + 1
    exponentials = int((program.row_code[:, 0] == OPERATIONS["exp"]).sum())
    return Tables(
        head=head,
        info=_make_info(model, options, program),
        code=np.concatenate([program.number_code, program.row_code]),
        bench=_make_bench(model, options, program, first + program.n_rows + at.SCRATCH_ROWS),
        data=np.zeros((head[at.KEPT] + exponentials + parts, samples + 1)),
    )


def _is_level_only(model: Model, free: tuple[str, ...]) -> bool:
    """Say whether the terms that are linear altogether are no more than a constant, and others are not linear.

    Then a peak can be looked for at once: its search takes the mean of the spectrum away by itself.
    """
    linear = find_linear_parameters(model, free)
    names = [n for t in model.terms if set(t.names) & set(free) <= set(linear) for n in t.names]
    if len(names) != 1 or names[0] not in free or len(linear) == len(free):
        return False
    slope = build_graphs(model)[0][1 + model.names.index(names[0])]
    return not slope.varies


def _make_info(model: Model, options: Options, program: Program) -> npt.NDArray[np.int64]:
    free, linear = options.free, find_linear_parameters(model, options.free)
    info = np.zeros((at.OUTPUTS + len(program.outputs), len(model.names) + len(model.terms) + 1), dtype=np.int64)
    info[at.FREE, : len(free)] = [model.names.index(name) for name in free]
    info[at.LINEAR, : len(free)] = [name in linear for name in free]
    info[at.SCALE, : len(free)] = _find_scales(model, free)
    for k, term in enumerate(order_terms(model)):
        plain = set(term.names) & set(free) <= set(linear)
        info[at.SEARCH, k] = at.SEARCH_LINEAR if plain else _SEARCHES[term.search]
        info[at.SIGN, k] = _find_sign(term, options, linear)
        for p in term.parameters:
            place = model.names.index(p.name)
            info[at.TERM, place] = k
            info[at.ROLE, place] = at.ROLE_LINEAR if p.name in linear else _ROLES[p.role]
    info[at.OUTPUTS :, : len(free) + 1] = program.outputs
    return info


@cache
def _find_scales(model: Model, free: tuple[str, ...]) -> tuple[int, ...]:
    """Return for each free parameter the linear one that its derivatives are proportional to, -1 for none.

    For a Gaussian these are the amplitude, for center and sigma alike. So derivatives that are known for one amplitude
    are known for all, and the start of a fit needs one evaluation less.
    """
    linear = find_linear_parameters(model, free)
    without = {make_parameter(name): ZERO for name in linear}
    found = []
    for name in free:
        slopes = [part[1 + model.names.index(name)] for part in build_graphs(model)]
        with_it = [n for n in linear if any(differentiate(s, make_parameter(n)) is not ZERO for s in slopes)]
        proportional = len(with_it) == 1 and all(substitute(s, without) is ZERO for s in slopes)
        found.append(free.index(with_it[0]) if proportional and name not in linear else -1)
    return tuple(found)


def _has_one_scale(model: Model, options: Options) -> bool:
    """Say whether one term is searched for, and nothing but linear parameters makes it large or small."""
    linear = find_linear_parameters(model, options.free)
    searched = [t for t in model.terms if not set(t.names) & set(options.free) <= set(linear)]
    scales = zip(options.free, _find_scales(model, options.free), strict=True)
    return len(searched) == 1 and options.loss == "linear" and all(n in linear or k >= 0 for n, k in scales)


def _make_bench(model: Model, options: Options, program: Program, rows: int) -> Array:
    from usidx.fitting.compile.interpreter import TILE

    # Rows of a power of two bytes would all begin in the same few lines of the nearest cache.
    bench = np.zeros((rows, max(TILE, len(program.numbers), len(model.names) + 1) + 8))
    for j, name in enumerate(options.free):
        bench[at.LOWER, j], bench[at.UPPER, j] = options.bounds[name]
    bench[at.WIDTH_PER_FWHM, : len(model.names)] = [p.width_per_fwhm for p in model.parameters]
    bench[at.SETTINGS, at.TOLERANCE], bench[at.SETTINGS, at.LOSS_SCALE] = options.tolerance, options.loss_scale
    bench[at.NUMBERS, : len(program.numbers)] = program.numbers
    return bench


def _find_sign(term: Model, options: Options, linear: tuple[str, ...]) -> int:
    """Return the sign that bounds prescribe for a peak's amplitude."""
    bounds = [options.bounds[name] for name in term.names if name in linear]
    if any(low >= 0.0 for low, _ in bounds):
        return 1
    return -1 if any(high <= 0.0 for _, high in bounds) else 0


def _collect_candidates(model: Model, x: Array) -> Array:
    """Return start candidates, (spectrum or 1, term, candidate, parameter), NaN where a term has fewer."""
    terms = order_terms(model)
    found = [t.candidates(x[:, 0] if model.variables == 1 else x[:, : model.variables]) for t in terms]
    table = np.full((x.shape[0], len(terms), max(map(len, found)), len(model.names)), np.nan)
    for k, (term, choices) in enumerate(zip(terms, found, strict=True)):
        defaults = {p.name: 1.0 if p.role == "width" else 0.0 for p in term.parameters}
        for c, choice in enumerate(choices):
            for name, value in (defaults | choice).items():
                table[:, k, c, model.names.index(name)] = value
    return table


def solve_block(
    model: Model,
    options: Options,
    y: npt.NDArray[np.generic],
    x: Array,
    weight: Array | None,
    start: Array,
    threads: int | None = None,
) -> Array:
    """Fit every spectrum of a block by itself.

    Parameters
    ----------
    model : Model
        What is fitted.
    options : Options
        How.
    y : ndarray, shape (spectrum, sample)
        Any real or complex dtype; complex exactly where the model is.
    x : ndarray, shape (spectrum or 1, variable, sample)
        The coordinates.
    weight : ndarray, shape (spectrum or 1, sample), optional
        One by the standard deviation of each sample.
    start : ndarray, shape (spectrum or 1, parameter)
        Start values, NaN where they are to be found.
    threads : int, optional
        So many at most; by default as many as there is room for.

    Returns
    -------
    ndarray of float64, shape (spectrum, figure)
        See `usidx.fitting.kernels.columns`.
    """
    from usidx.fitting.compile.llvm import choose_equations
    from usidx.fitting.kernels.spectra import solve_rows

    x = add_derived(model, x)
    grid = _find_grid(model, options, x, weight, start)
    out = np.empty((y.shape[0], Columns(len(model.names)).count(covariance=options.covariance)))
    dtype = np.complex128 if model.is_complex else np.float64
    shared = _copy_tables(model, options, y.shape[1], weighted=weight is not None)
    program = _assemble_program(model, options.free)
    equations = choose_equations(program, weighted=weight is not None, robust=options.loss != "linear")
    search = equations  # is never called where there is no oscillator, and need not be compiled
    if any(term.search == "resonance" for term in model.terms):
        from usidx.fitting.kernels.resonance import place_resonance as search
    alike = _collect_candidates(model, x) if x.shape[0] == 1 else None

    def run(part: slice) -> None:
        values = _make_writable(y[part], dtype)
        own_x, own_weight = _select_rows(x, part), None if weight is None else _select_rows(weight, part)
        own_x, values, own_weight = _sort_samples(own_x, values, own_weight)
        parts = values.view(np.float64).reshape(*values.shape, -1)
        weights = np.ones((1, 1)) if own_weight is None else own_weight
        given = _select_rows(start, part)
        if grid is not None:
            given = np.where(np.isnan(given), _find_grid_starts(grid, y[part], weight), given)
        candidates = _collect_candidates(model, own_x) if alike is None else alike
        solve_rows(equations, search, *deepcopy(shared), own_x, parts, weights, given, candidates, out[part])

    share_slices(run, y.shape[0], threads)
    return make_canonical(model, options.free, options.bounds, out)


def _find_grid(model: Model, options: Options, x: Array, weight: Array | None, start: Array) -> Grid | None:
    """Return templates where one coordinate is for all spectra, and nothing is known of them but candidates."""
    linear = find_linear_parameters(model, options.free)
    ways = {t.search for t in model.terms if not set(t.names) & set(options.free) <= set(linear)}
    free = np.isin(model.names, options.free)
    alone = x.shape[0] == start.shape[0] == 1 and bool(np.isnan(start[0, free]).all())
    if ways != {"candidates"} or model.is_complex or not alone:
        return None
    bounds = tuple((float(low), float(high)) for low, high in (options.bounds[n] for n in model.names))
    told = _to_bytes(weight) if weight is not None and weight.shape[0] == 1 else None
    return _make_grid(model, options.free, bounds, _to_bytes(x), x.shape[1:], told, _to_bytes(start))


def _to_bytes(values: Array) -> bytes:
    return np.asarray(values, np.float64).tobytes()  # a coordinate of a file is of single precision


def _find_grid_starts(grid: Grid, y: npt.NDArray[np.generic], weight: Array | None) -> Array:
    shared = weight if weight is not None and weight.shape[0] == 1 else None
    with limit_blas():
        return find_template_starts(grid, np.asarray(y, np.float64), shared)


@lru_cache(maxsize=4)
def _make_grid(
    model: Model,
    free: tuple[str, ...],
    bounds: tuple[tuple[float, float], ...],
    x: bytes,
    shape: tuple[int, int],
    weight: bytes | None,
    start: bytes,
) -> Grid | None:
    """Return the templates; blocks of one array share_slices them."""
    coordinates = np.frombuffer(x).reshape(shape)
    weights = None if weight is None else np.nan_to_num(np.maximum(np.frombuffer(weight), 0.0))
    if not np.isfinite(coordinates).all():
        return None
    linear = find_linear_parameters(model, free)
    searched = [not set(t.names) & set(free) <= set(linear) for t in order_terms(model)]
    candidates = _collect_candidates(model, coordinates[None])[0]
    fixed = np.frombuffer(start)
    return make_grid(model, candidates, searched, linear, np.array(bounds), coordinates, weights, fixed)


def add_derived(model: Model, x: Array) -> Array:
    """Return the coordinates and what the model derives from them."""
    return np.concatenate([x, model.derive(x)], axis=1) if model.derived else x


def _sort_samples(x: Array, y: npt.NDArray[Any], weight: Array | None) -> tuple[Array, npt.NDArray[Any], Array | None]:
    """Sort the samples of each spectrum by a single coordinate, which finding start values relies on."""
    if x.shape[1] > 1 or bool(np.all(x[:, 0, 1:] >= x[:, 0, :-1])):
        return x, y, weight
    order = np.argsort(x[:, 0], axis=-1, kind="stable")
    x = np.take_along_axis(x, order[:, None], axis=-1)
    y = np.take_along_axis(y, np.broadcast_to(order, y.shape), axis=-1)
    if weight is not None:
        both = np.broadcast_shapes(order.shape, weight.shape)
        weight = np.take_along_axis(np.broadcast_to(weight, both), np.broadcast_to(order, both), axis=-1)
    return x, _make_writable(y, y.dtype), weight


def _select_rows(table: Array, part: slice) -> Array:
    """Return the rows of some spectra, or the one row that is for all."""
    return _make_writable(take_rows(table, part), np.float64)


def _make_writable(array: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    # To numba a read-only array is of another type: each kernel would be compiled, and kept on disk, once for each mix.
    return np.require(array, dtype, ["C", "A", "W"])


def evaluate_block(model: Model, x: Array, parameters: Array, threads: int | None = None) -> npt.NDArray[Any]:
    """Return the model, shape (spectrum, sample).

    Parameters
    ----------
    model : Model
        What is evaluated.
    x : ndarray, shape (spectrum or 1, variable, sample)
        The coordinates.
    parameters : ndarray, shape (spectrum, parameter)
        NaN gives NaN.
    threads : int, optional
        So many at most; by default as many as there is room for.

    Returns
    -------
    ndarray of float64 or complex128, shape (spectrum, sample)
        The values.
    """
    from usidx.fitting.compile.llvm import choose_equations

    x = add_derived(model, x)
    out = np.empty((parameters.shape[0], x.shape[2], 2 if model.is_complex else 1))
    plain = Options(free=(), bounds={})
    equations = choose_equations(_assemble_program(model, ()), weighted=False, robust=False)

    def run(part: slice) -> None:
        from usidx.fitting.kernels.spectra import evaluate_rows

        tables = _copy_tables(model, plain, x.shape[2], weighted=False)
        own = _make_writable(parameters[part], np.float64)
        evaluate_rows(equations, *tables, _select_rows(x, part), own, out[part])

    share_slices(run, parameters.shape[0], threads)
    return out.view(np.complex128)[..., 0] if model.is_complex else out[..., 0]
