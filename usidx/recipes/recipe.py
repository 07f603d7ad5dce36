"""How a result was made -> the text of a recipe, and back to steps that are checked before anything is done."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from inspect import Parameter
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.catalogue import FAMILIES, MODULES
from usidx.errors import ReplayError, ResultError, UsidError
from usidx.recipes.changes import change_cells
from usidx.recipes.decode import decode_arguments
from usidx.recipes.kinds import is_of_kind
from usidx.recipes.toml import write_toml
from usidx.results.arguments import as_json
from usidx.results.declarations import Declaration, find_declaration
from usidx.results.provenance import Step, read_steps
from usidx.results.verbs import CHANGED, DERIVED

__all__ = ["SOURCE", "Recipe", "RecipeStep", "parse_recipe", "read_recipe", "recipe"]

#: What a step names that goes on from the source and not from the step before.
SOURCE: Final = "source"
#: What a step says beside the arguments of its verb.
_WORDS: Final = frozenset({"verb", "name", "from", "before", "variable", "write"})
_CHANGES: Final = {"operations", "selection", "coordinates", "at", "whole"}
#: TOML has no null; an argument that is None and not None by default is written so.
_NONE: Final = {"none": True}


def recipe(data: xr.DataArray | xr.Dataset) -> str:
    """Return the recipe of a result: a text by which :func:`usidx.run` makes the same of other files.

    Nothing is computed.

    Parameters
    ----------
    data : DataArray or Dataset
        What verbs made of a main dataset, now or in a stored result.

    Returns
    -------
    str
        TOML: the dataset, and a table for each step with the arguments that are not at their default.

    Raises
    ------
    ResultError
        No step opened a file, or it is not known what plain xarray did between the steps.

    Examples
    --------
    >>> import usidx
    >>> print(usidx.recipe(usidx.open_main(usidx.example_file()).usid.svd(4)))
    [open]
    dataset = "/Measurement_000/Channel_000/Raw_Data"
    <BLANKLINE>
    [[step]]
    verb = "svd"
    n = 4
    dim = ["Frequency"]
    ...
    """
    steps = read_steps(data)
    start = max((n for n, step in enumerate(steps) if step["tool"] == "open"), default=None)
    if start is None:
        raise ResultError("No step of this opened a file, so there is nothing to begin a recipe with.")
    told = [_write_step(step, is_first=not n) for n, step in enumerate(steps[start + 1 :])]
    return write_toml({"open": {"dataset": str(steps[start].get("dataset"))}, "step": [*map(_mark_none, told)]})


def _write_step(step: Step, *, is_first: bool) -> dict[str, Any]:
    tool, described = str(step["tool"]), step.get("input", {})
    declared, recorded = find_declaration(tool), step.get("parameters", {})
    if declared is None and tool != CHANGED:
        raise ResultError(f"{tool!r} is no verb that usidx knows, so no recipe can name it.")
    told: dict[str, Any] = {"verb": tool}
    if not is_first and "dtype" in described and DERIVED not in described:
        told["variable"] = described.get("name")
    since = described.get("since_last_step", "unknown")
    if since != "nothing":
        if not isinstance(since, dict):
            raise ResultError(f"It is not known what plain xarray did before {tool!r}, so no recipe can tell.")
        left_out = {"whole", "selection", "coordinates", "at"} if since.get("whole") else {"whole"}
        kept = {key: value for key, value in since.items() if key not in left_out}
        told |= {"before": kept} if kept else {}
    return told | ({} if declared is None else _choose_arguments(declared, recorded))


def _choose_arguments(declared: Declaration, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that are not at their default; those that only some calls have stand beside the others."""
    told: dict[str, Any] = {}
    for name, parameter in declared.signature.parameters.items():
        if name == declared.source or name not in recorded:
            continue
        value = recorded[name]
        if parameter.kind is Parameter.VAR_KEYWORD:
            told |= dict(value or {})
        elif parameter.default is Parameter.empty or as_json(parameter.default) != value:
            told[name] = value
    return told


def _mark_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _NONE if one is None else _mark_none(one) for key, one in value.items()}
    return [_NONE if one is None else _mark_none(one) for one in value] if isinstance(value, list) else value


def _unmark_none(value: Any) -> Any:
    if value == _NONE:
        return None
    if isinstance(value, dict):
        return {key: _unmark_none(one) for key, one in value.items()}
    return [_unmark_none(one) for one in value] if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class RecipeStep:
    """One step of a recipe.

    Attributes
    ----------
    name : str
        By which other steps go on from it.
    declared : Declaration or None
        Of its verb; None for a step that only changes cells.
    arguments : mapping
        As they would be recorded.
    start : str
        The name of the step that it goes on from, or "source".
    before : mapping
        What is done to the cells of its input first.
    variable : str
        Which variable of its input is meant; empty for all.
    is_written : bool
        Whether its result is written.
    """

    name: str
    declared: Declaration | None
    arguments: Mapping[str, Any]
    start: str
    before: Mapping[str, Any]
    variable: str
    is_written: bool


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is to be done to each file.

    Attributes
    ----------
    text : str
        As it was given.
    dataset : str or None
        The main dataset to begin with; None where a file has one.
    field : str or None
        Of a compound main.
    convert : mapping
        How files of instruments are read: reader, position, spectroscopic.
    steps : list of RecipeStep
        In their order.
    """

    text: str
    dataset: str | None
    field: str | None
    convert: Mapping[str, Any]
    steps: list[RecipeStep]


def read_recipe(given: str | PathLike[str]) -> Recipe:
    """Read a recipe from its text or file, and check each verb and argument; nothing is executed.

    Raises
    ------
    UsidError
        It is no TOML, or names a verb, an argument or a step that there is not; the text says which.
    """
    if not isinstance(given, str | PathLike):
        raise UsidError(f"A recipe is a TOML file, or its text; it is given as {type(given).__name__}.")
    return parse_recipe(given if isinstance(given, str) and "\n" in given else _read_file(Path(given)))


def parse_recipe(text: str) -> Recipe:
    """Check the text of a recipe."""
    try:
        tables = _unmark_none(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as err:
        raise UsidError(f"The recipe is no TOML: {err}.") from err
    opening, reading, listed = tables.get("open", {}), tables.get("convert", {}), tables.get("step", [])
    _refuse_others("The recipe", tables, {"open", "convert", "step"})
    if (
        not isinstance(opening, dict)
        or not isinstance(reading, dict)
        or not isinstance(listed, list)
        or not all(isinstance(s, dict) for s in listed)
    ):
        raise UsidError("A recipe has a table [[step]] for each step, and may have the tables [open] and [convert].")
    if not listed:
        raise UsidError("The recipe has no steps: begin each with [[step]] and name its verb.")
    _refuse_others("[open]", opening, {"dataset", "field"})
    _refuse_others("[convert]", reading, {"reader", "position", "spectroscopic"})
    _check_words("[open]", opening, text=("dataset", "field"))
    _check_words("[convert]", {k: v for k, v in reading.items() if not _is_list_of_texts(v)}, text=reading)
    steps = list(_read_steps(listed))
    if not any(step.is_written for step in steps):
        raise UsidError("No step of the recipe is written; the last one is, without its write = false.")
    return Recipe(text, opening.get("dataset"), opening.get("field"), reading, steps)


def _read_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as err:  # no text, or no path
        raise UsidError(f"The recipe {str(path)!r} cannot be read: {err}.") from err


def _refuse_others(where: str, table: Mapping[str, Any], known: set[str]) -> None:
    if others := sorted(set(table) - known):
        raise UsidError(f"{where} has {others}; it may have {sorted(known)}.")


def _check_words(where: str, told: Mapping[str, Any], *, text: Iterable[str] = (), flag: Iterable[str] = ()) -> None:
    """Refuse what is no text, or neither true nor false; None stands for what is not said."""
    for words, kind, called in ((text, str, "a text"), (flag, bool, "true or false")):
        for word in words:
            if not isinstance(value := told.get(word), kind | None):
                raise UsidError(f"{where} has {word}={value!r}; it should be {called}.")


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _read_steps(listed: list[dict[str, Any]]) -> Iterator[RecipeStep]:
    names: list[str] = [SOURCE]
    found: list[tuple[int, dict[str, Any], str, str]] = []
    for number, told in enumerate(listed, 1):
        _check_words(f"Step {number}", told, text=("name", "from", "variable"), flag=("write",))
        name, start = str(told.get("name", told.get("verb"))), str(told.get("from", names[-1]))
        if start not in names:
            raise UsidError(f"Step {number} goes on from {start!r}; before it there are {names}.")
        if name in names and ("name" in told or name == SOURCE):
            raise UsidError(f"Step {number} is called {name!r}, as another one is.")
        name = name if name not in names else f"{name} {number}"
        names.append(name)
        found.append((number, told, name, start))
    used = {start for _, _, _, start in found}
    for number, told, name, start in found:
        yield _read_step(number, told, name, start, is_last=name not in used)


def _read_step(number: int, told: dict[str, Any], name: str, start: str, *, is_last: bool) -> RecipeStep:
    where, verb, before = f"Step {number}", told.get("verb"), told.get("before", {})
    declared = find_declaration(verb) if isinstance(verb, str) else None
    if declared is None and verb != CHANGED:
        raise UsidError(f"{where} names the verb {verb!r}, which is none of {', '.join(_list_verbs())}.")
    if not isinstance(before, dict | list):
        raise UsidError(f"{where} has before={before!r}; it should be a list of operations, or a table.")
    arguments = {key: value for key, value in told.items() if key not in _WORDS}
    if declared is not None:
        arguments = _check_arguments(where, declared, arguments)
    changes = {"operations": before} if isinstance(before, list) else before
    _check_changes(where, changes)
    is_written = bool(told.get("write", is_last))
    return RecipeStep(name, declared, arguments, start, changes, told.get("variable") or "", is_written)


def _check_changes(where: str, changes: Mapping[str, Any]) -> None:
    """Refuse operations that there are not, by doing them to one cell; which cells there are to take, files tell."""
    _refuse_others(f"{where}: before", changes, _CHANGES)
    operations = changes.get("operations", [])
    try:
        if not isinstance(operations, list):
            raise TypeError(f"operations={operations!r} is no list")
        with np.errstate(all="ignore"):
            change_cells(xr.DataArray(1.0), {"operations": operations})
    except (UsidError, TypeError, ValueError, OverflowError) as err:
        raise UsidError(f"{where} has before={operations!r}: {err}.") from err


def _list_verbs() -> list[str]:
    """Return the names of all verbs; loads every module that has one."""
    loaded = {name: import_module(MODULES[name]) for name in FAMILIES}
    listed = [*MODULES, *(f"{family}.{name}" for family, module in loaded.items() for name in module.__all__)]
    return sorted(name for name in listed if find_declaration(name) is not None)


def _check_arguments(where: str, declared: Declaration, given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments as they would be recorded, if the verb takes them and they can be made."""
    parameters = {n: p for n, p in declared.signature.parameters.items() if n != declared.source}
    of_some = [name for name, p in parameters.items() if p.kind is Parameter.VAR_KEYWORD]
    others = {key: given.pop(key) for key in [k for k in given if k not in parameters or k in of_some]}
    if others and not of_some:
        raise UsidError(f"{where}: {declared.name} has no parameter {sorted(others)}; it has {list(parameters)}.")
    arguments = given | ({of_some[0]: others} if others else {})
    try:
        bound = decode_arguments(declared, arguments, None, lambda _told: xr.DataArray())
    except (ReplayError, UsidError) as err:
        raise UsidError(f"{where}, {declared.name}: {str(err).rstrip('.')}.") from err
    for name in given:
        kinds = str(parameters[name].annotation)
        if parameters[name].kind is not Parameter.VAR_POSITIONAL and not is_of_kind(bound.arguments[name], kinds):
            expected = kinds.replace("|", "or")
            raise UsidError(f"{where}, {declared.name}: {name}={given[name]!r}; it should be {expected}.")
    return arguments
