"""The recorded steps -> something to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, overload

import xarray as xr

from usidx.results.provenance import Step, steps

__all__ = ["History", "history"]


class History(Sequence[Step]):
    """Steps that made an array, oldest first; each is a dict."""

    def __init__(self, recorded: Sequence[Step]) -> None:
        self._steps = tuple(recorded)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Step]: ...
    def __getitem__(self, index: int | slice) -> Step | Sequence[Step]:
        return self._steps[index]

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps)

    def __repr__(self) -> str:
        if not self._steps:
            return "No steps are recorded."
        return "\n".join(f"{number}. {_line(step)}" for number, step in enumerate(self._steps, 1))

    def _repr_html_(self) -> str:
        if not self._steps:
            return "<p>No steps are recorded.</p>"
        return "<ol>" + "".join(f"<li><code>{escape(_line(step))}</code></li>" for step in self._steps) + "</ol>"


def history(data: xr.DataArray | xr.Dataset) -> History:
    """Show the steps that made an array or a result.

    Parameters
    ----------
    data : DataArray or Dataset
        From a file, or from a verb.

    Returns
    -------
    History
        A sequence of dicts that prints as a list.

    Examples
    --------
    >>> import usidx
    >>> raw = usidx.open_main(usidx.example_file())
    >>> usidx.history(raw.usid.svd(4))
    1. simulate.band_excitation(...)
    2. open(...Raw_Data...)
    3. svd(n=4, ...
    """
    return History(steps(data))


def _line(step: Step) -> str:
    if step["tool"] == "open":
        return f"open({step.get('file')}, {step.get('dataset')}, fingerprint={step.get('fingerprint')})"
    parameters = step.get("parameters")
    listed = ", ".join(f"{k}={_short(v)}" for k, v in parameters.items()) if isinstance(parameters, dict) else ""
    return f"{step['tool']}({listed}){_between(step.get('input'))}"


def _between(described: Any) -> str:
    """Say what happened to the input since the step before, if plain xarray may have changed it."""
    since = described.get("since_last_step") if isinstance(described, dict) else None
    if not isinstance(since, dict):
        return ""
    selection = since.get("selection")
    if not isinstance(selection, dict):
        return ""
    sizes = [f"{dim}: {extent.get('size')}" for dim, extent in selection.items() if isinstance(extent, dict)]
    return f" on {', '.join(sizes)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
