"""Datasets of a file -> a reference store: strict JSON that says where the chunks of N-D Zarr arrays lie in the file.

References are Zarr of version 2, since that is what readers of such stores know. Arrays have no fill value wherever
every chunk is there: xarray would take each cell that equals it for a missing one.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import GridError, UsidError
from usidx.format.layout import Array
from usidx.instruments.export.boxes import Boxes, cut_contiguous, cut_side, fold_chunk
from usidx.instruments.export.contents import Contents
from usidx.instruments.export.portable import clean_name, make_jsonable, make_portable
from usidx.instruments.export.stored import Held, find_held
from usidx.io.read.chunks.cache import locate
from usidx.io.read.chunks.chunk_map import ChunkMap
from usidx.io.read.chunks.filters import DEFLATE, FLETCHER32, SHUFFLE, Filter

__all__ = ["MOST_INLINE", "make_references"]

#: Bytes of an array that stands in the JSON itself, because no chunks of a file are its own.
MOST_INLINE: Final = 16 << 20
_SMALL: Final = 1 << 20
_LEVEL: Final = 1

References = dict[str, Any]


def make_references(contents: Contents, notes: dict[str, Any]) -> References:
    """Return the store: a group per node; a single measurement, or what was named, stands at the root.

    Parameters
    ----------
    contents : Contents
        Opened with ``chunks=None``.
    notes : dict
        Attributes of the root.

    Raises
    ------
    GridError
        Chunks and lines of the grid do not agree; the message says how to write the data again.
    UsidError
        The data is stored in a way that Zarr has no word for.
    """
    references: References = {}
    if not contents.is_part or contents.alone is None:
        for name, node in contents.nodes.items():
            _add_group(references, "/".join(clean_name(part) for part in name.split("/") if part), node)
    if contents.alone is not None:
        _add_group(references, "", contents.nodes[contents.alone])
    attrs = json.loads(references.get(".zattrs", "{}"))
    references[".zattrs"] = _write_json({**attrs, **notes})
    references.setdefault(".zgroup", _write_json({"zarr_format": 2}))
    # Readers that list no folders of a store find its groups here.
    metadata = {key: json.loads(text) for key, text in references.items() if key.rsplit("/", 1)[-1].startswith(".z")}
    references[".zmetadata"] = _write_json({"zarr_consolidated_format": 1, "metadata": metadata})
    return {"version": 1, "refs": references}


def _write_json(value: Any) -> str:
    return json.dumps(make_jsonable(value), allow_nan=False)


def _add_group(references: References, path: str, data: xr.Dataset) -> None:
    prefix = f"{path}/" if path else ""
    for depth in range(path.count("/") + 1 if path else 0):
        references.setdefault("/".join(path.split("/")[: depth + 1]) + "/.zgroup", _write_json({"zarr_format": 2}))
    references[f"{prefix}.zgroup"] = _write_json({"zarr_format": 2})
    clean = make_portable(data)
    references[f"{prefix}.zattrs"] = _write_json(clean.attrs)
    for name, variable in clean.variables.items():
        beside = [str(c) for c in clean.coords if c not in clean.dims and name in clean.data_vars]
        listed = [c for c in beside if set(clean[c].dims) <= set(variable.dims)]
        told = {"coordinates": " ".join(listed)} if listed else {}
        _add_array(references, f"{prefix}{name}", variable, told)


def _add_array(references: References, path: str, variable: xr.Variable, told: dict[str, str]) -> None:
    held = find_held(variable)
    if held is None or held.stored.field is not None or 0 in variable.shape or not variable.ndim or _is_odd(held):
        dims = tuple(map(str, variable.dims))
        meta, chunks = _put_inline(path, variable)
    else:
        dims = held.dims
        meta, chunks = _refer_to(held)
    references[f"{path}/.zarray"] = _write_json(meta)
    references[f"{path}/.zattrs"] = _write_json({**variable.attrs, **told, "_ARRAY_DIMENSIONS": list(dims)})
    references.update({f"{path}/{key}": chunk for key, chunk in chunks.items()})


def _is_odd(held: Held) -> bool:
    """Whether a small dataset is stored as no reference can say; files have many, which is no reason to refuse them."""
    if prod(held.shape) * held.stored.dtype.itemsize > _SMALL:
        return False
    located = locate(held.stored.file, held.stored.dataset)
    return located is None or located.map is None


def _describe(shape: tuple[int, ...], chunk: tuple[int, ...], dtype: np.dtype[Any]) -> dict[str, Any]:
    return {
        "zarr_format": 2,
        "shape": shape,
        "chunks": tuple(max(1, n) for n in chunk),
        "dtype": dtype.str,
        "order": "C",
        "fill_value": None,
        "filters": None,
        "compressor": None,
    }


def _put_inline(path: str, variable: xr.Variable) -> tuple[dict[str, Any], References]:
    """Write an array into the JSON: coordinates, and what is computed or a field of a compound type."""
    size = variable.size * variable.dtype.itemsize
    if size > MOST_INLINE:
        raise UsidError(
            f"{path!r} is a field of a compound dataset, or computed from several, so no chunk of the file is its own, "
            f"and its {size} bytes are more than the {MOST_INLINE} that go into the JSON itself. Export to 'zarr', "
            "which copies."
        )
    values = np.asarray(variable.values)
    if values.dtype.kind in "OMm":
        values = values.astype(str)
    if values.dtype.kind == "U" and values.dtype.itemsize == 0:
        values = values.astype("U1")
    meta = _describe(values.shape, values.shape, values.dtype)
    if not values.size:
        return meta, {}
    packed = zlib.compress(values.tobytes(), _LEVEL)
    meta["compressor"] = {"id": "zlib", "level": _LEVEL}
    key = ".".join("0" for _ in values.shape) or "0"
    return meta, {key: f"base64:{base64.b64encode(packed).decode()}"}


def _refer_to(held: Held) -> tuple[dict[str, Any], References]:
    """Say where the chunks of a dataset lie."""
    located = locate(held.stored.file, held.stored.dataset)
    found = None if located is None else located.map
    if found is None:
        raise UsidError(
            f"{_name(held)} is stored in a way that a reference cannot describe: a filter other than gzip, shuffle and "
            "fletcher32, a block of the user's own before the file, or data in other files. Write it again with "
            "usidx.write(data, 'other.h5'), or export to 'zarr', which copies."
        )
    sides, pieces = _cut_chunked(held, found) if found.is_chunked else _cut_contiguous(held, found)
    chunk = tuple(n for side in sides for n in side.chunk)
    meta = _describe(held.shape, chunk, found.stored)
    meta["filters"], meta["compressor"] = _describe_filters(found.filters, found.stored.itemsize)
    if len(pieces) < prod(len(side.starts) for side in sides):
        meta["fill_value"] = _choose_fill(held, found.fill)
    url = f"file://{Path(held.stored.file.name).as_posix()}"
    return meta, {key: [url, address, size] for key, (address, size) in pieces.items()}


def _name(held: Held) -> str:
    return f"{held.stored.dataset!r} in {held.stored.file.name!r}"


def _cut_chunked(held: Held, found: ChunkMap) -> tuple[list[Boxes], dict[str, tuple[int, int]]]:
    sides = []
    for side, rows, role in zip(held.sides, found.chunk, ("rows", "columns", *("cells",) * 8), strict=False):
        chunk = fold_chunk(side.shape, rows)
        boxes = None if chunk is None else cut_side(side, chunk, rows)
        if boxes is None:
            raise GridError(_explain(held, found.chunk, role, "order" if chunk is not None else "size"))
        sides.append(boxes)
    if found.masks.any():
        raise UsidError(
            f"{_name(held)} has chunks for which a filter was left out, which a reference cannot say. Write it again "
            "with usidx.write(data, 'other.h5'), or export to 'zarr', which copies."
        )
    strides = [prod(found.grid[axis + 1 :]) for axis in range(len(found.grid))]
    places = dict(
        zip(found.numbers.tolist(), zip(found.addresses.tolist(), found.sizes.tolist(), strict=True), strict=True)
    )
    pieces = {}
    for parts in product(*(side.number() for side in sides)):
        number = sum(start // rows * n for (_, start), rows, n in zip(parts, found.chunk, strides, strict=True))
        if number in places:
            pieces[".".join(str(i) for index, _ in parts for i in index) or "0"] = places[number]
    return sides, pieces


def _cut_contiguous(held: Held, found: ChunkMap) -> tuple[list[Boxes], dict[str, tuple[int, int]]]:
    first, *others = held.sides
    if any(side.rows is not None for side in others):
        raise GridError(_explain(held, held.stored.shape, "columns", "order"))
    row = prod(found.shape[1:]) * found.stored.itemsize
    whole = [Boxes(side.shape, (1,) * len(side.shape), np.zeros(1, dtype=np.int64)) for side in others]
    boxes = cut_contiguous(first, row)
    sides = [boxes, *whole]
    if not found.numbers.size:
        return sides, {}
    size = prod(boxes.chunk) * row
    zeros = tuple(0 for side in whole for _ in side.grid)
    return sides, {
        ".".join(map(str, (*index, *zeros))) or "0": (int(found.addresses[0]) + start * row, size)
        for index, start in boxes.number()
    }


def _explain(held: Held, chunk: tuple[int, ...], role: str, reason: str) -> str:
    """Say why chunks are no boxes of the grid, and what to do."""
    side = held.sides[0 if role == "rows" else 1]
    grid = " x ".join(map(str, side.shape))
    if reason == "size":
        why = f"its chunks of {' x '.join(map(str, chunk))} cells end inside of the lines of the grid of {grid} {role}"
    else:
        why = f"its {role} lie in another order than the grid of {grid}, so that no chunk holds a box of it"
    return (
        f"{_name(held)} cannot be referred to as it lies in the file: {why}. Write it again in chunks that are boxes: "
        f"usidx.write(data, 'rechunked.h5', compression='gzip'), or chunks=(rows, columns) with whole lines, such as "
        f"chunks=({_suggest(held.sides[0])}, {_suggest(held.sides[-1], most=4096)}), and export that file."
    )


def _suggest(side: Any, most: int = 1024) -> int:
    """Return a number of rows that are whole lines, and not too many."""
    rows = 1
    for n in reversed(side.shape):
        if rows * n > most and rows > 1:
            break
        rows *= n
    return rows


def _describe_filters(filters: tuple[Filter, ...], itemsize: int) -> tuple[Any, Any]:
    """Return filters and compressor as Zarr names them; the last one is the compressor if it compresses."""
    named = [_NAMES[one.code](one.parameter, itemsize) for one in filters]
    if named and named[-1]["id"] == "zlib":
        return named[:-1] or None, named[-1]
    return named or None, None


_NAMES: Final[dict[int, Callable[[int, int], dict[str, Any]]]] = {
    DEFLATE: lambda level, itemsize: {"id": "zlib", "level": level},
    SHUFFLE: lambda size, itemsize: {"id": "shuffle", "elementsize": size or itemsize},
    FLETCHER32: lambda _, itemsize: {"id": "fletcher32"},
}


def _choose_fill(held: Held, fill: Array | None) -> Any:
    """Return what stands for chunks that were never written; Zarr has zeros there where nothing is said."""
    if fill is not None and not np.any(fill):
        return None
    if fill is not None and fill.dtype.kind == "f" and np.isnan(fill):
        return "NaN"
    raise UsidError(
        f"{_name(held)} has chunks that were never written, in place of which HDF5 shows {fill}. xarray would take "
        "that number for a missing value everywhere. Write it again with usidx.write(data, 'other.h5')."
    )
