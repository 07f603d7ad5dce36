"""A dataset or link of an open file -> whether its bytes lie in other files, and whether those may be read.

A stranger's file can name any file of this machine: as raw bytes of a dataset (external storage), as the source of a
virtual dataset, by a link. HDF5 follows all three in silence. Here they are refused, unless the user asked for them by
``external=True``; then only regular files in the folder of the file, or below it, are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import h5py

from usidx.errors import UsidError
from usidx.io.read.place.heap import may_leave_file
from usidx.io.read.place.open_errors import DAMAGE

__all__ = ["get_inside", "is_made_of_others", "list_links_elsewhere", "refuse_elsewhere"]

# Virtual datasets of virtual datasets, and links to links, are followed so far.
_DEEPEST = 8
_MOST_LINKS = 40


def is_made_of_others(dataset: h5py.Dataset) -> bool:
    """Say whether a dataset is virtual or has its bytes in other files; sources in its own file count too."""
    creation = dataset.id.get_create_plist()
    return bool(creation.get_layout() == h5py.h5d.VIRTUAL or creation.get_external_count())


def refuse_elsewhere(dataset: h5py.Dataset, depth: int = 0) -> None:
    """Refuse a dataset whose bytes lie in files that nobody asked for.

    Parameters
    ----------
    dataset : h5py.Dataset
        In a file of this machine that is open for reading.
    depth : int
        How many virtual datasets led here.

    Raises
    ------
    UsidError
        They do, or are not there; or virtual datasets are made of each other.
    """
    where = f"{dataset.name!r} in {dataset.file.filename!r}"
    if depth > _DEEPEST:
        raise UsidError(f"{where} is made of virtual datasets that are made of others, too deep to follow.")
    creation = dataset.id.get_create_plist()
    for number in range(creation.get_external_count()):
        _allow(dataset, os.fsdecode(creation.get_external(number)[0]), "")
    if creation.get_layout() == h5py.h5d.VIRTUAL:
        for name, source in dict.fromkeys((one.file_name, one.dset_name) for one in dataset.virtual_sources()):
            _follow(dataset, name, source, depth)


def _follow(dataset: h5py.Dataset, name: str, source: str, depth: int) -> None:
    """Look at a source of a virtual dataset, which may be made of others itself."""
    if name == ".":
        _refuse_source(dataset.file, source, depth)
        return
    path = _allow(dataset, name, "HDF5_VDS_PREFIX")
    try:
        with h5py.File(path, "r") as other:
            _refuse_source(other, source, depth, _find_folder(dataset))
    except OSError as err:
        raise UsidError(f"{dataset.name!r} in {dataset.file.filename!r} is made of {name!r}: {err}") from err


def _refuse_source(file: h5py.File, source: str, depth: int, folder: str | None = None) -> None:
    found = get_inside(file, source)
    if isinstance(found, h5py.Dataset) and is_made_of_others(found):
        if folder is not None:
            raise UsidError(
                f"{source!r} in {file.filename!r}, a source of a virtual dataset, is itself made of other files, which "
                "is not followed."
            )
        refuse_elsewhere(found, depth + 1)


def _find_folder(object_: h5py.Group | h5py.Dataset) -> str:
    return os.path.dirname(os.path.realpath(str(object_.file.filename)))


def _allow(object_: h5py.Group | h5py.Dataset, name: str, variable: str) -> str:
    """Return the file that HDF5 would open for a name; refuse it if it may not be read."""
    where = f"{object_.name!r} in {object_.file.filename!r}"
    if not may_leave_file(object_):
        raise UsidError(
            f"{where} takes its data from another file, {name!r}, which is not read unless you ask for it: if you "
            "trust this file, pass external=True. That reads files in its folder and below, and no others."
        )
    path = next((path for path in _list_candidates(object_, name, variable) if os.path.lexists(path)), None)
    folder = _find_folder(object_)
    if path is None or not os.path.isfile(path):
        raise UsidError(f"{where} takes its data from {name!r}, and there is no such file.")
    if "%" in name or not Path(os.path.realpath(path)).is_relative_to(folder):
        raise UsidError(
            f"{where} takes its data from {name!r}, which does not lie in the folder {folder!r} or below; "
            "external=True reads no others. Copy it there; work in that folder if the name is no full path."
        )
    return path


def _list_candidates(object_: h5py.Group | h5py.Dataset, name: str, variable: str) -> Iterator[str]:
    """Yield where HDF5 looks for a file, in its order; raw bytes (no variable) it looks for in one place only."""
    if not variable:
        prefix = os.environ.get("HDF5_EXTFILE_PREFIX", "")
        yield os.path.abspath(os.path.join(prefix.replace("${ORIGIN}", _find_folder(object_)), name))
        return
    if os.path.isabs(name):
        yield name
        name = os.path.basename(name)
    for prefix in filter(None, os.environ.get(variable, "").split(os.pathsep)):
        yield os.path.abspath(os.path.join(prefix.replace("${ORIGIN}", _find_folder(object_)), name))
    yield os.path.join(os.path.dirname(os.path.abspath(object_.file.filename)), name)
    yield os.path.abspath(name)
    yield os.path.join(_find_folder(object_), name)


def get_inside(file: h5py.File, name: str) -> h5py.Group | h5py.Dataset | None:
    """Return what lies at a path, None where nothing does; links to other files only where they may be followed.

    Raises
    ------
    UsidError
        A part of the path is a link to another file.
    """
    target = None
    with suppress(*DAMAGE):
        target = _find_link_elsewhere(file, name)
    if target is not None:
        if file.driver == "fileobj":  # HDF5 takes the object itself for the other file
            raise UsidError(
                f"{name!r} in {file.filename!r} is a link to another file, which cannot be followed from a URL. Open "
                "that file by its own URL."
            )
        _allow(*target, "HDF5_EXT_PREFIX")
    with suppress(*DAMAGE):
        found = file.get(name)
        return found if isinstance(found, h5py.Group | h5py.Dataset) else None
    return None


def _find_link_elsewhere(file: h5py.File, name: str) -> tuple[h5py.Group, str] | None:
    """Return the first link to another file on a path: its group, and what it says the file is called."""
    group, parts = file["/"], name.split("/")
    for _ in range(_MOST_LINKS + len(parts)):
        while parts and parts[0] in {"", "."}:
            parts.pop(0)
        if not parts or not isinstance(group, h5py.Group):
            return None
        link = group.get(parts[0], getlink=True)
        if isinstance(link, h5py.ExternalLink):
            return group, link.filename
        if isinstance(link, h5py.SoftLink):
            group = file["/"] if link.path.startswith("/") else group
            parts = [*link.path.split("/"), *parts[1:]]
        elif link is None:
            return None
        else:
            group = group[parts.pop(0)]
    raise UsidError(f"{name!r} in {file.filename!r} leads through too many links.")


def list_links_elsewhere(group: h5py.Group) -> list[tuple[str, str]]:
    """List (name, file) of the links of a group that lead to other files."""
    found = []
    with suppress(*DAMAGE):
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                found.append((name, link.filename))
    return found
