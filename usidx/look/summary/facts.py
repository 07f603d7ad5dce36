"""Labelled array to the facts that a scientist asks for first; reads coordinates, never data."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from usidx.label.roles import POSITION, SPECTROSCOPIC, position_dims, refuse_unlabelled, role_of, spectroscopic_dims
from usidx.look.draw.numbers import extent, finite_range, label, plain, pretty, size, unit_of, with_unit
from usidx.look.summary.steps import tell
from usidx.results.provenance import PROVENANCE, last_step

__all__ = ["ArrayFacts", "Line", "array_facts", "attributes", "is_main", "kind_of", "outline", "words"]

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


def array_facts(array: xr.DataArray) -> ArrayFacts:
    """Collect the facts of an array; reads coordinates, never data."""
    positions, swept = position_dims(array), spectroscopic_dims(array)
    others = tuple(str(d) for d in array.dims if d not in positions and d not in swept)
    quantity = plain(array.attrs.get("long_name") or "")
    unit = pretty(unit_of(array))
    return ArrayFacts(
        plain("(no name)" if array.name is None else array.name),
        label(quantity, unit) if quantity else unit,
        str(array.dtype),
        tuple(_along(array, d) for d in positions),
        tuple(_along(array, d) for d in swept),
        tuple(_along(array, d) for d in others),
        tuple(_fixed(array)),
        _shape(array, positions),
        _size(array),
    )


def _along(array: xr.DataArray, dim: str) -> str:
    """Write a dim with its size and where it runs: ``X 128 (0–5 µm)``."""
    places = [c for c in _placing(array, dim) if c != dim]
    spans = [f"{plain(c)} {s}" for c in places if (s := _span(array.coords[c]))] if places else []
    own = _span(array.coords[dim]) if dim in array.coords and not spans else ""
    said = ", ".join(spans) or own
    return f"{plain(dim)} {array.sizes[dim]}" + (f" ({said})" if said else "")


def _placing(array: xr.DataArray, dim: str) -> list[str]:
    """Return the coordinates that place the points of a position dim without a grid."""
    return [
        str(name)
        for name, c in array.coords.items()
        if c.dims == (dim,) and name != dim and role_of(array, dim) == POSITION
    ]


def _span(coord: xr.DataArray) -> str:
    """Write the extent of a coordinate; nothing where it is text, a bare counter, or too large to read."""
    if coord.chunks is not None or coord.size > _MOST_VALUES or coord.dtype.kind not in "iufM" or not coord.size:
        return ""
    if coord.dtype.kind == "M":
        first, last = np.min(coord.values), np.max(coord.values)
        return f"{np.datetime_as_string(first, 's')} to {np.datetime_as_string(last, 's')}"
    found = finite_range(coord.values)
    counts = coord.dtype.kind in "iu" and not unit_of(coord)
    return "" if found is None or counts else extent(*found, unit_of(coord))


def _fixed(array: xr.DataArray) -> Iterator[str]:
    """Write the scalar coordinates: what was not varied."""
    for name, coord in array.coords.items():
        if coord.ndim == 0 and coord.chunks is None and coord.dtype.kind in "iufUSO":
            value = coord.values.item()
            known = isinstance(value, int | float)
            yield f"{plain(name)} {with_unit(float(value), unit_of(coord)) if known else plain(value, 24)}"


def _shape(array: xr.DataArray, positions: tuple[str, ...]) -> str:
    """Write the dims in one go: ``128 × 128 positions (Y 0–5 µm, X 0–5 µm) × 64 Frequency (300–340 kHz)``."""
    words = [_counted(array, str(dim)) for dim in array.dims if dim not in positions]
    if positions:
        counts = " × ".join(str(array.sizes[d]) for d in positions)
        spans = ", ".join(s for d in positions if (s := _position_span(array, d)))
        words.insert(0, f"{counts} positions" + (f" ({spans})" if spans else ""))
    return " × ".join(words) or "a single value"


def _position_span(array: xr.DataArray, dim: str) -> str:
    places = _placing(array, dim) or ([dim] if dim in array.coords else [])
    return ", ".join(f"{plain(c)} {s}" for c in places if (s := _span(array.coords[c])))


def _counted(array: xr.DataArray, dim: str) -> str:
    span = _span(array.coords[dim]) if dim in array.coords else ""
    return f"{array.sizes[dim]} {plain(dim)}" + (f" ({span})" if span else "")


def _size(array: xr.DataArray) -> str:
    if array.chunks is not None:
        blocks = int(np.prod([len(c) for c in array.chunks], dtype=np.int64))
        return f"{size(array.nbytes)}, lazy" + (f" in {blocks} blocks" if blocks > 1 else "")
    is_read = getattr(array.variable, "_in_memory", True)
    return size(array.nbytes) if is_read else f"{size(array.nbytes)}, not read"


def attributes(attrs: Mapping[Any, Any], limit: int = 8) -> list[tuple[str, str]]:
    """Pick the attributes worth a glance: the well-known first, short ones only, provenance left out."""
    short = {
        str(k): plain(v, 60)
        for k, v in attrs.items()
        if k != PROVENANCE and isinstance(v, str | int | float | np.number) and plain(v)
    }
    ordered = [k for k in _FIRST if k in short] + [k for k in short if k not in _FIRST]
    return [(plain(k, 40), short[k]) for k in ordered[:limit]]


def outline(tree: xr.DataTree) -> list[Line]:
    """List what a file holds, parents first, each main dataset with its facts.

    Reads coordinates, never data. At most 200 lines; the last one says how many nodes it leaves out.
    """
    lines: list[Line] = []
    waiting: list[tuple[int, xr.DataTree]] = [(0, node) for node in _children(tree)]
    while waiting and len(lines) < _MOST_LINES:
        depth, node = waiting.pop()
        waiting += [(depth + 1, child) for child in _children(node)]
        lines += _node(depth, node)
    if waiting:
        left = sum(1 + len(node.descendants) for _, node in waiting)
        lines.append(Line(0, "more", f"and {left} more", ""))
    return _extras(0, tree.to_dataset(inherit=False)) + lines


def _children(node: xr.DataTree) -> list[xr.DataTree]:
    """Return the children by name, last first: the stack turns them round, and a source comes before its results."""
    return [node.children[name] for name in sorted(node.children, reverse=True)]


def _node(depth: int, node: xr.DataTree) -> list[Line]:
    held = node.to_dataset()
    mains = {name: v for name, v in held.data_vars.items() if is_main(v)}
    name = plain(node.name or "/")
    if mains:
        return _main(depth, name, held, mains)
    kind, said = ("result", result) if (result := _result(name, held.attrs)) else ("group", "")
    return [Line(depth, kind, name, said), *_extras(depth + 1, held)]


def is_main(array: xr.DataArray) -> bool:
    """Say whether an array has a position or a spectroscopic coordinate."""
    return any(role_of(array, name) in (POSITION, SPECTROSCOPIC) for name in array.coords)


def _main(depth: int, name: str, held: xr.Dataset, mains: dict[Hashable, xr.DataArray]) -> list[Line]:
    if len(mains) == 1:
        (array,) = mains.values()
        facts = array_facts(array)
        return [Line(depth, "main", name, words(facts, named=False), facts)]
    first = array_facts(next(iter(mains.values())))
    fields = [_field(v) for v in mains.values()]
    return [
        Line(depth, "main", name, f"{len(mains)} fields, {first.shape}", None),
        *(Line(depth + 1, "field", *field) for field in fields),
    ]


def _field(array: xr.DataArray) -> tuple[str, str]:
    facts = array_facts(array)
    return facts.name, "  ".join(filter(None, (facts.quantity, facts.dtype, facts.size)))


def words(facts: ArrayFacts, *, named: bool = True) -> str:
    """Write the facts of an array in one line."""
    parts = (facts.name if named else "", facts.quantity, facts.dtype, facts.shape, facts.size)
    return "  ".join(filter(None, parts))


def _result(name: str, attrs: Mapping[Any, Any]) -> str:
    """Say what made a results group, and from what; nothing where it is no results group."""
    source, dash, rest = name.rpartition("-")
    stem, _, number = rest.rpartition("_")
    by_name = stem if dash and number.isdigit() else ""
    tool = plain(attrs.get("tool") or by_name)
    step = last_step(xr.Dataset(attrs={PROVENANCE: attrs[PROVENANCE]})) if PROVENANCE in attrs else None
    if not tool and step is None:
        return ""
    told = tell(step) if step is not None else None
    call = f"{told.tool}({plain(told.arguments, 80)})" if told is not None and told.tool != "open" else tool
    given = plain(attrs.get("source_000") or "", 200).rpartition("/")[2] or (source if by_name else "")
    said = f"result of {call}" + (f" on {plain(given)}" if given else "")
    when = plain(attrs.get("timestamp") or "", 24)
    return said + (f", {when}" if when else "")


def _extras(depth: int, held: xr.Dataset) -> list[Line]:
    names = [plain(name, 40) for name, v in held.data_vars.items() if not is_main(v)]
    if not names:
        return []
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return [Line(depth, "extra", f"{len(names)} more dataset{'s' if len(names) > 1 else ''}", shown)]


def kind_of(data: Any) -> type:
    """Return which of the three kinds of labelled objects this is."""
    kinds = (xr.DataArray, xr.Dataset, xr.DataTree)
    refuse_unlabelled(data, kinds)
    return next(kind for kind in kinds if isinstance(data, kind))
