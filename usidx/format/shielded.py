"""A text of a file -> the same text, shown without what a terminal would obey.

Files hold what anybody wrote: a title with control characters may clear the screen, or write to the clipboard, as soon
as an array is shown. The text itself stays as it is in the file, for it is data; only showing it writes them out.
"""

from __future__ import annotations

from usidx.escapes import escape_controls

__all__ = ["Shielded", "shield", "unshield"]


class Shielded(str):
    """A text that shows its control characters instead of having a terminal obey them."""

    __slots__ = ()

    def __str__(self) -> str:
        return escape_controls(str.__str__(self))

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def shield(text: str) -> str:
    """Return a text that is safe to show: itself, unless it holds control characters."""
    return text if text.isprintable() or escape_controls(text) == text else Shielded(text)


def unshield(text: str) -> str:
    """Return a text as it is in the file."""
    return str.__str__(text)
