"""An array, a result or a tree to the subjects that can be looked at in it; reads no data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import xarray as xr

from usidx.errors import ResultError, UsidError
from usidx.io.read.results import list_results
from usidx.io.write.origin import find_origin
from usidx.label.roles import position_dims
from usidx.look.draw.numbers import make_printable
from usidx.look.explorer.reading.subject import Subject, make_subject, open_subject
from usidx.look.summary.facts import is_main
from usidx.results.verbs import list_verb_steps

__all__ = ["list_subjects"]

Openers = dict[str, Callable[[], Subject]]


def list_subjects(
    data: xr.DataArray | xr.Dataset | xr.DataTree, source: xr.DataArray | None = None
) -> Mapping[str, Callable[[], Subject]]:
    """List what can be looked at, each with what opens it.

    Raises
    ------
    ResultError
        There is nothing.
    """
    if isinstance(data, xr.DataTree):
        return _list_of_tree(data)
    if isinstance(data, xr.DataArray):
        name = make_printable(data.name or "values", 80)
        return {name: lambda: Subject("main", xr.Dataset(), name, {name: data})}
    subject = _make_of_result(data, source)
    return {subject.title: lambda: subject}


def _make_of_result(data: xr.Dataset, source: xr.DataArray | None) -> Subject:
    try:
        subject = make_subject(data, "result", _find_file(data), source=source)
    except UsidError as err:
        raise ResultError(
            f"This Dataset has {len(data.data_vars)} variables, and none of them holds numbers over a dim."
        ) from err
    # The fields of a compound main are looked at as what was measured.
    return replace(subject, kind="main") if subject.kind == "result" and not list_verb_steps(data) else subject


def _find_file(data: xr.DataArray | xr.Dataset) -> Path | None:
    """Return the file that this process opened on the way to an object, if that is known."""
    try:
        origin = find_origin(data, None)
    except UsidError:
        return None
    return origin.file if origin.is_sealed else None


def _list_of_tree(tree: xr.DataTree) -> Openers:
    """List the mains of a tree, each followed by the results of the tree's file that lie beside it."""
    held = {node.path: node.to_dataset() for node in tree.subtree if node.data_vars}
    measured = {
        path: mains
        for path, data in held.items()
        if (mains := {str(n): v for n, v in data.data_vars.items() if is_main(v)}) and not list_verb_steps(data)
    }
    file = next((f for mains in measured.values() if (f := _find_file(next(iter(mains.values()))))), None)
    results = list_results(file) if file is not None else []
    within = [path for path in measured if not any(path.startswith(f"{group}/") for group in results)]
    openers: Openers = {}
    for path in within:
        openers[path] = partial(_make_of_main, path, measured[path], _find_others(path, within, measured))
        if file is not None:
            openers |= {g: partial(open_subject, file, g, is_result=True) for g in results if g.startswith(f"{path}-")}
    openers |= {
        path: partial(make_subject, data, path)
        for path, data in held.items()
        if list_verb_steps(data) and not any(path.startswith((f"{group}/", group)) for group in results)
    }
    if file is not None:
        openers |= {g: partial(open_subject, file, g, is_result=True) for g in results if g not in openers}
    if not openers:
        raise ResultError(f"This tree has {len(held)} nodes with data, and none of them is a main dataset or a result.")
    return openers


def _make_of_main(
    path: str, mains: dict[str, xr.DataArray], others: Mapping[str, Callable[[], xr.DataArray]]
) -> Subject:
    subject = make_subject(xr.Dataset(mains), path, is_result=False)
    return replace(subject, others=others)


def _find_others(
    path: str, paths: list[str], measured: Mapping[str, dict[str, xr.DataArray]]
) -> dict[str, Callable[[], xr.DataArray]]:
    """Find the mains of one variable that were measured at the same places."""
    mine = _list_places(measured[path])
    return {
        other: partial(_take_only, measured[other])
        for other in paths
        if other != path and len(measured[other]) == 1 and mine and _list_places(measured[other]) == mine
    }


def _take_only(mains: dict[str, xr.DataArray]) -> xr.DataArray:
    return next(iter(mains.values()))


def _list_places(mains: dict[str, xr.DataArray]) -> list[tuple[str, int]]:
    first = _take_only(mains)
    return [(dim, first.sizes[dim]) for dim in position_dims(first)]
