"""Groups of a file: which name is free, where a path leads, and new ones with their book-keeping."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import h5py

from usidx.errors import ExistsError, UsidError
from usidx.io.write.attributes import make_book_keeping, set_attributes

__all__ = [
    "find_existing",
    "find_next_number",
    "list_numbered",
    "log_written",
    "make_group",
    "name_next_group",
    "parse_group",
    "require_group",
]

_LOG = logging.getLogger(__name__)


def log_written(file: Path, group: str) -> None:
    """Log what was written, and where."""
    _LOG.info("write: %s in %s", group, file)


def name_next_group(parent: h5py.Group, stem: str) -> str:
    """Return the stem with the number after the highest one that is there."""
    return f"{stem}_{find_next_number(parent, stem):03d}"


def find_next_number(parent: h5py.Group, stem: str) -> int:
    """Return the number after the highest one that has this stem."""
    return max((number for number, _ in list_numbered(parent, stem)), default=-1) + 1


def list_numbered(parent: h5py.Group, stem: str) -> list[tuple[int, str]]:
    """List (number, name) of what is called by the stem and a number, in rising order."""
    start = f"{stem}_".encode()
    found: list[bytes] = []

    def keep(name: bytes) -> None:
        if name.startswith(start) and name[len(start) :].isdigit():
            found.append(name)

    parent.id.links.iterate(keep)  # one call for all names; h5py's own way makes text of each
    return sorted((int(name[len(start) :]), name.decode()) for name in found)


def make_group(parent: h5py.Group, name: str) -> h5py.Group:
    """Make a group that says who made it and when."""
    group = parent.create_group(name)
    set_attributes(group, make_book_keeping())
    return group


def parse_group(path: str) -> tuple[str, ...]:
    """Divide the path of a group that plain arrays may go to.

    Raises
    ------
    UsidError
        A part of it is empty or dots, or has a hyphen: such groups hold results.
    """
    parts = tuple(path.removeprefix("/").removesuffix("/").split("/")) if isinstance(path, str) else ("",)
    if not all(part.strip(" .") and "\0" not in part for part in parts):
        raise UsidError(
            f"group is {path!r}; give names of groups with a slash between them, such as "
            f"'Measurement_000/Channel_001': none of them empty, '.' or '..'."
        )
    for part in parts:
        if "-" in part:
            raise UsidError(
                f"group is {path!r}, but a name with a hyphen, here {part!r}, is that of a results group "
                f"(<source>-<tool>_NNN), which only the result of a verb is written to. Use another name."
            )
    return parts


def find_existing(file: h5py.File, parts: Sequence[str]) -> h5py.Group | h5py.Dataset | None:
    """Return what lies at a path of hard links, None where nothing does; links to elsewhere are not followed.

    Raises
    ------
    ExistsError
        The path leads over a link, or through a dataset.
    """
    found = file["/"]
    for part in parts:
        if not isinstance(found, h5py.Group):
            raise ExistsError(f"{found.name!r} in {file.filename!r} is a dataset, so no group {part!r} can lie in it.")
        link = found.get(part, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ExistsError(
                f"{part!r} in the group {found.name!r} of {file.filename!r} is a link that leads elsewhere, and is not "
                f"written through. Choose another group."
            )
        found = found[part]
    return found


def require_group(file: h5py.File, parts: Sequence[str]) -> h5py.Group:
    """Return the group of a path, made where it is not there.

    Raises
    ------
    ExistsError
        A part of the path is something else.
    """
    group = file["/"]
    for depth, part in enumerate(parts, 1):
        found = find_existing(file, parts[:depth])
        if found is not None and not isinstance(found, h5py.Group):
            raise ExistsError(f"{found.name!r} in {file.filename!r} is a dataset; choose another group.")
        group = make_group(group, part) if found is None else found
    return group
