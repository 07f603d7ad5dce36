"""Labelled array, result or file to a summary in plain text."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import xarray as xr

from usidx.label.quantities import store_units
from usidx.look.draw.numbers import make_printable, write_size
from usidx.look.summary.facts import (
    ArrayFacts,
    collect_facts,
    find_kind,
    is_main,
    list_outline,
    pick_attributes,
    write_facts,
)
from usidx.look.summary.steps import tell
from usidx.results.provenance import read_steps
from usidx.results.verbs import CHANGED

__all__ = ["list_array_rows", "list_dataset_rows", "summary", "write_dataset_head", "write_tree_head"]

_INDENT = "  "


def summary(data: xr.DataArray | xr.Dataset | xr.DataTree) -> str:
    """Summarise an array, a result or a file as text for a terminal.

    Nothing is computed: coordinates are looked at, data is not.

    Parameters
    ----------
    data : DataArray, Dataset or DataTree
        Any dims.

    Returns
    -------
    str
        Lines without a final line break; every name is made printable and bounded in length.

    Raises
    ------
    RoleError
        This is no labelled object.

    Examples
    --------
    >>> from usidx.simulate import band_excitation
    >>> scan, truth = band_excitation((16, 16), 32)
    >>> print(summary(scan))
    Raw_Data  Cantilever deflection (V)  complex64  65.5 kB
      positions      Y 16 (0–5 µm), X 16 (0–5 µm)
      spectroscopic  Frequency 32 (300–340 kHz)
      steps          simulate.band_excitation
    """
    data = store_units(data)
    return "\n".join(_LINES[find_kind(data)](data))


def _write_array_lines(array: xr.DataArray) -> list[str]:
    facts = collect_facts(array)
    head = "  ".join(filter(None, (facts.name, facts.quantity, facts.dtype, facts.size)))
    return [head, *_align(list_array_rows(array, facts))]


def list_array_rows(array: xr.DataArray, facts: ArrayFacts) -> list[tuple[str, str]]:
    """Return what there is to say of an array beyond its head, key by key."""
    rows = [
        ("positions", ", ".join(facts.positions)),
        ("spectroscopic", ", ".join(facts.spectroscopic)),
        ("dims" if not (facts.positions or facts.spectroscopic) else "other dims", ", ".join(facts.others)),
        ("at", ", ".join(facts.fixed)),
        ("steps", ", then ".join(_write_call(step) for step in read_steps(array))),
    ]
    return [(key, value) for key, value in rows if value]


def _write_call(step: dict[str, Any]) -> str:
    """Write a step short: the file of an opening by its name alone, arguments where they are few."""
    if step["tool"] == "open":
        return f"open {make_printable(PurePath(str(step.get('file', ''))).name)}"
    told = tell(step)
    return f"{told.tool}({told.arguments})" if 0 < len(told.arguments) <= 60 else told.tool


def _align(rows: list[tuple[str, str]]) -> list[str]:
    width = max((len(key) for key, _ in rows), default=0)
    return [f"{_INDENT}{key:<{width}}  {value}" for key, value in rows]


def _write_dataset_lines(data: xr.Dataset) -> list[str]:
    rows = [(f.name, write_facts(f, named=False)) for f in map(collect_facts, data.data_vars.values())]
    return [write_dataset_head(data), *_align(rows), *_align(list_dataset_rows(data))]


def write_dataset_head(data: xr.Dataset) -> str:
    """Write what a Dataset is: the result of its last step, or so many variables."""
    recorded = read_steps(data)
    count = f"{len(data.data_vars)} variable{'' if len(data.data_vars) == 1 else 's'}, {write_size(data.nbytes)}"
    if not recorded or recorded[-1]["tool"] == "open":
        return f"Dataset  {count}"
    made, since = recorded[-1], ""
    if made["tool"] == CHANGED and len(recorded) > 1:
        made, since = recorded[-2], ", changed since by plain xarray"
    told = tell(made)
    source = made.get("input")
    name = make_printable(source.get("name") or "") if isinstance(source, dict) else ""
    call = f"{told.tool}({make_printable(told.arguments, 100)})"
    return f"Result of {call}" + (f" on {name}" if name else "") + f"{since}  {count}"


def list_dataset_rows(data: xr.Dataset) -> list[tuple[str, str]]:
    """Return what else there is to say of a Dataset: its steps and its attributes."""
    recorded = [("steps", ", then ".join(_write_call(step) for step in read_steps(data)))]
    return [(key, value) for key, value in [*recorded, *pick_attributes(data.attrs)] if value]


def _write_tree_lines(tree: xr.DataTree) -> list[str]:
    listed = [
        f"{_INDENT * (line.depth + 1)}{line.name}" + (f"  {line.said}" if line.said else "")
        for line in list_outline(tree)
    ]
    return [write_tree_head(tree), *_align(pick_attributes(tree.attrs)), *listed]


def write_tree_head(tree: xr.DataTree) -> str:
    """Write the name of the file and how much is in it."""
    source = tree.encoding.get("source") if isinstance(tree.encoding, dict) else None
    name = make_printable(PurePath(str(source)).name) if source else make_printable(tree.name or "tree")
    mains = [v for node in tree.subtree for v in node.to_dataset(inherit=False).data_vars.values() if is_main(v)]
    holders = sum(any(map(is_main, node.to_dataset(inherit=False).data_vars.values())) for node in tree.subtree)
    return f"{name}  {holders} main dataset{'' if holders == 1 else 's'}, {write_size(sum(v.nbytes for v in mains))}"


_LINES: dict[type, Any] = {
    xr.DataArray: _write_array_lines,
    xr.Dataset: _write_dataset_lines,
    xr.DataTree: _write_tree_lines,
}
