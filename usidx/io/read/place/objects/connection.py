"""A URL -> its size and version, and ranges of its bytes, many at once; fsspec does the talking.

Nothing is waited for without end, and no more memory is taken than was asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from usidx.errors import MissingExtraError, MissingFileError, RemoteError, UsidError
from usidx.io.read.place.objects.secrets import hide_text_secrets, hide_url_secrets
from usidx.io.read.place.objects.version import ObjectVersion, find_version_in

__all__ = ["Connection"]

Answer = TypeVar("Answer")
Span = tuple[int, int]

#: Requests of one block that are under way at once.
_AT_ONCE = 32
# How long an answer is waited for, in seconds: at all, and for each of so many bytes.
_PATIENCE, _LEAST_SPEED = 60.0, 100_000
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "http": "aiohttp", "https": "aiohttp"}


class Connection:
    """What sends requests for an object.

    Parameters
    ----------
    url : str
        Where it is, secrets included.
    options : mapping
        Given to fsspec.

    Attributes
    ----------
    proven, unproven : int
        Answers that told by themselves that they are of the version that was asked for, and those that did not.

    Raises
    ------
    MissingExtraError
        A package for this kind of URL is not installed.
    UsidError
        The URL is of no kind that fsspec knows.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self._url, self._options = url, options
        self.proven = self.unproven = 0
        self._system, self._path = self._translate_errors(self._connect)

    def ask_info(self) -> Mapping[str, Any]:
        """Ask anew what the server knows of the object: its size, and what tells its version."""

        def ask() -> Mapping[str, Any]:
            self._system.invalidate_cache(self._path)
            found: Mapping[str, Any] = self._system.info(self._path, **self._choose_limits(0))
            return found

        found = self._translate_errors(lambda: _ask_again(ask) if _is_http(self._system) else ask())
        if found.get("type") == "directory":
            raise MissingFileError(f"There is no file {hide_url_secrets(self._url)!r}: it is a folder.")
        return found

    def ask_first(self, nbytes: int) -> tuple[ObjectVersion | None, bytes]:
        """Ask for the version and how the object begins, by one request where the server tells both at once."""
        found = self._fetch_first(nbytes) if _is_http(self._system) else None
        if found is not None:
            self.proven += 1
            return found
        return find_version_in(self.ask_info()), b""

    def _fetch_first(self, nbytes: int) -> tuple[ObjectVersion, bytes] | None:
        from fsspec.asyn import sync

        from usidx.io.read.place.objects.http import fetch_first

        def ask() -> tuple[ObjectVersion, bytes] | None:
            found: tuple[ObjectVersion, bytes] | None = sync(
                self._system.loop, fetch_first, self._system, self._path, nbytes, **self._choose_limits(nbytes)
            )
            return found

        return self._translate_errors(ask)

    def settle(self) -> None:
        """Return when the thread that sends the requests has answered."""
        if self._system.async_impl:
            from fsspec.asyn import sync

            sync(self._system.loop, asyncio.sleep, 0, timeout=_PATIENCE)

    def fetch_ranges(self, spans: Sequence[Span], version: ObjectVersion) -> list[bytes]:
        """Fetch ranges of bytes.

        Parameters
        ----------
        spans : sequence of (int, int)
            First byte and the one behind the last.
        version : ObjectVersion
            The version that they are to be of.

        Returns
        -------
        list of bytes
            As long as asked for, each.

        Raises
        ------
        MissingFileError
            There is no such object.
        RemoteError
            The server cannot be reached, refuses, or gives other bytes than asked for.
        """
        wanted = [span for span in spans if span[0] < span[1]]
        limits = self._choose_limits(sum(end - start for start, end in wanted))
        found = iter(self._translate_errors(lambda: self._fetch(wanted, limits, version)) if wanted else ())
        parts = [next(found) if start < end else b"" for start, end in spans]
        for (start, end), part in zip(spans, parts, strict=True):
            if len(part) != end - start:
                raise RemoteError(
                    f"{hide_url_secrets(self._url)!r}: asked for {end - start} bytes at byte {start}, the server gave "
                    f"{len(part)}. The object was cut off or replaced, or the server gives no parts of files: put "
                    "'simplecache::' before the URL to download it whole."
                )
        return parts

    def _fetch(self, spans: Sequence[Span], limits: dict[str, Any], version: ObjectVersion) -> list[bytes]:
        if _is_http(self._system):
            from fsspec.asyn import sync

            from usidx.io.read.place.objects.http import fetch_ranges

            found: list[tuple[bytes, bool]] = sync(
                self._system.loop, fetch_ranges, self._system, self._path, spans, version, _AT_ONCE, **limits
            )
            proven = sum(is_proven for _, is_proven in found)
            self.proven, self.unproven = self.proven + proven, self.unproven + len(found) - proven
            return [part for part, _ in found]
        self.unproven += len(spans)
        if self._system.async_impl:
            limits = {**limits, "batch_size": _AT_ONCE}
        starts, ends = ([span[side] for span in spans] for side in (0, 1))
        return list(self._system.cat_ranges([self._path] * len(spans), starts, ends, on_error="raise", **limits))

    def _choose_limits(self, nbytes: int) -> dict[str, Any]:
        """Say how long to wait; file systems that are not asynchronous keep their own limits."""
        return {"timeout": _PATIENCE + nbytes / _LEAST_SPEED} if self._system.async_impl else {}

    def _connect(self) -> tuple[Any, str]:
        try:
            from fsspec.core import url_to_fs
        except ImportError as err:
            raise MissingExtraError("fsspec", "remote", "Opening a URL") from err
        system, path = url_to_fs(self._url, **self._choose_options())
        return system, path

    def _choose_options(self) -> Mapping[str, Any]:
        """Return the options, with what keeps headers from other hosts where HTTP is spoken."""
        *links, last = self._url.split("::")
        protocol = last.partition("://")[0]
        if protocol not in {"http", "https"}:
            return self._options
        try:
            from usidx.io.read.place.objects.http import keep_secrets
        except ImportError:
            return self._options  # fsspec says what is missing
        if links:
            return {**self._options, protocol: keep_secrets(self._options.get(protocol) or {})}
        return keep_secrets(self._options)

    def _translate_errors(self, ask: Callable[[], Answer]) -> Answer:
        """Turn what fsspec and the libraries below it raise into errors without secrets, their causes included."""
        try:
            return ask()
        except UsidError:
            raise
        # Each file system raises classes of its own, of libraries that are not imported here.
        except Exception as err:
            told = self._make_error(err)
        raise told

    def _make_error(self, error: Exception) -> Exception:
        name, error = hide_url_secrets(self._url), _find_true_cause(error)
        said = hide_text_secrets(str(error), self._url, self._options) or type(error).__name__
        if isinstance(error, FileNotFoundError):
            return MissingFileError(f"There is no file {name!r}.")
        if isinstance(error, ImportError):
            protocols = [link.partition("://")[0] for link in self._url.split("::")]
            package = next((_PACKAGES[p] for p in protocols if p in _PACKAGES), None)
            if package is not None:
                return MissingExtraError(package, "remote", f"Opening {name!r}")
            return UsidError(f"{name!r} cannot be opened: a package for this kind of URL is not installed. ({said})")
        if isinstance(error, TimeoutError):
            return RemoteError(f"{name!r}: the server does not answer in time; try again.")
        return RemoteError(f"{name!r} cannot be read. ({type(error).__name__}: {said})")


def _ask_again(ask: Callable[[], Answer]) -> Answer:
    """Ask a web server once more, and again, where that may help."""
    from usidx.io.read.place.objects.http import PAUSES, is_passing

    for pause in PAUSES:
        try:
            return ask()
        except OSError as err:  # by which fsspec tells whatever went wrong
            if not is_passing(_find_true_cause(err)):
                raise
        time.sleep(pause)
    return ask()


def _find_true_cause(error: Exception) -> Exception:
    """Return why a file is said to be missing, where it is not: fsspec says so whenever HTTP does not work."""
    cause = error.__cause__
    if not isinstance(error, FileNotFoundError) or not isinstance(cause, Exception):
        return error
    is_of_network = isinstance(cause, OSError) or type(cause).__module__.startswith("aiohttp")
    return cause if is_of_network and getattr(cause, "status", 0) not in {404, 410} else error


def _is_http(system: Any) -> bool:
    protocol = system.protocol
    return type(system).__module__ == "fsspec.implementations.http" and "http" in protocol
