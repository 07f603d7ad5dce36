"""Provenance steps to sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from usidx.look.draw.numbers import plain

__all__ = ["Told", "tell"]

_LONGEST = 160


@dataclass(frozen=True, slots=True)
class Told:
    """One step in words; names and values come from files, so whoever shows them must escape them."""

    tool: str
    arguments: str
    details: str

    def __str__(self) -> str:
        """Write the step in one line."""
        call = f"{self.tool}({self.arguments})" if self.arguments else self.tool
        return f"{call}  [{self.details}]" if self.details else call


def tell(step: Mapping[str, Any]) -> Told:
    """Put one step into words.

    Parameters
    ----------
    step : mapping
        As :func:`usidx.results.provenance.steps` returns it; what is missing or odd is left out.

    Returns
    -------
    Told
        Tool, arguments, and what it was given.

    Examples
    --------
    >>> str(tell({"tool": "svd", "version": "1.0", "parameters": {"n": 4}}))
    'svd(n=4)  [usidx 1.0]'
    """
    tool = plain(step.get("tool", "?"), 80)
    given = step.get("parameters")
    arguments = ", ".join(f"{plain(k, 40)}={_value(v)}" for k, v in given.items()) if isinstance(given, Mapping) else ""
    if tool == "open":
        arguments = ", ".join(_value(step[k]) for k in ("file", "dataset") if k in step)
    version = plain(step.get("version", ""), 40)
    said = [f"usidx {version}" if version else "", _input(step.get("input"))]
    return Told(tool, plain(arguments, 4 * _LONGEST), ", ".join(filter(None, said)))


def _value(value: Any) -> str:
    if isinstance(value, str):
        return plain(repr(value), _LONGEST)
    try:
        return plain(json.dumps(value), _LONGEST)
    except (TypeError, ValueError):
        return plain(type(value).__name__)


def _input(given: Any) -> str:
    """Write what a step was given: ``of Raw_Data (Y 128 × X 128) complex64``."""
    if not isinstance(given, Mapping):
        return ""
    dims = given.get("dims")
    shape = " × ".join(f"{plain(d, 24)} {plain(n, 12)}" for d, n in dims.items()) if isinstance(dims, Mapping) else ""
    name = plain(given.get("name") or "", 40)
    words = [name, f"({shape})" if shape else "", plain(given.get("dtype") or "", 24)]
    said = " ".join(filter(None, words))
    return f"of {said}" if said else ""
