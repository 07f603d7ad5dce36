"""The steps that made an array, as JSON in its attributes.

The first step of an array from a file is ``open`` (file, dataset, fingerprint); every verb appends its own. What
plain xarray did between two verbs is recorded where the dask graph proves it, and else said to be unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from typing import Any, TypeVar

import numpy as np
import xarray as xr
from dask.base import tokenize

from usidx.format.names import PROVENANCE
from usidx.label.roles import refuse_unlabelled

__all__ = [
    "PROVENANCE",
    "Step",
    "last_step",
    "opened",
    "parse_steps",
    "record",
    "source_of",
    "steps",
    "usidx_version",
    "with_steps",
]

Step = dict[str, Any]
Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)

# Layers that xarray and dask add when cells are only selected, reordered or cut into other blocks.
_SELECTING = ("original-usid", "usid", "getitem", "rechunk", "transpose")


@cache
def usidx_version() -> str:
    """Return the installed version of usidx."""
    try:
        return version("usidx")
    except PackageNotFoundError:
        return "unknown"


def steps(data: xr.DataArray | xr.Dataset) -> list[Step]:
    """Return the recorded steps, oldest first; an empty list where nothing is recorded.

    A Dataset that was put together by hand from variables of one origin answers for that origin.
    """
    refuse_unlabelled(data, (xr.DataArray, xr.Dataset))
    text = data.attrs.get(PROVENANCE)
    if text is None and isinstance(data, xr.Dataset):
        found = {v.attrs[PROVENANCE] for v in data.data_vars.values() if PROVENANCE in v.attrs}
        text = found.pop() if len(found) == 1 else None
    return parse_steps(text) if isinstance(text, str) else []


def parse_steps(text: str) -> list[Step]:
    """Return the steps that JSON holds; an empty list where it holds anything else."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return []
    well_formed = isinstance(parsed, list) and all(
        isinstance(s, dict) and isinstance(s.get("tool"), str) for s in parsed
    )
    return parsed if well_formed else []


def last_step(data: xr.DataArray | xr.Dataset, tool: str | None = None) -> Step | None:
    """Return the newest step (of the given tool), None where there is none."""
    found = [s for s in steps(data) if tool is None or s["tool"] == tool]
    return found[-1] if found else None


def source_of(data: xr.DataArray | xr.Dataset) -> tuple[str, str] | None:
    """Return (file, dataset) of the main dataset that the array came from, None where unknown."""
    step = last_step(data, "open")
    if step is None or not isinstance(step.get("file"), str) or not isinstance(step.get("dataset"), str):
        return None
    return step["file"], step["dataset"]


def opened(file: str, dataset: str, fingerprint: str) -> list[Step]:
    """Return the first step of an array that comes from a file."""
    step = {"tool": "open", "version": usidx_version(), "file": file, "dataset": dataset, "fingerprint": fingerprint}
    return [step]


def record(result: Labelled, source: xr.DataArray | xr.Dataset, tool: str, parameters: Mapping[str, Any]) -> Labelled:
    """Append one step to what is known of `source` and put the whole on `result`.

    Parameters
    ----------
    result : DataArray or Dataset
        What the verb returns; it and each of its variables get the steps.
    source : DataArray or Dataset
        What the verb was given.
    tool : str
        Name of the verb.
    parameters : mapping
        Every argument that decides the result, seeds included; values are turned into JSON.

    Returns
    -------
    DataArray or Dataset
        `result` with new attributes.
    """
    step = {
        "tool": tool,
        "version": usidx_version(),
        "parameters": {str(k): _plain(v) for k, v in parameters.items()},
        "input": _describe(source),
    }
    return with_steps(result, [*steps(source), step])


def with_steps(result: Labelled, recorded: list[Step]) -> Labelled:
    """Put the steps on an array, or on a Dataset and each of its variables."""
    text = json.dumps(recorded)
    marked = result.copy(deep=False)
    marked.attrs[PROVENANCE] = text
    if isinstance(marked, xr.Dataset):
        for name in marked.data_vars:  # in place: assigning would index coordinates that cannot carry an index
            marked[name].attrs[PROVENANCE] = text
    return marked


def _describe(source: xr.DataArray | xr.Dataset) -> dict[str, Any]:
    described: dict[str, Any] = {"dims": {str(d): int(n) for d, n in source.sizes.items()}}
    if isinstance(source, xr.Dataset):
        described["since_last_step"] = "unknown"  # variables, components or clusters may have been chosen
        if any(v.chunks is not None for v in source.data_vars.values()):
            described["token"] = tokenize({str(name): v.data for name, v in source.data_vars.items()})
    if isinstance(source, xr.DataArray):
        described["name"] = None if source.name is None else str(source.name)
        described["dtype"] = str(source.dtype)
        described["long_name"] = str(source.attrs.get("long_name", ""))
        described["units"] = str(source.attrs.get("units", ""))
        described["since_last_step"] = _since_last_step(source)
        if source.chunks is not None:
            described["token"] = str(getattr(source.data, "name", ""))  # of the graph: equal graphs, equal names
    return described


def _since_last_step(source: xr.DataArray) -> str | dict[str, Any]:
    """Say what plain xarray did to the array since its last recorded step, where the graph proves it."""
    recorded = steps(source)
    graph = getattr(source.data, "dask", None) if source.chunks is not None else None
    if not recorded or recorded[-1]["tool"] != "open" or graph is None:
        return "unknown"
    layers = list(getattr(graph, "layers", {}))
    if not layers or not all(name.startswith(_SELECTING) for name in layers):
        return "unknown"
    return {"selection": {str(d): _extent(source, str(d)) for d in source.dims}}


def _extent(source: xr.DataArray, dim: str) -> dict[str, Any]:
    extent: dict[str, Any] = {"size": int(source.sizes[dim])}
    if dim in source.coords and source.coords[dim].dims == (dim,) and source.sizes[dim]:
        values = source.coords[dim].values
        extent |= {"first": _plain(values[0]), "last": _plain(values[-1])}
    return extent


def _plain(value: Any) -> Any:
    """Turn a parameter into what JSON holds; what cannot be held is named, not pickled."""
    if isinstance(value, float) and not isfinite(value):
        return str(value)  # JSON has no NaN
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, complex):
        return {"real": value.real, "imag": value.imag}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, xr.DataArray):  # a token of its values or of its graph: unequal ones are told apart
        return {"dims": {str(d): int(n) for d, n in value.sizes.items()}, "token": tokenize(value.data)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return f"<{type(value).__module__}.{type(value).__qualname__}>"
