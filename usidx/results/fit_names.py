"""What a kind of fit is called on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from usidx.results.provenance import Step

__all__ = ["GUESS", "STDERR", "FitNames", "name_by_model"]

#: Endings of the variables that hold start values and standard errors.
GUESS: Final = "_guess"
STDERR: Final = "_stderr"


@dataclass(frozen=True, slots=True)
class FitNames:
    """How a kind of fit is named on disk.

    Attributes
    ----------
    title : str
        Ends the group's name.
    dataset : str
        The compound dataset of the parameters.
    fields : mapping
        Parameter to its field, without the unit, where that is not its name in words.
    shows_units : bool
        Whether the fields of parameters end in the unit; where not, `fields` lists the parameters.
    others : mapping
        More compound datasets, dataset to {variable: field}; a variable that stands in two is read from the first.
    datasets : mapping
        Variable to the dataset of its own.
    attributes : mapping
        What the old tools keep beside the parameters of the call.
    told : mapping
        Dataset to the parameters of the call that the old tools keep with it, too.
    source : str
        The dataset of an earlier result beside which the group lies, where that result is in the file.
    """

    title: str
    dataset: str = "Fit"
    fields: Mapping[str, str] = field(default_factory=dict)
    shows_units: bool = True
    others: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: str = ""


def name_by_model(step: Step) -> FitNames:
    """Return how a fit is named on disk whose name is that of its model."""
    return FitNames(f"{_make_model_title(step)}_Fit")


def _make_model_title(step: Step) -> str:
    model = step.get("parameters", {}).get("model", {})
    name = model.get("name", model.get("model", "Model")) if isinstance(model, dict) else str(model)
    return "".join(c if c.isalnum() else "_" for c in str(name)).strip("_") or "Model"
