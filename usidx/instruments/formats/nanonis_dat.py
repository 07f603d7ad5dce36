"""Nanonis spectra -> a channel per column over the first one, which was swept.

Lines of ``key<tab>value``, ``[DATA]``, a line of titles ``Name (unit) [bwd] [filt]``, and the numbers. What was swept
back is a channel of its own: ``Current/forward``, ``Current/backward``. Where the tip stood is the position.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.format.layout import Array
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.reader import Confidence, FormatReader
from usidx.instruments.unit_texts import split_units

__all__ = ["READER"]

_DATA: Final = b"[DATA]"
#: A spectrum is a text; longer ones are none.
_LARGEST: Final = 256 << 20
_MARK = re.compile(r"\s*\[([^\]]*)\]\s*")


def _recognize(path: Path, head: bytes) -> float:
    if head.startswith(b"Experiment\t"):
        return Confidence(0.97, "begins with 'Experiment' and a tab")
    if _DATA in head and b"\t" in head:
        return Confidence(0.7, "has a line [DATA]")
    return 0.0


def _parse(path: Path) -> xr.DataTree:
    if path.stat().st_size > _LARGEST:
        raise TranslationError(f"it is larger than {_LARGEST} bytes, and no spectrum is")
    head, mark, body = path.read_bytes().partition(_DATA)
    if not mark:
        raise TranslationError("it has no line [DATA]: it is cut off, or no spectrum")
    header = _read_header(_decode(head))
    titles, _, numbers = _decode(body).lstrip("\r\n").partition("\n")
    columns = [title.strip() for title in titles.rstrip("\r").split("\t") if title.strip()]
    table = _read_numbers(numbers, len(columns))
    return build_tree(_list_channels(columns, table, header), dict(header))


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _read_header(text: str) -> dict[str, str]:
    pairs = (line.partition("\t") for line in text.splitlines())
    return {key.strip(): value.strip() for key, sign, value in pairs if sign and key.strip()}


def _read_numbers(text: str, count: int) -> Array:
    """Return the table, dims (row, column); a line that has other than `count` numbers is a fault."""
    if not text.strip() or not count:
        raise TranslationError("it has no numbers below its titles")
    try:
        table: Array = np.loadtxt(io.StringIO(text), delimiter="\t", ndmin=2, usecols=range(count))
    except ValueError as err:
        raise TranslationError(f"its table is damaged: {err}") from err
    return table


def _list_channels(columns: list[str], table: Array, header: dict[str, str]) -> Iterator[Channel]:
    swept, units, _ = _split_title(columns[0])
    axis = Axis(swept, table[:, 0].copy(), units, "spectroscopic")
    where = _find_tip(header)
    parts = [_split_title(title) for title in columns]
    turned = {name for name, _, marks in parts if "bwd" in marks}
    if len(columns) == 1:
        raise TranslationError(f"it has one column {columns[0]!r}, and nothing that was measured over it")
    for number, (name, unit, marks) in enumerate(parts[1:], 1):
        kept = "".join(f" [{mark}]" for mark in marks if mark != "bwd")
        direction = ("/backward" if "bwd" in marks else "/forward") if name in turned else ""
        title = f"{name.replace('/', '_')}{kept}{direction}"
        yield Channel(title, table[:, number].copy(), (axis,), name, unit, dict(where), {"column": columns[number]})


def _split_title(title: str) -> tuple[str, str, tuple[str, ...]]:
    marks = tuple(_MARK.findall(title))
    name, units = split_units(_MARK.sub(" ", title))
    return name, units, marks


def _find_tip(header: dict[str, str]) -> dict[str, xr.Variable]:
    found = {}
    for name in ("X", "Y"):
        text = header.get(f"{name} (m)", "")
        try:
            # Without a role: pyUSID fails on a single place that has two position dims.
            found[name] = xr.Variable((), float(text), {"units": "m", "long_name": name})
        except ValueError:
            continue
    return found if len(found) == 2 else {}


READER: Final = FormatReader("nanonis_dat", "Nanonis spectrum (.dat)", _recognize, _parse, (".dat",))
