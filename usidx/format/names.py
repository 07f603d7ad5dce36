"""Names that USID files use, each written down once.

The specification asks for ``time_stamp`` and ``algorithm``; the programs write ``timestamp`` and no algorithm. Both
spellings are read; ``timestamp`` and ``algorithm`` are written.
"""

from __future__ import annotations

__all__ = [
    "ANCILLARIES",
    "BOOK_KEEPING",
    "COMPLETED_POSITIONS",
    "COMPLETED_STAGES",
    "COORDINATE_HINTS",
    "DEFAULT_DIMENSION",
    "DEPENDENT_DIMENSION",
    "DIMENSION_TYPE",
    "INCOMPLETE_DIMENSION",
    "LABELS",
    "MAIN_HINTS",
    "POSITION_INDICES",
    "POSITION_VALUES",
    "QUANTITY",
    "RESULT_HINTS",
    "SPECTROSCOPIC_INDICES",
    "SPECTROSCOPIC_VALUES",
    "UNITS",
]

QUANTITY = "quantity"
UNITS = "units"
LABELS = "labels"

POSITION_INDICES = "Position_Indices"
POSITION_VALUES = "Position_Values"
SPECTROSCOPIC_INDICES = "Spectroscopic_Indices"
SPECTROSCOPIC_VALUES = "Spectroscopic_Values"
#: The four references that make a dataset a main dataset.
ANCILLARIES = (POSITION_INDICES, POSITION_VALUES, SPECTROSCOPIC_INDICES, SPECTROSCOPIC_VALUES)

#: Optional attribute of ancillaries, one integer per dimension, and its values.
DIMENSION_TYPE = "type"
DEFAULT_DIMENSION, INCOMPLETE_DIMENSION, DEPENDENT_DIMENSION = 0, 1, 2

COMPLETED_POSITIONS = "completed_positions"
#: What BGlib calls it for each of the two datasets of a fit.
COMPLETED_STAGES = {"Guess": "completed_guess_positions", "Fit": "completed_fit_positions"}

#: Attributes that say who wrote an object and when; they describe the writing, not the data.
BOOK_KEEPING = frozenset(
    {
        "timestamp",
        "time_stamp",
        "machine_id",
        "platform",
        "pyUSID_version",
        "sidpy_version",
        "pycroscopy_version",
        "usidx_version",
    }
)

# What the four ancillaries cannot hold but an exact round trip needs, as JSON; other programs ignore it.
MAIN_HINTS = "usidx_array"
COORDINATE_HINTS = "usidx_coordinates"
RESULT_HINTS = "usidx_result"
