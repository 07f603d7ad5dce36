"""What is to be written -> the file that it goes into, and the datasets of it that it was made of.

Only what this process opened says where something goes: the seals of the steps, and the files that a graph reads. A
path that a text names is history.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from os import path as paths
from pathlib import Path

import h5py
import xarray as xr

from usidx.errors import ResultError
from usidx.format.grid import find_grid
from usidx.io.read.place.place import find_local_path, find_place
from usidx.io.read.place.remote import RemoteFile
from usidx.io.read.usid.attributes import read_text_attribute
from usidx.io.read.usid.datasets import digest_sample
from usidx.io.read.usid.main import find_source_main, is_main, read_layout
from usidx.label.roles import position_dims, refuse_unlabelled
from usidx.results.identity import find_sources
from usidx.results.provenance import (
    PROVENANCE,
    Step,
    find_last_step,
    find_sealed_source,
    find_source,
    parse_steps,
    read_records,
    read_steps,
)

__all__ = ["Origin", "find_origin", "find_origin_dataset", "is_same_file", "part_made_of"]

Named = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something is from.

    Attributes
    ----------
    file : Path
        The file to write, there or not.
    named : tuple of str or None
        (file, dataset) that the steps name as the source.
    is_sealed : bool
        Whether this process opened that itself.
    others : tuple of (str, str)
        What it rests on beside.
    is_asked : bool
        Whether the user named the file to write.
    """

    file: Path
    named: Named | None
    is_sealed: bool
    others: tuple[Named, ...]
    is_asked: bool

    @property
    def is_own(self) -> bool:
        """Whether it goes into the file that it is from."""
        return self.named is not None and is_same_file(self.named[0], self.file)


def is_same_file(one: str | Path, other: str | Path) -> bool:
    """Say whether two paths are those of one file, there or not."""
    try:
        return paths.samefile(one, other)
    except OSError:
        return Path(one) == Path(other)


def find_origin(data: xr.DataArray | xr.Dataset, path: str | PathLike[str] | None) -> Origin:
    """Return where an object is from and where it goes.

    Raises
    ------
    ResultError
        No path is given, and the object is from no file, from several, or only says that it is from one.
    """
    refuse_unlabelled(data, (xr.DataArray, xr.Dataset))
    sealed = _keep_distinct(found for text in read_records(data) if (found := find_sealed_source(text)) is not None)
    read = [(str(source.file.name), source.dataset) for source in find_sources(data)]
    beside = [named for text in read_records(data) for named in _find_further_sources(text)]
    named = sealed[0] if sealed else find_source(data)
    everything = _keep_distinct([*sealed, *beside, *read])
    file = _choose_file([*sealed, *read, *beside], named) if path is None else find_local_path(path)
    others = tuple(one for one in everything if one != named)
    return Origin(file, named, bool(sealed), others, path is not None)


def _keep_distinct(named: Iterable[Named]) -> list[Named]:
    return list(dict.fromkeys(named))


def _find_further_sources(text: str) -> list[Named]:
    """Return the further sources that verbs recorded and this process opened."""
    lists = [step.get("sources") for step in parse_steps(text)]
    listed = [one for found in lists if isinstance(found, list) for one in found]  # a text may hold anything
    return [found for one in listed if (found := find_sealed_source(json.dumps([one]))) is not None]


def _choose_file(opened: list[Named], named: Named | None) -> Path:
    if not opened and named is None:
        raise ResultError("It is not recorded which file this came from. Name one: write(path).")
    if not opened:
        raise ResultError(
            f"Its record names {named[0] if named else ''!r}, but this process did not open it there: it was loaded "
            "from another file, or comes from another process. Name the file to write: write(path)."
        )
    files = list(dict.fromkeys(file for file, _ in opened))
    if len({Path(file) for file in files}) > 1:
        raise ResultError(f"This was made of several files, {files}. Name the one to write: write(path).")
    file = files[0]
    if isinstance(find_place(file), RemoteFile):
        raise ResultError(
            f"This came from the URL {file!r}, and usidx only reads those. Name a local file: write(path)."
        )
    if not Path(file).exists():
        raise ResultError(f"The file that this came from, {file!r}, is gone. Name another: write(path).")
    return Path(file)


def find_origin_dataset(file: h5py.File, origin: Origin, data: xr.Dataset) -> h5py.Dataset | None:
    """Return the main dataset that a result is of, where that is in this file and can be what the record says.

    Raises
    ------
    ResultError
        The result was put together of more than that, and nobody said where it goes.
    """
    if not origin.is_own or origin.named is None:
        return None
    found = file.get(origin.named[1])
    if isinstance(found, h5py.Group):
        found = find_source_main(found)
    if not isinstance(found, h5py.Dataset) or not is_main(found):
        return None
    if not origin.is_sealed and not _is_told(found, data):
        return None
    if _can_hold(found, data):
        return found
    if origin.is_asked:
        return None
    raise ResultError(
        f"This has the sizes {dict(data.sizes)}, which {origin.named[1]!r} in {origin.named[0]!r} has not: it was "
        "put together of more than that, and in memory nothing tells of what. Name the file to write: write(path)."
    )


def _is_told(found: h5py.Dataset, data: xr.Dataset) -> bool:
    """Say whether a dataset has the fingerprint that a text gives; the text may be anybody's."""
    step = find_last_step(data, "open") or {}
    told = step.get("fingerprint")
    return bool(told) and told == digest_sample(found, find_place(str(found.file.filename)))


def _can_hold(found: h5py.Dataset, data: xr.Dataset) -> bool:
    """Say whether a result in memory can be of one dataset alone: joined arrays keep the record of the first."""
    if any(v.chunks is not None for v in data.variables.values()):
        return True  # the graph tells what it is made of
    layout = read_layout(found)
    grids = [find_grid(side) for side in (layout.position, layout.spectroscopic)]
    sizes = {dim: size for grid in grids for dim, size in zip(grid.dims, grid.shape, strict=True)}
    for step in read_steps(data):
        made = step.get("positions")  # of a verb that put other places in place of those of the data
        sizes |= {k: n for k, n in made.items() if isinstance(n, int)} if isinstance(made, dict) else {}
    labels = {c.name for grid in grids for c in grid.coordinates} | sizes.keys()
    fits = all(data.sizes[dim] <= size for dim, size in sizes.items() if dim in data.sizes)
    return fits and set(position_dims(data)) <= labels


def part_made_of(main: h5py.Dataset, name: str, recorded: Sequence[Step]) -> h5py.Dataset | None:
    """Return the named dataset of the earlier result that this one was made of, where that lies beside the source."""
    before = _without_files(list(recorded)[:-1]) if name else []
    while before and before[-1]["tool"] != "open":
        for key in sorted(main.parent, reverse=True):
            group = main.parent.get(key)  # None for a link that leads nowhere
            if isinstance(group, h5py.Group) and _without_files(_steps_of(group)) == before:
                found = group.get(name)
                if isinstance(found, h5py.Dataset) and is_main(found):
                    return found
        before = before[:-1]
    return None


def _steps_of(group: h5py.Group) -> list[Step]:
    return parse_steps(read_text_attribute(group, PROVENANCE) or "")


def _without_files(recorded: list[Step]) -> list[Step]:
    """Return steps without where the file lay, which may have been moved since."""
    return [{k: v for k, v in step.items() if k != "file"} for step in recorded]
