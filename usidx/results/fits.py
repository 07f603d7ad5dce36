"""A fit in memory -> the compound datasets that the old tools expect of it.

``Fit`` holds the fitted parameters and ``R2 Criterion``, ``Guess`` the start values where the verb keeps them; what
these cannot hold lies beside them in ``Fit_stderr`` and ``Fit_Statistics``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from usidx.results.loops import LOOP_CRITERIA, LOOP_FIELDS, LOOP_METRICS, SWITCHING_FIELDS
from usidx.results.provenance import Step, steps

__all__ = ["FitNames", "compound_fields", "fit_names", "fit_step", "joined"]

GUESS = "_guess"
STDERR = "_stderr"
_R2 = "R2 Criterion"
_STATISTICS = ("chi2", "redchi", "nfev", "status", "converged", "samples", "is_loop", "is_resonance")


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


_SHO = FitNames(
    "SHO_Fit",
    attributes={
        "guess-method": "usidx SHO",
        "guess-algorithm": "linear_form",
        "fit-method": "usidx SHO",
        "fit-algorithm": "levenberg_marquardt",
    },
)
_DECAY_FIELDS = {"time_constant": "Time_Constant", "time_constant_2": "Time_Constant 2"}
_RELAXATIONS: Mapping[str, FitNames] = {
    "exponential": FitNames("Exp_Fit", "Exponential_Fit", _DECAY_FIELDS),
    "double": FitNames("Double_Exp", "Double_Exp_Fit", _DECAY_FIELDS),
    "stretched": FitNames("Str_Exp", "Str_Exp_Fit", _DECAY_FIELDS),
}
_LOOP = FitNames(
    "Loop_Fit",
    fields=LOOP_FIELDS,
    shows_units=False,
    others={
        "Loop_Metrics": LOOP_METRICS,
        "Fit_Loop_Parameters": SWITCHING_FIELDS,
        "Guess_Loop_Parameters": {f"{n}{GUESS}": t for n, t in SWITCHING_FIELDS.items()},
        "Loop_Parameters_stderr": {f"{n}{STDERR}": t for n, t in SWITCHING_FIELDS.items() if n not in LOOP_FIELDS},
        "Loop_Criteria": LOOP_CRITERIA,
    },
    datasets={"projected_loops": "Projected_Loops"},
    attributes={
        "projection_method": "usidx principal axis",
        "guess_method": "usidx area and branches",
        "fit_method": "usidx functional",
    },
    told=dict.fromkeys(("Fit_Loop_Parameters", "Guess_Loop_Parameters"), ("nuc_threshold",)),
    source="Fit",
)
#: Verbs that fit, by the way their results are named; where there is none, the name is that of the model.
_VERBS: Mapping[str, Callable[[Step], FitNames | None]] = {
    "fit": lambda step: None,
    "sho_fit": lambda step: _SHO,
    "loop_fit": lambda step: _LOOP,
    "relaxation_fit": lambda step: _RELAXATIONS.get(str(step.get("parameters", {}).get("decay"))),
}
#: Verbs that change values of a fit, and leave it one.
_KEEPING = frozenset({"correct_phase"})


def fit_step(result: xr.DataArray | xr.Dataset) -> Step | None:
    """Return the step that made a fit, None where the result is something else by now."""
    for step in reversed(steps(result)):
        if step["tool"] in _VERBS:
            return step
        if step["tool"] not in _KEEPING:
            return None
    return None


def fit_names(step: Step) -> FitNames:
    """Return how the fit of a step is named on disk."""
    return _VERBS[step["tool"]](step) or FitNames(f"{_model_title(step)}_Fit")


def _model_title(step: Step) -> str:
    model = step.get("parameters", {}).get("model", {})
    name = model.get("name", model.get("model", "Model")) if isinstance(model, dict) else str(model)
    return "".join(c if c.isalnum() else "_" for c in str(name)).strip("_") or "Model"


def compound_fields(result: xr.Dataset, named: FitNames) -> dict[str, dict[str, str]]:
    """Gather variables into compound datasets: dataset to {variable: field}."""
    names = [str(n) for n in result.data_vars]
    parameters = [n for n in names if f"{n}{STDERR}" in names and (named.shows_units or n in named.fields)]
    titles = {n: _title(result[n], named) for n in parameters}
    guessed = {f"{n}{GUESS}": t for n, t in titles.items() if f"{n}{GUESS}" in names}
    found = {
        "Guess": guessed | ({f"r2{GUESS}": _R2} if f"r2{GUESS}" in names else {}),
        named.dataset: titles | ({"r2": _R2} if "r2" in names else {}),
        "Fit_stderr": {f"{n}{STDERR}": t for n, t in titles.items()},
        "Fit_Statistics": {n: n for n in _STATISTICS if n in names},
        **{dataset: {n: t for n, t in fields.items() if n in names} for dataset, fields in named.others.items()},
    }
    return {dataset: fields for dataset, fields in found.items() if fields}


def _title(variable: xr.DataArray, named: FitNames) -> str:
    name = named.fields.get(str(variable.name)) or str(variable.attrs.get("long_name", variable.name))
    unit = str(variable.attrs.get("units", "")) if named.shows_units else ""
    return f"{name} [{unit}]" if unit else name


def joined(result: xr.Dataset, dataset: str, fields: Mapping[str, str]) -> xr.DataArray:
    """Join variables into one array of a structured dtype, as lazy as they are."""
    parts = [result[name] for name in fields]
    dtype = np.dtype([(title, np.float64) for title in fields.values()])
    found: xr.DataArray = xr.apply_ufunc(
        _join, *parts, kwargs={"dtype": dtype}, dask="parallelized", output_dtypes=[dtype]
    )
    quantity = "SHO" if "Quality Factor" in (dtype.names or ()) else dataset
    return found.rename(dataset).assign_attrs({"long_name": quantity, "units": "compound"})


def _join(*parts: Any, dtype: np.dtype[Any]) -> Any:
    whole = np.empty(np.shape(parts[0]), dtype)
    for title, part in zip(dtype.names or (), parts, strict=True):
        whole[title] = part
    return whole
