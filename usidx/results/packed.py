"""Arrays of some size <-> short texts, as records of calls hold masks, weights and shifts."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["pack_array", "unpack_array"]

Array = npt.NDArray[Any]
#: Bytes that are looked at, and characters that they may come to: each step after the call carries them on.
_MOST_BYTES: Final = 1 << 18
_MOST_TEXT: Final = 1 << 16
_KINDS: Final = "biufc"


def pack_array(values: Array) -> str | None:
    """Return the cells as a text, None where that would be long; eight flags take a byte, and all is deflated."""
    size = -(-values.size // 8) if values.dtype == bool else values.nbytes
    if values.dtype.kind not in _KINDS or size > _MOST_BYTES:
        return None
    flat = np.ascontiguousarray(values).ravel()
    held = np.packbits(flat) if values.dtype == bool else flat.astype(values.dtype.newbyteorder("<"), copy=False)
    text = base64.b64encode(zlib.compress(held.tobytes())).decode("ascii")
    return text if len(text) <= _MOST_TEXT else None


def unpack_array(text: str, dtype: str, shape: Sequence[int]) -> Array:
    """Return the array of a text; no more is inflated than the shape asks for.

    Raises
    ------
    ValueError
        The text is not what :func:`pack_array` makes of such an array.
    """
    kind, count = np.dtype(dtype), math.prod(shape)
    size = -(-count // 8) if kind.kind == "b" else count * kind.itemsize
    if kind.kind not in _KINDS or min(shape, default=0) < 0 or not 0 <= size <= _MOST_BYTES:
        raise ValueError(f"{dtype} of shape {list(shape)} is not packed")
    try:
        held = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
    except (zlib.error, binascii.Error) as err:
        raise ValueError(f"its text is damaged ({err})") from err
    if len(held) != size:
        raise ValueError(f"its text holds {len(held)} bytes instead of {size}")
    if kind.kind == "b":
        return np.unpackbits(np.frombuffer(held, np.uint8), count=count).astype(bool).reshape(shape)
    return np.frombuffer(held, kind.newbyteorder("<")).astype(kind.newbyteorder("=")).reshape(shape)
