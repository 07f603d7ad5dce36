"""A text from anywhere -> one that a terminal shows and never obeys."""

from __future__ import annotations

import re

__all__ = ["escape_controls"]

# What a terminal obeys instead of showing it, or what turns around what it shows; tab and new line are harmless.
_OBEYED = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escape_controls(text: str) -> str:
    r"""Return a text with its control characters written out, since they may come from a stranger's file.

    >>> print(escape_controls("Raw\x1b[2J"))
    Raw\x1b[2J
    """
    return _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)
