"""Plain values -> TOML, which Python reads but does not write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from usidx.errors import UsidError

__all__ = ["write_toml"]

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def write_toml(tables: Mapping[str, Any]) -> str:
    """Return the text of a document: a mapping becomes a table, a list of mappings an array of tables.

    What lies deeper stands in one line. None, which TOML has not, is left out of a table.

    Raises
    ------
    UsidError
        A value is no text, number, truth value, list or mapping.
    """
    parts = []
    for name, value in tables.items():
        if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
            parts += [f"[[{_write_key(name)}]]\n{_write_lines(one)}" for one in value]
        elif isinstance(value, Mapping):
            parts.append(f"[{_write_key(name)}]\n{_write_lines(value)}")
        else:
            parts.insert(0, f"{_write_key(name)} = {_write_value(value)}\n")
    return "\n".join(parts)


def _write_lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{_write_key(k)} = {_write_value(v)}\n" for k, v in table.items() if v is not None)


def _write_key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _write_text(name)


def _write_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _write_text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_write_value, value))}]"
    if isinstance(value, Mapping):
        held = ", ".join(f"{_write_key(k)} = {_write_value(v)}" for k, v in value.items() if v is not None)
        return f"{{ {held} }}" if held else "{}"
    raise UsidError(f"TOML cannot hold a {type(value).__name__}.")


def _write_text(text: str) -> str:
    return '"' + "".join(_escape(character) for character in text) + '"'


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\U{ord(character):08x}"
