"""Rows of any numbers -> real ones whose squares are finite, and what is seen of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.learn.matrix.exponent import find_exponent, lower_blocks
from usidx.learn.matrix.missing import as_floats
from usidx.learn.matrix.sample import Numbers, Survey, survey
from usidx.tasks.blocks import Blocks, Changed

__all__ = ["as_pairs", "as_real", "look_at_rows", "view_as_real"]

Array = npt.NDArray[Any]


def look_at_rows(
    blocks: Blocks, numbers: Numbers, columns: int, seed: int, *, whole: bool = False
) -> tuple[Blocks, Survey, int]:
    """Return real rows whose squares are finite, what is seen of them, and the power of two they were lowered by.

    If `whole`, integers stay what they are, for who makes floats of a few rows at a time.
    """
    blocks = Changed(blocks, as_pairs if whole else as_real)
    seen = survey(blocks, numbers, columns, seed)
    exponent = find_exponent(seen.sample)
    if not exponent:
        return blocks, seen, 0
    lowered = lower_blocks(blocks, exponent)
    return lowered, survey(lowered, numbers, columns, seed), exponent


def view_as_real(blocks: Blocks) -> Blocks:
    """Return blocks that show complex rows as pairs of real columns."""
    return Changed(blocks, as_real)


def as_real(rows: Array) -> Array:
    """Return complex rows as pairs of real columns: distances stay what they are."""
    return as_floats(as_pairs(rows))


def as_pairs(rows: Array) -> Array:
    """Return complex rows as pairs of real columns, and others as they are."""
    if rows.dtype.kind != "c":
        return rows
    return np.ascontiguousarray(rows).view(rows.real.dtype)
