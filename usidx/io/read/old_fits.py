"""A fit of an old tool, and what it was made of -> the same with its model and the coordinate that was swept."""

from __future__ import annotations

import xarray as xr

from usidx.errors import UsidError
from usidx.io.read.open import open_at
from usidx.io.read.place.place import Place
from usidx.results.legacy import Source, as_fit, find_fit_verb
from usidx.results.provenance import Step

__all__ = ["describe_fit"]


def describe_fit(
    result: xr.Dataset, datasets: frozenset[str], place: Place, source: Source
) -> tuple[xr.Dataset, list[Step]] | None:
    """Return the fit and the step that made it, None where the group holds no fit of an old tool."""
    verb = find_fit_verb(datasets)
    if verb is None:
        return None
    return as_fit(result, verb, _find_fitted(result, place, source), source)


def _find_fitted(result: xr.Dataset, place: Place, source: Source) -> xr.DataArray | None:
    """Return what was fitted: the loops beside the fit, or the array of one kind of number in this file."""
    if "projected_loops" in result:
        return result["projected_loops"]
    if not source.path:
        return None
    try:
        found = open_at(place, source.path, chunks={})
    except UsidError:
        return None  # a source that does not open hides no result
    return next(iter(found.data_vars.values())) if len(found.data_vars) == 1 else None
