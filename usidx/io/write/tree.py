"""A tree of labelled arrays -> one measurement with a channel each, in one pass and one transaction."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from usidx.errors import LayoutError, UsidError, UsidWarning
from usidx.format import names
from usidx.io.read.place.opened import open_file_at
from usidx.io.read.usid.attributes import read_attributes
from usidx.io.read.usid.tables import Tables
from usidx.io.write.array import Settings
from usidx.io.write.attributes import make_book_keeping, set_attributes
from usidx.io.write.blocks.store import Store, store
from usidx.io.write.groups import find_existing, find_next_number, list_numbered, log_written
from usidx.io.write.main import create_main, find_free_name
from usidx.io.write.same import are_attributes_equal, find_difference, have_equal_values, stream, wait_until_readable
from usidx.io.write.shelf import Shelf
from usidx.io.write.transaction import change_or_create
from usidx.io.write.tree_plan import NEW_MEASUREMENT, Parts, Plan, plan_tree
from usidx.tasks.progress import show_progress

__all__ = ["write_each", "write_tree"]

#: Where the groups at the root of a plan go in the file.
Tops = Mapping[str, str]

_MEASUREMENT = re.compile(rf"{names.MEASUREMENT}_\d+")
_SOURCE = re.compile(r"source_\d{3}")


def write_tree(file: Path, tree: xr.DataTree, settings: Settings) -> str:
    """Write a tree, and return the path of its first measurement.

    Parameters
    ----------
    file : Path
        There or not.
    tree : DataTree
        Leaves with dims that have roles.
    settings : Settings
        How.

    Raises
    ------
    RoleError, LayoutError
        A leaf cannot be laid out as a main dataset; the message names it.
    """
    plan = plan_tree(tree)
    with show_progress(settings.progress, [node.dataset for node in tree.subtree], "write"):
        found = _find_same(file, plan, settings.wait) if settings.reuse and file.exists() else None
        if found is not None:
            warnings.warn(
                f"{found!r} in {str(file)!r} holds this very tree already, so nothing was written. Pass reuse=False "
                f"to write it once more.",
                UsidWarning,
                stacklevel=3,
            )
            return found
        with change_or_create(file, wait=settings.wait) as changes:
            tops = _free_tops(changes.file, plan)
            pairs = _create(changes.file, plan, tops, settings)
            store(pairs, changes.check, changes.ground, progress=settings.progress)
    first = _name_first(plan, tops)
    log_written(file, first)
    return first


def write_each(tree: xr.DataTree, write_result: Callable[[xr.Dataset], str]) -> str:
    """Write each leaf of a tree by a function, and return the path of the first.

    Raises
    ------
    UsidError
        That of the first leaf that could not be computed, when all others are written; notes name them. What concerns
        the file, such as a full disk, ends the work at once.
    """
    written, failed = [], {}
    for leaf in tree.leaves:
        try:
            written.append(write_result(leaf.to_dataset()))
        except UsidError as err:
            if isinstance(err, OSError):
                raise
            failed[leaf.path] = err
    for first in failed.values():
        for path, one in failed.items():
            first.add_note(f"{path!r} could not be made: {one}" if one is not first else f"This was for {path!r}.")
        first.add_note(f"Written: {written}.")
        raise first
    return written[0]


def _name_first(plan: Plan, tops: Tops) -> str:
    return "/" + "/".join(_place_parts(plan.mains[0].group[:1], tops))


def _place_parts(parts: Parts, tops: Tops) -> Parts:
    return (tops[parts[0]], *parts[1:]) if parts else ()


def _free_tops(file: h5py.File, plan: Plan) -> dict[str, str]:
    """Give each group at the root its own name where that is free, measurements else the next free number."""
    wanted = list(plan.list_tops())
    tops = {top: top for top in wanted if top != NEW_MEASUREMENT and top not in file}
    own = [int(top.rsplit("_", 1)[1]) for top in wanted if _MEASUREMENT.fullmatch(top)]
    number = max([find_next_number(file, names.MEASUREMENT) - 1, *own]) + 1
    for top in wanted:
        if top not in tops and (top == NEW_MEASUREMENT or _MEASUREMENT.fullmatch(top)):
            tops[top] = f"{names.MEASUREMENT}_{number:03d}"
            number += 1
        elif top not in tops:
            tops[top] = find_free_name(file, top)
    return tops


def _create(file: h5py.File, plan: Plan, tops: Tops, settings: Settings) -> list[Store]:
    """Make all groups and datasets, with no data but what is small."""
    groups: dict[Parts, h5py.Group] = {(): file["/"]}
    for parts in sorted(plan.groups, key=len):
        if parts:
            place = _place_parts(parts, tops)
            groups[parts] = groups[parts[:-1]].create_group(place[-1])
    # Plain datasets come first: they keep their names, and the tables of a main find others.
    pairs = [_create_extra(groups[parts], name, extra) for parts, name, extra in plan.extras]
    shelf, made = Shelf(), {}
    for main in plan.mains:
        group = groups[main.group]
        try:
            dataset, target = create_main(
                group, main.array, find_free_name(group, main.name), shelf, storage=settings.at_once
            )
        except UsidError as err:
            raise type(err)(f"Leaf {main.node!r} of the tree: {err}") from err
        made[main.node] = dataset
        pairs.append((stream(main.array), target))
    for parts, attrs in plan.groups.items():
        _tell(groups[parts], attrs, made)
    return pairs


def _create_extra(group: h5py.Group, name: str, extra: xr.DataArray) -> Store:
    where = find_free_name(group, name.replace("/", "_"))
    if extra.dtype.kind in "OU":
        texts = np.asarray(extra.values, dtype=object)
        if not all(isinstance(text, str) for text in texts.reshape(-1)):
            raise LayoutError(f"{name!r} for the group {group.name!r} holds objects; HDF5 holds numbers and texts.")
        made = group.create_dataset(where, shape=texts.shape, dtype=h5py.string_dtype())
        data: Any = texts
    elif extra.dtype.kind in "biufcVS":
        made, data = group.create_dataset(where, shape=extra.shape, dtype=extra.dtype), stream(extra)
    else:
        raise LayoutError(f"{name!r} for the group {group.name!r} holds {extra.dtype}; HDF5 holds numbers and texts.")
    set_attributes(made, {str(k): v for k, v in extra.attrs.items()})
    return data, made


def _tell(group: h5py.Group, attrs: Mapping[str, Any], made: Mapping[str, h5py.Dataset]) -> None:
    """Set attributes, references to sources among them; what the root of a file has is kept."""
    is_root = group.name == "/"
    own = {names.TIMESTAMP, names.TIME_STAMP} & set(attrs)
    told = dict(attrs) if own or is_root else {**make_book_keeping(), **attrs}
    kept = set(group.attrs) & set(told) if is_root else set()
    if kept and not are_attributes_equal({n: told[n] for n in kept}, _select_attributes(group, kept)):
        warnings.warn(
            f"{group.file.filename!r} says something else in its attributes {sorted(kept)!r}, and keeps that; those of "
            f"the tree's root are not written.",
            UsidWarning,
            stacklevel=5,
        )
    set_attributes(group, {name: value for name, value in told.items() if name not in kept})
    for name, value in told.items():
        if _SOURCE.fullmatch(name) and isinstance(value, str) and value in made:
            group.attrs[name] = made[value].ref


def _find_same(file: Path, plan: Plan, wait: float) -> str | None:
    """Look for measurements that hold the whole tree; what costs little is compared first."""
    wait_until_readable(file, wait)
    with open_file_at(file) as held:
        alike = [tops for tops in _list_candidates(held, plan) if _is_alike(held, plan, tops)]
    for tops in alike:
        pairs = [("/" + "/".join((*_place_parts(m.group, tops), m.name)), m.array) for m in plan.mains]
        if have_equal_values(str(file), pairs):
            return _name_first(plan, tops)
    return None


def _list_candidates(file: h5py.File, plan: Plan) -> Iterator[Tops]:
    """Give where the groups of a plan may be: under their own names, or in each measurement, the newest first."""
    own = {top: top for top in plan.list_tops() if top != NEW_MEASUREMENT}
    if not own:
        yield from ({NEW_MEASUREMENT: name} for _, name in reversed(list_numbered(file, names.MEASUREMENT)))
    elif all(top in file for top in own):
        yield own


def _is_alike(file: h5py.File, plan: Plan, tops: Tops) -> bool:
    tables = Tables()
    for main in plan.mains:
        found = find_existing(file, [*_place_parts(main.group, tops), main.name])
        if not isinstance(found, h5py.Dataset) or find_difference(found, main.array, main.name, tables) is not None:
            return False
    return all(_is_told(file, _place_parts(parts, tops), attrs) for parts, attrs in plan.groups.items()) and all(
        _holds(find_existing(file, [*_place_parts(parts, tops), name.replace("/", "_")]), extra)
        for parts, name, extra in plan.extras
    )


def _is_told(file: h5py.File, parts: Sequence[str], attrs: Mapping[str, Any]) -> bool:
    """Say whether a group is there and says the same; steps are compared as text."""
    group = find_existing(file, parts)
    if not isinstance(group, h5py.Group):
        return False
    found = read_attributes(group)
    if not parts:  # whatever else the root of the file says
        found = _select_attributes(group, attrs)
    same_steps = attrs.get(names.PROVENANCE) == found.get(names.PROVENANCE)
    return same_steps and are_attributes_equal(attrs, found)


def _select_attributes(group: h5py.Group, wanted: Container[str]) -> dict[str, Any]:
    return {name: value for name, value in read_attributes(group).items() if name in wanted}


def _holds(found: h5py.Group | h5py.Dataset | None, extra: xr.DataArray) -> bool:
    """Compare a plain dataset, which is small."""
    if not isinstance(found, h5py.Dataset) or found.shape != extra.shape:
        return False
    values = np.asarray(extra.values)
    if h5py.check_string_dtype(found.dtype) is not None and found.dtype.kind == "O":
        return values.dtype.kind in "OU" and bool(np.array_equal(found.asstr()[()], values.astype(object)))
    stored = np.asarray(found[()])
    return bool(stored.dtype == values.dtype and stored.tobytes() == values.tobytes())
