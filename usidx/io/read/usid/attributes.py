"""Attributes of HDF5 objects -> plain Python and NumPy values that netCDF and JSON can hold."""

from __future__ import annotations

import json
from typing import Any

import h5py
import numpy as np

from usidx.format.layout import text_of
from usidx.io.read.place.heap import prove
from usidx.io.read.place.open_errors import DAMAGE

__all__ = [
    "attribute_if_any",
    "has_attribute",
    "plain_attribute",
    "plain_attributes",
    "read_attribute",
    "referenced",
    "stored_json",
    "text_attribute",
]

# JSON that an earlier write left is small; anything larger is not ours.
_LONGEST_JSON = 1 << 20


def plain_attributes(object_: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    """Return the attributes of an object; unreadable ones are left out."""
    found: dict[str, Any] = {}
    try:
        listed = list(object_.attrs)
    except DAMAGE:
        listed = []
    for name in listed:
        try:
            raw = read_attribute(object_, name)
        except DAMAGE:
            continue
        value = plain_attribute(raw, object_.file)
        if value is not None:
            found[str(text_of(name))] = value
    return found


def read_attribute(object_: h5py.Group | h5py.Dataset, name: str | bytes) -> Any:
    """Return an attribute as h5py does, once it is proven that HDF5 can read it."""
    prove(object_, name)
    return object_.attrs[name]


def has_attribute(object_: h5py.Group | h5py.Dataset, name: str) -> bool:
    """Say whether an attribute is there; of a damaged object none can be told."""
    try:
        return name in object_.attrs
    except DAMAGE:
        return False


def attribute_if_any(object_: h5py.Group | h5py.Dataset, name: str) -> Any:
    """Return an attribute, None where it is missing or damaged."""
    try:
        return read_attribute(object_, name) if name in object_.attrs else None
    except DAMAGE:
        return None


def text_attribute(object_: h5py.Group | h5py.Dataset, name: str) -> str | None:
    """Return an attribute that is text, None where it is missing or anything else."""
    return text_of(attribute_if_any(object_, name))


def plain_attribute(value: Any, file: h5py.File) -> Any:
    """Turn one attribute into text, a number, or an array or list of these; None where there is nothing to keep."""
    if isinstance(value, h5py.Empty):
        return ""
    if isinstance(value, h5py.RegionReference):
        return None  # a region is a view of data that is here already
    if isinstance(value, h5py.Reference):
        return referenced(value, file)
    if isinstance(value, bytes):
        return text_of(value)
    if isinstance(value, np.ndarray):
        return _plain_array(value, file)
    if isinstance(value, np.bool_):
        return int(value)  # netCDF has no bool attribute
    return str(value.item()) if isinstance(value, np.void) else value


def _plain_array(value: np.ndarray[Any, Any], file: h5py.File) -> Any:
    if value.dtype.kind in "iufc":
        return value
    if value.dtype.kind == "b":
        return value.astype(np.int8)
    if value.dtype.kind in "SUO":
        entries = [plain_attribute(entry, file) for entry in value.reshape(-1).tolist()]
        return [entry if isinstance(entry, str) else str(entry) for entry in entries if entry is not None]
    return str(value.tolist())


def referenced(reference: h5py.Reference, file: h5py.File) -> str | None:
    """Return the path of the object that a reference points to, None where it points nowhere."""
    try:
        return str(file[reference].name) if reference else None
    except (ValueError, KeyError, OSError, RuntimeError):
        return None


def stored_json(object_: h5py.Group | h5py.Dataset, name: str) -> dict[str, Any]:
    """Return the JSON object that an earlier write left in an attribute; empty where there is none."""
    text = text_attribute(object_, name)
    if text is None or len(text) > _LONGEST_JSON:
        return {}
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
