"""What a server says of an object -> the version that it is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ObjectVersion", "find_version_in"]

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


def find_version_in(info: Mapping[str, Any]) -> ObjectVersion | None:
    """Return the version in what fsspec, or the headers of an answer, tell; None where the size is not told."""
    size = info.get("size")
    if not isinstance(size, int) or size < 0:
        return None
    marks = tuple((mark, str(info[mark])) for mark in _MARKS if info.get(mark) is not None)
    # An ETag says it all; of the other marks not every way of asking tells (fsspec before 2025.7 leaves some out).
    return ObjectVersion(size, marks[:1] if marks and marks[0][0] == "ETag" else marks)
