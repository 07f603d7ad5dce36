"""An open file -> its groups, main datasets and other datasets; names -> one of them."""

from __future__ import annotations

import re
import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import h5py

from usidx.errors import NotMainError, SelectionError, UsidError, UsidWarning
from usidx.format import names
from usidx.io.read.chunks.elsewhere import get_inside
from usidx.io.read.place.identity import Identity, Link, identify_object, list_links
from usidx.io.read.place.open_errors import DAMAGE
from usidx.io.read.place.opened import open_file_at
from usidx.io.read.place.place import FilePath, Options
from usidx.io.read.usid.attributes import has_attribute
from usidx.io.read.usid.main import looks_like_main, read_header, say_where
from usidx.io.read.usid.other_kinds import recognize_hdf5
from usidx.io.read.usid.paths import Paths
from usidx.io.read.usid.tables import Tables

__all__ = [
    "Inventory",
    "find_group",
    "find_main",
    "is_named_as_result",
    "list_children",
    "list_extras",
    "list_mains",
    "take_inventory",
    "warn_of_damage",
]

# <source>-<tool>_NNN
_NAMED_AS_RESULT = re.compile(r"[^/]-[^/]*_\d{3,}$")
# Groups within groups are followed so far: each makes every path below it longer, and slower to follow.
_DEEPEST = 1500


@dataclass(frozen=True, slots=True)
class Inventory:
    """Paths of everything in a file that hard links reach, each object once.

    Attributes
    ----------
    groups, mains, extras : tuple of str
        Groups with the root first; main datasets; datasets that are neither mains nor ancillaries of one.
    tables : tuple of str
        The ancillaries.
    broken : tuple of str
        Datasets that claim to be mains but break a rule; they are among the extras too.
    damaged : dict
        Paths of what cannot be read, and why: nothing is known of what lies below.
    """

    groups: tuple[str, ...]
    mains: tuple[str, ...]
    extras: tuple[str, ...]
    tables: tuple[str, ...]
    broken: tuple[str, ...]
    damaged: Mapping[str, str]


def take_inventory(file: h5py.File, tables: Tables | None = None) -> Inventory:
    """Walk a file once along its hard links; loops are met once, links to other files are not followed.

    Parameters
    ----------
    file : h5py.File
        The file, open.
    tables : Tables, optional
        Where to keep the paths that are met and the tables that are read.
    """
    tables = Tables() if tables is None else tables
    walk = _Walk(file, tables.paths)
    tables.mains.update(walk.claims)
    mains, broken, taken = [], [], set()
    for path, dataset in walk.claims.items():
        try:
            header = read_header(dataset, tables)
        except UsidError:
            broken.append(path)
        else:
            mains.append(path)
            taken |= {table.identity for table in header.tables.values()}
    listed = set(mains)
    extras = [path for path, identity in walk.datasets if path not in listed and identity not in taken]
    held = tuple(path for path, identity in walk.datasets if identity in taken)
    return Inventory(tuple(walk.groups), tuple(mains), tuple(extras), held, tuple(broken), walk.damaged)


class _Walk:
    """The paths of groups, of datasets, and of those that claim to be main datasets; nearer the root first."""

    def __init__(self, file: h5py.File, paths: Paths) -> None:
        self.groups: list[str] = []
        self.datasets: list[tuple[str, Identity]] = []
        self.claims: dict[str, h5py.Dataset] = {}
        self.damaged: dict[str, str] = {}
        self._file, self._paths = file, paths
        self._pending = deque(["/"])
        try:
            paths.known[identify_object(file)] = "/"
        except DAMAGE as err:
            raise UsidError(f"{file.filename!r} is damaged: its root cannot be read ({err}).") from err
        paths.is_whole = True
        while self._pending:
            self._enter(self._pending.popleft())

    def _enter(self, path: str) -> None:
        try:
            group = h5py.h5g.open(self._file.id, path.encode())
        except DAMAGE as err:
            self.damaged[path] = str(err)
            return
        self.groups.append(path)
        if path.count("/") >= _DEEPEST:
            self._paths.is_whole = False
            text = f"{path!r} in {self._file.filename!r} lies too deep to look into."
            warnings.warn(text, UsidWarning, stacklevel=5)
            return
        parent = path.rstrip("/")
        damaged: dict[str, str] = {}
        for link in list_links(group, damaged):
            if link.identity not in self._paths.known:
                self._meet(group, link, f"{parent}/{link.name}")
        self.damaged.update({path if n == "." else f"{parent}/{n}": said for n, said in damaged.items()})

    def _meet(self, group: h5py.h5g.GroupID, link: Link, path: str) -> None:
        if link.kind == h5py.h5g.GROUP:
            self._pending.append(path)
        else:
            try:
                dataset = h5py.h5d.open(group, link.name.encode())
            except DAMAGE as err:
                self.damaged[path] = str(err)
                return
            self.datasets.append((path, link.identity))
            if _claims(dataset):
                self.claims[path] = h5py.Dataset(dataset, readonly=True)
        self._paths.known[link.identity] = path


def _claims(dataset: h5py.h5d.DatasetID) -> bool:
    try:
        return any(h5py.h5a.exists(dataset, name.encode()) for name in names.ANCILLARIES)
    except DAMAGE:
        return False


def list_children(group: h5py.Group) -> Iterator[tuple[str, h5py.Group | h5py.Dataset, int]]:
    """Yield name, object and address; a damaged object must not hide the others."""
    for link in list_links(group.id):
        try:
            yield link.name, group[link.name], link.identity[1]
        except DAMAGE:
            continue


def list_extras(group: h5py.Group) -> list[str]:
    """List the datasets of one group that are neither mains nor ancillaries of one.

    The rest of the file is looked at only where one of them may be an ancillary of a main dataset elsewhere.
    """
    inside = {name: child for name, child, _ in list_children(group) if isinstance(child, h5py.Dataset)}
    tables, taken = Tables(), set()
    for dataset in [one for one in inside.values() if looks_like_main(one)]:
        try:
            header = read_header(dataset, tables)
        except UsidError:
            continue
        taken |= {identify_object(dataset)} | {table.identity for table in header.tables.values()}
    parent = str(group.name).rstrip("/")
    extras = {f"{parent}/{name}": child for name, child in inside.items() if identify_object(child) not in taken}
    if not any(_may_be_table(path, child) for path, child in extras.items()):
        return list(extras)
    everywhere = set(take_inventory(group.file).extras)
    return [path for path in extras if path in everywhere]


def _may_be_table(path: str, dataset: h5py.Dataset) -> bool:
    """Say whether a dataset is like an ancillary: one of the two of a side has labels, and programs agree on names."""
    is_named = path.endswith(("_Indices", "_Values"))
    return dataset.shape is not None and len(dataset.shape) == 2 and (is_named or has_attribute(dataset, names.LABELS))


def list_mains(path: FilePath, *, storage_options: Options = None) -> list[str]:
    """List the main datasets of a file.

    Reads no data.

    Parameters
    ----------
    path : path or URL
        A USID file.
    storage_options : mapping, optional
        What fsspec needs to reach a URL, as in :func:`open_main`.

    Returns
    -------
    list of str
        Their HDF5 paths, in the order of the file, groups nearer the root first.

    Raises
    ------
    MissingFileError
        There is no such file.
    UsidError
        It is not an HDF5 file.

    Examples
    --------
    >>> import usidx
    >>> path = usidx.example_file()
    >>> usidx.list_mains(path)
    ['/Measurement_000/Channel_000/Raw_Data']
    """
    with open_file_at(path, storage_options) as file:
        found = take_inventory(file)
        warn_of_damage(found, file)
        return list(found.mains)


def warn_of_damage(found: Inventory, file: h5py.File) -> None:
    """Name what cannot be read, since nobody knows what was in it."""
    if found.damaged:
        shown = list(found.damaged)
        warnings.warn(
            f"{shown[0]!r} in {file.filename!r} is damaged ({found.damaged[shown[0]]})"
            f"{f', and {len(shown) - 1} more' if len(shown) > 1 else ''}; it is left out, with whatever lies in it. "
            "usidx.validate(path) lists all that is.",
            UsidWarning,
            stacklevel=3,
        )


def find_main(file: h5py.File, name: str | None, *, partial: bool = False) -> h5py.Dataset:
    """Return the main dataset of that path or unique end of a path; with None the only one of the file.

    Where several match, the only one that lies in no results group is meant. Tables of another length than the data
    break a rule, unless `partial`.

    Raises
    ------
    SelectionError
        Nothing or more than one thing is meant; the message lists the candidates.
    NotMainError
        The name is that of something else.
    """
    if name is not None:
        exact = get_inside(file, name)
        if isinstance(exact, h5py.Dataset):
            return exact  # reading its layout says what is wrong, if it is no main dataset
        if isinstance(exact, h5py.Group) and name.strip("/"):
            inside = [m for m in take_inventory(file).mains if m.startswith(str(exact.name).rstrip("/") + "/")]
            raise NotMainError(
                f"{say_where(exact)} is a group, not a main dataset.{_write_listing('Main datasets in it', inside)}"
            )
    found = take_inventory(file, Tables(is_partial=partial))
    warn_of_damage(found, file)
    mains = found.mains
    matches = mains if name is None else _match_endings(mains, name)
    # What is computed from a measurement must not make its name ambiguous.
    measured = tuple(m for m in matches if "-" not in m)
    if len(matches) == 1 or len(measured) == 1:
        return file[(measured or matches)[0]]
    if not mains:
        raise SelectionError(_explain_no_mains(file, found))
    if name is None:
        shown = measured or mains
        beside = f" and {len(mains) - len(shown)} in results" if len(mains) > len(shown) else ""
        raise SelectionError(
            f"{file.filename!r} has {len(shown)} main datasets{beside}; name one of them."
            f"{_write_listing('They are', shown)}"
        )
    if matches:
        raise SelectionError(
            f"{name!r} is ambiguous: {len(matches)} main datasets of {file.filename!r} end so."
            f"{_write_listing('They are', matches)}"
        )
    raise SelectionError(f"{file.filename!r} has no main dataset {name!r}.{_write_listing('It has', mains)}")


def _explain_no_mains(file: h5py.File, found: Inventory) -> str:
    """Say that a file has nothing to open, and where to look for the reason."""
    if found.broken:
        claim = (
            f"{found.broken[0]!r} claims to be one and breaks a rule"
            if len(found.broken) == 1
            else (f"{len(found.broken)} datasets claim to be one and break a rule")
        )
        return f"{file.filename!r} has no main dataset: {claim}; usidx.validate(path) says which."
    other = recognize_hdf5(file, [*found.extras, *found.groups])
    if other is not None:
        told = other.describe(str(file.filename))
        return f"{file.filename!r} has no main dataset. {told} usidx.open_tree(path) shows its arrays as they are."
    return (
        f"{file.filename!r} has no main dataset: it is HDF5, but none of its {len(found.extras)} datasets refers to "
        f"Position_Indices and the other three tables of USID. usidx.open_tree(path) shows what it holds."
    )


def find_group(file: h5py.File, name: str) -> h5py.Group:
    """Return the group of that path or unique end of a path.

    Raises
    ------
    SelectionError
        Nothing or more than one thing is meant; the message lists the candidates.
    """
    exact = get_inside(file, name)
    if isinstance(exact, h5py.Group):
        return exact
    groups = take_inventory(file).groups
    matches = _match_endings(groups, name)
    if len(matches) == 1:
        return file[matches[0]]
    if matches:
        raise SelectionError(f"{name!r} is ambiguous in {file.filename!r}.{_write_listing('Candidates are', matches)}")
    results = [g for g in groups if is_named_as_result(g)]
    others = [g for g in groups if g != "/"]
    listed = _write_listing("Results groups are", results) or _write_listing("Groups are", others)
    raise SelectionError(f"There is no group {name!r} in {file.filename!r}.{listed}")


def is_named_as_result(path: str) -> bool:
    """Say whether a group is called as those of results are: a hyphen alone is in names of other formats too."""
    return _NAMED_AS_RESULT.search(path) is not None


def _match_endings(paths: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Match whole parts of a path first, then what follows the source in the name of a results group."""
    end = name.strip("/")
    whole = tuple(p for p in paths if p.strip("/") == end or p.endswith("/" + end))
    return whole or tuple(p for p in paths if p.endswith("-" + end))


def _write_listing(title: str, paths: tuple[str, ...] | list[str]) -> str:
    if not paths:
        return ""
    shown = ", ".join(repr(p) for p in paths[:20])
    return f" {title}: {shown}{f' and {len(paths) - 20} more' if len(paths) > 20 else ''}."
