"""Attributes of HDF5 objects -> plain Python and NumPy values that netCDF and JSON can hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Container
from functools import partial
from typing import Any

import h5py
import numpy as np

from usidx.format.layout import decode_text
from usidx.io.read.place.heap import prove
from usidx.io.read.place.identity import Identity
from usidx.io.read.place.open_errors import DAMAGE
from usidx.io.read.place.stored_values import object_referred_to, text_in
from usidx.io.read.usid.paths import Paths, find_referenced_path

__all__ = [
    "convert_attribute",
    "has_attribute",
    "identity_referred_to",
    "read_attribute",
    "read_attribute_if_any",
    "read_attributes",
    "read_json",
    "read_text_attribute",
]

# JSON that an earlier write left is small; anything larger is not ours.
_LONGEST_JSON = 1 << 20


def read_attributes(
    object_: h5py.Group | h5py.Dataset, *, without: Container[str] = (), paths: Paths | None = None
) -> dict[str, Any]:
    """Return the attributes of an object; unreadable ones are left out.

    Parameters
    ----------
    object_ : h5py.Group or h5py.Dataset
        In a file that is open for reading.
    without : container of str
        Attributes that are not wanted; they are not read.
    paths : Paths, optional
        What is known of the file; else the path of each object that is referred to has to be found.
    """
    found: dict[str, Any] = {}
    for name in _list_names(object_):
        if name in without:
            continue
        title = str(decode_text(name))
        try:
            raw = read_attribute(object_, name)
        except DAMAGE:
            continue
        value = convert_attribute(raw, partial(find_referenced_path, holder=object_, attribute=title, paths=paths))
        if value is not None:
            found[title] = value
    return found


def _list_names(object_: h5py.Group | h5py.Dataset) -> list[str | bytes]:
    try:
        return list(object_.attrs) if h5py.h5a.get_num_attrs(object_.id) else []
    except DAMAGE:
        return []


def read_attribute(object_: h5py.Group | h5py.Dataset, name: str | bytes) -> Any:
    """Return an attribute as h5py does, once it is proven that HDF5 can read it."""
    proven = prove(object_, name)
    text = None if proven is None else text_in(proven)
    return object_.attrs[name] if text is None else text


def identity_referred_to(object_: h5py.Dataset, name: str) -> Identity | None:
    """Return which object an attribute refers to, None where only HDF5 can tell.

    Raises
    ------
    OSError
        The attribute is damaged.
    """
    proven = prove(object_, name)
    return None if proven is None else object_referred_to(proven)


def has_attribute(object_: h5py.Group | h5py.Dataset, name: str) -> bool:
    """Say whether an attribute is there; of a damaged object none can be told."""
    try:
        return bool(h5py.h5a.exists(object_.id, name.encode()))
    except DAMAGE:
        return False


def read_attribute_if_any(object_: h5py.Group | h5py.Dataset, name: str) -> Any:
    """Return an attribute, None where it is missing or damaged."""
    try:
        return read_attribute(object_, name) if has_attribute(object_, name) else None
    except DAMAGE:
        return None


def read_text_attribute(object_: h5py.Group | h5py.Dataset, name: str) -> str | None:
    """Return an attribute that is text, None where it is missing or anything else."""
    return decode_text(read_attribute_if_any(object_, name))


def convert_attribute(value: Any, follow: Callable[[h5py.Reference], str | None]) -> Any:
    """Turn one attribute into text, a number, or an array or list of these; None where there is nothing to keep."""
    if isinstance(value, h5py.Empty):
        return ""
    if isinstance(value, h5py.RegionReference):
        return None  # a region is a view of data that is here already
    if isinstance(value, h5py.Reference):
        return follow(value)
    if isinstance(value, bytes):
        return decode_text(value)
    if isinstance(value, np.ndarray):
        return _convert_array(value, follow)
    if isinstance(value, np.bool_):
        return int(value)  # netCDF has no bool attribute
    return str(value.item()) if isinstance(value, np.void) else value


def _convert_array(value: np.ndarray[Any, Any], follow: Callable[[h5py.Reference], str | None]) -> Any:
    if value.dtype.kind in "iufc":
        return value
    if value.dtype.kind == "b":
        return value.astype(np.int8)
    if value.dtype.kind in "SUO":
        entries = [convert_attribute(entry, follow) for entry in value.reshape(-1).tolist()]
        return [entry if isinstance(entry, str) else str(entry) for entry in entries if entry is not None]
    return str(value.tolist())


def read_json(object_: h5py.Group | h5py.Dataset, name: str) -> dict[str, Any]:
    """Return the JSON object that an earlier write left in an attribute; empty where there is none."""
    text = read_text_attribute(object_, name)
    if text is None or len(text) > _LONGEST_JSON:
        return {}
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
