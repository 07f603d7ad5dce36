"""Bytes that a page has made for its user, until the browser fetches them."""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass

__all__ = ["Offer", "Offers"]

# What nobody fetched is let go when so many newer ones came.
_MOST = 8


@dataclass(frozen=True, slots=True)
class Offer:
    """A file to download: its name, what it is, and what is in it."""

    file_name: str
    kind: str
    content: bytes


class Offers:
    """What is to be fetched, each once, under a name that cannot be guessed."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Offer] = OrderedDict()

    def put(self, file_name: str, kind: str, content: bytes) -> str:
        """Hold a file; return the path at which it is fetched."""
        name = secrets.token_urlsafe(16)
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", file_name).strip("._") or "usidx"
        self._held[name] = Offer(safe, kind, content)
        while len(self._held) > _MOST:
            self._held.popitem(last=False)
        return f"take/{name}"

    def take(self, name: str) -> Offer | None:
        """Return what is held under a name, and let it go."""
        return self._held.pop(name, None)
