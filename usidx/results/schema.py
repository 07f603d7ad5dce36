"""A result in memory -> the datasets that the old tools expect of it, and back.

In memory the names are the field's (scores, components, labels); on disk they are the old tools' (``U``, ``V``, ``S``;
``Projection``, ``Components``; ``Labels``, ``Mean_Response``; ``Fit``). What those names cannot hold travels beside
them as JSON, so that a result written here opens as the same Dataset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from usidx.format.packing import pack_attribute, unpack
from usidx.format.shielded import shield
from usidx.results.declarations import Declaration
from usidx.results.fit_names import FitNames
from usidx.results.fits import find_fit_names, find_fit_step, group_compound_fields, join_fields
from usidx.results.forms import Form
from usidx.results.provenance import PROVENANCE, Step
from usidx.results.verbs import find_last_verb, list_verb_steps

__all__ = ["Entry", "StoredResult", "choose_divisors", "find_title", "restore_attrs", "to_stored"]


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One dataset of a results group.

    Attributes
    ----------
    name : str
        Of the dataset.
    data : DataArray
        As lazy as the result; a structured dtype becomes a compound dataset.
    is_main : bool
        Whether it gets ancillaries; small arrays over ``component`` or ``cluster`` alone do not.
    """

    name: str
    data: xr.DataArray
    is_main: bool


@dataclass(frozen=True, slots=True, eq=False)
class StoredResult:
    """A result as it goes to disk.

    Attributes
    ----------
    tool, algorithm : str
        Part of the group's name, and what computed it.
    entries : tuple of Entry
        Datasets of the group.
    parameters : mapping
        Arguments of the verb as flat attributes, as the old tools keep them.
    hints : mapping
        JSON that restores names, dims and attributes.
    source : str
        The dataset of an earlier result beside which the group lies, where that result is in the file.
    """

    tool: str
    algorithm: str
    entries: tuple[Entry, ...]
    parameters: Mapping[str, Any]
    hints: Mapping[str, Any]
    source: str = ""


def find_title(result: xr.DataArray | xr.Dataset) -> str:
    """Return what ends the name of the group of a result, from the last verb that made it."""
    fitted = find_fit_step(result)
    if fitted is not None:
        return find_fit_names(fitted).title
    made_by = find_last_verb(result)
    return "Derived" if made_by is None else made_by.title


def to_stored(result: xr.Dataset) -> StoredResult:
    """Lay a result out for disk; nothing is computed.

    Parameters
    ----------
    result : Dataset
        What a verb returned, or any Dataset whose variables have dims with roles.

    Returns
    -------
    StoredResult
        Its entries cover every variable.
    """
    fitted, made_by = find_fit_step(result), find_last_verb(result)
    form = None if made_by is None else made_by.form
    result, labels = _number_text_dims(result if form is None else form.pack(result))
    step = fitted or ([*list_verb_steps(result)] or [{"tool": "derived", "parameters": {}}])[-1]
    named = None if fitted is None else find_fit_names(fitted)
    datasets, dims = ({}, {}) if made_by is None else (made_by.datasets, made_by.dims)
    if named is not None:
        entries, hints = _make_fit_entries(result, named, step)
    elif form is not None:
        entries, hints = _make_form_entries(result, form, datasets, dims)
    else:
        entries, hints = _make_plain_entries(result, datasets, dims)
    mains = {entry.name for entry in entries if entry.is_main}
    swept, coords = _keep_unused_coordinates(result, {n for n, h in hints.items() if h["dataset"] in mains})
    counted = [str(n) for n, c in result.coords.items() if c.dims == (n,) and _only_counts(c)]
    in_order = {str(n): hints[str(n)] for n in result.data_vars}
    return StoredResult(
        find_title(result),
        f"usidx.{step['tool']}",
        (*entries, *swept),
        _flatten_parameters(step, made_by) | dict({} if named is None else named.attributes),
        {
            "variables": in_order,
            "coords": coords,
            "attrs": _convert_attrs(result.attrs),
            "verb": step["tool"],
            **({"labels": labels} if labels else {}),
            **({"counted": counted} if counted else {}),
        },
        "" if named is None else named.source,
    )


def _number_text_dims(result: xr.Dataset) -> tuple[xr.Dataset, dict[str, list[str]]]:
    """Give dims that are labelled by text numbers, which the tables can hold; return the text beside them."""
    texts = {str(d): result[d] for d in result.dims if d in result.coords and result[d].dtype.kind == "U"}
    counted = {d: (d, np.arange(text.size), text.attrs) for d, text in texts.items()}
    return result.assign_coords(counted), {d: text.values.tolist() for d, text in texts.items()}


def _keep_unused_coordinates(result: xr.Dataset, mains: set[str]) -> tuple[list[Entry], dict[str, Any]]:
    """Keep what no main dataset bears: the axis along which was fitted, which evaluating the fit needs."""
    used = {d for name in mains for d in result[name].dims}
    borne = {d for v in result.data_vars.values() for d in v.dims}
    entries, hints = [], {}
    for name, coordinate in result.coords.items():
        unused = coordinate.dims and not set(coordinate.dims) <= used and coordinate.dtype.kind in "iufb"
        if unused and not (set(coordinate.dims) <= borne and _only_counts(coordinate)):
            dataset = str(name).replace("/", "_").replace("-", "_")
            bare = xr.DataArray(coordinate.variable, name=dataset)
            entries.append(Entry(dataset, bare, is_main=False))
            dims = [str(d) for d in coordinate.dims]
            hints[str(name)] = {"dataset": dataset, "dims": dims, "attrs": _convert_attrs(coordinate.attrs)}
    return entries, hints


def _only_counts(coordinate: xr.DataArray) -> bool:
    """Say whether a coordinate is the one that a dim gets without any."""
    counted = np.arange(coordinate.size)
    return coordinate.ndim == 1 and not coordinate.attrs and bool(np.array_equal(coordinate.values, counted))


def _make_plain_entries(
    result: xr.Dataset, datasets: Mapping[str, str], dims: Mapping[str, str]
) -> tuple[list[Entry], dict[str, Any]]:
    entries, hints = [], {}
    for name, variable in result.data_vars.items():
        dataset = datasets.get(str(name), str(name))
        data, times = _unscale_scores(result, str(name), dataset)
        renamed = data.rename({d: t for d, t in dims.items() if d in data.dims})
        is_main = any("usid_role" in c.attrs for c in variable.coords.values() if set(c.dims) <= set(variable.dims))
        is_main = is_main and bool(set(variable.dims) - set(dims))
        entries.append(Entry(dataset, renamed.rename(dataset), is_main))
        hints[str(name)] = {
            "dataset": dataset,
            "dims": [str(d) for d in variable.dims],
            "attrs": _convert_attrs(variable.attrs),
            **({"times": times} if times else {}),
        }
    return entries, hints


def _unscale_scores(result: xr.Dataset, name: str, dataset: str) -> tuple[xr.DataArray, str]:
    """Return scores as the old tool keeps them: left singular vectors, without the singular values."""
    data = result[name]
    if dataset != "U" or "singular_values" not in result:
        return data, ""
    scaled = (data / choose_divisors(result["singular_values"])).astype(data.dtype)
    return scaled.transpose(*data.dims).assign_attrs({"long_name": "Abundance", "units": "a.u."}), "singular_values"


def choose_divisors(values: xr.DataArray) -> xr.DataArray:
    """Return what scores are divided by on disk: the singular values, and 1 where the way back would lose a score.

    A rank below the number of components leaves zeros; and what was done to a result may leave NaN and numbers below
    zero, beside scores that are to be kept as they are.
    """
    return values.where(np.isfinite(values) & (values != 0), 1)


def _make_fit_entries(result: xr.Dataset, named: FitNames, step: Step) -> tuple[list[Entry], dict[str, Any]]:
    """Gather parameters, their standard errors and the figures of merit into compound datasets."""
    entries: list[Entry] = []
    hints: dict[str, Any] = {}
    for dataset, fields in group_compound_fields(result, named).items():
        told = {n: step["parameters"][n] for n in named.told.get(dataset, ()) if n in step["parameters"]}
        entries.append(Entry(dataset, join_fields(result, dataset, fields).assign_attrs(told), is_main=True))
        for name, title in fields.items():
            hints.setdefault(name, _make_field_hint(result[name], dataset, title))
    rest = result[[n for n in result.data_vars if n not in hints]]
    plain, plain_hints = _make_plain_entries(rest, named.datasets, {})
    return entries + plain, hints | plain_hints


def _make_form_entries(
    result: xr.Dataset, form: Form, datasets: Mapping[str, str], dims: Mapping[str, str]
) -> tuple[list[Entry], dict[str, Any]]:
    """Gather what the old tool has in compound datasets; the rest stays as it is."""
    gathered = {d: fields for d, fields in form.fields.items() if set(fields) <= set(result.data_vars)}
    apart = {name for fields in gathered.values() for name in fields}
    entries, hints = _make_plain_entries(result[[n for n in result.data_vars if n not in apart]], datasets, dims)
    for dataset, fields in gathered.items():
        quantity = {k: result[next(iter(fields))].attrs.get(k, "") for k in ("long_name", "units")}
        entries.append(Entry(dataset, join_fields(result, dataset, fields).assign_attrs(quantity), is_main=True))
        hints |= {name: _make_field_hint(result[name], dataset, title) for name, title in fields.items()}
    return entries, hints


def _make_field_hint(variable: xr.DataArray, dataset: str, title: str) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "field": title,
        "dims": [str(d) for d in variable.dims],
        "dtype": variable.dtype.str,
        "attrs": _convert_attrs(variable.attrs),
    }


def _flatten_parameters(step: Mapping[str, Any], made_by: Declaration | None) -> dict[str, Any]:
    flat = {k: v for k, v in step.get("parameters", {}).items() if isinstance(v, str | int | float)}
    if made_by is None:
        return flat
    if made_by.algorithm:
        named = str(flat.get("method", flat.get("estimator", step["tool"])))
        flat[made_by.algorithm] = named.partition("(")[0]  # of an estimator the class, as the old tools
    if "n" in flat:
        flat[made_by.count] = flat.pop("n")
    old = {} if made_by.form is None else made_by.form.attributes
    return flat | {old[name]: value for name, value in flat.items() if name in old}


def _convert_attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(k): pack_attribute(v, str(k)) for k, v in attrs.items() if k != PROVENANCE}


def restore_attrs(recorded: Any) -> dict[str, Any]:
    """Return attributes as they were before they became JSON; an empty dict for anything else."""
    if not isinstance(recorded, dict):
        return {}
    found = {shield(str(k)): _restore_attr(v) for k, v in recorded.items()}
    return {k: shield(v) if isinstance(v, str) else v for k, v in found.items()}


def _restore_attr(value: Any) -> Any:
    if not isinstance(value, dict) or value.keys() != {"dtype", "values"}:
        return unpack(value)
    dtype = np.dtype(str(value["dtype"]))  # as results before this version have arrays
    array = np.array(value["values"], dtype=dtype if dtype.kind in "iufb" else np.float64)
    return array if array.ndim else array[()]
