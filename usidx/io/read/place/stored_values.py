"""An attribute as it is stored -> what h5py makes of it, for the types that most attributes have.

h5py makes seven objects to read one attribute, and a main dataset has six and its tables eight.
"""

from __future__ import annotations

from math import prod
from struct import error, unpack_from
from typing import Any

import h5py
import numpy as np

from usidx.io.read.place.heap import POINTER, VARIABLE, Proven, StoredAttribute, shape_in
from usidx.io.read.place.identity import Identity

__all__ = ["object_referred_to", "text_in"]

# Kinds of types, as "HDF5 File Format Specification" numbers them (section IV.A.2.d).
_STRING, _REFERENCE = 3, 7
# What is added to a text that is too short: HDF5 takes one null to end it, or any number of them.
_NULLS = frozenset({0, 1})


def text_in(proven: Proven) -> Any:
    """Return the texts of an attribute as h5py does; None where it has none, or is of an uncommon type."""
    attribute = proven.attribute
    try:
        shape = shape_in(attribute.shape)
        if shape is None or not attribute.kind:
            return None
        kind = attribute.kind[0] & 15
        if kind == _STRING:
            return _fixed(attribute, shape)
        return _variable(proven, shape) if kind == VARIABLE and attribute.kind[1] & 15 == 1 else None
    except (error, IndexError, ValueError):
        return None


def _fixed(attribute: StoredAttribute, shape: tuple[int, ...]) -> Any:
    (size,) = unpack_from("<I", attribute.kind, 4)
    stored = attribute.data[: size * prod(shape)]
    if attribute.kind[1] & 15 not in _NULLS or not stored or len(stored) < size * prod(shape):
        return None
    texts = np.frombuffer(stored, f"S{size}")
    if any(b"\0" in text for text in texts.tolist()):  # HDF5 makes nulls of what follows, NumPy does not
        return None
    return texts[0] if shape == () else texts.reshape(shape).copy()


def _variable(proven: Proven, shape: tuple[int, ...]) -> Any:
    (size,) = unpack_from("<I", proven.attribute.kind, 12)
    if size != 1:
        return None
    stored = proven.held.texts(proven.attribute.data[: POINTER * prod(shape)])
    texts = [text.decode("utf-8", "surrogateescape") for text in stored]
    return texts[0] if shape == () else np.array(texts, h5py.string_dtype()).reshape(shape)


def object_referred_to(proven: Proven) -> Identity | None:
    """Return which object an attribute refers to, None where it is no single reference to an object."""
    kind, stored = proven.attribute.kind, proven.attribute.data
    try:
        is_object = kind[0] & 15 == _REFERENCE and kind[1] & 15 == 0 and unpack_from("<I", kind, 4) == (8,)
        shape = shape_in(proven.attribute.shape)
        if not is_object or shape is None or prod(shape) != 1:
            return None
        return proven.file, unpack_from("<Q", stored)[0]
    except (error, IndexError):
        return None
