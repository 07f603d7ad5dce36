"""What a user gives to say where a file is -> the one value that knows how to read it there."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from os import PathLike, fsdecode, fsencode
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

import h5py

from usidx.errors import UsidError
from usidx.io.read.place.byte_source import ByteSource
from usidx.io.read.place.local import LocalFile, Version
from usidx.io.read.place.objects.secrets import hide_url_secrets
from usidx.io.read.place.objects.version import ObjectVersion
from usidx.io.read.place.remote import RemoteFile

__all__ = ["AnyVersion", "FilePath", "Options", "Place", "find_local_path", "find_place"]

FilePath = str | PathLike[str]
#: What fsspec needs to reach an object: keys, endpoints.
Options = Mapping[str, Any] | None
AnyVersion = Version | ObjectVersion

# One letter is a drive of Windows.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)")
_LOCAL = ("file", "local")
# What is left of a URL that was made a path.
_WAS_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/[^/]")


class Place(Protocol):
    """Where a file is, and how it is read there. Versions are its own: it is given back what it gave."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def title(self) -> str:
        """The last part of its name."""

    @property
    def token(self) -> str:
        """What tells it from another of the same name."""

    def open(self) -> AbstractContextManager[tuple[h5py.File, str | None]]:
        """Open the file; beside it what marks its version for good, where anything does."""

    def open_again(self, version: Any, address: int | None = None) -> AbstractContextManager[h5py.File]:
        """Open the file, which was in that version just now; the index of the dataset at an address is looked for."""

    def find_version(self) -> AnyVersion:
        """Return the version that it is in now."""

    def recall_version(self) -> AnyVersion:
        """Return a version to begin with, if what is read with it is compared: asked for now, or known of late."""

    def may_be(self, version: Any) -> bool:
        """Whether it may be in that version."""

    def is_settled(self, version: Any) -> bool:
        """Whether the version can be told from any later one."""

    def open_source(self, version: Any) -> AbstractContextManager[ByteSource | None]:
        """Open the file to read at addresses; None where another file took its place."""

    def find_place_of(self, object_: h5py.Group | h5py.Dataset) -> Place:
        """Return the file that an object lies in, which a link may have led to."""


def find_place(path: FilePath | Place, storage_options: Options = None, *, external: bool = False) -> Place:
    """Return where a file is: on this machine, or behind a URL.

    Parameters
    ----------
    path : path or str
        A path, a URL that fsspec knows, or a place, which stays as it is.
    storage_options : mapping, optional
        Given to fsspec; for URLs alone.
    external : bool, default False
        Whether other files that it names may be read, in its folder and below.

    Raises
    ------
    UsidError
        Options were given with a path, or the path was a URL once.
    """
    if not isinstance(path, str | bytes | PathLike):
        if not hasattr(path, "open_source"):
            raise UsidError(f"A {type(path).__name__} where the path or the URL of a file is expected.")
        return path
    text = fsdecode(path)
    if _URL.match(text) and urlsplit(text).scheme not in _LOCAL:
        return RemoteFile(text, dict(storage_options or {}))
    if storage_options:
        raise UsidError(f"storage_options go with URLs such as 's3://bucket/scan.h5', but {text!r} is a path.")
    if _WAS_URL.match(text) and not Path(text).exists():
        raise UsidError(f"{text!r} is a URL that was made a path, which loses a slash. Give URLs as text.")
    return LocalFile(str(find_local_path(text)), external)


def find_local_path(path: FilePath) -> Path:
    """Return the absolute path of a file of this machine.

    Raises
    ------
    UsidError
        It is a URL: objects are read, not written. Or no file can have that name.
    """
    text = fsdecode(path)
    if not _URL.match(text):
        return _check_name(Path(text).expanduser().absolute())
    parts = urlsplit(text)
    if parts.scheme not in _LOCAL or parts.netloc not in {"", "localhost"}:
        raise UsidError(
            f"{hide_url_secrets(text)!r} is a URL, and usidx only reads those. Give the path of a local file; what is "
            "written there can be uploaded."
        )
    return _check_name(Path(url2pathname(parts.path)).absolute())


def _check_name(path: Path) -> Path:
    """Refuse what no file system takes for a name, which would come up as an error of the system later on."""
    try:
        os.lstat(path)
    except ValueError as err:
        raise UsidError(f"{str(path)!r} holds a NUL, which no name of a file can.") from err
    except OSError as err:
        if err.errno == errno.ENAMETOOLONG:
            longest = max(path.parts, key=lambda part: len(fsencode(part)))
            raise UsidError(
                f"The path {str(path)!r} is too long for this system: {len(fsencode(path))} bytes, its longest part "
                f"{len(fsencode(longest))}, where most systems take 4095 and 255. Give a shorter name."
            ) from err
    return path
