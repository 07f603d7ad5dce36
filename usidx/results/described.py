"""A labelled argument of a verb -> what its record tells, from which it can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.format.packing import pack_attribute
from usidx.results.arguments import LONGEST, as_json, describe_labelled
from usidx.results.identity import describe_changes
from usidx.results.packed import pack_array
from usidx.results.provenance import PROVENANCE, read_steps, remove_seals

__all__ = ["describe_argument"]

#: Bytes of a Dataset whose values are told; of each array :func:`usidx.results.packed.pack_array` decides.
_MOST_OF_ALL: Final = 1 << 16


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
        return told | _describe_values(value)
    since = [told.get("since_last_step"), *(step.get("input", {}).get("since_last_step") for step in steps)]
    is_known = "unknown" not in since and any(step["tool"] == "open" for step in steps)
    if is_known or value.nbytes > _MOST_OF_ALL:
        return told  # its own steps make it again, with all that its attributes say
    variables, coords = _describe_all(value.data_vars), _describe_all(value.coords)
    return told if variables is None or coords is None else told | {"variables": variables, "coords": coords}


def _describe_values(value: xr.DataArray) -> dict[str, Any]:
    own, coords = _describe_variable(value.variable), _describe_all(value.coords)
    if own is None or coords is None:
        return {}
    return {**own, **({"coords": coords} if coords else {})} | {
        "dims": {str(d): int(n) for d, n in value.sizes.items()}
    }


def _describe_all(arrays: Mapping[Any, xr.DataArray]) -> dict[str, Any] | None:
    """Return what is told of each, None where something would not be told."""
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        if (told := _describe_variable(array.variable)) is None:
            return None
        found[str(name)] = told
    return found


def _describe_variable(variable: xr.Variable) -> dict[str, Any] | None:
    if variable.chunks is not None or not variable._in_memory or variable.dtype.kind not in "biufcU":
        return None
    values = np.asarray(variable.values)
    held = {"values": as_json(values.ravel().tolist())} if values.size <= LONGEST else {"packed": pack_array(values)}
    attrs = {str(k): pack_attribute(v, str(k)) for k, v in variable.attrs.items() if k != PROVENANCE}
    told = {"dims": [str(d) for d in variable.dims], "shape": list(variable.shape), "dtype": str(variable.dtype)}
    return None if None in held.values() else told | held | ({"attrs": attrs} if attrs else {})
