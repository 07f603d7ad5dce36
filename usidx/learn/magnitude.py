"""Blocks of numbers in any unit to blocks whose squares neither overflow nor vanish.

A power of two costs no digit, so joules and electrons are worked on as volts are. Usual numbers stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.learn.blocks import Blocks

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
    return _Lowered(blocks, exponent)


class _Lowered:
    """Blocks with their numbers divided by a power of two."""

    def __init__(self, blocks: Blocks, exponent: int) -> None:
        self.sizes = blocks.sizes
        self._blocks = blocks
        self._exponent = exponent

    def fold(self, step: Any, merge: Any, *shared: Any) -> Any:
        return self._blocks.fold(_OnLowered(step, self._exponent), merge, *shared)

    def fold_states(self, step: Any, merge: Any, states: Sequence[Any], *shared: Any) -> Any:
        return self._blocks.fold_states(_OnLowered(step, self._exponent), merge, states, *shared)

    def each(self) -> Iterator[Array]:
        return (np.ldexp(block, -self._exponent) for block in self._blocks.each())

    def some(self, count: int) -> Array:
        return np.asarray(np.ldexp(self._blocks.some(count), -self._exponent))


@dataclass(frozen=True, slots=True)
class _OnLowered:
    step: Any
    exponent: int

    def __call__(self, block: Array, *args: Any) -> Any:
        return self.step(np.ldexp(block, -self.exponent), *args)
