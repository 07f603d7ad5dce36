"""The table of fitted figures: which column holds what, and what its codes of status say.

A row of the table belongs to one spectrum. For a model of n parameters it holds

====================  =======================================================
columns               what
====================  =======================================================
0 to n                the parameters
n to 2n               their standard errors
2n to 2n + 7          ``CHI2``, ``REDCHI``, ``R2``, ``NFEV``, ``STATUS``, ``FITTED_SAMPLES`` and ``PATTERN``, of the
                      whole fit
2n + 7 to the end     on request, the covariance of the parameters, n rows of n
====================  =======================================================

Kernels compile the functions below; code for NumPy takes the slices and places of `Columns`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["STATUS_MEANINGS", "Columns", "locate_covariance", "locate_figure", "locate_stderr"]

# The figures of a whole fit, in the order of their columns; the covariance begins behind the last of them.
CHI2, REDCHI, R2, NFEV, STATUS, FITTED_SAMPLES, PATTERN, N_FIGURES = range(8)

# Why a fit ended. Above zero: converged. Zero is never in a table: such a fit is still at work.
RUNNING, CONVERGED, CONVERGED_ON_BOUND, EXACT = 0, 1, 2, 3
TOO_MANY_EVALUATIONS, TOO_FEW_SAMPLES, UNDETERMINED, NOT_FINITE, STUCK = -1, -2, -3, -4, -5
MODEL_UNDEFINED = -6

#: Code of status -> its meaning; users find these words in the attribute ``flag_meanings`` of the variable ``status``.
STATUS_MEANINGS: Final = {
    CONVERGED: "converged",
    CONVERGED_ON_BOUND: "converged_on_a_bound",
    EXACT: "exact",
    TOO_MANY_EVALUATIONS: "too_many_evaluations",
    TOO_FEW_SAMPLES: "too_few_samples",
    UNDETERMINED: "undetermined",
    NOT_FINITE: "not_finite",
    STUCK: "stuck",
    MODEL_UNDEFINED: "model_undefined_at_a_sample",
}


def locate_stderr(n: int, k: int) -> int:
    """Return the column of the standard error of parameter `k`."""
    return n + k


def locate_figure(n: int, figure: int) -> int:
    """Return the column of a figure of the whole fit, such as ``CHI2``."""
    return 2 * n + figure


def locate_covariance(n: int, j: int, k: int) -> int:
    """Return the column of the covariance of parameters `j` and `k`."""
    return 2 * n + N_FIGURES + j * n + k


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of the table for a model of `n` parameters."""

    n: int

    def count(self, *, covariance: bool) -> int:
        """Return how many columns there are."""
        return locate_covariance(self.n, self.n if covariance else 0, 0)

    @property
    def parameters(self) -> slice:
        """The parameters."""
        return slice(0, self.n)

    @property
    def stderr(self) -> slice:
        """Their standard errors."""
        return slice(locate_stderr(self.n, 0), locate_stderr(self.n, self.n))

    @property
    def figures(self) -> slice:
        """All figures of the whole fit."""
        return slice(locate_figure(self.n, 0), locate_figure(self.n, N_FIGURES))

    @property
    def chi2(self) -> int:
        """The sum of squared residuals."""
        return locate_figure(self.n, CHI2)

    @property
    def redchi(self) -> int:
        """The same by the degrees of freedom."""
        return locate_figure(self.n, REDCHI)

    @property
    def r2(self) -> int:
        """The coefficient of determination."""
        return locate_figure(self.n, R2)

    @property
    def nfev(self) -> int:
        """The number of evaluations of the model."""
        return locate_figure(self.n, NFEV)

    @property
    def status(self) -> int:
        """Why the fit ended."""
        return locate_figure(self.n, STATUS)

    @property
    def samples(self) -> int:
        """The number of samples that were fitted."""
        return locate_figure(self.n, FITTED_SAMPLES)

    @property
    def pattern(self) -> int:
        """By how many standard deviations what is left is smoother than noise."""
        return locate_figure(self.n, PATTERN)

    @property
    def covariance(self) -> slice:
        """The covariance, row by row; empty where the table has none."""
        first = locate_covariance(self.n, 0, 0)
        return slice(first, first + self.n**2)
