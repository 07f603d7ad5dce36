"""Objects of an open file -> their paths, without the search through the whole file that HDF5 does for some.

HDF5 knows the path of an object that was opened by one. For an object that a reference led to it looks through the file
until it meets the object, so that asking for every name in a file takes time with the square of their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import h5py

from usidx.io.read.place.identity import Identity, find_link, identify_object
from usidx.io.read.place.open_errors import DAMAGE

__all__ = ["Paths", "Where", "find_referenced_path", "find_source_beside", "say_where"]


@dataclass(slots=True)
class Paths:
    """Paths of the objects of an open file, as far as they are known.

    Attributes
    ----------
    known : dict
        Path of each object by its identity.
    is_whole : bool
        Whether all objects are known to which a path leads.
    """

    known: dict[Identity, str] = field(default_factory=dict)
    is_whole: bool = False

    def of(self, object_: h5py.Group | h5py.Dataset) -> str | None:
        """Return the path of an object, None where no path leads to it."""
        found = self.known.get(identify_object(object_))
        return found if found is not None or self.is_whole else object_.name

    def is_lost(self, object_: h5py.Group | h5py.Dataset) -> bool:
        """Say whether no path leads to an object that a reference led to: it was deleted, and its bytes are free."""
        return self.is_whole and identify_object(object_) not in self.known


@dataclass(frozen=True, slots=True, eq=False)
class Where:
    """What a message calls an object. Its name is looked up when the message is shown, and most never are."""

    object_: h5py.Group | h5py.Dataset
    paths: Paths | None = None

    @property
    def path(self) -> str | None:
        """Path of the object."""
        return self.object_.name if self.paths is None else self.paths.of(self.object_)

    def __str__(self) -> str:
        return f"{self.path!r} in {self.object_.file.filename!r}"


def say_where(object_: h5py.Group | h5py.Dataset, paths: Paths | None = None) -> Where:
    """Name an object for a message."""
    return Where(object_, paths)


def find_referenced_path(
    reference: h5py.Reference, holder: h5py.Group | h5py.Dataset, attribute: str, paths: Paths | None = None
) -> str | None:
    """Return the path of the object that a reference points to, None where it points nowhere.

    Parameters
    ----------
    reference : h5py.Reference
        Of the file of `holder`.
    holder : h5py.Group or h5py.Dataset
        What has the attribute.
    attribute : str
        Where the reference was found.
    paths : Paths, optional
        What is known of the file.
    """
    try:
        target = holder.file[reference] if reference else None
        if target is None:
            return None
        identity = identify_object(target)
        if paths is not None and (identity in paths.known or paths.is_whole):
            return paths.known.get(identity)
        for group, name in _list_likely_places(holder, attribute):
            if find_link(group, name) == identity:
                return f"{str(group.name).rstrip('/')}/{name}"
        return None if target.name is None else str(target.name)
    except DAMAGE:
        return None


def _list_likely_places(holder: h5py.Group | h5py.Dataset, attribute: str) -> Iterator[tuple[h5py.Group, str]]:
    """Yield where old and new programs put what an attribute refers to: beside it, or beside the results group."""
    group = holder.parent if isinstance(holder, h5py.Dataset) else holder
    yield group, attribute
    source = _parse_source_name(group)
    if source:
        yield group.parent, source


def _parse_source_name(group: h5py.Group) -> str:
    """Return the name of the dataset that a results group was computed from, as the name of the group tells it."""
    source, dash, _ = str(group.name).rsplit("/", 1)[-1].partition("-")
    return source if dash else ""


def find_source_beside(group: h5py.Group, identity: Identity | None = None) -> h5py.Group | h5py.Dataset | None:
    """Return the object after which a results group beside it is named; only if it is of that identity, where given.

    Raises
    ------
    DAMAGE
        The group cannot be read.
    """
    source = _parse_source_name(group)
    if not source:
        return None
    parent = group.parent
    return parent.get(source) if identity is None or find_link(parent, source) == identity else None
