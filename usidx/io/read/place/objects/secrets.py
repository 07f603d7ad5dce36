"""A URL, or a text about one -> the same without what must not be shown: passwords, tokens, signatures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

__all__ = ["hide_text_secrets", "hide_url_secrets"]

_HIDDEN = "***"
# Words this short would blot out half of a message, and protect nothing.
_SHORTEST_SECRET = 6
_QUERY = re.compile(r"\?[^\s'\"<>)\]]*")
_PASSWORD = re.compile(r"(://)[^/@:\s]*:[^/@\s]*@")
_HTTP_USER = re.compile(r"(https?://)[^/@\s]*@")


def hide_url_secrets(url: str) -> str:
    """Return a URL without its query, which holds the tokens of signed URLs, and without a password."""
    links = (link.partition("?")[0] for link in url.split("::"))
    return "::".join(_HTTP_USER.sub(r"\1", _PASSWORD.sub(r"\1", link)) for link in links)


def hide_text_secrets(text: str, url: str, options: Mapping[str, Any]) -> str:
    """Return what another library says about a URL, without the secrets of the URL and of the options."""
    text = _HTTP_USER.sub(r"\1", _PASSWORD.sub(r"\1", text.replace(url, hide_url_secrets(url))))
    for secret in sorted({*_list_texts(options), *_list_query_values(url)}, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, _HIDDEN).replace(quote(secret, safe=""), _HIDDEN)
    return _QUERY.sub("?" + _HIDDEN, text)


def _list_query_values(url: str) -> Iterator[str]:
    for link in url.split("::"):
        query = link.partition("?")[2]
        yield from (value for _, value in parse_qsl(query))
        yield from query.split("&")


def _list_texts(value: Any) -> Iterator[str]:
    """Yield each text in nested options; endpoints are addresses, not secrets."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode(errors="replace")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in {"endpoint_url", "region_name"}:
                yield from _list_texts(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _list_texts(inner)
