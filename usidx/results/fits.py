"""A fit in memory -> the compound datasets that the old tools expect of it.

``Fit`` holds the fitted parameters and ``R2 Criterion``, ``Guess`` the start values where the verb keeps them; what
these cannot hold lies beside them in ``Fit_stderr`` and ``Fit_Statistics``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from usidx.results.declarations import find_declaration
from usidx.results.fit_names import GUESS, STDERR, FitNames
from usidx.results.provenance import Step
from usidx.results.verbs import list_verb_steps
from usidx.tasks.columns import join_columns

__all__ = ["find_fit_names", "find_fit_step", "group_compound_fields", "join_fields"]

_R2 = "R2 Criterion"
_STATISTICS = ("chi2", "redchi", "nfev", "status", "converged", "samples", "is_loop", "common_widths", "is_resonance")


def find_fit_step(result: xr.DataArray | xr.Dataset) -> Step | None:
    """Return the step that made a fit, None where the result is something else by now."""
    for step in reversed(list_verb_steps(result)):
        if (found := find_declaration(str(step["tool"]))) is None:
            return None
        if found.fit is not None:
            return step
        if not found.keeps:
            return None
    return None


def find_fit_names(step: Step) -> FitNames:
    """Return how the fit of a step is named on disk."""
    found = find_declaration(str(step["tool"]))
    assert found is not None
    assert found.fit is not None
    return found.fit(step)


def group_compound_fields(result: xr.Dataset, named: FitNames) -> dict[str, dict[str, str]]:
    """Gather variables into compound datasets: dataset to {variable: field}."""
    names = [str(n) for n in result.data_vars]
    parameters = [n for n in names if f"{n}{STDERR}" in names and (named.shows_units or n in named.fields)]
    titles = {n: _make_title(result[n], named) for n in parameters}
    guessed = {f"{n}{GUESS}": t for n, t in titles.items() if f"{n}{GUESS}" in names}
    found = {
        "Guess": guessed | ({f"r2{GUESS}": _R2} if f"r2{GUESS}" in names else {}),
        named.dataset: titles | ({"r2": _R2} if "r2" in names else {}),
        "Fit_stderr": {f"{n}{STDERR}": t for n, t in titles.items()},
        "Fit_Statistics": {n: n for n in _STATISTICS if n in names},
        **{dataset: {n: t for n, t in fields.items() if n in names} for dataset, fields in named.others.items()},
    }
    return {dataset: fields for dataset, fields in found.items() if fields}


def _make_title(variable: xr.DataArray, named: FitNames) -> str:
    name = named.fields.get(str(variable.name)) or str(variable.attrs.get("long_name", variable.name))
    unit = str(variable.attrs.get("units", "")) if named.shows_units else ""
    return f"{name} [{unit}]" if unit else name


def join_fields(result: xr.Dataset, dataset: str, fields: Mapping[str, str]) -> xr.DataArray:
    """Join variables into one array of a structured dtype, as lazy as they are."""
    parts = [result[name] for name in fields]
    dtype = np.dtype([(title, np.float64) for title in fields.values()])
    same = all(part.dims == parts[0].dims for part in parts)
    columns = join_columns([part.data for part in parts], partial(_join, dtype=dtype), dtype) if same else None
    if columns is not None:
        found = parts[0].copy(data=columns)
    else:
        found = xr.apply_ufunc(
            _join, *parts, kwargs={"dtype": dtype}, dask="parallelized", output_dtypes=[dtype], keep_attrs=True
        )
    quantity = "SHO" if "Quality Factor" in (dtype.names or ()) else dataset
    return found.rename(dataset).assign_attrs({"long_name": quantity, "units": "compound"})


def _join(*parts: Any, dtype: np.dtype[Any]) -> Any:
    whole = np.empty(np.shape(parts[0]), dtype)
    for title, part in zip(dtype.names or (), parts, strict=True):
        whole[title] = part
    return whole
