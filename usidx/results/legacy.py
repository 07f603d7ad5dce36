"""Results groups of the old tools -> the names that results have in memory.

The trees are those of pycroscopy 0.60 and BGlib: ``SVD`` (``U``, ``V``, ``S``), ``Cluster``, ``Decomposition``,
``SHO_Fit``, ``Loop_Fit`` and ``Exp_Fit``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import xarray as xr

from usidx.results.declarations import Declaration, find_declaration, find_declaration_by_datasets
from usidx.results.fit_names import GUESS, FitNames
from usidx.results.forms import Form
from usidx.results.provenance import Step

__all__ = ["Names", "Source", "as_decomposition", "as_fit", "find_fit_verb", "find_names", "unpack_form"]


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
    repeating : mapping
        Dataset to the one that holds some of its fields, too, by the same rule.
    comments : mapping
        Variable to what has to be known of it.
    """

    variables: Mapping[str, str]
    dim: str = ""
    labels: tuple[str, ...] = ()
    times: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    uncounted: tuple[str, ...] = ()
    repeating: Mapping[str, str] = field(default_factory=dict)
    comments: Mapping[str, str] = field(default_factory=dict)


# What the old tools call R2 of a loop is another figure each time, and none of them R2.
_CRITERION = (
    "Stored as 'R2 Criterion', but not the coefficient of determination: fits of BGlib hold 1 - R2, guesses 1 less "
    "the sum of squared residuals, of the mean of a cluster of loops."
)
_NUCLEATION = "-1e-10 stands for a value that is not finite."
_PROJECTION = "Turned by tan(slope) instead of -arctan(slope), which makes loops too low at any phase but zero."
_POLYGON = "Of the polygon without its last edge."
_LOOP_COMMENTS = {
    "projected_loops": _PROJECTION,
    "rotation_angle": _PROJECTION,
    "area": _POLYGON,
    "centroid_x": _POLYGON,
    "centroid_y": _POLYGON,
    **dict.fromkeys(("criterion", "criterion_guess"), _CRITERION),
    **{f"nucleation_bias_{k}{ending}": _NUCLEATION for k in (1, 2) for ending in ("", "_guess")},
}
#: Fits whose compound datasets are recognised by their names; the last one by any guess or fit.
_FITS = (
    ({"Projected_Loops", "Loop_Metrics"}, "loop_fit"),
    # Not BGlib's fits of two decays and of stretched ones: they store rates, and another formula, under these names.
    ({"Exponential_Fit"}, "relaxation_fit"),
    ({"Guess"}, "sho_fit"),
    ({"Fit"}, "sho_fit"),
)
#: What the old tools call how well a fit is; of loops it is another figure.
_R2 = {"R2 Criterion": "r2"}
_LOOP_R2 = {"R2 Criterion": "criterion", "R^2": "criterion"}


def find_names(datasets: frozenset[str]) -> Names:
    """Return the names for a group that holds these datasets; tools wrote various names into ``tool``."""
    if (found := find_declaration_by_datasets(datasets)) is not None:
        return _read_names(found)
    for required, verb in _FITS:
        if required <= datasets and (fitted := find_declaration(verb)) is not None and fitted.fit is not None:
            named = fitted.fit({"tool": verb, "parameters": {}})
            return _read_names_of_loops(named) if verb == "loop_fit" else Names({}, fields=_read_fields(named) | _R2)
    return Names({})


def unpack_form(result: xr.Dataset, verb: object, datasets: frozenset[str]) -> xr.Dataset:
    """Return a result as it was in memory, where its verb lays it out in another shape on disk.

    `verb` is what was recorded; of groups of other programs their datasets tell.
    """
    made_by = find_declaration(verb) if isinstance(verb, str) else find_declaration_by_datasets(datasets)
    return result if made_by is None or made_by.form is None else made_by.form.unpack(result)


def find_fit_verb(datasets: frozenset[str]) -> str | None:
    """Return the verb of today whose fit a group of an old tool holds, None where it holds none."""
    if find_declaration_by_datasets(datasets) is not None:
        return None
    return next((verb for required, verb in _FITS if required <= datasets), None)


def _read_names(made_by: Declaration) -> Names:
    """Read the names that a verb has on disk backwards."""
    dim, *labels = next(iter(made_by.dims.items()), ("",))
    times = {"scores": "singular_values"} if "singular_values" in made_by.datasets else {}
    return Names(
        {dataset: variable for variable, dataset in made_by.datasets.items()},
        dim,
        (*labels, *made_by.old_labels),
        times,
        fields={} if made_by.form is None else _read_form_fields(made_by.form),
        uncounted=("labels",) if "labels" in made_by.datasets else (),
    )


def _read_form_fields(form: Form) -> dict[str, str]:
    """Return the fields of the first compound dataset; the others are those of today."""
    fields = next(iter(form.fields.values()), {})
    return {title: name for name, title in fields.items()}


def _read_fields(named: FitNames) -> dict[str, str]:
    """Return the fields of compound datasets by their titles without the unit."""
    tables = (named.fields, *(fields for d, fields in named.others.items() if "stderr" not in d))
    listed = [(title.removesuffix(" [rad]"), name) for table in tables for name, title in table.items()]
    return {title: name for title, name in listed if not name.endswith(GUESS)}


def _read_names_of_loops(named: FitNames) -> Names:
    return Names(
        {dataset: variable for variable, dataset in named.datasets.items()},
        fields=_read_fields(named) | _LOOP_R2,
        repeating={"Fit_Loop_Parameters": "Fit", "Guess_Loop_Parameters": "Guess"},
        comments=_LOOP_COMMENTS,
    )


@dataclass(frozen=True, slots=True)
class Source:
    """Name, quantity, units and path of the main dataset that a result was made of; empty where it is not here."""

    name: str
    quantity: str
    units: str
    path: str = ""


#: Estimators whose components_ times the scores are the data again, by the verb of today; of the others the components
#: are something else (of FastICA, what unmixes).
_ALGORITHMS = {
    "NMF": "nmf",
    **dict.fromkeys(
        ("TruncatedSVD", "PCA", "IncrementalPCA", "FactorAnalysis", "SparsePCA", "MiniBatchSparsePCA"), "decompose"
    ),
}
_MEANLESS = "The mean that {} removes was not stored: what is reconstructed lacks it."


def as_decomposition(result: xr.Dataset, algorithm: str, source: Source) -> tuple[xr.Dataset, list[Step]]:
    """Say of an old decomposition what today's verbs need to know of it; of any other result nothing."""
    verb = "svd" if "singular_values" in result else _ALGORITHMS.get(algorithm)
    if verb is None or not {"scores", "components"} <= set(result.data_vars):
        return result, []
    fields = _describe_fields(result)
    if verb == "svd":
        result["components"].attrs = {"long_name": "Components", "units": ""}
        result["scores"].attrs = {"long_name": "Scores", "units": source.units}
        result["singular_values"].attrs = {"long_name": "Singular values", "units": source.units}
    if verb == "decompose" and algorithm != "TruncatedSVD":
        result["components"].attrs["comment"] = _MEANLESS.format(algorithm)
    dims = [d for name in ("scores", "components") for d in result[name].dims if d != "component"]
    parameters = {"algorithm": algorithm, "n": result.sizes["component"], "fields": fields}
    given = {
        "dims": {str(d): result.sizes[d] for d in dims},
        "name": source.name,
        "long_name": source.quantity,
        "units": source.units,
        "since_last_step": "unknown",
    }
    return result, [{"tool": verb, "version": "of another program", "parameters": parameters, "input": given}]


def _describe_fields(result: xr.Dataset) -> dict[str, dict[str, str]]:
    """Return the units and the kind of numbers of each field of a compound source."""
    components = result["components"]
    if "field" not in components.dims:
        return {}
    units = components.attrs.pop("field_units", [""] * components.sizes["field"])
    names = [str(name) for name in components["field"].values]
    return {n: {"dtype": str(components.dtype), "units": u} for n, u in zip(names, units, strict=True)}


#: The models that old tools fitted, as today's describe themselves.
_MODELS: Mapping[str, Mapping[str, str]] = {
    "sho_fit": {"model": "SHO", "prefix": ""},
    "loop_fit": {"model": "HysteresisLoop", "prefix": ""},
    "relaxation_fit": {"model": "Relaxation", "decay": "exponential", "prefix": ""},
}


def as_fit(result: xr.Dataset, verb: str, fitted: xr.DataArray | None, source: Source) -> tuple[xr.Dataset, list[Step]]:
    """Say of an old fit which model it holds and over which coordinate it was swept, for `evaluate` and `residual`.

    `fitted` is the array that was fitted, None where that is not here or has no one dim that the fit lacks.
    """
    if fitted is None:
        return result, []
    parameters = [n for n, v in result.data_vars.items() if v.dims != fitted.dims]
    kept = {d for n in parameters for d in result[n].dims}
    swept = [str(d) for d in fitted.dims if d not in kept]
    if len(swept) != 1 or swept[0] not in fitted.coords or fitted.coords[swept[0]].dims != (swept[0],):
        return result, []
    (dim,) = swept
    told = {"model": {"name": verb, **_MODELS[verb]}, "dim": swept, "swept": swept, "coordinate": None}
    units = source.units or fitted.attrs.get("units", "")
    given = {
        "dims": {str(d): n for d, n in fitted.sizes.items()},
        "name": source.name,
        "long_name": source.quantity,
        "units": units,
        "since_last_step": "unknown",
    }
    step: Step = {"tool": verb, "version": "of another program", "parameters": told, "input": given}
    if dim not in result.coords:
        swept_over = fitted.coords[dim].variable
        result = result.assign_coords(xr.Coordinates({dim: swept_over}, None if dim in fitted.indexes else {}))
    return result, [step]
