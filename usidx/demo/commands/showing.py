"""``usidx info``, ``validate`` and ``readers``: what files hold, and what can be read."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from dataclasses import asdict
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import h5py
import xarray as xr

import usidx
from usidx.demo.commands.parser import suggest
from usidx.demo.commands.telling import color_kind, tell, tell_json
from usidx.errors import SelectionError, UsidError
from usidx.look.lineage import trace_lineage
from usidx.look.summary.facts import is_main

__all__ = ["info", "list_files", "readers", "validate"]

#: Of files that are meant to be USID, whatever became of them.
_SUFFIXES = {".h5", ".hdf5", ".hf5"}


def list_files(given: Iterable[str]) -> list[str]:
    """Return the files, those that patterns stand for in their order: not every shell knows patterns."""
    return [file for one in given for file in (sorted(glob(one)) if _is_pattern(one) else []) or [one]]


def _is_pattern(text: str) -> bool:
    return has_magic(text) and not Path(text).exists()


def info(options: Namespace) -> int:
    """Show what files hold, or one dataset or result of a file."""
    files, dataset = _find_dataset(options.file)
    if dataset is not None:
        return _show_dataset(files[0], dataset, as_json=options.json)
    if options.json:
        tell_json([_describe_file(file) for file in files])
        return 0
    for number, file in enumerate(files):
        shown = usidx.summary(_open_any(file))
        if len(files) > 1:
            tell(f"{'' if number == 0 else chr(10)}{file}")
        tell(shown)
    return 0


def _open_any(file: str) -> xr.DataTree:
    """Open a USID file, or a file of an instrument as its reader labels it."""
    is_usid = "://" in file or not Path(file).is_file() or Path(file).suffix in _SUFFIXES or h5py.is_hdf5(file)
    if is_usid:
        return usidx.open_tree(file)
    return usidx.read_instrument(file)


def _find_dataset(given: list[str]) -> tuple[list[str], str | None]:
    """Tell a dataset from a second file: it is none that exists, and no URL."""
    if len(given) == 2 and not Path(given[1]).exists() and "://" not in given[1] and not _is_pattern(given[1]):
        return given[:1], given[1]
    return list_files(given), None


def _show_dataset(file: str, name: str, *, as_json: bool) -> int:
    found = _open(file, name)
    steps = usidx.history(found)
    if as_json:
        variables = _describe_variables(found) if isinstance(found, xr.Dataset) else {}
        tell_json({"file": file, "name": name, "variables": variables, "history": list(steps)})
        return 0
    shown = next(iter(found.data_vars.values())) if len(found.data_vars) == 1 else found
    tell(usidx.summary(shown))
    tell("history:")
    tell(steps)
    return 0


def _open(file: str, name: str) -> xr.Dataset:
    """Open a result by its group, or else a main dataset, by the path or its end."""
    groups = usidx.list_results(file)
    results = [group for group in groups if group == name or group.endswith(("/" + name, "-" + name))]
    try:
        return usidx.open_result(file, name) if results else usidx.open_dataset(file, name)
    except SelectionError as err:
        known = [part for group in groups for part in (group.rpartition("/")[2], group.rpartition("-")[2])]
        known += [leaf.name or "" for leaf in usidx.open_tree(file).leaves]
        second = f" (If {name!r} is meant to be a second file: there is none.)"
        raise UsidError(f"{err}{suggest(name, known)}{second}") from err


def _describe_file(file: str) -> dict[str, Any]:
    tree = _open_any(file)
    lineage = trace_lineage(tree)
    mains = [
        {"path": node.path, "variables": _describe_variables(tree[node.path].to_dataset())}
        for node in lineage.nodes
        if node.kind == "main"
    ]
    results = [
        {
            "path": node.path,
            "verbs": node.verb.split(" → "),
            "date": node.date,
            "sources": [source for source, made in lineage.arrows if made == node.path],
        }
        for node in lineage.nodes
        if node.kind == "result"
    ]
    return {"file": file, "mains": mains, "results": results}


def _describe_variables(data: xr.Dataset) -> dict[str, Any]:
    return {str(name): _describe_array(v) for name, v in data.data_vars.items()}


def _describe_array(array: xr.DataArray) -> dict[str, Any]:
    told: dict[str, Any] = {
        "dims": dict(array.sizes),
        "dtype": str(array.dtype),
        "quantity": array.attrs.get("long_name", ""),
        "units": array.attrs.get("units", ""),
        "bytes": array.nbytes,
    }
    if is_main(array):
        told["position_dims"] = usidx.position_dims(array)
        told["spectroscopic_dims"] = usidx.spectroscopic_dims(array)
    return told


def validate(options: Namespace) -> int:
    """List the rules that files break; return 1 where one is an error."""
    checked = [(file, usidx.validate(file)) for file in list_files(options.file)]
    failed = any(problem.is_error for _, problems in checked for problem in problems)
    if options.json:
        tell_json([{"file": file, "problems": [asdict(one) for one in problems]} for file, problems in checked])
        return int(failed)
    for file, problems in checked:
        for problem in problems:
            tell(color_kind(str(problem)))
        errors = sum(problem.is_error for problem in problems)
        tell(f"{file}: {_count(errors, 'error')}, {_count(len(problems) - errors, 'warning')}")
    return int(failed)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def readers(options: Namespace) -> int:
    """List the readers of instrument files."""
    found = usidx.list_readers()
    if options.json:
        tell_json([asdict(one) for one in found])
    else:
        tell(found)
    return 0
