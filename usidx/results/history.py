"""The recorded steps -> something to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, overload

import xarray as xr

from usidx.escapes import escape_controls
from usidx.results.provenance import Step, read_steps

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
        return "\n".join(
            f"{number}. {line}" for number, line in enumerate(map(escape_controls, _write_lines(self._steps)), 1)
        )

    def _repr_html_(self) -> str:
        if not self._steps:
            return "<p>No steps are recorded.</p>"
        return "<ol>" + "".join(f"<li><code>{escape(line)}</code></li>" for line in _write_lines(self._steps)) + "</ol>"


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
    return History(read_steps(data))


def _write_lines(recorded: Sequence[Step]) -> list[str]:
    before = [None, *(step["tool"] for step in recorded)]
    return [escape_controls(_write_line(step, last)) for step, last in zip(recorded, before, strict=False)]


def _write_line(step: Step, last: str | None) -> str:
    if step["tool"] == "open":
        return f"open({step.get('file')}, {step.get('dataset')}, fingerprint={step.get('fingerprint')})"
    if step["tool"] == "xarray":  # what a write notes of what no verb did (`usidx.results.verbs.CHANGED`)
        return f"changes by plain xarray{_describe_between(step.get('input'), last)}"
    parameters = step.get("parameters")
    listed = ", ".join(f"{k}={_shorten(v)}" for k, v in parameters.items()) if isinstance(parameters, dict) else ""
    return f"{step['tool']}({listed}){_describe_between(step.get('input'), last)}"


def _describe_between(described: Any, last: str | None) -> str:
    """Say what plain xarray did to the input since the step before, or that this is not known."""
    since = described.get("since_last_step") if isinstance(described, dict) else None
    if since == "unknown" and last == "open":
        return ", perhaps after changes that are not recorded"
    selection = since.get("selection") if isinstance(since, dict) else None
    if not isinstance(selection, dict):
        return ""
    parts = [f"{dim}: {_write_extent(extent)}" for dim, extent in selection.items() if isinstance(extent, dict)]
    done = since.get("operations") if isinstance(since, dict) else None
    told = [_write_operation(one) for one in done if isinstance(one, dict)] if isinstance(done, list) else []
    after = f", after {', '.join(told)}" if told else ""
    return (f" on {', '.join(parts)}" if parts else "") + after


def _write_operation(told: dict[str, Any]) -> str:
    operands = [told[key] for key in ("number", "dtype") if key in told]
    return f"{told.get('operation')} {operands[0]}" if operands else str(told.get("operation"))


def _write_extent(extent: dict[str, Any]) -> str:
    ends = [extent.get("first"), extent.get("last")]
    numbers = [f"{end:.4g}" for end in ends if isinstance(end, int | float)]
    return f"{extent.get('size')} ({' to '.join(numbers)})" if len(numbers) == 2 else f"{extent.get('size')}"


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
