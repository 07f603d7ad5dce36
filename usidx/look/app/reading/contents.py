"""A file to the list of what can be looked at in it: mains, and results beside their sources."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import xarray as xr

from usidx.io.read.open import open_tree
from usidx.io.read.results import list_results
from usidx.label.roles import position_dims
from usidx.look.app.reading.remote import File
from usidx.look.draw.numbers import make_printable
from usidx.look.summary.facts import collect_facts, describe_result, is_main

__all__ = ["Entry", "list_entries", "write_entries"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to look at.

    Attributes
    ----------
    path : str
        In the file.
    kind : {"main", "result"}
        What it is.
    said : str
        A line about it.
    depth : int
        Results are listed below their source.
    places : tuple of (dim, size)
        Of a main: where it was measured.
    """

    path: str
    kind: str
    said: str
    depth: int = 0
    places: tuple[tuple[str, int], ...] = ()


def list_entries(file: File) -> list[Entry]:
    """List the mains and results of a file; reads no data.

    Raises
    ------
    UsidError
        It cannot be read.
    """
    tree = open_tree(file, chunks=None)
    groups = list_results(file)
    mains = [node for node in tree.subtree if any(is_main(v) for v in node.to_dataset().data_vars.values())]
    measured = [node for node in mains if not any(node.path.startswith(f"{group}/") for group in groups)]
    left = {group: _describe_group(tree, group) for group in groups}
    found: list[Entry] = []
    for node in measured:
        held = node.to_dataset()
        found.append(Entry(node.path, "main", _describe_main(held), 0, _list_places(held)))
        found += _take_results(node.path, left, 1)
    return found + [Entry(group, "result", said) for group, said in left.items()]


def _list_places(held: xr.Dataset) -> tuple[tuple[str, int], ...]:
    """Return the position dims of a main with their sizes; none of several fields, which one would have to choose."""
    if len(held.data_vars) != 1:
        return ()
    main = next(iter(held.data_vars.values()))
    return tuple((dim, main.sizes[dim]) for dim in position_dims(main))


def _take_results(source: str, left: dict[str, str], depth: int) -> list[Entry]:
    """Move the results of a source, and their own, out of those that are left."""
    taken: list[Entry] = []
    mine = [group for group in left if group.startswith(f"{source}-") or _is_made_of(group, source)]
    for group in mine:
        if group in left:
            taken.append(Entry(group, "result", left.pop(group), depth))
            taken += _take_results(group, left, depth + 1)
    return taken


def _is_made_of(group: str, source: str) -> bool:
    """Say whether a result lies inside another one, as a cluster of scores does."""
    return group.startswith(f"{source}/")


def _describe_group(tree: xr.DataTree, group: str) -> str:
    try:
        return describe_result(group.rsplit("/", 1)[-1], tree[group].attrs)
    except KeyError:
        return "result"


def _describe_main(held: xr.Dataset) -> str:
    mains = [v for v in held.data_vars.values() if is_main(v)]
    facts = collect_facts(mains[0])
    first = facts.quantity if len(mains) == 1 else f"{len(mains)} fields"
    return "  ".join(filter(None, (first, facts.shape, facts.size)))


def write_entries(name: str, entries: list[Entry], chosen: str) -> str:
    """Write the tree of a file as HTML; every name is escaped."""
    common = _find_common_group([e.path for e in entries])
    rows = "".join(_write_entry(name, e, e.path == chosen, common) for e in entries)
    return rows or '<p class="faint">Nothing in this file can be shown.</p>'


def _find_common_group(paths: list[str]) -> str:
    parts = [p.split("/")[:-1] for p in paths]
    shared: list[str] = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return "/".join(shared) + "/"


def _write_entry(name: str, entry: Entry, is_chosen: bool, common: str) -> str:
    short = entry.path.removeprefix(common)
    if entry.depth:
        short = entry.path.rsplit("/", 1)[-1].rpartition("-")[2]
    return (
        f'<button class="entry {entry.kind}{" chosen" if is_chosen else ""}" style="--depth:{min(entry.depth, 6)}" '
        f'data-usidx="open" data-file="{escape(name)}" data-at="{escape(entry.path)}" title="{escape(entry.path)}">'
        f"<b>{escape(make_printable(short, 80))}</b><small>{escape(make_printable(entry.said, 120))}</small></button>"
    )
