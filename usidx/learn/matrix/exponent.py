"""Blocks of numbers in any unit -> blocks whose squares neither overflow nor vanish.

A power of two costs no digit, so joules and electrons are worked on as volts are. Usual numbers stay as they are.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.tasks.blocks import Blocks, Changed

__all__ = ["find_exponent", "lower_blocks", "multiply_by_power"]

Array = npt.NDArray[Any]

_MOST = 192


def find_exponent(sample: Array) -> int:
    """Return the power of two to lower numbers by, from a fair sample of them; 0 where they need none.

    Sums of 2**30 squares stay finite, and squares of numbers that are small among these keep their digits; in double
    precision so do fourth powers, the squares of a Gram matrix.
    """
    if sample.dtype.kind not in "fc":
        return 0
    parts = (sample.real, sample.imag) if sample.dtype.kind == "c" else (sample,)
    exponent = int(np.frexp(max(max(part.max(initial=0), -part.min(initial=0)) for part in parts))[1])
    return exponent if abs(exponent) > min(np.finfo(sample.dtype).maxexp * 3 // 8, _MOST) else 0


def lower_blocks(blocks: Blocks, exponent: int) -> Blocks:
    """Return blocks whose numbers are divided by two to that power."""
    return Changed(blocks, partial(multiply_by_power, exponent=-exponent)) if exponent else blocks


def multiply_by_power(array: Array, exponent: int) -> Array:
    """Return real or complex numbers times two to a power."""
    if array.dtype.kind != "c":
        return np.asarray(np.ldexp(array, exponent))
    found = np.empty_like(array)
    found.real, found.imag = np.ldexp(array.real, exponent), np.ldexp(array.imag, exponent)
    return found
