"""A labelled argument of a verb -> what its record tells, from which it can be made again."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from usidx.format.packing import pack_attribute
from usidx.results.arguments import LONGEST, as_json, describe_labelled
from usidx.results.identity import describe_changes
from usidx.results.provenance import PROVENANCE, read_steps, remove_seals

__all__ = ["describe_argument"]


def describe_argument(value: xr.DataArray | xr.Dataset) -> dict[str, Any]:
    """Return name, sizes and a digest, the steps that made it, and the values where these are few and in memory.

    Nothing is computed.
    """
    told = describe_labelled(value)
    steps = remove_seals(read_steps(value))
    if steps:
        told |= {"steps": steps, "since_last_step": describe_changes(value)}
    if isinstance(value, xr.DataArray):
        told |= {"dtype": str(value.dtype)}
        told |= _describe_values(value)
    return told


def _describe_values(value: xr.DataArray) -> dict[str, Any]:
    held = [value.variable, *(c.variable for c in value.coords.values())]
    if any(v.chunks is not None or not v._in_memory or v.size > LONGEST or v.dtype.kind not in "biufcU" for v in held):
        return {}
    coords = {str(name): _describe_variable(c.variable) for name, c in value.coords.items()}
    return {**_describe_variable(value.variable), **({"coords": coords} if coords else {})} | {
        "dims": {str(d): int(n) for d, n in value.sizes.items()}
    }


def _describe_variable(variable: xr.Variable) -> dict[str, Any]:
    attrs = {str(k): pack_attribute(v, str(k)) for k, v in variable.attrs.items() if k != PROVENANCE}
    return {
        "dims": [str(d) for d in variable.dims],
        "shape": list(variable.shape),
        "dtype": str(variable.dtype),
        "values": as_json(np.asarray(variable.values).ravel().tolist()),
        **({"attrs": attrs} if attrs else {}),
    }
