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
    "IDENTITY",
    "INCOMPLETE_DIMENSION",
    "LABELS",
    "MAIN_HINTS",
    "POSITION_INDICES",
    "POSITION_VALUES",
    "QUANTITY",
    "RESULT_HINTS",
    "SOURCE",
    "SOURCE_COUNT",
    "SOURCE_DIGESTS",
    "SPECTROSCOPIC_INDICES",
    "SPECTROSCOPIC_VALUES",
    "TOOL",
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

#: Attributes of a results group: its tool, the reference to what it was made of, how many there are of these.
TOOL, SOURCE, SOURCE_COUNT = "tool", "source_000", "num_source_dsets"
#: What a result is, and what its sources held, so that the same work is known again.
IDENTITY, SOURCE_DIGESTS = "usidx_identity", "usidx_source_digests"
