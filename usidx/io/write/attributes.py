"""Python values -> HDF5 attributes that the old tools can read, and that come back as what they were."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final

import h5py
import numpy as np

from usidx.errors import UsidError
from usidx.format import names
from usidx.format.packing import pack_attribute
from usidx.format.shielded import unshield
from usidx.io.read.usid.attributes import (
    AS_ARRAY,
    AS_BYTES,
    AS_JSON,
    AS_LIST,
    AS_NONE,
    AS_TUPLE,
    LONGEST_TEXT,
    read_json,
)
from usidx.results.provenance import parse_steps, remove_seals
from usidx.version import usidx_version

__all__ = ["convert_value", "make_book_keeping", "set_attributes", "set_json", "tell_recipe", "write_recipe"]

#: Bytes that fit in the header of an object beside the rest; texts lie in a heap, where there is room for more.
_LARGEST_ARRAY: Final = 60_000
# Of texts the header holds 16 bytes each, which say where the text is.
_MOST_TEXTS: Final = _LARGEST_ARRAY // 16
_WHOLE_NUMBERS: Final = range(-(2**63), 2**64)
_recipe: ContextVar[str] = ContextVar("_recipe", default="")


def make_book_keeping() -> dict[str, str]:
    """Return the attributes that say who wrote an object and when."""
    return {
        names.TIMESTAMP: datetime.now().strftime("%Y_%m_%d-%H_%M_%S"),
        names.MACHINE: platform.node(),
        names.PLATFORM: platform.platform(),
        names.USIDX_VERSION: usidx_version(),
    }


@contextmanager
def write_recipe(text: str) -> Iterator[None]:
    """Store the text of a recipe in each results group that is made meanwhile, in the same transaction."""
    before = _recipe.set(text)
    try:
        yield
    finally:
        _recipe.reset(before)


def tell_recipe() -> dict[str, str]:
    """Return the attribute with the recipe that results are made by, if there is one."""
    text = _recipe.get()
    return {names.RECIPE: text} if text else {}


def set_attributes(object_: h5py.Group | h5py.Dataset, values: Mapping[str, Any]) -> None:
    """Set attributes; of what HDF5 has no type for, a mark in one more attribute says what it was.

    Raises
    ------
    UsidError
        A name or a value cannot be an attribute; the message names it.
    """
    marks = {}
    for name, value in values.items():
        stored, mark = (_remove_seals(value), None) if name == names.PROVENANCE else convert_value(value, name)
        _set_one(object_, name, stored)
        if mark is not None:
            marks[name] = mark
    if marks:
        set_json(object_, names.ATTRIBUTE_TYPES, {**read_json(object_, names.ATTRIBUTE_TYPES), **marks})


def _set_one(object_: h5py.Group | h5py.Dataset, name: str, stored: Any) -> None:
    if not name or "\0" in name or not _is_plain(name):
        raise UsidError(
            f"An attribute is called {name!r}; HDF5 takes names of at least one character, in UTF-8 and without a "
            "null. Rename it."
        )
    if isinstance(stored, str) and len(stored) > LONGEST_TEXT // 4 and len(stored.encode()) > LONGEST_TEXT:
        raise UsidError(
            f"Attribute {name!r} is {len(stored)} characters long, and usidx reads no more than {LONGEST_TEXT} bytes "
            "of a text. Shorten it, or store it as a dataset."
        )
    try:
        object_.attrs[unshield(name)] = stored
    except (OSError, RuntimeError, TypeError, ValueError) as err:
        raise UsidError(
            f"Attribute {name!r} with a {type(stored).__name__} cannot be stored ({err}). Make it a number, a text or "
            "a short array, or leave it out."
        ) from err


def _remove_seals(text: Any) -> Any:
    """Return recorded steps as files keep them: that this process opened something is nobody else's business."""
    recorded = parse_steps(text) if isinstance(text, str) else []
    return json.dumps(remove_seals(recorded)) if recorded else convert_value(text, names.PROVENANCE)[0]


def set_json(object_: h5py.Group | h5py.Dataset, name: str, value: Mapping[str, Any]) -> None:
    """Keep a mapping as JSON in one attribute; left out where it is empty."""
    if value:
        _set_one(object_, name, json.dumps(value))


def convert_value(value: Any, name: str = "") -> tuple[Any, str | None]:
    """Return what is stored of the value of an attribute, and what tells its type where HDF5 does not.

    What no form can hold is kept as the text that it prints as, with a warning that names the attribute.
    """
    for kind, way in _WAYS.items():
        if isinstance(value, kind):
            found = way(value)
            if found is not None:
                return found
            break
    return json.dumps(pack_attribute(value, name)), AS_JSON


def _is_plain(text: str) -> bool:
    """Say whether HDF5 keeps a text as it is: without nulls, which end it there, and of characters that UTF-8 has."""
    return "\0" not in text and not any("\ud800" <= one <= "\udfff" for one in text)


def _convert_text(value: str) -> tuple[Any, str | None] | None:
    return (unshield(value), None) if _is_plain(value) else None


def _convert_whole_number(value: int) -> tuple[Any, str | None] | None:
    return (value, None) if value in _WHOLE_NUMBERS else None


def _convert_bytes(value: bytes) -> tuple[Any, str | None] | None:
    fits = 0 < len(value) <= _LARGEST_ARRAY and b"\0" not in value
    return (np.bytes_(value), AS_BYTES) if fits else None


def _convert_number(value: np.generic) -> tuple[Any, str | None] | None:
    return (value, None) if value.dtype.kind in "iufcb" else None


def _convert_array(value: np.ndarray[Any, Any]) -> tuple[Any, str | None] | None:
    if np.ma.is_masked(value):
        return None
    if value.dtype.kind in "iufcb":
        return (value, None) if value.nbytes <= _LARGEST_ARRAY else None
    if value.dtype.kind not in "OU" or not value.size:
        return None
    return (value.astype(h5py.string_dtype()), AS_ARRAY) if _are_texts(value.reshape(-1).tolist()) else None


def _are_texts(listed: list[Any] | tuple[Any, ...]) -> bool:
    is_short = 0 < len(listed) <= _MOST_TEXTS
    return is_short and all(isinstance(one, str) and _is_plain(one) for one in listed)


def _convert_list(value: list[Any] | tuple[Any, ...]) -> tuple[Any, str | None] | None:
    """Return texts, and numbers of one type, as arrays; of anything else no other program makes sense either."""
    mark = AS_LIST if isinstance(value, list) else AS_TUPLE
    if _are_texts(value):
        return np.array(value, dtype=h5py.string_dtype()), None if mark == AS_LIST else mark
    if not value or not all(isinstance(one, bool | int | float | complex | list) for one in value):
        return None
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # ragged
        return None
    is_kept = array.dtype.kind in "iufcb" and array.nbytes <= _LARGEST_ARRAY and _is_same(array.tolist(), list(value))
    return (array, mark) if is_kept else None


def _is_same(one: Any, other: Any) -> bool:
    """Say whether nested lists hold the same numbers of the same types."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return type(one) is type(other) and (one == other or one != one)


_WAYS: Final[dict[type | tuple[type, ...], Callable[[Any], tuple[Any, str | None] | None]]] = {
    type(None): lambda value: ("None", AS_NONE),
    (bool, np.bool_): lambda value: (np.bool_(value), None),
    str: _convert_text,
    int: _convert_whole_number,
    bytes: _convert_bytes,
    np.generic: _convert_number,
    (float, complex): lambda value: (value, None),
    np.ndarray: _convert_array,
    (list, tuple): _convert_list,
}
