"""Open file to a graph of what was made of what: mains, their results, and results of these."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr

from usidx.look.draw.numbers import make_printable
from usidx.look.summary.facts import collect_facts, is_main
from usidx.results.provenance import PROVENANCE, Step, parse_steps
from usidx.results.verbs import CHANGED

__all__ = ["Lineage", "Node", "trace_lineage"]

_BOX, _GAPS = (230, 62), (60, 16)
_MARGIN = 4
#: More boxes than these are no picture.
_MOST = 200


@dataclass(frozen=True, slots=True)
class Node:
    """One box: a main dataset or a result, what made it and when; texts come from the file."""

    path: str
    name: str
    kind: str
    verb: str
    date: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """Boxes that are laid out from left to right, sources before what was made of them, and the lines between."""

    nodes: tuple[Node, ...]
    edges: tuple[str, ...]
    arrows: tuple[tuple[str, str], ...]
    width: int
    height: int
    box: tuple[int, int] = _BOX


@dataclass(frozen=True, slots=True)
class _Made:
    """What a group or a dataset says of itself."""

    path: str
    kind: str
    verbs: tuple[str, ...]
    stamp: str
    sources: tuple[str, ...]


def trace_lineage(tree: xr.DataTree) -> Lineage:
    """Trace what was made of what in a file; reads attributes, never data.

    What a result was made of is taken from its recorded steps, and else from the references that other programs write.

    Parameters
    ----------
    tree : DataTree
        Of :func:`usidx.open_tree`.

    Returns
    -------
    Lineage
        At most 200 boxes.

    Examples
    --------
    >>> import usidx
    >>> path = usidx.example_file()
    >>> group = usidx.open_main(path).usid.svd(2).usid.write()
    >>> [(node.name, node.verb) for node in trace_lineage(usidx.open_tree(path)).nodes]
    [('Raw_Data', '12 × 10 positions ...'), ('Raw_Data-SVD_000', 'svd')]
    """
    found = _collect(tree)
    known = {one.path for one in found}
    parents = {one.path: _find_known(one, known) for one in found}
    columns = {path: _find_column(path, parents) for path in parents}
    rows = _choose_rows(parents, columns)
    made = {one.path: one for one in found}
    nodes = tuple(
        _place(one, _tell_verbs(one, [made[path] for path in parents[one.path]]), columns[one.path], rows[one.path])
        for one in found
    )
    placed = {node.path: node for node in nodes}
    arrows = tuple((source, path) for path, sources in parents.items() for source in sources)
    edges = tuple(_draw_edge(placed[source], placed[path]) for source, path in arrows)
    width = max((node.x for node in nodes), default=0) + _BOX[0] + _MARGIN
    height = max((node.y for node in nodes), default=0) + _BOX[1] + _MARGIN
    return Lineage(nodes, edges, arrows, width, height)


def _collect(tree: xr.DataTree) -> list[_Made]:
    """Collect results, and mains that lie in none."""
    results = [made for node in tree.subtree if (made := _read_result(node)) is not None]
    inside = tuple(f"{one.path}/" for one in results)
    mains = [
        _Made(node.path, "main", (_describe_main(node),), "", ())
        for node in tree.subtree
        if not node.path.startswith(inside) and any(is_main(v) for v in node.data_vars.values())
    ]
    return sorted([*mains, *results], key=lambda one: (one.stamp, one.path))[:_MOST]


def _describe_main(node: xr.DataTree) -> str:
    return collect_facts(next(v for v in node.data_vars.values() if is_main(v))).shape


def _read_result(node: xr.DataTree) -> _Made | None:
    attrs, name = node.attrs, node.path.rpartition("/")[2]  # the root is called as its file, and has no name here
    if "tool" not in attrs and not ("-" in name and node.children):
        return None
    recorded = parse_steps(text) if isinstance(text := attrs.get(PROVENANCE), str) else []
    verbs = [step["tool"] for step in _take_last(recorded) if step["tool"] != CHANGED]
    called = verbs or [str(attrs.get("tool") or name.rpartition("-")[2])]
    stamp = make_printable(attrs.get("timestamp") or attrs.get("time_stamp") or "", 24)
    return _Made(node.path, "result", tuple(called), stamp, _list_sources(node, recorded))


def _take_last(recorded: list[Step]) -> list[Step]:
    """Take the steps since a file was opened last."""
    opened = [number for number, step in enumerate(recorded) if step["tool"] == "open"]
    return recorded[opened[-1] + 1 :] if opened else recorded


def _list_sources(node: xr.DataTree, recorded: list[Step]) -> tuple[str, ...]:
    """List what a result was made of, as the most exact of its records says."""
    digests = _read_names(node.attrs.get("usidx_source_digests"))
    opened = [step["dataset"] for step in recorded if step["tool"] == "open" and isinstance(step.get("dataset"), str)]
    referred = [str(v) for k, v in node.attrs.items() if str(k).startswith("source_") and str(k)[7:].isdigit()]
    parent, _, name = node.path.rpartition("/")
    by_name = [f"{parent}/{name.rpartition('-')[0]}"] if "-" in name else []
    return tuple(digests or opened[-1:] or referred or by_name)


def _read_names(text: Any) -> list[str]:
    try:
        held = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return []
    return [str(name) for name in held] if isinstance(held, dict) else []


def _write_date(stamp: str) -> str:
    """Write the time stamp of old and new programs alike, ``2026-11-30 03:45``."""
    return f"{stamp[:10].replace('_', '-')} {stamp[11:16].replace('_', ':')}".strip()


def _find_known(made: _Made, known: set[str]) -> tuple[str, ...]:
    """Find the box of each source: its own, or that of the result that holds it."""
    holders = [box for source in made.sources for box in (source, source.rpartition("/")[0])]
    return tuple(dict.fromkeys(box for box in holders if box in known and box != made.path))


def _find_column(path: str, parents: Mapping[str, tuple[str, ...]]) -> int:
    """Count how many steps lie before; a file may claim a circle, which is cut."""
    seen, level, front = {path}, 0, {path}
    while front := {p for one in front for p in parents[one] if p not in seen}:
        seen |= front
        level += 1
    return level


def _choose_rows(parents: Mapping[str, tuple[str, ...]], columns: Mapping[str, int]) -> dict[str, int]:
    """Put what was made of one thing beneath one another, and the first of it level with its source."""
    rows: dict[str, int] = {}
    taken: dict[int, int] = {}

    def put(path: str, least: int) -> None:
        if path in rows:
            return
        row = max(least, taken.get(columns[path], 0))
        rows[path] = row
        taken[columns[path]] = row + 1
        for child in [one for one, sources in parents.items() if path in sources]:
            put(child, row)

    for path in sorted(parents, key=lambda one: columns[one]):
        put(path, max(taken.values(), default=0) if not columns[path] else 0)
    return rows


def _tell_verbs(made: _Made, sources: list[_Made]) -> str:
    """Write the verbs since the source, whose own come first in the record of what was made of it."""
    own = made.verbs
    for source in sources:
        if len(source.verbs) < len(own) and own[: len(source.verbs)] == source.verbs:
            own = own[len(source.verbs) :]
    return make_printable(" → ".join(own), 100)


def _place(made: _Made, verb: str, column: int, row: int) -> Node:
    name = made.path.rpartition("/")[2]
    x, y = column * (_BOX[0] + _GAPS[0]) + _MARGIN, row * (_BOX[1] + _GAPS[1]) + _MARGIN
    return Node(made.path, name, made.kind, verb, _write_date(made.stamp), x, y)


def _draw_edge(source: Node, target: Node) -> str:
    x0, y0, x1, y1 = source.x + _BOX[0], source.y + _BOX[1] // 2, target.x, target.y + _BOX[1] // 2
    middle = (x0 + x1) // 2
    return f"M {x0} {y0} C {middle} {y0} {middle} {y1} {x1} {y1}"
