"""A file behind a URL, called as one in a folder is."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from usidx.io.read.place.objects.secrets import hide_url_secrets

__all__ = ["File", "Url", "is_url"]

_URL = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+://")


class Url(str):
    """The URL of a file, which is a text where it is opened."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The last part of its path."""
        return unquote(urlsplit(self).path.rstrip("/").rpartition("/")[2]) or self.shown

    @property
    def shown(self) -> str:
        """The URL without what lets one in, as the page and its address say it."""
        return hide_url_secrets(str(self))


#: What the app opens.
File = Path | Url


def is_url(text: str) -> bool:
    """Say whether a text is the URL of a file on another machine."""
    return _URL.match(text) is not None
