"""Recorded steps -> the object that they made, by running them again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import xarray as xr

from usidx.errors import ReplayError, UsidError
from usidx.recipes.changes import repeat_changes
from usidx.recipes.decode import decode_arguments
from usidx.recipes.values import read_values
from usidx.results.declarations import Declaration, find_declaration
from usidx.results.provenance import Step, put_steps
from usidx.results.verbs import CHANGED

__all__ = ["Open", "call_verb", "remake", "remake_argument"]

Labelled = xr.DataArray | xr.Dataset
#: Opens what a step of that kind opened.
Open = Callable[[Step, Mapping[str, Any]], Labelled]


def remake(steps: Sequence[Step], open_source: Open, described: Mapping[str, Any] | None = None) -> Labelled:
    """Run steps again, from the last one that opened something.

    As lazy as what is opened. What plain xarray did in between is repeated where the record tells it.

    Parameters
    ----------
    steps : sequence of step
        Oldest first.
    open_source : callable
        From the step that opens, and the description of the input of the next one, to what is opened.
    described : mapping, optional
        What became of the object after the last step, as the input of a verb.

    Returns
    -------
    DataArray or Dataset

    Raises
    ------
    ReplayError
        A step cannot be run; the text says which, and why.
    """
    start = max((n for n, step in enumerate(steps) if step["tool"] == "open"), default=None)
    if start is None:
        raise ReplayError("It is not recorded which file it was made of")
    following = [_read_input(step) for step in steps[start + 1 :]]
    made = open_source(steps[start], next(iter(following), described or {}))
    for number, (step, given) in enumerate(zip(steps[start + 1 :], following, strict=True), start + 2):
        try:
            made = _run_step(step, repeat_changes(made, given), open_source)
        except ReplayError as err:
            raise ReplayError(f"Step {number}, {step['tool']}, cannot be run again: {err}") from err
    return made if described is None else repeat_changes(made, described)


def _read_input(step: Step) -> dict[str, Any]:
    described = step.get("input")
    return described if isinstance(described, dict) else {}


def _run_step(step: Step, given: Labelled, open_source: Open) -> Labelled:
    if step["tool"] == CHANGED:
        return given  # the record of its input is all that there is to it
    declared, recorded = find_declaration(str(step["tool"])), step.get("parameters")
    if declared is None or not isinstance(recorded, dict):
        raise ReplayError("it is no verb that usidx knows")
    return call_verb(declared, recorded, given, lambda told: remake_argument(told, open_source))


def call_verb(
    declared: Declaration, recorded: Mapping[str, Any], given: Labelled, remake_labelled: Callable[..., Labelled]
) -> Labelled:
    """Call a verb with arguments as they are recorded.

    Raises
    ------
    ReplayError
        An argument cannot be made again, or the verb refuses them.
    """
    bound = decode_arguments(declared, recorded, given, remake_labelled)
    try:
        made = _find_function(declared)(*bound.args, **bound.kwargs)
    except (UsidError, TypeError, ValueError, KeyError) as err:
        raise ReplayError(f"it failed: {err}") from err
    if not isinstance(made, xr.DataArray | xr.Dataset):
        raise ReplayError(f"it made a {type(made).__name__}")
    return made


def _find_function(declared: Declaration) -> Callable[..., Any]:
    """Return the function of a declaration; only that is called which declared itself a verb."""
    module = sys.modules.get(declared.module) or import_module(declared.module)
    found: Callable[..., Any] = getattr(module, declared.name.rpartition(".")[2])
    return found


def remake_argument(told: Mapping[str, Any], open_source: Open) -> Labelled:
    """Make a labelled argument again: from its values, where they were few enough to record, or by its own steps."""
    steps = told.get("steps")
    if any(key in told for key in ("values", "packed", "variables")):
        made = read_values(told)
        return put_steps(made, steps) if isinstance(made, xr.Dataset) and isinstance(steps, list) else made
    if not isinstance(steps, list) or not steps:
        raise ReplayError("only its name and a digest were recorded")
    return remake(steps, open_source, _as_input(told))


def _as_input(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of an argument in the form of that of an input."""
    return {key: told[key] for key in ("dims", "name", "dtype", "long_name", "units", "since_last_step") if key in told}
