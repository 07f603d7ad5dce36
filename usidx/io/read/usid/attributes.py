"""Attributes of HDF5 objects -> plain Python and NumPy values that netCDF and JSON can hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping
from functools import partial
from typing import Any, Final

import h5py
import numpy as np

from usidx.format import names
from usidx.format.layout import decode_text
from usidx.format.packing import unpack
from usidx.format.shielded import shield
from usidx.io.read.place.heap import prove
from usidx.io.read.place.identity import Identity
from usidx.io.read.place.open_errors import DAMAGE
from usidx.io.read.place.stored_values import object_referred_to, text_in
from usidx.io.read.usid.paths import Paths, find_referenced_path

__all__ = [
    "AS_ARRAY",
    "AS_BYTES",
    "AS_JSON",
    "AS_LIST",
    "AS_NONE",
    "AS_TUPLE",
    "LONGEST_TEXT",
    "NOTHING",
    "convert_attribute",
    "has_attribute",
    "identity_referred_to",
    "read_attribute",
    "read_attribute_if_any",
    "read_attributes",
    "read_json",
    "read_text_attribute",
    "restore_attribute",
]

#: Bytes of the longest text that is read: no more is followed of what HDF5 keeps it in.
LONGEST_TEXT: Final = 60 << 20

# What an earlier write said of an attribute: what it was before it became what HDF5 has a type for.
AS_NONE, AS_JSON, AS_BYTES, AS_ARRAY, AS_LIST, AS_TUPLE = "none", "json", "bytes", "array", "list", "tuple"


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
    listed = _list_names(object_)
    marks = read_json(object_, names.ATTRIBUTE_TYPES) if names.ATTRIBUTE_TYPES in listed else {}
    for name in listed:
        if name in without or name == names.ATTRIBUTE_TYPES:
            continue
        title = str(decode_text(name))
        try:
            raw = read_attribute(object_, name)
        except DAMAGE:
            continue
        follow = partial(find_referenced_path, holder=object_, attribute=title, paths=paths)
        value = restore_attribute(raw, marks.get(title), follow)
        if value is not NOTHING:
            found[shield(title)] = shield(value) if isinstance(value, str) else value
    return found


#: Stands for what is no attribute of an array, such as a reference that leads nowhere: None is one.
NOTHING: Final = object()


def restore_attribute(raw: Any, mark: Any, follow: Callable[[h5py.Reference], str | None]) -> Any:
    """Return an attribute as what it was before it was written, as the mark says; else what `convert_attribute` does.

    Parameters
    ----------
    raw : any
        As h5py reads it.
    mark : any
        What the file says of its type.
    follow : callable
        Returns the path of what a reference points to.
    """
    way = _WAYS.get(mark) if isinstance(mark, str) else None
    if way is not None:
        try:
            return way(raw)
        except (AttributeError, TypeError, ValueError, RecursionError):
            pass  # the mark is another attribute's, or anybody's
    value = convert_attribute(raw, follow)
    return NOTHING if value is None else value


def _restore_none(raw: Any) -> None:
    if raw != "None":
        raise ValueError("it is something else by now")


def _restore_bytes(raw: Any) -> bytes:
    if not isinstance(raw, bytes):
        raise TypeError("it is something else by now")
    return bytes(raw)


def _restore_texts(raw: Any) -> np.ndarray[Any, Any]:
    return np.asarray(raw).astype(str)


def _restore_tuple(raw: Any) -> tuple[Any, ...]:
    return tuple(np.asarray(raw).tolist())


_WAYS: Final[Mapping[str, Callable[[Any], Any]]] = {
    AS_NONE: _restore_none,
    AS_JSON: lambda raw: unpack(json.loads(raw)),
    AS_BYTES: _restore_bytes,
    AS_ARRAY: _restore_texts,
    AS_LIST: lambda raw: raw.tolist(),
    AS_TUPLE: _restore_tuple,
}


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
        return bool(value)
    return str(value.item()) if isinstance(value, np.void) else value


def _convert_array(value: np.ndarray[Any, Any], follow: Callable[[h5py.Reference], str | None]) -> Any:
    if value.dtype.kind in "iufcb":
        return value
    if value.dtype.kind in "SUO":
        entries = [convert_attribute(entry, follow) for entry in value.reshape(-1).tolist()]
        return [entry if isinstance(entry, str) else str(entry) for entry in entries if entry is not None]
    return str(value.tolist())


def read_json(object_: h5py.Group | h5py.Dataset, name: str) -> dict[str, Any]:
    """Return the JSON object that an earlier write left in an attribute; empty where there is none."""
    text = read_text_attribute(object_, name)
    if text is None:
        return {}
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
