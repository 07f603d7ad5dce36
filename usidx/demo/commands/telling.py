"""What a command says: text for people, JSON for programs, colours where somebody looks."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import numpy as np

__all__ = ["color_kind", "tell", "tell_json"]

_COLORS = {"error": "31", "warning": "33"}


def tell(text: object) -> None:
    """Write a line, where there is anything to write to."""
    if sys.stdout is not None:
        sys.stdout.write(f"{text}\n")


def tell_json(value: Any) -> None:
    """Write one value as strict JSON, in which what is not finite is null."""
    tell(json.dumps(_make_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _make_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _make_plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_make_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def color_kind(text: str, stream: TextIO | None = None) -> str:
    """Color a text that begins with "error" or "warning" where a terminal shows it, and NO_COLOR does not forbid it."""
    stream = sys.stdout if stream is None else stream
    kind = text.partition(" ")[0]
    if kind not in _COLORS or os.environ.get("NO_COLOR") or not _is_terminal(stream):
        return text
    return f"\x1b[{_COLORS[kind]}m{kind}\x1b[0m{text[len(kind) :]}"


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
