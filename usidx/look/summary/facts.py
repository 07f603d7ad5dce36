"""Labelled array to the facts that a scientist asks for first; reads coordinates, never data."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from usidx.label.roles import POSITION, SPECTROSCOPIC, find_role, position_dims, refuse_unlabelled, spectroscopic_dims
from usidx.look.draw.numbers import (
    find_finite_range,
    find_unit,
    make_printable,
    write_extent,
    write_label,
    write_size,
    write_unit,
    write_with_unit,
)
from usidx.look.summary.steps import tell
from usidx.results.provenance import PROVENANCE, read_steps
from usidx.results.verbs import CHANGED

__all__ = [
    "ArrayFacts",
    "Line",
    "collect_facts",
    "describe_result",
    "find_kind",
    "is_main",
    "list_outline",
    "pick_attributes",
    "write_facts",
]

# Coordinates of more values than this are not read for a summary.
_MOST_VALUES = 1_000_000
_MOST_LINES = 200
_FIRST = (
    "data_type",
    "instrument",
    "sample_name",
    "sample",
    "experiment_date",
    "project_name",
    "project_id",
    "comments",
)


@dataclass(frozen=True, slots=True)
class ArrayFacts:
    """One array in words."""

    name: str
    quantity: str
    dtype: str
    positions: tuple[str, ...]
    spectroscopic: tuple[str, ...]
    others: tuple[str, ...]
    fixed: tuple[str, ...]
    shape: str
    size: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the outline of a file: how deep, what kind of thing, its name, and what there is to say."""

    depth: int
    kind: str
    name: str
    said: str
    facts: ArrayFacts | None = None


def collect_facts(array: xr.DataArray) -> ArrayFacts:
    """Collect the facts of an array; reads coordinates, never data."""
    positions, swept = position_dims(array), spectroscopic_dims(array)
    others = tuple(str(d) for d in array.dims if d not in positions and d not in swept)
    quantity = make_printable(array.attrs.get("long_name") or "")
    unit = write_unit(find_unit(array))
    return ArrayFacts(
        make_printable("(no name)" if array.name is None else array.name),
        write_label(quantity, unit) if quantity else unit,
        str(array.dtype),
        tuple(_write_dim(array, d) for d in positions),
        tuple(_write_dim(array, d) for d in swept),
        tuple(_write_dim(array, d) for d in others),
        tuple(_write_scalars(array)),
        _write_shape(array, positions),
        _write_size(array),
    )


def _write_dim(array: xr.DataArray, dim: str) -> str:
    """Write a dim with its size and where it runs: ``X 128 (0–5 µm)``."""
    places = [c for c in _list_placing_coordinates(array, dim) if c != dim]
    spans = [f"{make_printable(c)} {s}" for c in places if (s := _write_span(array.coords[c]))] if places else []
    own = _write_span(array.coords[dim]) if dim in array.coords and not spans else ""
    said = ", ".join(spans) or own
    return f"{make_printable(dim)} {array.sizes[dim]}" + (f" ({said})" if said else "")


def _list_placing_coordinates(array: xr.DataArray, dim: str) -> list[str]:
    """Return the coordinates that place the points of a position dim without a grid."""
    return [
        str(name)
        for name, c in array.coords.items()
        if c.dims == (dim,) and name != dim and find_role(array, dim) == POSITION
    ]


def _write_span(coord: xr.DataArray) -> str:
    """Write the extent of a coordinate; nothing where it is text, a bare counter, or too large to read."""
    if coord.chunks is not None or coord.size > _MOST_VALUES or coord.dtype.kind not in "iufM" or not coord.size:
        return ""
    if coord.dtype.kind == "M":
        first, last = np.min(coord.values), np.max(coord.values)
        return f"{np.datetime_as_string(first, 's')} to {np.datetime_as_string(last, 's')}"
    found = find_finite_range(coord.values)
    counts = coord.dtype.kind in "iu" and not find_unit(coord)
    return "" if found is None or counts else write_extent(*found, find_unit(coord))


def _write_scalars(array: xr.DataArray) -> Iterator[str]:
    """Write the scalar coordinates: what was not varied."""
    for name, coord in array.coords.items():
        if coord.ndim == 0 and coord.chunks is None and coord.dtype.kind in "iufUSO":
            value = coord.values.item()
            known = isinstance(value, int | float)
            written = write_with_unit(float(value), find_unit(coord)) if known else make_printable(value, 24)
            yield f"{make_printable(name)} {written}"


def _write_shape(array: xr.DataArray, positions: tuple[str, ...]) -> str:
    """Write the dims in one go: ``128 × 128 positions (Y 0–5 µm, X 0–5 µm) × 64 Frequency (300–340 kHz)``."""
    words = [_write_count(array, str(dim)) for dim in array.dims if dim not in positions]
    if positions:
        counts = " × ".join(str(array.sizes[d]) for d in positions)
        spans = ", ".join(s for d in positions if (s := _write_position_span(array, d)))
        words.insert(0, f"{counts} positions" + (f" ({spans})" if spans else ""))
    return " × ".join(words) or "a single value"


def _write_position_span(array: xr.DataArray, dim: str) -> str:
    places = _list_placing_coordinates(array, dim) or ([dim] if dim in array.coords else [])
    return ", ".join(f"{make_printable(c)} {s}" for c in places if (s := _write_span(array.coords[c])))


def _write_count(array: xr.DataArray, dim: str) -> str:
    span = _write_span(array.coords[dim]) if dim in array.coords else ""
    return f"{array.sizes[dim]} {make_printable(dim)}" + (f" ({span})" if span else "")


def _write_size(array: xr.DataArray) -> str:
    if array.chunks is not None:
        blocks = int(np.prod([len(c) for c in array.chunks], dtype=np.int64))
        return f"{write_size(array.nbytes)}, lazy" + (f" in {blocks} blocks" if blocks > 1 else "")
    is_read = getattr(array.variable, "_in_memory", True)
    return write_size(array.nbytes) if is_read else f"{write_size(array.nbytes)}, not read"


def pick_attributes(attrs: Mapping[Any, Any], limit: int = 8) -> list[tuple[str, str]]:
    """Pick the attributes worth a glance: the well-known first, short ones only, provenance left out."""
    short = {
        str(k): make_printable(v, 60)
        for k, v in attrs.items()
        if k != PROVENANCE and isinstance(v, str | int | float | np.number) and make_printable(v)
    }
    ordered = [k for k in _FIRST if k in short] + [k for k in short if k not in _FIRST]
    return [(make_printable(k, 40), short[k]) for k in ordered[:limit]]


def list_outline(tree: xr.DataTree) -> list[Line]:
    """List what a file holds, parents first, each main dataset with its facts.

    Reads coordinates, never data. At most 200 lines; the last one says how many nodes it leaves out.
    """
    lines: list[Line] = []
    waiting: list[tuple[int, xr.DataTree]] = [(0, node) for node in _list_children(tree)]
    while waiting and len(lines) < _MOST_LINES:
        depth, node = waiting.pop()
        waiting += [(depth + 1, child) for child in _list_children(node)]
        lines += _list_node_lines(depth, node)
    if waiting:
        left = sum(1 + len(node.descendants) for _, node in waiting)
        lines.append(Line(0, "more", f"and {left} more", ""))
    return _list_extra_lines(0, tree.to_dataset(inherit=False)) + lines


def _list_children(node: xr.DataTree) -> list[xr.DataTree]:
    """Return the children by name, last first: the stack turns them round, and a source comes before its results."""
    return [node.children[name] for name in sorted(node.children, reverse=True)]


def _list_node_lines(depth: int, node: xr.DataTree) -> list[Line]:
    held = node.to_dataset()
    mains = {name: v for name, v in held.data_vars.items() if is_main(v)}
    name = make_printable(node.name or "/")
    if mains:
        return _list_main_lines(depth, name, held, mains)
    kind, said = ("result", result) if (result := describe_result(name, held.attrs)) else ("group", "")
    return [Line(depth, kind, name, said), *_list_extra_lines(depth + 1, held)]


def is_main(array: xr.DataArray) -> bool:
    """Say whether an array has a position or a spectroscopic coordinate."""
    return any(find_role(array, name) in (POSITION, SPECTROSCOPIC) for name in array.coords)


def _list_main_lines(depth: int, name: str, held: xr.Dataset, mains: dict[Hashable, xr.DataArray]) -> list[Line]:
    if len(mains) == 1:
        (array,) = mains.values()
        facts = collect_facts(array)
        return [Line(depth, "main", name, write_facts(facts, named=False), facts)]
    first = collect_facts(next(iter(mains.values())))
    fields = [_write_field(v) for v in mains.values()]
    return [
        Line(depth, "main", name, f"{len(mains)} fields, {first.shape}", None),
        *(Line(depth + 1, "field", *field) for field in fields),
    ]


def _write_field(array: xr.DataArray) -> tuple[str, str]:
    facts = collect_facts(array)
    return facts.name, "  ".join(filter(None, (facts.quantity, facts.dtype, facts.size)))


def write_facts(facts: ArrayFacts, *, named: bool = True) -> str:
    """Write the facts of an array in one line."""
    parts = (facts.name if named else "", facts.quantity, facts.dtype, facts.shape, facts.size)
    return "  ".join(filter(None, parts))


def describe_result(name: str, attrs: Mapping[Any, Any]) -> str:
    """Say what made a results group, and from what; nothing where it is no results group."""
    source, dash, rest = name.rpartition("-")
    stem, _, number = rest.rpartition("_")
    by_name = stem if dash and number.isdigit() else ""
    tool = make_printable(attrs.get("tool") or by_name)
    recorded = read_steps(xr.Dataset(attrs={PROVENANCE: attrs[PROVENANCE]})) if PROVENANCE in attrs else []
    step = next((one for one in reversed(recorded) if one["tool"] != CHANGED), None)
    if not tool and step is None:
        return ""
    told = tell(step) if step is not None else None
    call = f"{told.tool}({make_printable(told.arguments, 80)})" if told is not None and told.tool != "open" else tool
    given = make_printable(attrs.get("source_000") or "", 200).rpartition("/")[2] or (source if by_name else "")
    said = f"result of {call}" + (f" on {make_printable(given)}" if given else "")
    said += ", changed since by plain xarray" if recorded and recorded[-1]["tool"] == CHANGED else ""
    when = make_printable(attrs.get("timestamp") or "", 24)
    return said + (f", {when}" if when else "")


def _list_extra_lines(depth: int, held: xr.Dataset) -> list[Line]:
    names = [make_printable(name, 40) for name, v in held.data_vars.items() if not is_main(v)]
    if not names:
        return []
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return [Line(depth, "extra", f"{len(names)} more dataset{'s' if len(names) > 1 else ''}", shown)]


def find_kind(data: Any) -> type:
    """Return which of the three kinds of labelled objects this is."""
    kinds = (xr.DataArray, xr.Dataset, xr.DataTree)
    refuse_unlabelled(data, kinds)
    return next(kind for kind in kinds if isinstance(data, kind))
