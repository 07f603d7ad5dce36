"""Datasets by path -> CSV: a line per cell, a column per coordinate and variable, units in the header."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from usidx.format.layout import Array
from usidx.instruments.export.blocks import iterate_blocks
from usidx.instruments.export.contents import Contents
from usidx.instruments.export.portable import clean_name, make_jsonable, make_portable_attrs

__all__ = ["Table", "describe_tables", "list_tables", "write_table"]

#: Lines that are in memory at once.
_LINES: Final = 100_000

#: Variables over the same dims, which share the lines of a file.
Table = list[xr.DataArray]


def list_tables(contents: Contents) -> dict[str, Table]:
    """Return what stands side by side in a file each, by a name that is a file's."""
    tables: dict[str, Table] = {}
    for path, node in contents.leaves.items():
        by_dims: dict[tuple[Any, ...], Table] = {}
        for name in node.data_vars:
            by_dims.setdefault(node[name].dims, []).append(node[name])
        stem = ".".join(clean_name(part) for part in path.split("/") if part) or "root"
        for dims, table in by_dims.items():
            title = f"{stem}-{'-'.join(clean_name(str(d)) for d in dims) or 'scalar'}" if len(by_dims) > 1 else stem
            while title in tables:
                title += "_"
            tables[title] = table
    return tables


def write_table(path: Path, table: Table) -> None:
    """Write a table; a block of the first variable is in memory at a time, and of the others what belongs beside it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        columns = [name for array in [*_list_axes(table[0]), *table] for name in _name_columns(array)]
        pd.DataFrame(columns=columns).to_csv(file, index=False)
        for lines in _iterate_lines(table):
            lines.to_csv(file, index=False, header=False, lineterminator="\n")


def _iterate_lines(table: Table) -> Iterator[pd.DataFrame]:
    first = table[0]
    axes = _list_axes(first)
    for where, block in iterate_blocks(first.variable):
        others = [block, *(np.asarray(array.variable[where].values) for array in table[1:])]
        picked = dict(zip(first.dims, where, strict=True))
        swept = [_spread(axis, picked, first.dims) for axis in axes]
        yield from _cut_lines(block.shape, swept, others)


def _spread(axis: xr.DataArray, picked: Mapping[Any, slice], dims: tuple[Any, ...]) -> Array:
    """Return the values of a coordinate in a block, with an axis of one step where it does not depend on a dim."""
    kept = [d for d in dims if d in axis.dims]
    values = axis.variable.transpose(*kept)[tuple(picked[d] for d in kept)].values
    shape = iter(values.shape)
    return np.asarray(values).reshape([next(shape) if d in kept else 1 for d in dims])


def _cut_lines(shape: tuple[int, ...], axes: list[Array], values: list[Array]) -> Iterator[pd.DataFrame]:
    total = int(np.prod(shape, dtype=np.int64))
    for start in range(0, total, _LINES):
        cells = np.unravel_index(np.arange(start, min(start + _LINES, total)), shape) if shape else ()
        columns: list[Any] = []
        for part in axes:
            index = tuple(np.minimum(c, n - 1) for c, n in zip(cells, part.shape, strict=True))
            columns += _split(part[index])
        for part in values:
            columns += _split(np.atleast_1d(part[cells]))
        yield pd.DataFrame(dict(enumerate(columns)))


def _split(column: Array) -> list[Array]:
    return [column.real, column.imag] if column.dtype.kind == "c" else [column]


def _list_axes(array: xr.DataArray) -> list[xr.DataArray]:
    """Return the coordinates along the dims, in their order; a dim without one counts."""
    along = [array[d] for d in array.dims]
    return [*along, *(c for n, c in array.coords.items() if n not in array.dims and c.ndim)]


def _name_columns(array: xr.DataArray) -> list[str]:
    units = str(array.attrs.get("units", "")).strip()
    ending = f" [{units}]" if units else ""
    if array.dtype.kind == "c":
        return [f"{array.name} (real){ending}", f"{array.name} (imag){ending}"]
    return [f"{array.name}{ending}"]


def describe_tables(contents: Contents, tables: Mapping[str, Table], notes: Mapping[str, Any]) -> str:
    """Return what a CSV cannot say, as JSON: all attributes, the history, and coordinates of a single value."""
    described: dict[str, Any] = {**notes, "tables": {}, "groups": {}}
    for name, node in contents.nodes.items():
        if node.attrs:
            described["groups"][name] = make_portable_attrs(node.attrs)
    for title, table in tables.items():
        arrays = [*_list_axes(table[0]), *table]
        scalars = {str(n): c for n, c in table[0].coords.items() if not c.ndim}
        described["tables"][title] = {
            "columns": {", ".join(_name_columns(a)): make_portable_attrs(a.attrs) for a in arrays},
            "scalars": {n: {"value": c.values.tolist(), **make_portable_attrs(c.attrs)} for n, c in scalars.items()},
        }
    return json.dumps(make_jsonable(described), indent=1, allow_nan=False, ensure_ascii=False)
