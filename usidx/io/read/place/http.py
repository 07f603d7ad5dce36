"""Ranges of bytes of a web page -> those bytes and no others, whatever the server sends.

fsspec reads whatever a server answers, and takes a whole file for the part that was asked for. Here the status and
the range that the answer claims are checked before its body is read, and no more of it is read than was asked for.
What fails because a server is busy or a connection broke is asked for again, as the clients of S3 do by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from yarl import URL

from usidx.errors import RemoteError
from usidx.io.read.place.secrets import hide_url_secrets

__all__ = ["PAUSES", "fetch_ranges", "is_passing", "keep_secrets"]

#: Seconds before it is asked again.
PAUSES = (0.3, 1.0, 3.0)
_BUSY = {429, 500, 502, 503, 504}

_MISSING = {404, 410}
_WHOLE, _PART = 200, 206


# Headers that say what is wanted, not who wants it.
_HARMLESS = {"accept", "accept-encoding", "range", "user-agent", "host", "if-match", "if-none-match", "if-range"}


def keep_secrets(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of fsspec's file system for HTTP with which headers stay with the host that the user named.

    aiohttp drops Authorization and Cookie where it is sent on to another host, and takes any other header along, such
    as X-Api-Key.
    """
    given = dict(options.get("client_kwargs") or {})
    traces = [*(given.get("trace_configs") or ()), _drop_headers]
    return {**options, "client_kwargs": {**given, "trace_configs": traces}}


async def _forget_headers(_session: Any, _context: Any, params: aiohttp.TraceRequestRedirectParams) -> None:
    """Drop what is not harmless, if the answer sends to another host, port or scheme."""
    target = params.response.headers.get("Location") or params.response.headers.get("URI") or ""
    try:
        is_same = params.url.join(URL(target)).origin() == params.url.origin()
    except ValueError:
        is_same = False
    if not is_same:
        for name in {name for name in params.headers if name.lower() not in _HARMLESS}:
            params.headers.popall(name, None)


_drop_headers = aiohttp.TraceConfig()
_drop_headers.on_request_redirect.append(_forget_headers)


async def fetch_ranges(
    system: Any, url: str, spans: Sequence[tuple[int, int]], total: int, etag: str | None, at_once: int
) -> list[bytes]:
    """Fetch ranges of bytes through the session of fsspec's file system for HTTP.

    Parameters
    ----------
    system : fsspec.implementations.http.HTTPFileSystem
        With the user's headers, certificates and limits.
    url : str
        Where to ask.
    spans : sequence of (int, int)
        First byte and the one behind the last.
    total : int
        Size of the object.
    etag : str or None
        Its version, where known.
    at_once : int
        Requests that may be under way.

    Raises
    ------
    FileNotFoundError
        There is no such object.
    RemoteError
        The server refuses, does not know ranges, gives less, or another version.
    """
    session = await system.set_session()
    gate = asyncio.Semaphore(at_once)

    async def fetch(span: tuple[int, int]) -> bytes:
        async with gate:
            return await _fetch(system, session, url, span, total, etag)

    tasks = [asyncio.ensure_future(fetch(span)) for span in spans]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed a moment later."""
    broken = aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | asyncio.IncompleteReadError | _BusyError
    return isinstance(error, broken) or getattr(error, "status", 0) in _BUSY


class _BusyError(RemoteError):
    """The server cannot answer now."""


async def _fetch(*request: Any) -> bytes:
    for pause in PAUSES:
        try:
            return await _fetch_once(*request)
        except (aiohttp.ClientError, asyncio.IncompleteReadError, RemoteError) as err:
            if not is_passing(err):
                raise
        await asyncio.sleep(pause)
    try:
        return await _fetch_once(*request)
    except asyncio.IncompleteReadError as err:
        return err.partial


async def _fetch_once(
    system: Any, session: Any, url: str, span: tuple[int, int], total: int, etag: str | None
) -> bytes:
    start, end = span
    options = dict(system.kwargs)
    headers = {**options.pop("headers", {}), "Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
    async with session.get(system.encode_url(url), headers=headers, **options) as response:
        _check(response, hide_url_secrets(url), span, total, etag)
        found: bytes = await response.content.readexactly(end - start)
        return found


def _check(response: Any, name: str, span: tuple[int, int], total: int, etag: str | None) -> None:
    """Refuse an answer whose body is not the range that was asked for."""
    start, end = span
    if response.status in _MISSING:
        raise FileNotFoundError(name)
    if response.status == _WHOLE and start > 0:
        raise RemoteError(
            f"{name!r}: the server sends the whole file where a part is asked for (no range requests). Put "
            f"'simplecache::' before the URL to download it whole, or download it and open the copy."
        )
    if response.status not in {_WHOLE, _PART}:
        kind = _BusyError if response.status in _BUSY else RemoteError
        raise kind(f"{name!r} cannot be read: the server answers {response.status} {response.reason}.")
    claimed = response.headers.get("Content-Range", "")
    if response.status == _PART and claimed.partition("/")[0] != f"bytes {start}-{end - 1}":
        raise RemoteError(f"{name!r}: asked for the bytes {start}-{end - 1} of {total}, the server gives {claimed!r}.")
    if response.headers.get("Content-Encoding", "identity") not in {"identity", ""}:
        raise RemoteError(f"{name!r}: the server compresses what it sends, so parts of the file cannot be told.")
    if etag is not None and response.headers.get("ETag", etag) != etag:
        raise RemoteError(f"{name!r} changed while it was read; open it again.")
