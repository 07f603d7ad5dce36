"""Blocks of numbers in any unit to blocks whose squares neither overflow nor vanish.

A power of two costs no digit, so joules and electrons are worked on as volts are. Usual numbers stay as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.learn.blocks import Blocks, Changed

__all__ = ["exponent_of", "lowered"]

Array = npt.NDArray[Any]


def exponent_of(sample: Array) -> int:
    """Return the power of two to lower numbers by, from a fair sample of them; 0 where they need none.

    Sums of 2**30 squares stay finite, and squares of numbers that are small among these keep their digits.
    """
    if sample.dtype.kind != "f":
        return 0
    exponent = int(np.frexp(np.abs(sample).max(initial=0.0))[1])
    return exponent if abs(exponent) > np.finfo(sample.dtype).maxexp * 3 // 8 else 0


def lowered(blocks: Blocks, exponent: int) -> Blocks:
    """Return blocks whose numbers are divided by two to that power."""
    return Changed(blocks, lambda block: np.asarray(np.ldexp(block, -exponent)))
