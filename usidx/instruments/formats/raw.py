"""Bare numbers with a header in a file beside them -> a lazy array.

``scan.raw`` (or ``.bin``, ``.dat``) and ``scan.json``: ``shape``, ``dtype`` as NumPy writes it (``"<u2"``), and, where
they are known, ``offset``, ``name``, ``quantity``, ``units`` and ``axes``: for each dim ``name``, ``role``, ``scale``,
``start`` and ``units``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.instruments.axis_roles import UNNAMED
from usidx.instruments.channel import Axis, build_tree
from usidx.instruments.file_array import lay_out
from usidx.instruments.formats.npy import label_unnamed
from usidx.instruments.reader import Confidence, FormatReader

__all__ = ["READER"]

_ENDINGS: Final = {".raw", ".bin", ".dat"}
_LARGEST_HEADER: Final = 1 << 20


def _recognize(path: Path, head: bytes) -> float:
    try:
        _read_header(path)
    except (OSError, TranslationError):
        return 0.0
    return Confidence(0.9, f"{path.with_suffix('.json').name!r} beside it tells its shape and type")


def _read_header(path: Path) -> dict[str, Any]:
    beside = path.with_suffix(".json")
    if path.suffix.lower() not in _ENDINGS or not beside.is_file():
        raise TranslationError(f"there is no {beside.name!r} beside it that tells shape and type")
    with beside.open("rb") as file:
        text = file.read(_LARGEST_HEADER)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise TranslationError(f"{beside.name!r} is no JSON: {err}") from err
    if not isinstance(header, dict) or not {"shape", "dtype"} <= set(header):
        raise TranslationError(f"{beside.name!r} does not tell shape and dtype")
    return header


def _parse(path: Path) -> xr.DataTree:
    header = _read_header(path)
    shape = tuple(int(n) for n in header["shape"])
    dtype = np.dtype(str(header["dtype"]))
    if dtype.kind not in "biufc":
        raise TranslationError(f"its dtype is {dtype}, which is no number")
    data = lay_out(path, "raw", shape, dtype, offset=int(header.get("offset", 0)))
    channel = label_unnamed(str(header.get("name", path.stem)), data)
    if "axes" in header:
        channel.axes = _make_axes(header["axes"], shape)
    channel.quantity, channel.units = str(header.get("quantity", "")), str(header.get("units", ""))
    told = {k: v for k, v in header.items() if isinstance(v, str | int | float)}
    return build_tree([channel], told)


def _make_axes(told: Any, shape: tuple[int, ...]) -> tuple[Axis, ...]:
    if not isinstance(told, list) or len(told) != len(shape) or not all(isinstance(one, dict) for one in told):
        raise TranslationError(f"its axes do not tell of the {len(shape)} dims of the shape {shape}")
    return tuple(_make_axis(number, one, size) for number, (one, size) in enumerate(zip(told, shape, strict=True)))


def _make_axis(number: int, told: dict[str, Any], size: int) -> Axis:
    role = told.get("role", "unknown")
    if role not in {"position", "spectroscopic", "unknown"}:
        raise TranslationError(f"its axis {number} has the role {role!r}; there are position and spectroscopic")
    values = float(told.get("start", 0)) + np.arange(size) * float(told.get("scale", 1))
    return Axis(str(told.get("name", UNNAMED.format(number))), values, str(told.get("units", "")), role)


READER: Final = FormatReader("raw", "numbers with a header beside them (.raw + .json)", _recognize, _parse, (".raw",))
