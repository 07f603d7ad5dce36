"""A file that others refer to -> what is noted of it, so that it is found out when it no longer is what it was."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xarray as xr

from usidx.errors import MissingFileError, UsidError
from usidx.instruments.export.contents import Contents, open_contents
from usidx.instruments.export.stored import find_held
from usidx.instruments.export.target import NOTES
from usidx.io.read.chunks.cache import locate
from usidx.io.read.place.place import FilePath, Place, find_local_path, find_place
from usidx.io.read.place.remote import RemoteFile

__all__ = ["SOURCE", "Source", "check_export", "describe_source", "find_file", "take_source"]

#: Attribute that holds what is noted, as JSON.
SOURCE: Final = "usidx_source"


@dataclass(frozen=True, slots=True)
class Source:
    """A file of this machine, and what it was when it was looked at."""

    path: Path
    size: int
    mtime_ns: int

    @property
    def changed(self) -> str:
        """When it was changed last, for people."""
        return datetime.fromtimestamp(self.mtime_ns / 1e9, UTC).isoformat(timespec="seconds")

    def refuse_change(self) -> None:
        """Raise where the file changed meanwhile.

        Raises
        ------
        UsidError
            It did.
        """
        if take_source(self.path) != self:
            raise UsidError(
                f"{str(self.path)!r} was changed while it was exported, so nothing was made. Export it again."
            )


def find_file(place: Place, purpose: str) -> Path:
    """Return the path of a file of this machine.

    Raises
    ------
    UsidError
        It is an object behind a URL.
    """
    if isinstance(place, RemoteFile):
        raise UsidError(f"{purpose} refers to a file of this machine, and {place.name!r} is a URL. Download it first.")
    return Path(place.name)


def take_source(path: Path) -> Source:
    """Look at a file.

    Raises
    ------
    MissingFileError
        It is not there.
    """
    try:
        found = os.stat(path)
    except OSError as err:
        raise MissingFileError(f"{str(path)!r} is not there ({err}).") from err
    return Source(path, found.st_size, found.st_mtime_ns)


def describe_source(
    name: str, source: Source | None, group: str | None, contents: Contents | None, relative: str | None = None
) -> str:
    """Return what is noted of a file, as JSON: what it is, and of what is referred to, where and what that is.

    Parameters
    ----------
    name : str
        The file.
    source : Source or None
        What it is now.
    group : str or None
        What of it was named.
    contents : Contents or None
        What is referred to; None where all is copied.
    relative : str, optional
        The path by which it is found from the folder of the target.
    """
    noted: dict[str, Any] = {"file": name} if relative is None else {"file": name, "relative": relative}
    if source is not None:
        noted |= {"size": source.size, "mtime_ns": str(source.mtime_ns), "changed": source.changed}
    if group is not None:
        noted["group"] = group
    if contents is not None:
        noted["refers_to"] = _describe_contents(contents)
    return json.dumps(noted)


def _describe_contents(contents: Contents) -> dict[str, str]:
    return {
        f"{path.rstrip('/')}/{name}": _describe_variable(variable)
        for path, node in contents.nodes.items()
        for name, variable in node.variables.items()
    }


def _describe_variable(variable: xr.Variable) -> str:
    """Return a digest of where an array lies, or of its values where they were copied."""
    digest = blake2b(f"{variable.dims} {variable.shape} {variable.dtype}".encode(), digest_size=12)
    held = find_held(variable)
    located = None if held is None or held.stored.field is not None else locate(held.stored.file, held.stored.dataset)
    if held is None or held.stored.field is not None:
        values: Any = np.asarray(variable.values)
        digest.update(str(values.tolist()).encode() if values.dtype.kind in "OU" else values.tobytes())
        return digest.hexdigest()
    for side in held.sides:
        digest.update(b"" if side.rows is None else side.rows.tobytes())
    if located is not None and located.map is not None:
        for table in (located.map.numbers, located.map.addresses, located.map.sizes):
            digest.update(table.tobytes())
    return digest.hexdigest()


def check_export(target: FilePath) -> None:
    """Check that a file without data of its own still shows what it was made to show.

    Computes nothing; where the file that it refers to was changed, its tables are read again. What was appended to that
    file since, such as results, does no harm.

    Parameters
    ----------
    target : path
        What :func:`usidx.export` made with ``copy=False``, ``to="kerchunk"`` or ``to="icechunk"``.

    Raises
    ------
    MissingFileError
        It is not there, or the file that it refers to is not.
    UsidError
        What it refers to is another thing now, or it refers to nothing.

    Examples
    --------
    >>> import usidx, tempfile
    >>> view = usidx.export(usidx.example_file(), f"{tempfile.mkdtemp()}/scan.nxs", copy=False)
    >>> usidx.check_export(view)
    """
    path = find_local_path(target)
    noted = _read_notes(path)
    if "refers_to" not in noted:
        raise UsidError(f"{str(path)!r} refers to no other file: what it shows is in it.")
    file = _find_referred(path, noted)
    now = take_source(file)
    if (str(now.size), str(now.mtime_ns)) == (str(noted.get("size")), str(noted.get("mtime_ns"))):
        return
    found = _describe_contents(open_contents(find_place(str(file)), noted.get("group"), chunks=None))
    changed = sorted(name for name, digest in noted["refers_to"].items() if found.get(name) != digest)
    if changed:
        raise UsidError(
            f"{str(path)!r} is out of date: it refers to {str(file)!r} as that was at {noted.get('changed')} "
            f"({noted.get('size')} bytes), and since then {', '.join(map(repr, changed[:3]))} "
            f"{'was' if len(changed) == 1 else 'were'} changed, moved or removed in it. Export it again."
        )


def _find_referred(path: Path, noted: Mapping[str, Any]) -> Path:
    beside = path.parent / str(noted.get("relative", ""))
    file = beside if noted.get("relative") else Path(str(noted["file"]))
    if not file.is_file():
        raise MissingFileError(
            f"{str(file)!r}, to which {str(path)!r} refers, is not there. Put it back, or export again."
        )
    return file


def _read_notes(path: Path) -> dict[str, Any]:
    if not path.is_file() and not (path / NOTES).is_file():
        raise MissingFileError(f"There is no file {str(path)!r}.")
    text = ""
    try:
        if path.is_dir():
            text = str(json.loads((path / NOTES).read_text(encoding="utf-8")).get(SOURCE, ""))
        elif h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                text = str(file.attrs.get(SOURCE, ""))
        else:
            attrs = json.loads(json.loads(path.read_text(encoding="utf-8"))["refs"][".zattrs"])
            text = str(attrs.get(SOURCE, ""))
        noted = json.loads(text)
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise UsidError(f"{str(path)!r} is nothing that usidx.export made without a copy.") from err
    return noted if isinstance(noted, dict) else {}
