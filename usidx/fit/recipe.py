"""What the compiled solver is told: the program of a model, its bounds, how to find start values, when to stop.

Named tuples of arrays, because those pass into machine code as they are.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["LOSSES", "STATUS", "Recipe", "Scratch"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Why a fit ended. Above zero: converged.
STATUS: Final = {
    1: "converged",
    2: "converged_on_a_bound",
    3: "exact",
    -1: "too_many_evaluations",
    -2: "too_few_samples",
    -3: "undetermined",
    -4: "not_finite",
    -5: "stuck",
}

#: Robust losses and their numbers in the solver; the formulas are those of scipy.optimize.least_squares.
LOSSES: Final = {"linear": 0, "soft_l1": 1, "huber": 2, "cauchy": 3}


class Recipe(NamedTuple):
    """One model and the options of one fit. P parameters, F of them free, T terms, C start candidates.

    `free` (F) holds the numbers of the free parameters; `linear` (F) marks those that enter linearly, all at once.
    `term` (P) is the term of each parameter; `role` (P): 0 as the candidates say, 1 a peak's centre, 2 a peak's
    width, with `factor` (P) = width per full width at half maximum, 3 solved linearly. `kind` (T): 0 candidates only,
    1 peak, 2 resonance; `sign` (T): of a peak's height, 0 for any.
    """

    number_code: Integers
    row_code: Integers
    outputs: Integers
    numbers: Floats
    free: Integers
    linear: Integers
    lower: Floats
    upper: Floats
    term: Integers
    role: Integers
    factor: Floats
    kind: Integers
    sign: Integers
    loss: int
    loss_scale: float
    tolerance: float
    max_evaluations: int


class Scratch(NamedTuple):
    """The buffers of one thread."""

    numbers: Floats
    rows: Floats
    weighted: Floats
    x: Floats
    y: Floats
    weight: Floats
    matrix: Floats
    gradient: Floats
    trial_matrix: Floats
    trial_gradient: Floats
    factor: Floats
    step: Floats
    parameters: Floats
    trial: Floats
    best: Floats
    residual: Floats
