"""Names that USID files use, each written down once.

The specification asks for ``time_stamp`` and ``algorithm``; the programs write ``timestamp`` and no algorithm. Both
spellings are read; ``timestamp`` and ``algorithm`` are written. What the datasets of each verb are called stands with
the verb.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ALGORITHM",
    "ANCILLARIES",
    "ATTRIBUTE_TYPES",
    "BOOK_KEEPING",
    "CHANNEL",
    "COMPLETED",
    "COMPLETED_POSITIONS",
    "COMPLETED_STAGES",
    "COORDINATE_HINTS",
    "DEFAULT_DIMENSION",
    "DEPENDENT_DIMENSION",
    "DIMENSION_TYPE",
    "IDENTITY",
    "INCOMPLETE_DIMENSION",
    "INDICES",
    "LABELS",
    "MACHINE",
    "MAIN_HINTS",
    "MEASUREMENT",
    "NODE",
    "PLACEHOLDER",
    "PLACEHOLDER_UNITS",
    "PLATFORM",
    "POSITION_INDICES",
    "POSITION_VALUES",
    "PROVENANCE",
    "PYUSID_VERSION",
    "QUANTITY",
    "RAW_DATA",
    "RECIPE",
    "RESULT_HINTS",
    "SOURCE",
    "SOURCE_COUNT",
    "SOURCE_DATASET",
    "SOURCE_DIGESTS",
    "SOURCE_FILE",
    "SPECTROSCOPIC_INDICES",
    "SPECTROSCOPIC_VALUES",
    "TAKEN",
    "TIMESTAMP",
    "TIME_STAMP",
    "TOOL",
    "UNITS",
    "USIDX_VERSION",
    "VALUES",
    "name_ancillary",
]

# Groups: /Measurement_000/Channel_000 holds what one channel of one measurement recorded.
MEASUREMENT: Final = "Measurement"
CHANNEL: Final = "Channel"
#: What the main dataset is called that nobody named.
RAW_DATA: Final = "Raw_Data"

# Attributes of a main dataset, and of the tables that it refers to.
QUANTITY: Final = "quantity"
UNITS: Final = "units"
LABELS: Final = "labels"

# The two tables of each side of a main dataset: counters, and what they stand for.
INDICES: Final = "Indices"
VALUES: Final = "Values"


def name_ancillary(role: str, kind: str) -> str:
    """Return what a main dataset calls its reference to one table.

    >>> name_ancillary("position", INDICES)
    'Position_Indices'
    """
    return f"{role.capitalize()}_{kind}"


POSITION_INDICES: Final = "Position_Indices"
POSITION_VALUES: Final = "Position_Values"
SPECTROSCOPIC_INDICES: Final = "Spectroscopic_Indices"
SPECTROSCOPIC_VALUES: Final = "Spectroscopic_Values"
#: The four references that make a dataset a main dataset.
ANCILLARIES: Final = (POSITION_INDICES, POSITION_VALUES, SPECTROSCOPIC_INDICES, SPECTROSCOPIC_VALUES)

#: Label and unit of the one dimension of a side along which nothing varies, for a side must have one.
PLACEHOLDER: Final = "arb"
PLACEHOLDER_UNITS: Final = "a.u."

#: Optional attribute of ancillaries, one integer per dimension, and its values.
DIMENSION_TYPE: Final = "type"
DEFAULT_DIMENSION, INCOMPLETE_DIMENSION, DEPENDENT_DIMENSION = 0, 1, 2

# Attributes of a results group: what computed it, how, and from how many sources.
TOOL: Final = "tool"
ALGORITHM: Final = "algorithm"
SOURCE_COUNT: Final = "num_source_dsets"
#: Reference to the first source; further ones count on.
SOURCE: Final = "source_000"
# Where the source is, if it lies in another file.
SOURCE_FILE: Final = "source_file_path"
SOURCE_DATASET: Final = "source_dataset_path"

#: Status of a results group, 0 or 1 per position.
COMPLETED_POSITIONS: Final = "completed_positions"
#: What BGlib calls it for each of the two datasets of a fit.
COMPLETED_STAGES: Final = {"Guess": "completed_guess_positions", "Fit": "completed_fit_positions"}
#: Pattern of all of them.
COMPLETED: Final = r"completed_(\w+_)?positions"

# Attributes that say who wrote an object and when.
TIMESTAMP: Final = "timestamp"
TIME_STAMP: Final = "time_stamp"  # as the specification spells it
MACHINE: Final = "machine_id"
PLATFORM: Final = "platform"
PYUSID_VERSION: Final = "pyUSID_version"
USIDX_VERSION: Final = "usidx_version"
#: All of them; they describe the writing, not the data.
BOOK_KEEPING: Final = frozenset(
    {
        TIMESTAMP,
        TIME_STAMP,
        MACHINE,
        PLATFORM,
        PYUSID_VERSION,
        "sidpy_version",
        "pycroscopy_version",
        USIDX_VERSION,
    }
)

# What the format has no place for but an exact round trip needs, as JSON; other programs ignore it.
MAIN_HINTS: Final = "usidx_array"
COORDINATE_HINTS: Final = "usidx_coordinates"
RESULT_HINTS: Final = "usidx_result"
#: What attributes of the same object were that HDF5 has no type for, by name.
ATTRIBUTE_TYPES: Final = "usidx_attributes"
#: The steps that made a dataset, or all those of a results group, as JSON.
PROVENANCE: Final = "usid_provenance"
#: Attributes of a main dataset that say what it is; what an array calls so goes into the first of the hints.
TAKEN: Final = frozenset({QUANTITY, UNITS, *ANCILLARIES, MAIN_HINTS, ATTRIBUTE_TYPES})
# What a results group is, and what its sources held, so that the same work is known again.
IDENTITY: Final = "usidx_identity"
SOURCE_DIGESTS: Final = "usidx_source_digests"
#: The text of the recipe by which a results group was made.
RECIPE: Final = "usidx_recipe"
#: Attribute of a channel: its path in the tree that was written, where that is not its path in the file.
NODE: Final = "usidx_node"
