"""Values that neither HDF5 nor JSON has a type for -> JSON that says what they were, and back.

What JSON has is kept as it is. Anything else becomes an object with the key ``@type``, of which nothing is executed or
believed: what does not fit comes back as the JSON it is.
"""

from __future__ import annotations

import base64
import math
import warnings
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

import numpy as np

from usidx.errors import UsidError, UsidWarning
from usidx.format.layout import Array
from usidx.format.shielded import shield, unshield

__all__ = ["pack", "pack_attribute", "unpack", "unpack_attributes"]

_TYPE: Final = "@type"
#: Longer arrays of numbers are kept as bytes in base64, which is shorter and faster than digits.
_IN_DIGITS: Final = 256
#: Bytes that an array of texts may take: in memory each is as long as the longest.
_LARGEST_TEXTS: Final = 64 << 20


def pack(value: Any) -> Any:
    """Return what JSON holds of a value.

    Raises
    ------
    UsidError
        It is of a type that cannot be restored; the message names the type.
    """
    if value is None or isinstance(value, bool) or type(value) in {str, int}:
        return value
    for kind, way in _WAYS.items():
        if isinstance(value, kind):
            return way(value)
    raise UsidError(f"a {type(value).__name__} is none of the values that attributes hold")


def pack_attribute(value: Any, name: str) -> Any:
    """Return what JSON holds of an attribute; where nothing can, the text that it prints as, with a warning."""
    try:
        return pack(value)
    except (UsidError, RecursionError) as err:
        warnings.warn(
            f"Attribute {name!r} holds a {type(value).__name__}, which no file keeps as it is ({err}). It is written, "
            "and comes back, as text.",
            UsidWarning,
            stacklevel=5,
        )
        return str(value)


def _pack_float(value: float) -> Any:
    return float(value) if math.isfinite(value) else {_TYPE: "float", "value": repr(float(value))}


def _pack_mapping(value: Mapping[Any, Any]) -> Any:
    if all(isinstance(key, str) for key in value) and _TYPE not in value:
        return {unshield(key): pack(one) for key, one in value.items()}
    return {_TYPE: "dict", "items": [[pack(key), pack(one)] for key, one in value.items()]}


def _pack_array(value: Array) -> Any:
    kind, shape = value.dtype.kind, list(value.shape)
    if np.ma.is_masked(value):
        raise UsidError("an array with masked cells is none of the values that attributes hold")
    if kind == "U" or (kind == "O" and all(isinstance(one, str) for one in value.reshape(-1))):
        return {_TYPE: "texts", "shape": shape, "values": [str(one) for one in value.reshape(-1)]}
    if kind not in "biufcSMm" or (value.dtype.itemsize > 16 and kind != "S"):
        raise UsidError(f"an array of {value.dtype} is none of the values that attributes hold")
    packed = {_TYPE: "array", "dtype": value.dtype.newbyteorder("<").str, "shape": shape}
    if value.size <= _IN_DIGITS and (kind in "iu" or (value.dtype == np.float64 and np.isfinite(value).all())):
        return {**packed, "values": value.reshape(-1).tolist()}
    stored = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
    return {**packed, "bytes": base64.b64encode(stored.tobytes()).decode()}


def _pack_scalar(value: np.generic) -> Any:
    if isinstance(value, np.bool_):
        return bool(value)
    return _pack_array(np.asarray(value))


_WAYS: Final[dict[type | tuple[type, ...], Callable[[Any], Any]]] = {
    np.str_: str,
    np.bytes_: lambda value: {_TYPE: "bytes", "value": base64.b64encode(value).decode()},
    np.generic: _pack_scalar,
    str: unshield,
    int: int,
    float: _pack_float,
    complex: lambda value: {_TYPE: "complex", "value": [pack(value.real), pack(value.imag)]},
    (bytes, bytearray): lambda value: {_TYPE: "bytes", "value": base64.b64encode(value).decode()},
    datetime: lambda value: {_TYPE: "datetime", "value": value.isoformat()},
    date: lambda value: {_TYPE: "date", "value": value.isoformat()},
    tuple: lambda value: {_TYPE: "tuple", "values": [pack(one) for one in value]},
    list: lambda value: [pack(one) for one in value],
    np.ndarray: _pack_array,
    Mapping: _pack_mapping,
}


def unpack(packed: Any) -> Any:
    """Return the value that was packed; what says something that cannot be is returned as it is."""
    if isinstance(packed, list):
        return [unpack(one) for one in packed]
    if not isinstance(packed, dict):
        return packed
    way = _WAYS_BACK.get(str(packed[_TYPE])) if _TYPE in packed else None
    if way is None:
        return {key: unpack(one) for key, one in packed.items()}
    try:
        return way(packed)
    except (KeyError, TypeError, ValueError, OverflowError):
        return packed


def _unpack_array(packed: Mapping[str, Any]) -> Any:
    dtype = np.dtype(str(packed["dtype"]))
    if dtype.kind not in "biufcSMm":
        raise ValueError("no array is packed so")
    if "bytes" in packed:
        flat = np.frombuffer(base64.b64decode(packed["bytes"]), dtype).copy()
    elif dtype.kind in "iuf" and isinstance(packed["values"], list):
        flat = np.array(packed["values"], dtype)
    else:
        raise ValueError("no array is packed so")
    array = flat.reshape([int(n) for n in packed["shape"]])
    array = array.astype(dtype.newbyteorder("="), copy=False)
    return array if array.ndim else array[()]


def _unpack_texts(packed: Mapping[str, Any]) -> Any:
    texts = [str(one) for one in packed["values"]]
    if 4 * max(map(len, texts), default=1) * len(texts) > _LARGEST_TEXTS:
        return texts
    return np.array(texts, dtype=None if texts else "U1").reshape([int(n) for n in packed["shape"]])


def _unpack_dict(packed: Mapping[str, Any]) -> Any:
    return {unpack(key): unpack(one) for key, one in packed["items"]}


_WAYS_BACK: Final[dict[str, Callable[[Mapping[str, Any]], Any]]] = {
    "float": lambda packed: float(str(packed["value"])),
    "complex": lambda packed: complex(*(float(unpack(part)) for part in packed["value"])),
    "bytes": lambda packed: base64.b64decode(packed["value"]),
    "datetime": lambda packed: datetime.fromisoformat(packed["value"]),
    "date": lambda packed: date.fromisoformat(packed["value"]),
    "tuple": lambda packed: tuple(unpack(one) for one in packed["values"]),
    "dict": _unpack_dict,
    "array": _unpack_array,
    "texts": _unpack_texts,
}


def unpack_attributes(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes that became JSON as they were, safe to show."""
    found = {shield(str(name)): unpack(value) for name, value in recorded.items()}
    return {name: shield(value) if isinstance(value, str) else value for name, value in found.items()}
