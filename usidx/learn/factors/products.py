"""Rows -> sums that need no Gram matrix of them: products with a thin block of vectors, about a shift.

The rows are shifted by about their mean before they are multiplied, also where no mean is to be removed, and the part
of the shift is put back in double precision. So what all rows have in common costs single precision no digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.learn.factors.gram import compute_gram
from usidx.learn.matrix.missing import keep_complete, sift
from usidx.tasks.blocks import cut_pieces

__all__ = ["Frame", "Sums", "choose_dtype", "join_sums", "make_frame", "sum_first_pass", "sum_gram", "sum_next_pass"]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sums:
    """Over the rows x that count, less the shift, with y = xᵀ basis: of x, of conj(x) yᵀ, of conj(y) yᵀ, of squares."""

    holes: Bools
    count: int
    total: Array
    product: Array
    inner: Array
    square: float


@dataclass(frozen=True, slots=True)
class Frame:
    """What the first pass knows of the rows, and the way from products about the shift to those that are wanted."""

    holes: Bools
    count: int
    shift: Array
    total: Array
    square: float
    mean: Array
    centred: bool

    def complete_products(self, basis: Array, product: Array, inner: Array) -> tuple[Array, Array]:
        """Return the image of the basis under the Gram matrix, and the basis times its image.

        Both are known for the rows less the shift. (x - s)ᵀ(x - s) multiplied out gives the other terms, which need
        no more than the sum of the rows.
        """
        along, around = self.total @ basis, self.shift @ basis
        if self.centred:
            share = along / max(self.count, 1)
            return product - np.outer(self.total.conj(), share), inner - np.outer(along.conj(), share)
        both = along + self.count * around
        image = product + np.outer(self.shift.conj(), both) + np.outer(self.total.conj(), around)
        return image, inner + np.outer(around.conj(), both) + np.outer(along.conj(), around)

    def complete_gram(self, near: Array) -> Array:
        """Return the Gram matrix of the rows from the one about the shift."""
        if self.centred:
            return np.asarray(near - np.outer(self.total.conj(), self.total / max(self.count, 1)))
        both = np.outer(self.shift.conj(), self.total + self.count * self.shift)
        return np.asarray(near + both + np.outer(self.total.conj(), self.shift))


def make_frame(sums: Sums, shift: Array, centred: bool) -> Frame:
    """Take from the sums of the first pass what all others need."""
    shift = np.where(sums.holes, 0, shift)
    count, total = sums.count, sums.total
    if centred:
        square, mean = sums.square - _sum_squares(total) / max(count, 1), shift + total / max(count, 1)
    else:
        square = sums.square + 2 * float(np.vdot(shift, total).real) + count * _sum_squares(shift)
        mean = np.zeros_like(total)
    return Frame(sums.holes, count, shift, total, max(square, 0.0), np.where(sums.holes, 0, mean), centred)


def sum_first_pass(block: Array, basis: Array, shift: Array, double: bool) -> tuple[Sums, Array | None]:
    """Return the sums of a block whose holes are its own, and its images where it has none."""
    # A cell that is not finite shows in the sums: to look for it in all cells first would take longer.
    with np.errstate(invalid="ignore", over="ignore"):
        found, images = _sum_rows(block, np.zeros(block.shape[1], bool), basis, shift, double)
        if _are_finite(found.product, found.inner, found.square):
            return found, images
        found = _sum_rows(*sift(block), basis, shift, double)[0]
    if _are_finite(found.product, found.square):
        return found, None
    # A cell far above those of the sample, as a number that stands for a missing one.
    return _sum_rows(*sift(block), basis, shift, True)[0], None


def _sum_rows(rows: Array, holes: Bools, basis: Array, shift: Array, double: bool) -> tuple[Sums, Array]:
    dtype = choose_dtype(rows.dtype, double)
    total, square = np.zeros(rows.shape[1], _widen(dtype)), 0.0
    product, inner, images = _make_zeros(basis, len(rows), dtype)
    for part, near in _shift_rows(rows, np.where(holes, 0, shift), dtype):
        _add_products(near, basis.astype(dtype), product, inner, images[part])
        total += np.ones(len(near), dtype) @ near
        square += float(np.vecdot(near, near).real.sum(dtype=np.float64))
    return Sums(holes, len(rows), total, product, inner, square), images


def join_sums(first: Sums, second: Sums) -> Sums:
    """Add the sums of two sets of rows; those whose holes are not those of both do not count."""
    holes = first.holes & second.holes
    used = [s for s in (first, second) if s.count and (s.holes == holes).all()]
    if not used:
        nothing = (np.zeros_like(first.total), np.zeros_like(first.product), np.zeros_like(first.inner))
        return Sums(holes, 0, *nothing, square=0.0)
    if len(used) == 1:
        return used[0]
    return Sums(
        holes,
        first.count + second.count,
        first.total + second.total,
        first.product + second.product,
        first.inner + second.inner,
        first.square + second.square,
    )


def sum_next_pass(
    block: Array, basis: Array, shift: Array, holes: Bools, double: bool
) -> tuple[tuple[Array, Array], Array | None]:
    """Return the product and the inner product of a block whose holes are known, and its images where it has none."""
    with np.errstate(invalid="ignore", over="ignore"):
        product, inner, images = _multiply_rows(block, basis, shift, double)
        if _are_finite(product, inner):
            return (product, inner), images
        rows = keep_complete(block, holes)[0]
        product, inner, _ = _multiply_rows(rows, basis, shift, double)
    if _are_finite(product):
        return (product, inner), None
    return _multiply_rows(rows, basis, shift, True)[:2], None


def _multiply_rows(rows: Array, basis: Array, shift: Array, double: bool) -> tuple[Array, Array, Array]:
    dtype = choose_dtype(rows.dtype, double)
    product, inner, images = _make_zeros(basis, len(rows), dtype)
    for part, near in _shift_rows(rows, shift, dtype):
        _add_products(near, basis.astype(dtype), product, inner, images[part])
    return product, inner, images


def sum_gram(block: Array, shift: Array, double: bool) -> Sums:
    """Return the sums of a block whose holes are its own, with the whole Gram matrix about the shift as product."""
    rows, holes = sift(block)
    dtype = choose_dtype(rows.dtype, double)
    total, gram = np.zeros(rows.shape[1], _widen(dtype)), np.zeros((rows.shape[1],) * 2, _widen(dtype))
    with np.errstate(invalid="ignore", over="ignore"):
        for _, near in _shift_rows(rows, np.where(holes, 0, shift), dtype, least=rows.shape[1]):
            gram += compute_gram(near)
            total += np.ones(len(near), dtype) @ near
    if not double and not _are_finite(gram):
        return sum_gram(block, shift, True)
    return Sums(holes, len(rows), total, gram, gram[:0, :0], float(np.trace(gram).real))


def choose_dtype(dtype: np.dtype[Any], double: bool) -> np.dtype[Any]:
    """Return the dtype to multiply in: single precision holds integers of up to 16 bits."""
    found = np.result_type(dtype, np.float64 if double else np.float32)
    return np.dtype(np.complex128 if found.kind == "c" else np.float64) if found.itemsize > 16 else found


def _shift_rows(rows: Array, shift: Array, dtype: np.dtype[Any], least: int = 64) -> Iterator[tuple[slice, Array]]:
    shift = shift.astype(dtype)
    for part in cut_pieces(len(rows), rows.shape[1] * dtype.itemsize, least):
        yield part, np.subtract(rows[part], shift, dtype=dtype)


def _add_products(near: Array, basis: Array, product: Array, inner: Array, images: Array) -> None:
    np.matmul(near, basis, out=images)
    product += near.conj().T @ images
    wide = images.astype(inner.dtype)
    inner += wide.conj().T @ wide


def _make_zeros(basis: Array, rows: int, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
    width, wide = basis.shape[1], _widen(dtype)
    return np.zeros(basis.shape, wide), np.zeros((width, width), wide), np.empty((rows, width), dtype)


def _are_finite(*sums: Any) -> bool:
    return all(bool(np.isfinite(found).all()) for found in sums)


def _widen(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.result_type(dtype, np.float64)


def _sum_squares(vector: Array) -> float:
    return float(np.vdot(vector, vector).real)
