"""Python values -> HDF5 attributes that the old tools can read."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import h5py
import numpy as np

from usidx.errors import UsidError
from usidx.format import names
from usidx.results.provenance import parse_steps, remove_seals
from usidx.version import usidx_version

__all__ = ["convert_value", "make_book_keeping", "set_attributes", "set_json"]

# HDF5 keeps attributes in the object's header up to this size; longer text goes to several attributes.
_LONGEST = 60_000


def make_book_keeping() -> dict[str, str]:
    """Return the attributes that say who wrote an object and when."""
    return {
        names.TIMESTAMP: datetime.now().strftime("%Y_%m_%d-%H_%M_%S"),
        names.MACHINE: platform.node(),
        names.PLATFORM: platform.platform(),
        names.USIDX_VERSION: usidx_version(),
    }


def set_attributes(object_: h5py.Group | h5py.Dataset, values: Mapping[str, Any]) -> None:
    """Set attributes; what HDF5 has no type for is kept as text.

    Raises
    ------
    UsidError
        A value is too long for an attribute.
    """
    for name, value in values.items():
        stored = _without_seals(value) if name == names.PROVENANCE else convert_value(value)
        if isinstance(stored, str) and len(stored.encode()) > _LONGEST:
            raise UsidError(
                f"Attribute {name!r} is {len(stored)} characters long; HDF5 keeps at most {_LONGEST} bytes in an "
                f"attribute. Shorten it, or store it as a dataset."
            )
        object_.attrs[name] = stored


def _without_seals(text: Any) -> Any:
    """Return recorded steps as files keep them: that this process opened something is nobody else's business."""
    recorded = parse_steps(text) if isinstance(text, str) else []
    return json.dumps(remove_seals(recorded)) if recorded else convert_value(text)


def set_json(object_: h5py.Group | h5py.Dataset, name: str, value: Mapping[str, Any]) -> None:
    """Keep a mapping as JSON in one attribute; left out where it is empty or too long, as it only helps round trips."""
    text = json.dumps(value)
    if value and len(text.encode()) <= _LONGEST:
        object_.attrs[name] = text


def convert_value(value: Any) -> Any:
    """Return what is stored of the value of an attribute."""
    if value is None:
        return "None"
    if isinstance(value, bool | np.bool_):
        return np.int8(value)
    if isinstance(value, str | int | float | complex | np.number):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "iufcb":
        return value
    if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return np.array(value, dtype=h5py.string_dtype())
    array = np.asarray(value) if isinstance(value, list | tuple) else None
    return array if array is not None and array.dtype.kind in "iufcb" else str(value)
