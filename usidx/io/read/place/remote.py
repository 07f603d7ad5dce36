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
from usidx.io.read.place.heap import watch_bytes
from usidx.io.read.place.objects.connection import Connection
from usidx.io.read.place.objects.lru import LruCache
from usidx.io.read.place.objects.pages import Pages, forget, has_pages
from usidx.io.read.place.objects.remote_bytes import RemoteSource
from usidx.io.read.place.objects.secrets import hide_url_secrets
from usidx.io.read.place.objects.version import ObjectVersion, find_version_in
from usidx.io.read.place.open_errors import DAMAGE, make_unreadable_error
from usidx.io.read.place.scout import scout_dataset, scout_file

__all__ = ["RemoteFile"]

# How an object begins comes with the first request.
_FIRST = 512 << 10
# Of so many objects it is known in which version they were met last.
_MOST_OBJECTS = 1000


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
        return str(tokenize(self.url, sorted(self.options.items())))

    def __repr__(self) -> str:
        return f"RemoteFile({self.name!r})"

    def __str__(self) -> str:
        return self.name

    @contextmanager
    def open(self) -> Iterator[tuple[h5py.File, str | None]]:
        """Open the object as an HDF5 file; beside it what marks the version, where anything does."""
        with _pause_collection():
            known = _known.get(self)
            is_held = known is not None and has_pages(self, known)
            pages = self._make_pages(self.find_version()) if is_held else self._ask_anew()
            try:
                with self._open(pages) as file:
                    yield file, pages.version.text
            finally:
                self._compare(pages)

    @contextmanager
    def open_again(self, version: ObjectVersion, address: int | None = None) -> Iterator[h5py.File]:
        """Open the object, which was in that version just now; the index of the dataset at an address is looked for."""
        with _pause_collection():
            pages = self._make_pages(version)
            pages.connection.settle()
            try:
                with self._open(pages, address) as file:
                    yield file
            except DAMAGE:
                self._compare(pages)  # without errors, who opened it compares what is read
                raise

    def _ask_anew(self) -> Pages:
        """Ask for the version, and keep how the object begins."""
        connection = self.make_connection()
        version, start = connection.ask_first(_FIRST)
        pages = Pages(self, self._note(version), connection)
        pages.keep(0, start)
        return pages

    def _make_pages(self, version: ObjectVersion) -> Pages:
        return Pages(self, version, self.make_connection())

    @contextmanager
    def _open(self, pages: Pages, address: int | None = None) -> Iterator[h5py.File]:
        self._scout(pages, address)
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

    def _compare(self, pages: Pages) -> None:
        """Refuse what was read in part of another version."""
        if pages.connection.unproven and pages.failure is None and self.find_version() != pages.version:
            forget(self, pages.version)
            _scouted.drop(lambda place, _: place == self)
            raise RemoteError(f"{self.name!r} changed while it was being opened; open it again.")

    def _scout(self, pages: Pages, address: int | None) -> None:
        """Fetch what HDF5 will ask for: of the file once, after that of the index of the dataset at an address."""
        if _scouted.get(self) != pages.version:
            _scouted.put(self, pages.version)
            scout_file(pages)
        if address is not None:
            scout_dataset(pages, address)

    def _refuse(self, pages: Pages, error: OSError) -> NoReturn:
        if pages.failure is not None:
            raise pages.failure
        raise make_unreadable_error(self.name, error) from error

    def make_connection(self) -> Connection:
        """Return what sends requests for the object."""
        return Connection(self.url, self.options)

    def find_version(self) -> ObjectVersion:
        """Ask for the version that the object is in now."""
        return self._note(find_version_in(self.make_connection().ask_info()))

    def recall_version(self) -> ObjectVersion:
        """Return the version in which the object was met last; ask where it never was."""
        known = _known.get(self)
        return self._ask_anew().version if known is None else known

    def _note(self, version: ObjectVersion | None) -> ObjectVersion:
        if version is None:
            raise RemoteError(
                f"{self.name!r}: the server does not say how large it is, so no part of it can be asked for. Download "
                "it and open the copy."
            )
        _known.put(self, version)
        return version

    def may_be(self, version: ObjectVersion) -> bool:
        """Whether the object may be in that version: what is read is compared afterwards, which saves a request."""
        return True

    def is_settled(self, version: ObjectVersion) -> bool:
        """Whether the version can be told from any later one."""
        return True

    @contextmanager
    def open_source(self, version: ObjectVersion) -> Iterator[RemoteSource]:
        """Give what reads at addresses."""
        yield RemoteSource(self.make_connection(), version)

    def find_place_of(self, object_: h5py.Group | h5py.Dataset) -> RemoteFile:
        """Return the object itself: links to other files are refused where they are followed."""
        return self


_known: LruCache[RemoteFile, ObjectVersion] = LruCache(_MOST_OBJECTS, lambda _: 1)
#: Of which version what describes it was fetched: pages that were dropped since are asked for one by one.
_scouted: LruCache[RemoteFile, ObjectVersion] = LruCache(_MOST_OBJECTS, lambda _: 1)

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
