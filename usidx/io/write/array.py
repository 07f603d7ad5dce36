"""A labelled array -> a main dataset in a channel of a measurement, or the one that holds the very same already."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import xarray as xr

from usidx.errors import ExistsError, UsidError, UsidWarning
from usidx.format import names
from usidx.format.grid import find_grid
from usidx.format.layout import Layout
from usidx.io.read.place.opened import open_file_at
from usidx.io.read.usid.inventory import list_children
from usidx.io.read.usid.main import is_main
from usidx.io.write.blocks.storage import Storage
from usidx.io.write.blocks.store import store
from usidx.io.write.groups import (
    find_existing,
    list_numbered,
    log_written,
    make_group,
    name_next_group,
    parse_group,
    require_group,
)
from usidx.io.write.main import create_main
from usidx.io.write.same import find_difference, have_equal_values, stream, wait_until_readable
from usidx.io.write.shelf import Shelf
from usidx.io.write.transaction import change_or_create
from usidx.label.encoding import find_layout
from usidx.tasks.progress import name_step, show_progress

__all__ = ["Settings", "write_array"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to write.

    Attributes
    ----------
    storage : Storage
        Compression and chunks.
    reuse : bool
        Return what holds the very same, if there is such.
    progress : bool
        Show a progress bar.
    wait : float
        Seconds to wait for the file.
    """

    storage: Storage
    reuse: bool
    progress: bool
    wait: float

    @property
    def at_once(self) -> Storage:
        """The storage of what is written in one transaction."""
        return replace(self.storage, at_once=True)


def write_array(file: Path, array: xr.DataArray, name: str, group: str | None, settings: Settings) -> str:
    """Write an array, and return the path of its main dataset.

    Parameters
    ----------
    file : Path
        There or not.
    array : DataArray
        Dims with roles.
    name : str
        Of the main dataset.
    group : str or None
        Where it goes; by default a channel that is not there yet.
    settings : Settings
        How.

    Raises
    ------
    UsidError
        The name of the group is none for plain arrays.
    ExistsError
        The group holds something else under that name.
    """
    parts = None if group is None else parse_group(group)
    with show_progress(settings.progress, [array], name_step([array], "write")):
        found = _find_same(file, array, name, parts, settings.wait) if settings.reuse and file.exists() else None
        if found is not None:
            _say_found(file, found)
            return found
        return _write_new(file, array, name, parts, settings)


def _say_found(file: Path, found: str) -> None:
    warnings.warn(
        f"{found!r} in {str(file)!r} holds this very array already, so nothing was written. Pass reuse=False to write "
        f"it once more.",
        UsidWarning,
        stacklevel=4,
    )


def _find_same(file: Path, array: xr.DataArray, name: str, parts: Sequence[str] | None, wait: float) -> str | None:
    """Look for a main dataset of the same name, place and content; what costs little is compared first."""
    wait_until_readable(file, wait)
    with open_file_at(file) as held:
        alike = [
            path
            for path, dataset in _list_candidates(held, name, parts)
            if find_difference(dataset, array, name) is None
        ]
    # Often there is one; of several the newest is most likely to be what was written last time.
    return next((path for path in alike if have_equal_values(str(file), [(path, array)])), None)


def _list_candidates(file: h5py.File, name: str, parts: Sequence[str] | None) -> Iterator[tuple[str, h5py.Dataset]]:
    """Give path and dataset of what has the name, in the one group or in every channel, the newest first."""
    if parts is not None:
        found = find_existing(file, [*parts, name])
        if isinstance(found, h5py.Dataset):
            yield "/" + "/".join((*parts, name)), found
        return
    for _, measurement in reversed(list_numbered(file, names.MEASUREMENT)):
        for _, channel in _list_channels(file[measurement]):
            found = find_existing(file, [measurement, channel, name])
            if isinstance(found, h5py.Dataset):
                yield f"/{measurement}/{channel}/{name}", found


def _list_channels(measurement: h5py.Group | h5py.Dataset) -> list[tuple[int, str]]:
    return list_numbered(measurement, names.CHANNEL) if isinstance(measurement, h5py.Group) else []


def _write_new(file: Path, array: xr.DataArray, name: str, parts: Sequence[str] | None, settings: Settings) -> str:
    with change_or_create(file, wait=settings.wait) as changes:
        if parts is None:
            group, shelf = _make_channel(changes.file, find_layout(array, name)[0])
        else:
            _refuse_other(changes.file, array, name, parts)
            group = require_group(changes.file, parts)
            shelf = _find_shelf(group.parent, group)
        dataset, target = create_main(group, array, name, shelf, storage=settings.at_once)
        path = str(dataset.name)
        store([(stream(array), target)], changes.check, changes.ground, progress=settings.progress)
    log_written(file, path)
    return path


def _refuse_other(file: h5py.File, array: xr.DataArray, name: str, parts: Sequence[str]) -> None:
    """Refuse to write where something is, and say what that is."""
    found = find_existing(file, [*parts, name])
    if found is None:
        return
    difference = "a group" if isinstance(found, h5py.Group) else find_difference(found, array, name)
    raise ExistsError(
        f"{'/' + '/'.join((*parts, name))!r} exists in {file.filename!r} with other content "
        f"({difference or 'other values, or reuse=False was passed'}); it is never overwritten. Give another name=... "
        f"or another group=..., or leave group out for the next free one."
    )


def _make_channel(file: h5py.File, layout: Layout) -> tuple[h5py.Group, Shelf]:
    """Make a channel of the newest measurement where the array fits it, else of a new one.

    It fits where the positions are those of the last channel, and no channel has a main dataset of its name: an array
    of the same name is another measurement of the same quantity.
    """
    measured = list_numbered(file, names.MEASUREMENT)
    if measured:
        newest = file[measured[-1][1]]
        channels = _list_channels(newest)
        if channels and not any(layout.name in newest[channel] for _, channel in channels):
            shelf = _find_shelf(newest, newest[channels[-1][1]])
            if _fits(shelf, layout):
                return make_group(newest, name_next_group(newest, names.CHANNEL)), shelf
    measurement = make_group(file, name_next_group(file, names.MEASUREMENT))
    return make_group(measurement, f"{names.CHANNEL}_000"), Shelf()


def _fits(shelf: Shelf, layout: Layout) -> bool:
    sides = [layout.position]
    if layout.position.is_placeholder:
        sides.append(layout.spectroscopic)  # having no positions is not having the same
    return all(shelf.find(side, find_grid(side)) is not None for side in sides)


def _find_shelf(measurement: h5py.Group, channel: h5py.Group) -> Shelf:
    """Return the tables of the first main dataset of a channel, and of the measurement's first and last channels."""
    shelf = Shelf()
    near = [name for _, name in _list_channels(measurement)]
    for group in {g.id: g for g in (channel, *(measurement[name] for name in (near[:1] + near[-1:])))}.values():
        found = next((d for _, d, _ in list_children(group) if isinstance(d, h5py.Dataset) and is_main(d)), None)
        if found is not None:
            try:
                shelf.add_main(found)
            except UsidError:
                continue  # its tables are broken; there is nothing to share
    return shelf
