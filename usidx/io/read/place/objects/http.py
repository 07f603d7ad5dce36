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
from usidx.io.read.place.objects.secrets import hide_url_secrets
from usidx.io.read.place.objects.version import ObjectVersion, find_version_in

__all__ = ["PAUSES", "fetch_first", "fetch_ranges", "is_passing", "keep_secrets"]

#: Seconds before it is asked again.
PAUSES = (0.3, 1.0, 3.0)
_BUSY = {429, 500, 502, 503, 504}

_MISSING = {404, 410}
_WHOLE, _PART = 200, 206
# So much is taken of a file that is sent whole.
_WHOLE_AT_MOST = 2 << 20
# What fsspec looks for in headers, too.
_MARKS = ("ETag", "Content-MD5", "Digest", "Last-Modified")


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


async def fetch_first(system: Any, url: str, nbytes: int) -> tuple[ObjectVersion, bytes] | None:
    """Fetch how a file begins; beside it the version that the same answer tells.

    None where it tells no size, or anything else than that is answered: who asks in another way will learn why.
    """
    session = await system.set_session()
    try:
        async with _ask(system, session, url, (0, nbytes)) as response:
            version = _find_version(response)
            if version is None:
                return None
            # A server that knows no ranges sends all of the file, of which no part can be asked for later.
            most = nbytes if response.status == _PART else _WHOLE_AT_MOST
            return version, await response.content.readexactly(min(most, version.size))
    except (aiohttp.ClientError, asyncio.IncompleteReadError):
        return None


def _find_version(response: Any) -> ObjectVersion | None:
    """Return the version that an answer tells, None where it is no answer to a request for the first bytes."""
    headers = response.headers
    part, _, total = headers.get("Content-Range", "").partition("/")
    size = {_PART: total if part.startswith("bytes 0-") else "", _WHOLE: headers.get("Content-Length", "")}
    told = size.get(response.status, "")
    if not told.isdecimal() or headers.get("Content-Encoding", "identity") not in {"identity", ""}:
        return None
    return find_version_in({**{mark: headers[mark] for mark in _MARKS if headers.get(mark)}, "size": int(told)})


async def fetch_ranges(
    system: Any, url: str, spans: Sequence[tuple[int, int]], version: ObjectVersion, at_once: int
) -> list[tuple[bytes, bool]]:
    """Fetch ranges of bytes through the session of fsspec's file system for HTTP.

    Parameters
    ----------
    system : fsspec.implementations.http.HTTPFileSystem
        With the user's headers, certificates and limits.
    url : str
        Where to ask.
    spans : sequence of (int, int)
        First byte and the one behind the last.
    version : ObjectVersion
        The version that they are to be of.
    at_once : int
        Requests that may be under way.

    Returns
    -------
    list of (bytes, bool)
        Each range, and whether its answer says that it is of that version.

    Raises
    ------
    FileNotFoundError
        There is no such object.
    RemoteError
        The server refuses, does not know ranges, gives less, or another version.
    """
    session = await system.set_session()
    gate = asyncio.Semaphore(at_once)

    async def fetch(span: tuple[int, int]) -> tuple[bytes, bool]:
        async with gate:
            return await _fetch(system, session, url, span, version)

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


async def _fetch(*request: Any) -> tuple[bytes, bool]:
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
        return err.partial, False


async def _fetch_once(
    system: Any, session: Any, url: str, span: tuple[int, int], version: ObjectVersion
) -> tuple[bytes, bool]:
    async with _ask(system, session, url, span) as response:
        _check(response, hide_url_secrets(url), span, version)
        found: bytes = await response.content.readexactly(span[1] - span[0])
        return found, _is_proven(response, version)


def _ask(system: Any, session: Any, url: str, span: tuple[int, int]) -> Any:
    options = dict(system.kwargs)
    wanted = {"Range": f"bytes={span[0]}-{span[1] - 1}", "Accept-Encoding": "identity"}
    headers = {**options.pop("headers", {}), **wanted}
    return session.get(system.encode_url(url), headers=headers, **options)


def _is_proven(response: Any, version: ObjectVersion) -> bool:
    """Whether an answer tells as much of its version as the server tells at all, and it is that one."""
    if response.headers.get("Content-Range", "").rpartition("/")[2] != str(version.size):
        return False
    return all(response.headers.get(mark) == said for mark, said in version.marks)


def _check(response: Any, name: str, span: tuple[int, int], version: ObjectVersion) -> None:
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
        asked = f"{start}-{end - 1} of {version.size}"
        raise RemoteError(f"{name!r}: asked for the bytes {asked}, the server gives {claimed!r}.")
    if response.headers.get("Content-Encoding", "identity") not in {"identity", ""}:
        raise RemoteError(f"{name!r}: the server compresses what it sends, so parts of the file cannot be told.")
    etag = version.etag
    if etag is not None and response.headers.get("ETag", etag) != etag:
        raise RemoteError(f"{name!r} changed while it was read; open it again.")
