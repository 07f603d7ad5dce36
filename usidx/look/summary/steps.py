"""Provenance steps to sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from usidx.look.draw.numbers import make_printable
from usidx.results.verbs import CHANGED

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
    """Put one step into words, but for what was left to the verb; `usidx.history` shows every argument.

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
    tool = make_printable(step.get("tool", "?"), 80)
    if tool == CHANGED:
        tool = "changes by plain xarray"
    given = step.get("parameters")
    arguments = (
        ", ".join(f"{make_printable(k, 40)}={_write_value(v)}" for k, v in given.items() if v not in (None, {}, []))
        if isinstance(given, Mapping)
        else ""
    )
    if tool == "open":
        arguments = ", ".join(_write_value(step[k]) for k in ("file", "dataset") if k in step)
    version = make_printable(step.get("version", ""), 40)
    said = [f"usidx {version}" if version else "", _write_input(step.get("input"))]
    return Told(tool, make_printable(arguments, 4 * _LONGEST), ", ".join(filter(None, said)))


def _write_value(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        return _write_value(value[0])
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return make_printable(value["name"], _LONGEST)  # of a model or a function
    if isinstance(value, str):
        return make_printable(repr(value), _LONGEST)
    if value is None or isinstance(value, bool):
        return str(value)
    try:
        return make_printable(json.dumps(value), _LONGEST)
    except (TypeError, ValueError):
        return make_printable(type(value).__name__)


def _write_input(given: Any) -> str:
    """Write what a step was given: ``of Raw_Data (Y 128 × X 128) complex64``."""
    if not isinstance(given, Mapping):
        return ""
    dims = given.get("dims")
    shape = (
        " × ".join(f"{make_printable(d, 24)} {make_printable(n, 12)}" for d, n in dims.items())
        if isinstance(dims, Mapping)
        else ""
    )
    name = make_printable(given.get("name") or "", 40)
    words = [name, f"({shape})" if shape else "", make_printable(given.get("dtype") or "", 24)]
    said = " ".join(filter(None, words))
    return f"of {said}" if said else ""
