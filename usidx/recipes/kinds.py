"""Value that a recipe gives a parameter -> whether it is of a kind that the parameter's annotation names."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["is_of_kind"]

_PLAIN: Final[Mapping[str, Callable[[Any], bool]]] = {
    "int": lambda value: _is_number(value) and value == value // 1,
    "float": lambda value: _is_number(value),
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "None": lambda value: value is None,
}


def is_of_kind(value: Any, annotation: str) -> bool:
    """Say whether a value is a number, text or choice that the annotation names; True where it names other kinds.

    Lists pass: verbs record the dims that they chose as one, also where a single one may be given.
    """
    parts = annotation.split(" | ")
    if not isinstance(value, str | int | float | None) or not all(part in _PLAIN or _is_choice(part) for part in parts):
        return True
    return any(_PLAIN[part](value) if part in _PLAIN else value in _list_choices(part) for part in parts)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_choice(part: str) -> bool:
    return part.startswith("Literal[") and part.endswith("]")


def _list_choices(part: str) -> list[Any]:
    found: list[Any] = ast.literal_eval(part.removeprefix("Literal"))
    return found
