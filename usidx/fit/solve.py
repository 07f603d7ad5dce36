"""Block of spectra and a model -> table of figures, one row per spectrum, on threads.

The kernels are compiled at the first call and kept on disk. They hold no lock of the interpreter, so that plain
threads share the work; inside a dask task one thread does, for dask runs the tasks side by side.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from usidx.fit.model import Model, graphs
from usidx.fit.program import Program, assemble
from usidx.fit.recipe import LOSSES, Recipe, Scratch
from usidx.fit.symbols import ZERO, derivative, parameter

__all__ = ["Options", "evaluate_block", "figures", "solve_block"]

Array = npt.NDArray[np.float64]
_KINDS: Final = {"candidates": 0, "peak": 1, "resonance": 2}
_ROLES: Final = {"": 0, "center": 1, "width": 2}
_SLICE: Final = 2048  # spectra that one thread takes at a time: their copies stay small


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
        Robust loss, and the residual from which on it is.
    tolerance : float
        A fit ends when the next step promises to lower the cost by less than this fraction.
    max_evaluations : int
        After so many evaluations a fit has failed.
    covariance : bool
        Whether the table holds the covariance too.
    """

    free: tuple[str, ...]
    bounds: Mapping[str, tuple[float, float]]
    loss: str = "linear"
    loss_scale: float = 1.0
    tolerance: float = 1e-10
    max_evaluations: int = 200
    covariance: bool = False


def figures(model: Model, *, covariance: bool = False) -> int:
    """Return the number of columns of the table."""
    n = len(model.names)
    return 2 * n + 5 + (n * n if covariance else 0)


@cache
def _program(model: Model, free: tuple[str, ...]) -> Program:
    keep = [0, *(1 + model.names.index(name) for name in free)]
    outputs = [[part[k] for k in keep] for part in graphs(model)]
    return assemble(outputs, model.names, model.variables)


@cache
def _linear(model: Model, free: tuple[str, ...]) -> tuple[str, ...]:
    """Return free parameters that enter linearly all at once, chosen in order."""
    chosen: list[str] = []
    for name in free:
        k = 1 + model.names.index(name)
        tested = (*chosen, name)
        if all(derivative(part[k], parameter(other)) is ZERO for part in graphs(model) for other in tested):
            chosen.append(name)
    return tuple(chosen)


def _recipe(model: Model, options: Options) -> Recipe:
    program, linear = _program(model, options.free), _linear(model, options.free)
    known = {p.name: p for p in model.parameters}
    terms = [name for t in model.terms for name in t.names]
    owner = {name: k for k, t in enumerate(model.terms) for name in t.names}
    kinds = [-1 if set(t.names) & set(options.free) <= set(linear) else _KINDS[t.search] for t in model.terms]
    bounds = [options.bounds[name] for name in options.free]
    return Recipe(
        number_code=program.number_code,
        row_code=program.row_code,
        outputs=program.outputs,
        numbers=program.numbers,
        free=np.array([model.names.index(name) for name in options.free], dtype=np.int64),
        linear=np.array([name in linear for name in options.free], dtype=np.int64),
        lower=np.array([low for low, _ in bounds], dtype=np.float64),
        upper=np.array([high for _, high in bounds], dtype=np.float64),
        term=np.array([owner[name] for name in terms], dtype=np.int64),
        role=np.array([3 if name in linear else _ROLES[known[name].role] for name in terms], dtype=np.int64),
        factor=np.array([known[name].width_per_fwhm for name in terms], dtype=np.float64),
        kind=np.array(kinds, dtype=np.int64),
        sign=np.array([_sign(t, options, linear) for t in model.terms], dtype=np.int64),
        loss=LOSSES[options.loss],
        loss_scale=float(options.loss_scale),
        tolerance=float(options.tolerance),
        max_evaluations=int(options.max_evaluations),
    )


def _sign(term: Model, options: Options, linear: tuple[str, ...]) -> int:
    """Return the sign that bounds prescribe for a peak's amplitude."""
    bounds = [options.bounds[name] for name in term.names if name in linear]
    if any(low >= 0.0 for low, _ in bounds):
        return 1
    return -1 if any(high <= 0.0 for _, high in bounds) else 0


def _scratch(recipe: Recipe, program: Program, samples: int, weighted: bool) -> Scratch:
    from usidx.fit.machine import TILE

    free, parts = recipe.free.size, recipe.outputs.shape[0]
    square, line = np.zeros((free, free)), np.zeros(free)
    return Scratch(
        numbers=program.numbers.copy(),
        rows=np.zeros((program.n_rows, TILE)),
        weighted=np.zeros((free + 2, TILE)),
        x=np.zeros((program.n_variables, samples)),
        y=np.zeros((parts, samples)),
        weight=np.zeros(samples if weighted else 0),
        matrix=square,
        gradient=line,
        trial_matrix=square.copy(),
        trial_gradient=line.copy(),
        factor=square.copy(),
        step=line.copy(),
        parameters=np.zeros(program.n_parameters),
        trial=np.zeros(program.n_parameters),
        best=np.zeros(program.n_parameters),
        residual=np.zeros((parts + 1, samples + 1)),
    )


def _candidates(model: Model, x: Array) -> Array:
    """Return start candidates, (coordinate rows, term, candidate, parameter), NaN where a term has fewer."""
    found = [[c | {} for c in t.candidates(x[0])] for t in model.terms]
    shape = (x.shape[1], len(model.terms), max(map(len, found)), len(model.names))
    table = np.full(shape, np.nan)
    for k, (term, choices) in enumerate(zip(model.terms, found, strict=True)):
        for c, choice in enumerate(choices):
            for name in term.names:
                place = model.names.index(name)
                default = 1.0 if next(p for p in term.parameters if p.name == name).role == "width" else 0.0
                table[:, k, c, place] = choice.get(name, default)
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
    x : ndarray, shape (variable, spectrum or 1, sample)
        The coordinates.
    weight : ndarray, shape (spectrum or 1, sample), optional
        One by the standard deviation of each sample.
    start : ndarray, shape (spectrum or 1, parameter)
        Start values, NaN where they are to be found.
    threads : int, optional
        By default 1 inside a dask task, else one per processor.

    Returns
    -------
    ndarray of float64, shape (spectrum, figure)
        See `usidx.fit.batch`.
    """
    recipe, program = _recipe(model, options), _program(model, options.free)
    candidates = _candidates(model, x)
    out = np.empty((y.shape[0], figures(model, covariance=options.covariance)))
    dtype = np.complex128 if model.is_complex else np.float64

    def run(begin: int) -> None:
        from usidx.fit.batch import solve_rows

        part = slice(begin, begin + _SLICE)
        values = np.ascontiguousarray(y[part], dtype=dtype).view(np.float64).reshape(*y[part].shape, -1)
        weights = np.empty((0, 0)) if weight is None else np.ascontiguousarray(_rows(weight, part))
        work = _scratch(recipe, program, y.shape[1], weight is not None)
        use = np.zeros(recipe.free.size, dtype=np.int64)
        own_x = np.ascontiguousarray(x if x.shape[1] == 1 else x[:, part])
        solve_rows(
            recipe, work, own_x, values, weights, np.ascontiguousarray(_rows(start, part)),
            np.ascontiguousarray(_rows(candidates, part)), use, out[part],
        )  # fmt: skip

    _share(run, range(0, y.shape[0], _SLICE), threads)
    return _canonical(model, out)


def _rows(table: Array, part: slice) -> Array:
    return table if table.shape[0] == 1 else table[part]


def _share(run: object, begins: range, threads: int | None) -> None:
    """Run over the slices on some threads."""
    assert callable(run)
    threads = _threads() if threads is None else threads
    if threads == 1 or len(begins) < 2:
        for begin in begins:
            run(begin)
        return
    with ThreadPoolExecutor(min(threads, len(begins))) as pool:
        for _ in pool.map(run, begins):
            pass


def _threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _canonical(model: Model, table: Array) -> Array:
    """Bring angles within half a period of zero."""
    for k, p in enumerate(model.parameters):
        if p.period:
            half = 0.5 * p.period
            table[:, k] = half - np.mod(half - table[:, k], p.period)
    return table


def evaluate_block(model: Model, x: Array, parameters: Array, threads: int | None = None) -> npt.NDArray[np.generic]:
    """Return the model, shape (spectrum, sample), at rows of parameters, shape (spectrum, parameter)."""
    options = Options(free=(), bounds={})
    recipe, program = _recipe(model, options), _program(model, ())
    parts = 2 if model.is_complex else 1
    out = np.empty((parameters.shape[0], x.shape[2], parts))

    def run(begin: int) -> None:
        from usidx.fit.batch import evaluate_rows

        part = slice(begin, begin + _SLICE)
        work = _scratch(recipe, program, 1, False)
        own_x = np.ascontiguousarray(x if x.shape[1] == 1 else x[:, part])
        evaluate_rows(recipe, work, own_x, np.ascontiguousarray(parameters[part]), out[part])

    _share(run, range(0, parameters.shape[0], _SLICE), threads)
    return out.view(np.complex128)[..., 0] if model.is_complex else out[..., 0]
