"""Blocks of rows -> leading singular vectors, by block Lanczos: no Gram matrix, one pass per step.

Each pass multiplies a thin block of vectors with the Gram matrix without forming it. New vectors are made orthogonal to
all before them (full reorthogonalisation), so rounding brings none back; when they fill the memory that they may take,
the best of them go on (thick restart). The best approximation within all vectors so
far (Rayleigh and Ritz) comes with its own error, and the passes end when that is small enough. The first block comes
from a sample of the rows, where steps cost little; the sample also tells how many passes there will be.

References
----------
G. Golub and R. Underwood, Mathematical Software III, 361 (1977); C. Musco and C. Musco, NIPS 28 (2015); K. Wu and
H. Simon, SIAM J. Matrix Anal. Appl. 22, 602 (2000).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.errors import UsidWarning
from usidx.learn.factors.eigen import Decomposition, decompose_rows, divide_by_total, fix_sign
from usidx.learn.factors.gram import Moments
from usidx.learn.factors.products import (
    Frame,
    Sums,
    choose_dtype,
    join_sums,
    make_frame,
    sum_first_pass,
    sum_gram,
    sum_next_pass,
)
from usidx.learn.factors.projections import Images
from usidx.learn.matrix.exponent import find_exponent, lower_blocks, multiply_by_power
from usidx.learn.matrix.missing import refuse_nothing, sift
from usidx.tasks.blocks import Blocks, Held, cut_pieces
from usidx.tasks.process.blas import limit_blas
from usidx.tasks.progress import Iterations

__all__ = ["MOST_PASSES", "Aim", "run_lanczos"]

Array = npt.NDArray[Any]

MOST_PASSES = 64
_SPARE = 8
#: Machine code works on so many vectors at once: a part of them would cost as much.
_LANE = 16
#: Of the vectors that a space is made of, and of their products: with more it begins anew with its best.
_SPACE_BYTES = 2**25
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
    """What is looked for: `n` components, whose singular values are right to `tol`, by an estimate.

    If `adaptive`, the Gram matrix is summed after all where the passes look like costing more. If `scored`, what the
    passes make of the rows is kept, and the scores with it, as long as that takes little memory.
    """

    n: int
    centred: bool
    seed: int
    tol: float
    adaptive: bool
    scored: bool


@dataclass(frozen=True, slots=True)
class _Task:
    """How the aim is reached: by blocks of `width` vectors, as long as that takes fewer than `budget` passes.

    `double` says in which precision rows are multiplied.
    """

    aim: Aim
    width: int
    double: bool = True
    budget: float = np.inf


@dataclass(frozen=True, slots=True)
class _Approximation:
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


def run_lanczos(blocks: Blocks, columns: int, pairs: bool, aim: Aim) -> Decomposition:
    """Return the leading components of rows of so many cells, which are complex if they are `pairs`."""
    width = min(columns, -(-(aim.n + _SPARE) // _LANE) * _LANE)
    budget = columns / (4 * aim.n) if aim.adaptive else np.inf
    task = _Task(aim, width, budget=budget)
    # The small products between passes are over before a second thread has begun.
    with limit_blas():
        rows, _ = sift(blocks.sample(1 + min(_SAMPLE_BYTES // (4 * columns), sum(blocks.sizes) // _SAMPLE_SHARE)))
        exponent = find_exponent(rows)
        rows = multiply_by_power(rows, -exponent) if exponent else rows
        start = _explore_sample(rows, _draw_basis(columns, width, pairs, aim.seed), task)
        del rows
        found = _find_leading(lower_blocks(blocks, exponent), *start)
        return _restore_scale(found, exponent) if exponent else found


def _restore_scale(found: Decomposition, exponent: int) -> Decomposition:
    """Return the components of what was lowered by a power of two."""
    scores = None if found.scores is None else found.scores.change(multiply_by_power, exponent)
    values, mean = multiply_by_power(found.values, exponent), multiply_by_power(found.mean, exponent)
    return replace(found, values=values, mean=mean, scores=scores)


def _find_leading(blocks: Blocks, shift: Array, basis: Array, task: _Task, double: bool | None) -> Decomposition:
    n = task.aim.n
    if double is not None:
        return _decompose_gram(blocks, shift, task, double)
    watched = Iterations("pca" if task.aim.centred else "svd", MOST_PASSES, "relative error of singular values", "pass")
    found = _iterate(blocks, basis, shift, task, MOST_PASSES, watched)
    if np.isfinite(task.budget) and found.errors.max() > task.aim.tol:
        del found  # with its images
        return _decompose_gram(blocks, shift, task, True)
    _warn_of_errors(found, task.aim.tol)
    refuse_nothing(found.frame.count)
    sign = fix_sign(found.vectors[:, :n].T.conj())
    vectors, turn = found.vectors[:, :n] * sign.conj(), found.turn[:, :n] * sign.conj()
    squares, frame = found.squares[:n], found.frame
    scores = found.images.multiply(turn, (frame.shift - frame.mean) @ vectors)
    errors = found.errors + _estimate_double_rounding(squares) + (0 if task.double else _estimate_rounding(found, n))
    return Decomposition(
        vectors.T.conj(),
        np.sqrt(squares),
        divide_by_total(squares, frame.square),
        frame.mean,
        frame.holes,
        scores,
        errors,
    )


def _warn_of_errors(found: _Approximation, tol: float) -> None:
    """Name the components that are not as near as asked when the last pass is done."""
    late = np.flatnonzero(found.errors > tol)
    if late.size and len(found.history) == MOST_PASSES:
        warnings.warn(
            f"After {MOST_PASSES} passes the singular values of the components {late.tolist()} are right to "
            f"{found.errors.max():.2g}, and not to tol={tol:g}: they lie too near each other, as those of noise do. "
            f"Estimates are in singular_values_error. Ask for fewer components, a larger tol, or solver='gram'.",
            UsidWarning,
            stacklevel=2,
        )


def _explore_sample(rows: Array, basis: Array, task: _Task) -> tuple[Array, Array, _Task, bool | None]:
    """Return what a sample of the rows tells: shift, first vectors, and precision.

    Last comes the precision for the Gram matrix if that costs less than passes, else None.
    """
    columns, n = len(basis), task.aim.n
    shift = _average_in_few_digits(rows, columns)
    if len(rows) < 8 * task.width:
        return shift, basis, task, None
    rough = replace(task.aim, tol=max(task.aim.tol, _SAMPLE_TOL), scored=False)
    early = _Task(rough, task.width, double=False)
    seen = _iterate(Held(rows), basis, shift, early, _SAMPLE_STEPS)
    # Vectors that span everything cost as much as the Gram matrix: nothing is won by few digits.
    task = replace(task, double=bool(columns == task.width or _estimate_rounding(seen, n)[-1] > _ROUGH))
    double = task.double or seen.loudest > _LOUD * seen.squares[n - 1]
    task = replace(task, budget=task.budget * (1 + double - task.double))
    # All rows take about two passes more than the sample still had before it.
    return shift, seen.vectors, task, double if _is_hopeless(seen.history, task.aim.tol, task.budget - 2) else None


def _iterate(
    blocks: Blocks, basis: Array, shift: Array, task: _Task, most: int, watched: Iterations | None = None
) -> _Approximation:
    """Pass over the blocks, a block of new vectors each time, until the errors are small or no fewer passes will do."""
    from scipy.linalg import block_diag

    aim = task.aim
    images = Images(blocks, aim.scored)
    seen = images.fold(sum_first_pass, join_sums, basis, shift, task.double)
    frame, loudest = make_frame(seen, shift, aim.centred), float(np.linalg.norm(seen.inner, 2))
    first, newest, inside = _take_out_holes(frame, basis, seen)
    del seen
    most_vectors = max(_SPACE_BYTES // (2 * first.itemsize * len(first)), 4 * task.width)
    vectors, images_of = _Columns(first, most_vectors), _Columns(newest, most_vectors)
    history = list[float]()
    while True:
        space, products = vectors.used, images_of.used
        squares, turn, errors, residual = _find_ritz_pairs(space, products, inside, aim.n, 2 * task.width)
        history.append(float(errors.max()))
        if watched is not None:
            watched.tell(history[-1])
        done = len(history) == most or not frame.count or history[-1] <= aim.tol
        if done or _is_hopeless(history[2:], aim.tol, 1.5 * task.budget):
            break
        # Residuals are where the Gram matrix leads out of the space; those of vectors that are done would be rounding.
        fresh = _orthogonalise(residual[:, errors > aim.tol * _DONE], space, frame.holes)
        if not fresh.shape[1]:
            break
        sums = images.fold(sum_next_pass, _add, fresh, frame.shift, frame.holes, task.double)
        newest, inner = frame.complete_products(fresh, *sums)
        del sums
        if space.shape[1] + fresh.shape[1] > most_vectors:
            # The best of the space go on, with all that is known of them (a thick restart).
            vectors.turn(turn)
            images_of.turn(turn)
            space, inside = vectors.used, np.diag(squares).astype(inside.dtype)
            images.turn(block_diag(turn, np.eye(fresh.shape[1])))
        # The Gram matrix within the space grows by a border: across old and new vectors, and among the new ones.
        across = space.conj().T @ newest
        inside = np.block([[inside, across], [across.conj().T, inner]])
        vectors.add(fresh)
        images_of.add(newest)
    squares, turn = squares[: task.width], turn[:, : task.width]
    return _Approximation(frame, images, turn, space @ turn, squares, errors, history, loudest)


class _Columns:
    """Vectors as columns, in memory that has room for all that will come: to join them anew would hold them twice."""

    def __init__(self, first: Array, most: int) -> None:
        self._all = np.empty((len(first), max(most, first.shape[1])), first.dtype, order="F")
        self._count = 0
        self.add(first)

    @property
    def used(self) -> Array:
        return self._all[:, : self._count]

    def add(self, fresh: Array) -> None:
        begin, self._count = self._count, self._count + fresh.shape[1]
        self._all[:, begin : self._count] = fresh

    def turn(self, turn: Array) -> None:
        """Replace the vectors by fewer, which are made of them, some rows at a time."""
        for part in cut_pieces(len(self._all), self._all.shape[1] * self._all.itemsize):
            self._all[part, : turn.shape[1]] = self._all[part, : self._count] @ turn
        self._count = turn.shape[1]


def _add(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
    return first[0] + second[0], first[1] + second[1]


def _is_hopeless(history: list[float], tol: float, budget: float) -> bool:
    """Say whether the passes that remain, at the rate of the last, are more than the budget."""
    if len(history) < 2 or history[-1] <= tol or np.isinf(budget):
        return False
    rate = np.log(history[-2] / history[-1])
    return bool(np.log(history[-1] / tol) > budget * max(rate, 0.0))


def _decompose_gram(blocks: Blocks, shift: Array, task: _Task, double: bool) -> Decomposition:
    """Return the components from the whole Gram matrix, which takes one pass whatever the data is like."""
    sums = blocks.fold(sum_gram, join_sums, shift, double)
    frame = make_frame(sums, shift, task.aim.centred)
    found = decompose_rows(Moments(frame.holes, frame.count, frame.mean, frame.complete_gram(sums.product)), task.aim.n)
    squares = found.values**2
    if double:
        return replace(found, errors=_estimate_double_rounding(squares))
    # Sums of squares of few digits may all be rounded the same way, so there is a least error.
    rounding = _EPS * (2 + _divide_where_known(_estimate_norm(sums.product), squares) / 2)
    return replace(found, errors=_estimate_double_rounding(squares) + rounding)


def _average_in_few_digits(rows: Array, columns: int) -> Array:
    """Return the mean in as many digits as will be multiplied, so that taking it off is exact."""
    if not len(rows):
        return np.zeros(columns)
    mean = rows.mean(axis=0, dtype=np.result_type(rows.dtype, np.float64))
    return np.asarray(mean.astype(choose_dtype(rows.dtype, False)), mean.dtype)


def _draw_basis(columns: int, width: int, pairs: bool, seed: int) -> Array:
    """Return orthonormal vectors in random directions, complex where the rows are."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(columns, width))
    return np.linalg.qr(drawn + 1j * rng.normal(size=drawn.shape) if pairs else drawn)[0]


def _take_out_holes(frame: Frame, basis: Array, seen: Sums) -> tuple[Array, Array, Array]:
    """Return the basis without the holes, which have no image, its image, and the product of both."""
    product, inner = seen.product, seen.inner
    if basis[frame.holes].any() and (~frame.holes).sum() >= basis.shape[1]:
        basis, triangle = np.linalg.qr(np.where(frame.holes[:, np.newaxis], 0, basis))
        turn = np.linalg.inv(triangle)
        product, inner = product @ turn, turn.conj().T @ inner @ turn
    return basis, *frame.complete_products(basis, product, inner)


def _orthogonalise(residual: Array, basis: Array, holes: npt.NDArray[np.bool_]) -> Array:
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


def _find_ritz_pairs(
    basis: Array, products: Array, inside: Array, n: int, width: int
) -> tuple[Array, Array, Array, Array]:
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


def _estimate_rounding(found: _Approximation, n: int) -> Array:
    """Return how far single precision may put the values off, relatively."""
    return _EPS / 4 * np.sqrt(np.maximum(_divide_where_known(found.loudest, found.squares[:n]), 1))


def _estimate_double_rounding(squares: Array) -> Array:
    """Return how far double precision may put the roots off, relatively, of squares much below the largest."""
    return float(np.finfo(np.float64).eps) * _divide_where_known(float(squares[0]), squares)


def _divide_where_known(loudest: float, squares: Array) -> Array:
    """Return how much larger the loudest square is than each; zero beside a square of zero."""
    return np.divide(loudest, squares, out=np.zeros(len(squares)), where=squares > 0)


def _estimate_norm(gram: Array) -> float:
    """Return nearly the largest eigenvalue, by ten steps of the power method."""
    vector = np.ones(len(gram), gram.dtype)
    for _ in range(10):
        vector = gram @ vector
        size = float(np.linalg.norm(vector))
        vector = vector / (size or 1.0)
    return size
