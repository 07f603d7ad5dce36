"""A URL -> an HDF5 file to look into, bytes at addresses, and the version that the object is in.

What an object is reached with (keys, tokens, the query of a signed URL) travels with it to other processes, and is kept
out of everything that is shown or recorded.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import h5py
from dask.base import tokenize

from usidx.errors import RemoteError
from usidx.io.read.place.connection import Connection
from usidx.io.read.place.heap import watch_bytes
from usidx.io.read.place.open_errors import make_unreadable_error
from usidx.io.read.place.pages import Pages, forget
from usidx.io.read.place.remote_bytes import RemoteSource
from usidx.io.read.place.secrets import hide_url_secrets

__all__ = ["ObjectVersion", "RemoteFile"]

# What file systems call the marks by which one version of an object is told from another, in the order of worth.
_MARKS = (
    *("ETag", "etag", "e_tag", "version_id", "VersionId", "generation", "Content-MD5", "content_md5", "md5Hash"),
    *("md5", "checksum", "Digest", "LastModified", "Last-Modified", "last_modified", "modified", "mtime", "updated"),
    "created",
)


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """Size of an object, and what else its server says to tell one version from another."""

    size: int
    marks: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str | None:
        """The size and the best mark in words, None where only the size is known."""
        return f"{self.size} {self.marks[0][1]}" if self.marks else None

    @property
    def etag(self) -> str | None:
        """What HTTP calls the version."""
        return dict(self.marks).get("ETag")


@dataclass(frozen=True, slots=True, repr=False)
class RemoteFile:
    """An object that fsspec reaches.

    Attributes
    ----------
    url : str
        Where it is, secrets included.
    options : mapping
        What fsspec needs to reach it.
    """

    url: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        """The URL without secrets."""
        return hide_url_secrets(self.url)

    @property
    def title(self) -> str:
        """The last part of its name."""
        return self.name.rstrip("/").rsplit("/", 1)[-1]

    @property
    def token(self) -> str:
        """What tells it from another whose name without secrets is the same."""
        return str(tokenize(self.url, dict(self.options)))

    def __repr__(self) -> str:
        return f"RemoteFile({self.name!r})"

    def __str__(self) -> str:
        return self.name

    @contextmanager
    def open(self) -> Iterator[tuple[h5py.File, str | None]]:
        """Open the object as an HDF5 file; beside it what marks the version, where anything does."""
        with _pause_collection():
            version = self.find_version()
            with self._open(version) as file:
                yield file, version.text

    @contextmanager
    def open_again(self, version: ObjectVersion) -> Iterator[h5py.File]:
        """Open the object, which was in that version just now."""
        with _pause_collection():
            self.make_connection().settle()
            with self._open(version) as file:
                yield file

    @contextmanager
    def _open(self, version: ObjectVersion) -> Iterator[h5py.File]:
        pages = Pages(self, version, self.make_connection())
        try:
            with ExitStack() as stack:
                try:
                    file = stack.enter_context(h5py.File(pages, "r"))
                except OSError as err:
                    self._refuse(pages, err)
                stack.enter_context(watch_bytes(file, pages.read_at))
                yield file
        finally:
            # What a failed request left unread HDF5 takes for damage, and damage is passed over where it can be.
            if pages.failure is not None:
                raise pages.failure
            if pages.fetched and self.find_version() != version:
                forget(self, version)
                raise RemoteError(f"{self.name!r} changed while it was being opened; open it again.")

    def _refuse(self, pages: Pages, error: OSError) -> NoReturn:
        if pages.failure is not None:
            raise pages.failure
        raise make_unreadable_error(self.name, error) from error

    def make_connection(self) -> Connection:
        """Return what sends requests for the object."""
        return Connection(self.url, self.options)

    def find_version(self) -> ObjectVersion:
        """Ask for the version that the object is in now."""
        info = self.make_connection().ask_info()
        size = info.get("size")
        if not isinstance(size, int) or size < 0:
            raise RemoteError(
                f"{self.name!r}: the server does not say how large it is, so no part of it can be asked for. Download "
                "it and open the copy."
            )
        return ObjectVersion(size, tuple((mark, str(info[mark])) for mark in _MARKS if info.get(mark) is not None))

    def may_be(self, version: ObjectVersion) -> bool:
        """Whether the object may be in that version: what is read is compared afterwards, which saves a request."""
        return True

    def is_settled(self, version: ObjectVersion) -> bool:
        """Whether the version can be told from any later one."""
        return True

    @contextmanager
    def open_source(self, version: ObjectVersion) -> Iterator[RemoteSource]:
        """Give what reads at addresses."""
        yield RemoteSource(self.make_connection(), version.size, version.etag)

    def find_place_of(self, object_: h5py.Group | h5py.Dataset) -> RemoteFile:
        """Return the object itself: links to other files are refused where they are followed."""
        return self


# h5py holds its lock while it waits for bytes, and fsspec fetches them in a thread of its own. If Python collects
# garbage in that thread and meets an object of h5py, each waits for the other for ever (h5py's documentation on
# file-like objects and threads). So nothing is collected while an object is open. A collection that began before is
# over as soon as that thread has answered a request, which is sent before HDF5 is asked anything.
_open_objects = 0
_was_enabled = False
_counting = threading.Lock()


@contextmanager
def _pause_collection() -> Iterator[None]:
    global _open_objects, _was_enabled
    with _counting:
        if _open_objects == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _open_objects += 1
    try:
        yield
    finally:
        with _counting:
            _open_objects -= 1
            if _open_objects == 0 and _was_enabled:
                gc.enable()


def _forget_after_fork() -> None:
    global _open_objects, _counting
    if _open_objects and _was_enabled:
        gc.enable()
    _open_objects, _counting = 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
