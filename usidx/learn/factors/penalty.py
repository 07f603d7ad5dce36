"""Weights of a penalty -> what they cost, and what they add to a step of least squares.

What is minimised is ``‖X - W H‖² / 2 + a_W m (r Σ W + (1 - r) ‖W‖² / 2) + a_H N (r Σ H + (1 - r) ‖H‖² / 2)`` over N
complete rows of m known columns: the objective of scikit-learn's NMF, whose weights mean the same for any size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.errors import ResultError

__all__ = ["NO_PENALTY", "Penalties", "Penalty", "Weights"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Weights:
    """Penalty on one factor: `l1` times the sum of its cells, half `l2` times the sum of their squares."""

    l1: float
    l2: float

    def measure_cost(self, total: float, square: float) -> float:
        """Return the penalty of a factor with this sum and sum of squares."""
        return self.l1 * total + self.l2 * square / 2

    def add_to_gram(self, gram: Array) -> Array:
        """Return the Gram matrix of the other factor with what the squares add."""
        return gram + self.l2 * np.eye(len(gram)) if self.l2 else gram


@dataclass(frozen=True, slots=True)
class Penalties:
    """Of both factors, for a matrix of known size."""

    scores: Weights
    components: Weights


@dataclass(frozen=True, slots=True)
class Penalty:
    """The weights as a user gives them, each for one cell of the data, which is divided by `unit`.

    Scores are then divided by it, too, and the objective by its square.
    """

    scores: float
    components: float
    l1_ratio: float
    unit: float = 1.0

    def __post_init__(self) -> None:
        """Refuse weights that are no weights."""
        for name, weight in (("alpha_W", self.scores), ("alpha_H", self.components)):
            if not (isinstance(weight, int | float | np.number) and np.isfinite(weight) and weight >= 0):
                raise ResultError(f"{name}={weight!r}: a weight is a number from zero upwards.")
        if not 0 <= self.l1_ratio <= 1:
            raise ResultError(f"l1_ratio={self.l1_ratio!r}: the part of the absolute values is from 0 to 1.")

    def __bool__(self) -> bool:
        """Say whether anything is penalised."""
        return self.scores > 0 or self.components > 0

    def weigh(self, holes: npt.NDArray[np.bool_], rows: int) -> Penalties:
        """Return the weights for this many complete rows and the columns that are no holes."""
        columns = int(np.logical_not(holes).sum())
        scores, components = self.scores * columns, self.components * rows / self.unit / self.unit
        return Penalties(self._split(scores, scores / self.unit), self._split(components, components))

    def lower(self, exponent: int) -> Penalty:
        """Return the same penalty for data that is divided by two to that power."""
        return replace(self, unit=float(np.ldexp(self.unit, exponent)))

    def _split(self, on_squares: float, on_values: float) -> Weights:
        return Weights(on_values * self.l1_ratio, on_squares * (1 - self.l1_ratio))


NO_PENALTY = Penalty(0.0, 0.0, 0.0)
