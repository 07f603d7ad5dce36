"""Tables of numbers in text, such as CSV -> a channel per column over the first, or an image.

A line of titles ``Name (unit)``, ``Name [unit]`` or ``name in unit`` says that columns are curves over the first one.
Two columns without titles are a curve, more are an image, row by row. UTF-8, UTF-16 and UTF-32 by their marks, else
UTF-8 or Windows' code page; commas, semicolons, tabs or blanks between numbers; decimal commas where it is no comma.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass
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

_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_COMMENTS: Final = ("#", "%", "//", ";#")
#: A text is read as a whole.
_LARGEST: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class _Table:
    """How the numbers stand in a text."""

    titles: tuple[str, ...]
    first: int  # line of the first numbers
    separator: str | None  # None for blanks
    has_decimal_commas: bool
    columns: int


def _recognize(path: Path, head: bytes) -> float:
    text = _decode(head, is_whole=len(head) == path.stat().st_size)
    if text is None:
        return 0.0
    lines = text.splitlines()
    table = _find_table(lines if len(lines) < 3 else lines[:-1])  # the last one may be cut
    return Confidence(0.4, f"is a text with {table.columns} columns of numbers") if table else 0.0


def _decode(content: bytes, *, is_whole: bool = True) -> str | None:
    """Return a text; None where it is none."""
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    if encoding is None and b"\0" in content:
        return None
    text = _try_decoding(content, (encoding,) if encoding else ("utf-8", "cp1252"), is_whole)
    if text is None or any(ord(c) < 32 and c not in "\t\r\n\f" for c in text[:4096]):
        return None
    return text


def _try_decoding(content: bytes, encodings: tuple[str, ...], is_whole: bool) -> str | None:
    for encoding in encodings:
        try:
            return codecs.getincrementaldecoder(encoding)().decode(content, final=is_whole)
        except UnicodeDecodeError:
            continue
    return None


def _find_table(lines: list[str]) -> _Table | None:
    """Find how the first lines of numbers are written: two of as many numbers, one below the other."""
    for separator in ("\t", ";", ",", None):
        for commas in (False, True) if separator != "," else (False,):
            found = _find_numbers(lines, separator, commas)
            if found is not None:
                first, columns = found
                return _Table(_find_titles(lines[:first], separator, columns), first, separator, commas, columns)
    return None


def _find_numbers(lines: list[str], separator: str | None, commas: bool) -> tuple[int, int] | None:
    last = 0
    for number, line in enumerate(lines[:2000]):
        columns = _count_numbers(line, separator, commas)
        if columns and columns == last and (separator is None or columns > 1):
            return number - 1, columns
        last = columns
    return None


def _count_numbers(line: str, separator: str | None, commas: bool) -> int:
    """Return how many numbers a line is made of, 0 where there is anything else."""
    cells = [cell.strip() for cell in (line.strip().split(separator) if line.strip() else [])]
    cells = cells[:-1] if cells and not cells[-1] else cells
    try:
        return len([float(cell.replace(",", ".") if commas else cell) for cell in cells])
    except ValueError:
        return 0


def _find_titles(above: list[str], separator: str | None, columns: int) -> tuple[str, ...]:
    line = next((line for line in reversed(above) if line.strip()), "")
    for comment in _COMMENTS:
        line = line.strip().removeprefix(comment)
    titles = tuple(title.strip().strip('"') for title in line.rstrip("\r\n").split(separator))
    return titles if len(titles) == columns and all(titles) else ()


def _parse(path: Path) -> xr.DataTree:
    if path.stat().st_size > _LARGEST:
        raise TranslationError(f"it is a text of more than {_LARGEST} bytes")
    text = _decode(path.read_bytes())
    lines = text.splitlines() if text is not None else []
    table = _find_table(lines)
    if table is None:
        raise TranslationError("it is no text with columns of numbers")
    numbers = _read_numbers(lines[table.first :], table)
    header = "\n".join(lines[: table.first - bool(table.titles)]).strip()
    return build_tree(_list_channels(path.stem, numbers, table), {"header": header} if header else {})


def _read_numbers(lines: list[str], table: _Table) -> Array:
    """Return the table, dims (row, column); a line that has other than so many numbers is a fault."""
    body = "\n".join(lines)
    if table.has_decimal_commas:
        body = body.replace(",", ".")
    try:
        numbers: Array = np.loadtxt(io.StringIO(body), delimiter=table.separator, ndmin=2, usecols=range(table.columns))
    except ValueError as err:
        raise TranslationError(f"its table is damaged: {err}") from err
    return numbers


def _list_channels(stem: str, numbers: Array, table: _Table) -> Iterator[Channel]:
    if table.columns == 1:
        axis = Axis("sample", np.arange(len(numbers)), "", "spectroscopic")
        name, units = split_units(table.titles[0]) if table.titles else (stem, "")
        yield Channel(name.replace("/", "_"), numbers[:, 0].copy(), (axis,), name, units)
    elif table.columns > 2 and not table.titles:
        rows, columns = numbers.shape
        axes = Axis("Y", np.arange(rows), "", "position"), Axis("X", np.arange(columns), "", "position")
        yield Channel(stem, numbers, axes)
    else:
        titles = table.titles or ("x", stem)
        name, units = split_units(titles[0])
        axis = Axis(name, numbers[:, 0].copy(), units, "spectroscopic")
        for number, title in enumerate(titles[1:], 1):
            name, units = split_units(title)
            yield Channel(name.replace("/", "_"), numbers[:, number].copy(), (axis,), name, units)


READER: Final = FormatReader(
    "text_table", "table of numbers in text (.csv, .txt)", _recognize, _parse, (".csv", ".tsv")
)
