"""Results groups of the old tools -> the names that results have in memory.

The trees are those of pycroscopy 0.60 and BGlib: ``SVD`` (``U``, ``V``, ``S``), ``Cluster``, ``Decomposition``,
``SHO_Fit`` and ``Exp_Fit``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Names", "names_for"]


@dataclass(frozen=True, slots=True)
class Names:
    """How datasets of an old group are called in memory.

    Attributes
    ----------
    variables : mapping
        Dataset to variable.
    dim : str
        Name of the dim that counts components or clusters.
    labels : tuple of str
        What old tools called that dim.
    times : mapping
        Variable to the one that it must be multiplied with.
    fields : mapping
        Title of a compound field, without its unit, to variable.
    uncounted : tuple of str
        Variables which have that label on disk, but not the dim.
    """

    variables: Mapping[str, str]
    dim: str = ""
    labels: tuple[str, ...] = ()
    times: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    uncounted: tuple[str, ...] = ()


_SVD = Names(
    {"U": "scores", "V": "components", "S": "singular_values"},
    "component",
    ("Principal Component", "Principal_Component"),
    {"scores": "singular_values"},
)
_DECOMPOSITION = Names({"Projection": "scores", "Components": "components"}, "component", ("Endmember",))
_CLUSTER = Names(
    {"Labels": "labels", "Mean_Response": "mean_response"},
    "cluster",
    ("Cluster", "Clusters"),
    uncounted=("labels",),
)
_SHO = Names(
    {},
    fields={
        "Amplitude": "amplitude",
        "Frequency": "frequency",
        "Quality Factor": "quality_factor",
        "Phase": "phase",
        "R2 Criterion": "r2",
    },
)
_EXPONENTIAL = Names(
    {}, fields={"Amplitude": "amplitude", "Time_Constant": "time_constant", "Offset": "offset", "R2 Criterion": "r2"}
)


def names_for(datasets: frozenset[str]) -> Names:
    """Return the names for a group that holds these datasets; tools wrote various names into ``tool``."""
    for required, names in (
        ({"U", "V", "S"}, _SVD),
        ({"Labels", "Mean_Response"}, _CLUSTER),
        ({"Components", "Projection"}, _DECOMPOSITION),
        # Not its fits of two decays and of stretched ones: they store rates, and another formula, under these names.
        ({"Exponential_Fit"}, _EXPONENTIAL),
    ):
        if required <= datasets:
            return names
    return _SHO if datasets & {"Guess", "Fit"} else Names({})
