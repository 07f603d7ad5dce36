"""Blocks of features x samples -> leading singular vectors, from the Gram matrix of the samples, where these are fewer.

The rows of a block are features here, so each block holds some features of all samples; the Gram matrix is
samples x samples, and the projection of the second pass is as large as the components.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.learn.factors.eigen import Decomposition, divide_by_total, find_leading, fix_sign
from usidx.learn.factors.gram import LEAST, WIDE, Moments, add_grams, sum_grams
from usidx.learn.matrix.missing import are_all_finite, refuse_nothing
from usidx.tasks.blocks import cut_pieces, hold_rows
from usidx.tasks.passes import Passes

__all__ = [
    "Basis",
    "decompose_projection",
    "find_sample_moments",
    "join_sample_moments",
    "project_features",
    "solve_sample_gram",
    "sum_sample_moments",
]

Array = npt.NDArray[Any]
Basis = tuple[Array, npt.NDArray[np.bool_], float, bool]


def find_sample_moments(passes: Passes, samples: int, centred: bool) -> Any:
    """Return the Gram matrix of the samples over all blocks; a large one is there once, and grows block by block."""
    if samples > WIDE:
        return passes.follow(partial(_add_sample_moments, centred=centred), None)
    return passes.fold(sum_sample_moments, join_sample_moments, centred)


def _add_sample_moments(before: Moments | None, block: Array, centred: bool) -> Moments:
    return sum_sample_moments(block, centred, before)


def sum_sample_moments(block: Array, centred: bool, before: Moments | None = None) -> Moments:
    """Return the Gram matrix of the columns of a block; its holes are the samples that lack a cell."""
    wide = np.result_type(block.dtype, np.float64)
    bad, used = np.zeros(block.shape[1], bool), 0

    def list_pieces() -> Iterator[Array]:
        nonlocal bad, used
        for part in cut_pieces(len(block), block.shape[1] * wide.itemsize, LEAST):
            rows, lacking, known = _fill_unknown(block[part].astype(wide), centred)
            bad, used = bad | lacking, used + known
            yield rows

    gram = sum_grams(list_pieces(), block.shape[1], wide, None if before is None else before.gram)
    if before is not None:
        bad, used = bad | before.holes, used + before.count
    return Moments(bad, used, np.zeros(0, wide), gram)


def join_sample_moments(first: Moments, second: Moments) -> Moments:
    """Join the Gram matrices of two sets of features."""
    gram = add_grams(first.gram, second.gram)
    return Moments(first.holes | second.holes, first.count + second.count, first.mean, gram)


def solve_sample_gram(moments: Moments, n: int, centred: bool) -> Basis:
    """Return the leading eigenvectors over the good samples, which samples are good, and the sum of squares."""
    good = ~moments.holes & (moments.count > 0)
    refuse_nothing(int(good.sum()))
    gram = moments.gram[np.ix_(good, good)]
    if centred and gram.size:
        # The rows were shifted by some mean; that of the good samples is removed here, at no loss of digits.
        down, across, middle = gram.mean(axis=0), gram.mean(axis=1, keepdims=True), gram.mean()
        gram -= down
        gram -= across
        gram += middle
    total = float(np.trace(gram).real)
    _, vectors = find_leading(gram, n, overwrite=True)
    vectors = np.pad(vectors, ((0, 0), (0, n - vectors.shape[1])))
    return vectors, good, total, centred


def project_features(block: Array, basis: Basis) -> Array:
    """Return the block times the eigenvectors, (features, n), and the mean of each feature as the last column."""
    wide = np.result_type(block.dtype, np.float64)
    found = np.empty((len(block), basis[0].shape[1] + 1), np.result_type(wide, basis[0].dtype))
    for part in cut_pieces(len(block), block.shape[1] * wide.itemsize):
        found[part] = _project_some(block[part].astype(wide), basis)
    return found


def _project_some(rows: Array, basis: Basis) -> Array:
    vectors, good, _, centred = basis
    rows = rows if good.all() else rows[:, good]
    known = np.isfinite(rows).all(axis=1) & good.any()
    rows[~known] = 0
    mean = rows.mean(axis=1, keepdims=True) if centred and good.any() else np.zeros((len(rows), 1), rows.dtype)
    found = np.concatenate([(rows - mean) @ vectors if centred else rows @ vectors, mean], axis=1)
    found[~known] = np.nan
    return found


def decompose_projection(projected: Array, basis: Basis, n: int) -> Decomposition:
    """Take components, values and scores from the projection, (*features, found + 1)."""
    # The projection is the data times the vectors; its own decomposition turns these into the singular vectors.
    vectors, good, total, _ = basis
    flat = projected.reshape(-1, projected.shape[-1]).T
    kept = np.isfinite(flat[-1])
    inner, values, rows = np.linalg.svd(flat[:-1, kept], full_matrices=False)
    sign = fix_sign(rows) if rows.size else np.ones(len(rows))
    components = np.zeros((n, len(kept)), flat.dtype)
    components[: len(rows), kept] = rows * sign[:, np.newaxis]
    scores = np.full((len(good), n), np.nan, flat.dtype)
    scores[good] = 0
    scores[good, : len(rows)] = (vectors.conj() @ inner) * (values * sign.conj())
    values = np.pad(values, (0, n - len(values)))
    mean = np.where(kept, flat[-1], 0)
    return Decomposition(components, values, divide_by_total(values**2, total), mean, ~kept, hold_rows(scores))


def _fill_unknown(rows: Array, centred: bool) -> tuple[Array, npt.NDArray[np.bool_], int]:
    """Return the rows about some mean, zero where nothing is known; samples that lack a cell; rows not all unknown."""
    finite = None if are_all_finite(rows) else np.isfinite(rows)
    if finite is None:
        return (rows - rows.mean(axis=1, keepdims=True) if centred else rows), np.zeros(rows.shape[1], bool), len(rows)
    rows = np.where(finite, rows, 0)
    if centred:
        known = np.maximum(finite.sum(axis=1, keepdims=True), 1)
        rows = np.where(finite, rows - rows.sum(axis=1, keepdims=True) / known, 0)
    some = finite.any(axis=1)
    return rows, np.logical_not(finite[some].all(axis=0)), int(some.sum())
