"""What is known of the contact of a force curve, and why its fit ended."""

from __future__ import annotations

from typing import Final

__all__ = ["CONVERGED", "FIGURES", "NO_CONTACT", "OUTSIDE", "STATUS_MEANINGS", "STUCK", "TOO_FEW"]

#: In the order of the columns of a table; of force and height in their units.
FIGURES: Final = (
    "status", "contact_point", "contact_point_stderr", "indentation", "peak_force", "stiffness", "stiffness_stderr",
    "coefficient", "coefficient_stderr", "snap_in", "snap_in_stderr", "baseline", "tilt", "noise", "r2", "pull_off",
    "pull_off_stderr", "tilt_stderr",
)  # fmt: skip
CONVERGED: Final = 1
TOO_FEW: Final = -2
NO_CONTACT: Final = -3
OUTSIDE: Final = -4
STUCK: Final = -5
#: Code of status -> its meaning; users find these words in the attribute ``flag_meanings`` of the variable ``status``.
STATUS_MEANINGS: Final = {
    CONVERGED: "converged",
    TOO_FEW: "too_few_samples",
    NO_CONTACT: "no_contact",
    OUTSIDE: "contact_outside_the_curve",
    STUCK: "stuck",
}
