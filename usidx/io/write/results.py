"""A result or a labelled array -> the file it came from, or another; one pass over the data whatever its size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import xarray as xr
from dask import is_dask_collection

from usidx.errors import ResultError, UsidError
from usidx.format import names
from usidx.io.read.place.opened import open_file_at
from usidx.io.read.place.place import find_local_path
from usidx.io.write.array import Settings, write_array
from usidx.io.write.attributes import make_book_keeping, set_attributes, set_json, tell_recipe
from usidx.io.write.blocks.storage import Storage
from usidx.io.write.blocks.store import Store, choose_waiting_time, store
from usidx.io.write.checkpoint import mark_finished, mark_unfinished, runs_per_position, store_in_batches
from usidx.io.write.groups import log_written, name_next_group
from usidx.io.write.main import create_main, find_free_name, make_safe_name, make_target
from usidx.io.write.origin import Origin, find_origin, find_origin_dataset, is_same_file, part_made_of
from usidx.io.write.reuse import Earlier, Work, digest_sources, find_earlier, say_resumed
from usidx.io.write.shelf import Shelf
from usidx.io.write.transaction import change_or_create
from usidx.io.write.tree import write_each, write_tree
from usidx.label.quantities import store_units
from usidx.label.roles import check_any_roles
from usidx.results.identity import describe_changes, find_place_of_opened, identify
from usidx.results.provenance import PROVENANCE, Step, read_steps, remove_seals, usidx_version
from usidx.results.schema import Entry, to_stored
from usidx.results.verbs import CHANGED, describe_input, list_verb_steps
from usidx.tasks.evidence import UnprovenError
from usidx.tasks.progress import name_step, show_progress

__all__ = ["write"]


def write(
    data: xr.DataArray | xr.Dataset | xr.DataTree,
    path: str | PathLike[str] | None = None,
    *,
    name: str | None = None,
    group: str | None = None,
    compression: str | int | None = None,
    chunks: tuple[int, int] | None = None,
    reuse: bool = True,
    progress: bool = True,
    wait: float | None = None,
) -> str:
    """Write a labelled array as a main dataset, a tree of them as a measurement, or a result as a results group.

    Computes: lazy data is computed block by block, all variables in one pass, and each block goes straight to the
    file. What exists is never changed: new groups get the next free number. An interrupted write leaves the file as
    it was, but for lazy results that are computed position by position (fits, :func:`usidx.map_positions`): they are
    committed in batches, and the same call goes on where it stopped.

    Parameters
    ----------
    data : DataArray, Dataset or DataTree
        A DataTree becomes a measurement with a channel for each leaf. A tree that has the paths of a file
        (``Measurement_NNN/Channel_NNN/name``) keeps them where they are free, and its results; measurements get the
        next free number elsewhere. Results of :func:`usidx.map_mains` go without a path, each beside its source.
        Attributes of nodes go to the groups, arrays without roles beside the main ones become plain datasets. A Dataset
        becomes the group ``<source>-<tool>_NNN``, as does a DataArray that is written without a path. A DataArray with
        a path becomes a main dataset. It gets a channel of its own: in the newest measurement, where its positions are
        those of the last channel there and no channel has its name, else in a new ``Measurement_NNN/Channel_000``. Dims
        need roles; see :func:`usidx.set_roles`.
    path : path, optional
        A file, new or not. By default the file that the data came from.
    name : str, optional
        For a DataArray the name of the dataset, for a Dataset that of the tool. By default the array's own name, or
        that of the verb that made the result.
    group : str, optional
        For a DataArray the group in which it becomes a main dataset, such as ``"Measurement_000/Channel_001"``; made
        where it is not there.
    compression : "gzip" or int, optional
        Shuffle and deflate main datasets, with the filters of HDF5 that every program reads, in several threads:
        "gzip" at the fastest level, an int from 0 to 9 at that level. By default they are contiguous and as they are.
    chunks : tuple of int, optional
        (rows, columns) of the HDF5 chunks of main datasets: how many positions by how many spectroscopic steps. By
        default, where there is compression, about 256 x 256, which serves both one spectrum and one image.
    reuse : bool, default True
        Return the group that the same call on the same source made before, if there is one, without computing again;
        go on with it where it is not finished. For a DataArray with a path return the main dataset of its name that
        holds the very same, if there is one, with a `UsidWarning`: dims, coordinates, type, attributes and history are
        compared, then every cell, block by block.
    progress : bool, default True
        Show a progress bar for work that takes more than a moment, or iterations and what they gain.
    wait : float, optional
        Seconds to wait while another program has the file locked; by default 2, and 30 where workers of a cluster read.

    Returns
    -------
    str
        HDF5 path of the group, of the main dataset, or of the first measurement or result of a tree.

    Raises
    ------
    ResultError
        No path is given and the data does not come from a file.
    UsidError
        Compression, chunks or group are not as above.
    ExistsError
        The group holds something else under that name.
    RoleError, LayoutError
        A variable cannot be laid out as a main dataset.
    LockedError
        Another program has the file open, and not even waiting helped; the message names it.
    WriteError
        The disk is full or failed; the file is as it was.

    References
    ----------
    USID, https://pycroscopy.github.io/USID/h5_usid.html

    Examples
    --------
    >>> import usidx
    >>> raw = usidx.open_main(usidx.example_file())
    >>> usidx.write(raw.usid.svd(4))
    '/Measurement_000/Channel_000/Raw_Data-SVD_000'
    """
    data = store_units(data)
    settings = Settings(
        Storage.parse(compression, chunks), reuse, progress, choose_waiting_time() if wait is None else wait
    )
    if isinstance(data, xr.DataTree):
        return _write_whole(data, path, name, group, settings)
    if group is not None:
        return _write_to_group(data, path, name, group, settings)
    target = _Target.of(data, path, name, settings)
    if target.is_plain:
        assert isinstance(data, xr.DataArray)
        return write_array(target.file, data, target.name, None, settings)
    recorded = _make_history(data)
    return _write_result(target, _as_result(data, name), name, recorded, reuse=reuse, progress=progress)


def _write_whole(
    tree: xr.DataTree, path: str | PathLike[str] | None, name: str | None, group: str | None, settings: Settings
) -> str:
    if name is not None or group is not None:
        raise UsidError("name= and group= are for arrays and results; in a tree the paths of its nodes decide.")
    if path is not None:
        return write_tree(find_local_path(path), tree, settings)
    if not all(list_verb_steps(leaf.to_dataset()) for leaf in tree.leaves):
        raise ResultError("A tree may come from many files. Name the one to write it to: write(tree, path).")

    def write_result(result: xr.Dataset) -> str:
        recorded, target = _make_history(result), _Target.of(result, None, None, settings)
        return _write_result(target, result, None, recorded, reuse=settings.reuse, progress=settings.progress)

    return write_each(tree, write_result)


def _write_to_group(
    data: xr.DataArray | xr.Dataset, path: str | PathLike[str] | None, name: str | None, group: str, settings: Settings
) -> str:
    if not isinstance(data, xr.DataArray):
        raise UsidError(
            f"group={group!r} is for a DataArray; a result gets a group beside its source, called <source>-<tool>_NNN. "
            f"Leave group out, or write one variable: dataset['name'].usid.write(path, group=...)."
        )
    main = make_safe_name(name or str(data.name or names.RAW_DATA))
    return write_array(find_origin(data, path).file, data, main, group, settings)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where something is to be written.

    Attributes
    ----------
    origin : Origin
        Where it is from, and the file that it goes into.
    is_plain : bool
        Whether it becomes a main dataset of its own instead of a results group.
    name : str
        Of that main dataset.
    storage : Storage
        Compression and chunks.
    wait : float
        Seconds to wait for the file.
    """

    origin: Origin
    is_plain: bool
    name: str
    storage: Storage
    wait: float

    @classmethod
    def of(
        cls,
        data: xr.DataArray | xr.Dataset,
        path: str | PathLike[str] | None,
        name: str | None,
        settings: Settings,
    ) -> _Target:
        origin = find_origin(data, path)
        is_result = origin.is_own and bool(list_verb_steps(data))
        is_plain = isinstance(data, xr.DataArray) and path is not None and not is_result
        main = make_safe_name(name or str((isinstance(data, xr.DataArray) and data.name) or names.RAW_DATA))
        return cls(origin, is_plain, main, settings.storage, settings.wait)

    @property
    def file(self) -> Path:
        """The HDF5 file, there or not."""
        return self.origin.file

    def open_for_changes(self) -> Any:
        """Open the file for changes, or make it."""
        return change_or_create(self.file, wait=self.wait)


def _as_result(data: xr.DataArray | xr.Dataset, name: str | None) -> xr.Dataset:
    if isinstance(data, xr.Dataset):
        return data if list_verb_steps(data) else check_any_roles(data)
    own = make_safe_name(name or str(data.name or "Data"))
    result = data.rename(own).to_dataset()
    return result.assign_attrs({PROVENANCE: data.attrs[PROVENANCE]} if PROVENANCE in data.attrs else {})


def _write_result(
    target: _Target, result: xr.Dataset, name: str | None, recorded: list[Step], *, reuse: bool, progress: bool
) -> str:
    if reuse and (opened := _find_opened_group(target, result)) is not None:
        return opened
    work = _describe_work(target, result, name, recorded)
    earlier = _look_for_earlier(target, work, result) if reuse else None
    if earlier is not None and earlier.done == earlier.size:
        return earlier.path
    # What lies in memory beside the data, such as the axis that was fitted along, is stored with the group.
    lasting = [e for e in work.stored.entries if e.is_main or is_dask_collection(e.data.data)]
    if not (target.origin.is_own and runs_per_position(lasting)):
        return _write_at_once(target, work, result, progress=progress)
    if earlier is not None:
        say_resumed(earlier)
        path = earlier.path
    else:
        path = _begin(target, work, result, lasting)
    store_in_batches(
        target.file,
        path,
        lasting,
        lambda group: [make_target(group[e.name], e.data) for e in lasting],
        progress=progress,
        wait=target.wait,
    )
    return path


def _find_opened_group(target: _Target, result: xr.Dataset) -> str | None:
    """Return the group that a result was opened from, if nothing was done to it since and it goes back there."""
    opened = find_place_of_opened(result)
    if opened is None or not is_same_file(opened[0], target.file):
        return None
    with open_file_at(target.file) as file:
        return opened[1] if isinstance(file.get(opened[1]), h5py.Group) else None


def _describe_work(target: _Target, result: xr.Dataset, name: str | None, recorded: list[Step]) -> Work:
    """Say what is to be written, as it can be found again; nothing is computed."""
    stored = to_stored(result)
    tool = make_safe_name(name or stored.tool)
    identity: str | None = None
    sources: tuple[str, ...] = ()
    is_direct = False
    try:
        found = identify(result, recorded, tool)
    except UnprovenError:
        pass
    else:
        sources = tuple(sorted({s.dataset for s in found.sources}))
        is_direct = found.is_direct
        is_whole = all(is_same_file(str(s.file.name), target.file) for s in found.sources)
        identity = found.digest if is_whole and list_verb_steps(result) else None
    return Work(tool, identity, sources, is_direct, recorded, stored)


def _make_history(result: xr.DataArray | xr.Dataset) -> list[Step]:
    """Return the steps to store: those of the verbs, and one for what plain xarray did after the last of them."""
    recorded = remove_seals(read_steps(result))
    if not recorded or (changes := describe_changes(result)) == "nothing":
        return recorded
    described = {**describe_input(result), "since_last_step": changes}
    return [*recorded, {"tool": CHANGED, "version": usidx_version(), "parameters": {}, "input": described}]


def _begin(target: _Target, work: Work, result: xr.Dataset, lasting: Sequence[Entry]) -> str:
    """Make the group with nothing done yet, but for what is small."""
    with target.open_for_changes() as changes:
        group, pairs = _create_group(changes.file, target, work, result, per_position=True)
        of = dict(zip((e.name for e in work.stored.entries), pairs, strict=True))
        mark_unfinished(group, of[lasting[0].name][1].dataset.shape[0])
        later = {e.name for e in lasting}
        store([pair for name, pair in of.items() if name not in later], changes.check)
        return str(group.name)


def _write_at_once(target: _Target, work: Work, result: xr.Dataset, *, progress: bool) -> str:
    with show_progress(progress, [result], name_step([result], "write")), target.open_for_changes() as changes:
        at_once = replace(target, storage=replace(target.storage, at_once=True))
        group, pairs = _create_group(changes.file, at_once, work, result, per_position=False)
        path = str(group.name)
        mark_finished(group)
        store(pairs, changes.check, changes.ground, progress=progress)
    log_written(target.file, path)
    return path


def _look_for_earlier(target: _Target, work: Work, result: xr.Dataset) -> Earlier | None:
    """Look for the same work before any is done, and without keeping others from the file."""
    if work.identity is None or not target.origin.is_own or not target.file.exists():
        return None
    with open_file_at(target.file) as file:
        main = _find_main(file, target, work, result)
        if main is None:
            return None
        stem = make_safe_name(str(main.name).rsplit("/", 1)[-1])
        return find_earlier(main.parent, stem, main, work)


def _find_main(file: h5py.File, target: _Target, work: Work, result: xr.Dataset) -> h5py.Dataset | None:
    """Return the main dataset that a result is of, where it is one of this file."""
    found = find_origin_dataset(file, target.origin, result)
    return found if found is None else part_made_of(found, work.stored.source, work.recorded) or found


def _create_group(
    file: h5py.File, target: _Target, work: Work, result: xr.Dataset, *, per_position: bool
) -> tuple[h5py.Group, Sequence[Store]]:
    """Make the results group beside its source, with all its datasets but no data."""
    main = _find_main(file, target, work, result)
    shelf = Shelf()
    if main is not None:
        shelf.add_main(main)
    parent, stem = _find_place_of_group(file, target.origin, main)
    group = parent.create_group(name_next_group(parent, f"{stem}-{work.tool}"))
    set_attributes(group, {**work.stored.parameters, **make_book_keeping(), **tell_recipe()})
    set_attributes(group, {names.TOOL: work.tool, names.ALGORITHM: work.stored.algorithm})
    _credit_sources(group, target.origin, main)
    if work.recorded:
        set_attributes(group, {PROVENANCE: json.dumps(work.recorded)})
    digests = digest_sources(file, work, per_position=per_position)
    if digests is not None:
        set_attributes(group, {names.IDENTITY: work.identity})
        set_json(group, names.SOURCE_DIGESTS, digests)
    set_json(group, names.RESULT_HINTS, work.stored.hints)
    return group, [_create(group, entry, shelf, target.storage) for entry in work.stored.entries]


def _find_place_of_group(file: h5py.File, origin: Origin, main: h5py.Dataset | None) -> tuple[h5py.Group, str]:
    """Return the group that a results group goes into, and how its name begins."""
    if main is not None:
        return main.parent, make_safe_name(str(main.name).rsplit("/", 1)[-1])
    named = origin.named[1] if origin.named is not None else "Data"
    held = file.get(named) if origin.is_own else None
    stem = make_safe_name(named.rsplit("/", 1)[-1].split("-", 1)[0])
    if isinstance(held, h5py.Group) and named.strip("/"):  # a result whose source lies in another file
        return held.parent, stem
    return file.require_group(f"{names.MEASUREMENT}_000/{names.CHANNEL}_000"), stem


def _credit_sources(group: h5py.Group, origin: Origin, main: h5py.Dataset | None) -> None:
    """Refer to every source that is in the file, and name those that are in others."""
    credited = 0
    if main is not None:
        group.attrs[names.SOURCE] = main.ref
        credited = 1
    elif origin.named is not None and not origin.is_own:
        set_attributes(group, {names.SOURCE_FILE: origin.named[0], names.SOURCE_DATASET: origin.named[1]})
        credited = 1
    for file, dataset in origin.others:
        found = group.file.get(dataset) if is_same_file(file, origin.file) else None
        if main is not None and (dataset == main.name or dataset.startswith(f"{main.name}-")):
            continue  # a part of a result of the same source, which its history names
        if isinstance(found, h5py.Dataset):
            group.attrs[f"{names.SOURCE[:-3]}{credited:03d}"] = found.ref
        else:
            number = f"{credited:03d}"
            set_attributes(group, {f"{names.SOURCE_FILE}_{number}": file, f"{names.SOURCE_DATASET}_{number}": dataset})
        credited += 1
    set_attributes(group, {names.SOURCE_COUNT: max(credited, 1)})


def _create(group: h5py.Group, entry: Entry, shelf: Shelf, storage: Storage) -> Store:
    if entry.is_main:
        bare = entry.data.copy(deep=False)
        bare.attrs.pop(PROVENANCE, None)  # kept once, on the group
        return bare.data, create_main(group, bare, entry.name, shelf, storage=storage)[1]
    made = group.create_dataset(find_free_name(group, entry.name), shape=entry.data.shape, dtype=entry.data.dtype)
    set_attributes(made, {k: v for k, v in entry.data.attrs.items() if k != PROVENANCE})
    return entry.data.data, made
