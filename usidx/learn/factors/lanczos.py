"""Blocks of rows to leading singular vectors, by block Lanczos: no Gram matrix, one pass per step.

Each pass multiplies a thin block of vectors with the Gram matrix without forming it. The best approximation within
all vectors so far (Rayleigh and Ritz) comes with its own error, so the passes end when that is small enough. The first
block is found among some of the rows, where steps cost little; these rows also tell how many passes there will be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.learn.factors.eigen import Decomposed, decompose_rows, fix_sign, shares
from usidx.learn.factors.gram import Moments
from usidx.learn.factors.products import Frame, Sums, arithmetic, first_sums, framed, gram_sums, join_sums, next_sums
from usidx.learn.factors.projections import Images
from usidx.learn.matrix.exponent import exponent_of, lowered, times_power
from usidx.learn.matrix.missing import sift
from usidx.tasks.blas import limit_blas
from usidx.tasks.blocks import Blocks, Held

__all__ = ["MOST_PASSES", "Aim", "lanczos"]

Array = npt.NDArray[Any]

MOST_PASSES = 24
_SPARE = 8
#: Machine code works on so many vectors at once: a part of them would cost as much.
_LANE = 16
_SAMPLE_BYTES = 2**24
_SAMPLE_SHARE = 16
_SAMPLE_STEPS = 6
_SAMPLE_TOL = 1e-4
#: Vectors this much nearer than asked need no further pass.
_DONE = 0.01
#: Rounding of a singular value, relative, that single precision is good enough for; and over its square, for a Gram
#: matrix, how loud the loudest may be.
_ROUGH = 1e-6
_LOUD = 32.0
_EPS = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, slots=True)
class Aim:
    """What is looked for: n components, of which the singular values are right to `tol`, by an estimate.

    Where it is `adaptive`, the Gram matrix is summed after all if the passes look like costing more. If `scored`, the
    scores come along where the passes leave behind what they are made of.
    """

    n: int
    centred: bool
    seed: int
    tol: float
    adaptive: bool
    scored: bool


@dataclass(frozen=True, slots=True)
class _Task:
    """The same for some passes: by blocks of `width` vectors, while fewer than `budget` passes do."""

    n: int
    width: int
    centred: bool
    tol: float
    double: bool = True
    budget: float = np.inf
    keep: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    """Vectors as columns, the squares of their values, estimated errors of these, and the largest after each pass.

    ``loudest`` is the largest square about the shift, which rounding goes by. The vectors are ``turn`` times those that
    were multiplied, of which there are ``images``.
    """

    frame: Frame
    images: Images
    turn: Array
    vectors: Array
    squares: Array
    errors: Array
    history: list[float]
    loudest: float


def lanczos(blocks: Blocks, columns: int, pairs: bool, aim: Aim) -> Decomposed:
    """Return the leading components of rows of so many cells, which are complex if they are `pairs`."""
    width = min(columns, -(-(aim.n + _SPARE) // _LANE) * _LANE)
    budget = columns / (4 * aim.n) if aim.adaptive else np.inf
    task = _Task(aim.n, width, aim.centred, aim.tol, budget=budget, keep=aim.scored)
    # The small products between passes are over before a second thread has begun.
    with limit_blas():
        rows, _ = sift(blocks.sample(1 + min(_SAMPLE_BYTES // (4 * columns), sum(blocks.sizes) // _SAMPLE_SHARE)))
        exponent = exponent_of(rows)
        rows = times_power(rows, -exponent) if exponent else rows
        start = _among_some(rows, _random(columns, width, pairs, aim.seed), task)
        del rows
        found = _leading(lowered(blocks, exponent), *start)
        return _raised(found, exponent) if exponent else found


def _raised(found: Decomposed, exponent: int) -> Decomposed:
    """Return the components of what was lowered by a power of two."""
    scores = None if found.scores is None else times_power(found.scores, exponent)
    values, mean = times_power(found.values, exponent), times_power(found.mean, exponent)
    return replace(found, values=values, mean=mean, scores=scores)


def _leading(blocks: Blocks, shift: Array, basis: Array, task: _Task, double: bool | None) -> Decomposed:
    n = task.n
    if double is not None:
        return _by_gram(blocks, shift, task, double)
    found = _iterate(blocks, basis, shift, task, MOST_PASSES)
    if np.isfinite(task.budget) and found.errors.max() > task.tol:
        del found  # with its images
        return _by_gram(blocks, shift, task, True)
    sign = fix_sign(found.vectors[:, :n].T.conj())
    vectors, turn = found.vectors[:, :n] * sign.conj(), found.turn[:, :n] * sign.conj()
    squares, frame = found.squares[:n], found.frame
    scores = found.images.times(turn, (frame.shift - frame.mean) @ vectors)
    errors = found.errors + _small(squares) + (0 if task.double else _rounding(found, n))
    return Decomposed(
        vectors.T.conj(), np.sqrt(squares), shares(squares, frame.square), frame.mean, frame.holes, scores, errors
    )


def _among_some(rows: Array, basis: Array, task: _Task) -> tuple[Array, Array, _Task, bool | None]:
    """Return what some rows tell: shift, first vectors, precision; and that of the Gram matrix if it costs less."""
    columns, n = len(basis), task.n
    shift = _short_mean(rows, columns)
    if len(rows) < 8 * task.width:
        return shift, basis, task, None
    early = replace(task, double=False, budget=np.inf, tol=max(task.tol, _SAMPLE_TOL), keep=False)
    seen = _iterate(Held(rows), basis, shift, early, _SAMPLE_STEPS)
    # Vectors that span everything cost as much as the Gram matrix: nothing is won by few digits.
    task = replace(task, double=bool(columns == task.width or _rounding(seen, n)[-1] > _ROUGH))
    double = task.double or seen.loudest > _LOUD * seen.squares[n - 1]
    task = replace(task, budget=task.budget * (1 + double - task.double))
    # What some rows have left to do takes all of them two passes more.
    return shift, seen.vectors, task, double if _hopeless(seen.history, task.tol, task.budget - 2) else None


def _iterate(blocks: Blocks, basis: Array, shift: Array, task: _Task, most: int) -> _Found:
    images = Images(blocks, task.keep)
    seen = images.fold(first_sums, join_sums, basis, shift, task.double)
    frame, loudest = framed(seen, shift, task.centred), float(np.linalg.norm(seen.inner, 2))
    space, newest, inside = _within(frame, basis, seen)
    products, history = newest, list[float]()
    while True:
        squares, turn, errors, residual = _ritz(space, products, inside, task.n, task.width)
        history.append(float(errors.max()))
        done = len(history) == most or not frame.count or history[-1] <= task.tol
        if done or _hopeless(history[2:], task.tol, 1.5 * task.budget):
            break
        fresh = _fresh(residual[:, errors > task.tol * _DONE], space, frame.holes)
        if not fresh.shape[1]:
            break
        sums = images.fold(next_sums, _add, fresh, frame.shift, frame.holes, task.double)
        newest, inner = frame.whole(fresh, *sums)
        across = space.conj().T @ newest
        inside = np.block([[inside, across], [across.conj().T, inner]])
        space, products = np.hstack([space, fresh]), np.hstack([products, newest])
    return _Found(frame, images, turn, space @ turn, squares, errors, history, loudest)


def _add(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
    return first[0] + second[0], first[1] + second[1]


def _hopeless(history: list[float], tol: float, budget: float) -> bool:
    """Say whether the passes that remain, at the rate of the last, are more than the budget."""
    if len(history) < 2 or history[-1] <= tol or np.isinf(budget):
        return False
    rate = np.log(history[-2] / history[-1])
    return bool(np.log(history[-1] / tol) > budget * max(rate, 0.0))


def _by_gram(blocks: Blocks, shift: Array, task: _Task, double: bool) -> Decomposed:
    sums = blocks.fold(gram_sums, join_sums, shift, double)
    frame = framed(sums, shift, task.centred)
    found = decompose_rows(Moments(frame.holes, frame.count, frame.mean, frame.gram(sums.product)), task.n)
    squares = found.values**2
    if double:
        return replace(found, errors=_small(squares))
    # Sums of squares of few digits may all be rounded the same way, so there is a least error.
    rounding = _EPS * (2 + _over(_norm(sums.product), squares) / 2)
    return replace(found, errors=_small(squares) + rounding)


def _short_mean(rows: Array, columns: int) -> Array:
    """Return the mean in as many digits as will be multiplied, so that taking it off is exact."""
    if not len(rows):
        return np.zeros(columns)
    mean = rows.mean(axis=0, dtype=np.result_type(rows.dtype, np.float64))
    return np.asarray(mean.astype(arithmetic(rows.dtype, False)), mean.dtype)


def _random(columns: int, width: int, pairs: bool, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(columns, width))
    return np.linalg.qr(drawn + 1j * rng.normal(size=drawn.shape) if pairs else drawn)[0]


def _within(frame: Frame, basis: Array, seen: Sums) -> tuple[Array, Array, Array]:
    """Return the basis without the holes, which have no image, its image, and the product of both."""
    product, inner = seen.product, seen.inner
    if basis[frame.holes].any() and (~frame.holes).sum() >= basis.shape[1]:
        basis, triangle = np.linalg.qr(np.where(frame.holes[:, np.newaxis], 0, basis))
        turn = np.linalg.inv(triangle)
        product, inner = product @ turn, turn.conj().T @ inner @ turn
    return basis, *frame.whole(basis, product, inner)


def _fresh(residual: Array, basis: Array, holes: npt.NDArray[np.bool_]) -> Array:
    """Return an orthonormal block of what the residuals add; twice is enough against rounding (Parlett, 1980)."""
    from scipy.linalg import qr

    sizes = np.linalg.norm(residual, axis=0)
    fresh = residual[:, sizes > 0] / sizes[sizes > 0]
    for _ in range(2):
        fresh = fresh - basis @ (basis.conj().T @ fresh)
        fresh[holes] = 0
        fresh, triangle, _order = qr(fresh, mode="economic", pivoting=True)
        fresh = fresh[:, np.abs(np.diag(triangle)) > 1e-10]
    return np.asarray(fresh)


def _ritz(basis: Array, products: Array, inside: Array, n: int, width: int) -> tuple[Array, Array, Array, Array]:
    """Return the best eigenvalues, their vectors in the basis, and for the n first errors of the roots and residuals.

    An eigenvalue is as near as the residual is long, and nearer by the residual over the gap to the rest.
    """
    from scipy.linalg import eigh

    values, turn = eigh(inside)
    values, turn = np.maximum(values[::-1], 0), turn[:, ::-1]
    left = products @ turn[:, :n] - basis @ (turn[:, :n] * values[:n])
    residual = np.linalg.norm(left, axis=0)
    rest = values[n] if len(values) > n else 0.0
    gap = np.maximum(values[:n] - rest, residual)
    floor = max(float(values[0]), np.finfo(float).tiny) * len(basis) * np.finfo(float).eps
    known = values > floor
    error = np.divide(residual**2, 2 * gap * values[:n], out=np.zeros(n), where=known[:n] & (gap > 0))
    return np.where(known, values, 0.0)[:width], turn[:, :width], error, left


def _rounding(found: _Found, n: int) -> Array:
    """Return how far single precision may put the values off, relatively."""
    return _EPS / 4 * np.sqrt(np.maximum(_over(found.loudest, found.squares[:n]), 1))


def _small(squares: Array) -> Array:
    """Return how far double precision may put the roots off, relatively, of squares much below the largest."""
    return float(np.finfo(np.float64).eps) * _over(float(squares[0]), squares)


def _over(loudest: float, squares: Array) -> Array:
    return np.divide(loudest, squares, out=np.zeros(len(squares)), where=squares > 0)


def _norm(gram: Array) -> float:
    """Return nearly the largest eigenvalue."""
    vector = np.ones(len(gram), gram.dtype)
    for _ in range(10):
        vector = gram @ vector
        size = float(np.linalg.norm(vector))
        vector = vector / (size or 1.0)
    return size
