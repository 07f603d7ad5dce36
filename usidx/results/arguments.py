"""Arguments of a call -> what JSON holds; what cannot be held is named, with a digest that tells it apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final
from uuid import uuid4

import numpy as np
import xarray as xr

from usidx.results.digests import digest, digest_array, digest_parts
from usidx.results.packed import pack_array
from usidx.results.provenance import PROVENANCE
from usidx.tasks.evidence import UnprovenError, read_token

__all__ = ["LONGEST", "as_json", "describe_labelled", "digest_coordinate", "digest_labelled", "is_lazy"]

#: A longer array is told by its digest, and packed where that is short.
LONGEST: Final = 256


def as_json(value: Any, describe: Callable[[xr.DataArray | xr.Dataset], Any] | None = None) -> Any:
    """Return a value as JSON holds it; `describe` says what is told of labelled objects, by default the least."""
    if isinstance(value, float) and not isfinite(value):
        return str(value)  # JSON has no NaN
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return as_json(value.item())
    if isinstance(value, complex):
        return {"real": value.real, "imag": value.imag}
    if isinstance(value, np.ndarray):
        return _convert_array(value)
    if isinstance(value, xr.DataArray | xr.Dataset):
        return (describe or describe_labelled)(value)
    if callable(value):  # before containers: it does more than it holds
        return _name_value(value)
    if isinstance(value, Mapping):
        return {str(k): as_json(v, describe) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(v, describe) for v in value]
    if isinstance(value, set | frozenset):
        return [as_json(v) for v in sorted(value, key=repr)]
    if isinstance(value, slice):
        return {"start": as_json(value.start), "stop": as_json(value.stop), "step": as_json(value.step)}
    return _name_value(value)


def _convert_array(values: np.ndarray[Any, Any]) -> Any:
    if values.size <= LONGEST:
        return as_json(values.tolist())
    told = {"shape": list(values.shape), "dtype": str(values.dtype), "digest": _digest_or_nonce(values)}
    packed = pack_array(values)
    return told if packed is None else {**told, "packed": packed}


def describe_labelled(value: xr.DataArray | xr.Dataset) -> dict[str, Any]:
    """Return name, sizes and a digest of a labelled argument."""
    told: dict[str, Any] = {"dims": {str(d): int(n) for d, n in value.sizes.items()}}
    if isinstance(value, xr.DataArray):
        told["name"] = None if value.name is None else str(value.name)
    try:
        told["digest"] = digest_labelled(value)
    except UnprovenError:
        told["digest"] = uuid4().hex
    return told


def digest_coordinate(values: Any) -> str:
    """Return a digest of the values of a coordinate."""
    return digest_array(np.asarray(values))


def digest_labelled(value: xr.DataArray | xr.Dataset) -> str:
    """Return a digest of what a labelled object is: names, dims, attributes, and bytes or the name of a graph.

    Two lazy arrays of one graph are the same, and so are two arrays of the same bytes; one of each are not.
    """
    name = str(value.name) if isinstance(value, xr.DataArray) else ""
    held = value._to_temp_dataset() if isinstance(value, xr.DataArray) else value
    parts = [name, _digest_attrs(value.attrs)]
    for key, variable in sorted(held.variables.items(), key=lambda item: str(item[0])):
        bare = "array" if key not in held.coords and isinstance(value, xr.DataArray) else str(key)
        parts += [bare, str(key in held.coords), str(variable.dims), str(variable.dtype), str(variable.shape)]
        parts += [_digest_attrs(variable.attrs), _digest_data(variable)]
    return digest_parts(*parts)


def is_lazy(variable: xr.Variable) -> bool:
    """Say whether dask holds the data; of most that are in memory this is known without xarray's slow look."""
    in_memory = isinstance(variable, xr.IndexVariable) or type(variable._data) is np.ndarray
    return not in_memory and variable.chunks is not None


def _digest_data(variable: xr.Variable) -> str:
    if is_lazy(variable):
        return f"lazy {read_token(str(variable.data.name))}"
    return digest_array(np.asarray(variable.values))


def _digest_attrs(attrs: Mapping[Any, Any]) -> str:
    kept = sorted((str(k), v) for k, v in attrs.items() if k != PROVENANCE)
    return digest_parts(*(part for k, v in kept for part in (k, digest(v))))


def _name_value(value: Any) -> str:
    """Name what JSON does not hold; it is never pickled."""
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"<{named.__module__}.{named.__qualname__} {_digest_or_nonce(value)}>"


def _digest_or_nonce(value: Any) -> str:
    """Return the digest of a value, or a text that no other has where its content cannot be told."""
    try:
        return digest(value)
    except UnprovenError:
        return uuid4().hex
