"""The tables that the compiled solver works on, and the places in them.

All kernels take the same five arrays, because machine code that is handed many arrays compiles slowly:

``head`` (whole numbers), ``info`` (whole numbers, by row), ``code`` (instructions), ``bench`` (parameters, normal
equations and registers, by row) and ``data`` (the samples of the spectrum at hand, by row).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["LOSSES", "Tables"]

#: Robust losses and their numbers in the solver; the formulas are those of scipy.optimize.least_squares.
LOSSES: Final = {"linear": 0, "soft_l1": 1, "huber": 2, "cauchy": 3}

# Places in `head`: counts, options, and first rows in `bench` and `data`.
N_PARAMETERS, N_FREE, N_PARTS, N_VARIABLES, N_TERMS, N_NUMBER_CODE, N_VALUE_CODE = range(7)
SAMPLES, HAS_WEIGHT, LOSS, MAX_EVALUATIONS, LEVEL_ONLY = range(7, 12)
MATRIX, TRIAL_MATRIX, FACTOR, SCALED, REGISTERS = range(12, 17)
Y, WEIGHT, RESIDUAL, TOTAL = range(17, 21)
# Whether all that is not linear scales with a linear parameter, whether the start's normal equations are known, and
# whether the factors at hand are those of the undamped equations.
SCALES, READY, FACTORED = range(21, 24)
# First of the rows of `bench` for what an operation works out on its way.
SCRATCH = 24
# First of the rows of `data` with exponentials of all samples, and then with a residual that is not wanted.
KEPT = 25
# Whether the rows RESIDUAL hold what the parameters leave over, but for the last step.
LEFT = 26
HEAD_SIZE = 27
SCRATCH_ROWS = 3

# Rows of `info`. By free parameter: its number, whether it enters linearly, whether it may move now, and the (place
# among the free ones of the) linear parameter that its derivatives are proportional to, -1 for none. By parameter: its
# term, and how it is started (the ROLE_ numbers). By term: how it is searched for, and the sign of a peak. Then one
# row per part with the registers of value and derivatives.
FREE, LINEAR, USE, SCALE, TERM, ROLE, SEARCH, SIGN, OUTPUTS = range(9)
ROLE_CANDIDATE, ROLE_CENTER, ROLE_WIDTH, ROLE_LINEAR = range(4)
SEARCH_LINEAR, SEARCH_CANDIDATES, SEARCH_PEAK, SEARCH_RESONANCE = range(4)

# Rows of `bench`; the square tables and the registers follow, from the rows that `head` names.
PARAMETERS, TRIAL, BEST, PLACED, GIVEN, STEP, GRADIENT, TRIAL_GRADIENT, UNIT = range(9)
LOWER, UPPER, WIDTH_PER_FWHM, SETTINGS, NUMBERS, ZERO, BENCH_ROWS = range(9, 16)

# Places in the row SETTINGS of `bench`.
TOLERANCE, LOSS_SCALE, START_COST = range(3)

#: Where the linear parameter of a shape starts: too small to be seen, and not zero, so that derivatives are known.
TINY: Final = 1e-60

# What `fill_normal_equations` works on: the parameters, the trial ones, the parameters for their residual alone, or,
# after a robust fit, that residual for its variance.
AT_PARAMETERS, AT_TRIAL, FOR_RESIDUAL, FOR_VARIANCE = range(4)


class Tables(NamedTuple):
    """The five arrays, as one thread holds them."""

    head: npt.NDArray[np.int64]
    info: npt.NDArray[np.int64]
    code: npt.NDArray[np.int64]
    bench: npt.NDArray[np.float64]
    data: npt.NDArray[np.float64]
