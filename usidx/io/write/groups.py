"""Groups of a file: which name is free, and new ones with their book-keeping."""

from __future__ import annotations

import h5py

from usidx.io.write.attributes import book_keeping, set_attributes

__all__ = ["make_group", "next_group"]


def next_group(parent: h5py.Group, stem: str) -> str:
    """Return the stem with the number after the highest one that is there."""
    return f"{stem}_{next_number(parent, stem):03d}"


def next_number(parent: h5py.Group, stem: str) -> int:
    """Return the number after the highest one that a group of this stem has."""
    return max((number for number, _ in numbered(parent, stem)), default=-1) + 1


def numbered(parent: h5py.Group, stem: str) -> list[tuple[int, str]]:
    """List (number, name) of what is called by the stem and a number, in rising order."""
    start = f"{stem}_".encode()
    found: list[bytes] = []
    # One call of HDF5 lists all names; only those that may be meant become text.
    parent.id.links.iterate(lambda name: found.append(name) if name.startswith(start) else None)
    ends = ((name[len(start) :], name) for name in found)
    return sorted((int(end), name.decode()) for end, name in ends if end.isdigit())


def make_group(parent: h5py.Group, name: str) -> h5py.Group:
    """Make a group that says who made it and when."""
    group = parent.create_group(name)
    set_attributes(group, book_keeping())
    return group
