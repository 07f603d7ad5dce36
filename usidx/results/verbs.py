"""One declaration per verb: what its results are called on disk, their quantities, and the record of each call.

A verb is a public function with ``@verb(...)`` above it. Nothing about it is written down a second time: the names on
disk are read backwards when a group is opened, and every argument of a call is recorded by the function's signature.
"""

from __future__ import annotations

import inspect
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, Final, Literal, ParamSpec, TypeVar

import xarray as xr

from usidx.catalogue import FAMILIES, MODULES
from usidx.errors import ResultError
from usidx.label.quantities import holds_quantities, store_units
from usidx.label.roles import position_dims, refuse_unlabelled
from usidx.label.units import raise_to_power
from usidx.results.arguments import as_json
from usidx.results.declarations import HANDED_ON, Declaration, Projection, Quantity, declare, find_declaration
from usidx.results.described import describe_argument
from usidx.results.fit_names import FitNames
from usidx.results.forms import Form
from usidx.results.identity import describe_changes, find_sources, note_made
from usidx.results.provenance import (
    Labelled,
    Step,
    find_sealed_source,
    make_opening_step,
    put_steps,
    read_records,
    read_steps,
    usidx_version,
)

__all__ = [
    "CHANGED",
    "DERIVED",
    "add_choices",
    "add_input",
    "add_quantity",
    "delegate",
    "describe_input",
    "find_last_verb",
    "list_verb_steps",
    "record_step",
    "verb",
]

_LOG = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

#: The step that stands for what plain xarray did after the last verb.
CHANGED: Final = "xarray"
#: Marks the description of an array that the verb itself made of the Dataset that it was given.
DERIVED: Final = "derived"
#: Attributes in which a verb hands over what it chose, and quantity and units of its data.
_CHOICES: Final = "usidx_choices"
_OF_DATA: Final = "usidx_of_data"
#: Attribute with the description of what a verb made of its source.
_INPUT: Final = "usidx_input"
#: Attribute that marks what another verb returned and recorded.
_DELEGATED: Final = "usidx_delegated"


def verb(
    title: str = "",
    *,
    datasets: Mapping[str, str] | None = None,
    dims: Mapping[str, str] | None = None,
    old_labels: tuple[str, ...] = (),
    count: str = "n_components",
    algorithm: str = "",
    outputs: Mapping[str, Quantity] | None = None,
    projection: Projection | Literal[""] = "",
    fit: Callable[[Step], FitNames] | None = None,
    keeps: bool = False,
    source: str = "",
    form: Form | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a public function as a verb; the parameters are those of :class:`Declaration`.

    What is not labelled is refused, each call is recorded with every argument, and each variable that it returns gets
    its quantity and units.

    Parameters
    ----------
    title : str, optional
        Ends the name of its groups on disk; by default the name of the function with capitals.
    source : str, optional
        The parameter that the steps go on from; by default the first.

    Returns
    -------
    callable
        The decorator.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        declaration = Declaration(
            _name_verb(function), function.__module__, title or function.__name__.title(), datasets or {}, dims or {},
            old_labels, count, algorithm, outputs or {}, projection, fit, keeps, signature,
            source or next(iter(signature.parameters)), form,
        )  # fmt: skip
        declare(declaration)
        kinds = _list_kinds(signature.parameters[declaration.source])

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            if any(map(holds_quantities, bound.arguments.values())):
                bound.arguments.update({k: store_units(v) for k, v in bound.arguments.items()})
                return call(*bound.args, **bound.kwargs)
            given = bound.arguments[declaration.source]
            if not isinstance(given, xr.DataArray | xr.Dataset):
                refuse_unlabelled(given, kinds)
            begun = time.perf_counter()
            _LOG.debug("%s begins", declaration.name)
            made: R = _record_call(function(*args, **kwargs), declaration, dict(bound.arguments))
            _LOG.info("%s: done in %.2f s", declaration.name, time.perf_counter() - begun)
            return made

        return call

    return decorate


def _name_verb(function: Callable[..., Any]) -> str:
    """Return what a verb is recorded as: its name, after that of the family that it belongs to."""
    package, _, inside = function.__module__.partition(".")
    family = inside.partition(".")[0] if package == "usidx" else ""
    is_top_level = MODULES.get(function.__name__) == function.__module__
    return f"{family}.{function.__name__}" if family in FAMILIES and not is_top_level else function.__name__


def _list_kinds(parameter: inspect.Parameter) -> tuple[type, ...]:
    """Return the labelled kinds that a parameter is annotated with; both where it names none."""
    kinds = (xr.DataArray, xr.Dataset)
    return tuple(kind for kind in kinds if kind.__name__ in str(parameter.annotation)) or kinds


def add_choices(result: Labelled, **choices: Any) -> Labelled:
    """Hand what a verb chose (a solver, the dims that were meant) to its declaration, to be recorded."""
    marked = result.copy(deep=False)
    marked.attrs[_CHOICES] = {**marked.attrs.get(_CHOICES, {}), **choices}
    return marked


def add_input(result: Labelled, array: xr.DataArray, given: xr.DataArray | xr.Dataset) -> Labelled:
    """Hand the array that a verb made of its source to its declaration: the record describes this one.

    What was done before is told of the source itself: the verb, called again, makes the array again.
    """
    described = describe_input(array) | {"since_last_step": describe_changes(given)}
    result.attrs[_INPUT] = described | ({DERIVED: True} if isinstance(given, xr.Dataset) else {})
    return result


def add_quantity(result: Labelled, quantity: Mapping[str, str]) -> Labelled:
    """Hand ``long_name`` and ``units`` of the data of a verb to its declaration, for the variables that have them."""
    result.attrs[_OF_DATA] = dict(quantity)
    return result


def delegate(result: Labelled) -> Labelled:
    """Mark what another verb returned, so that the record stays that of the other call."""
    marked = result.copy(deep=False)
    marked.attrs[_DELEGATED] = True
    return marked


def _record_call(made: Any, declaration: Declaration, arguments: dict[str, Any]) -> Any:
    if not isinstance(made, xr.DataArray | xr.Dataset):
        return made
    made = made.copy(deep=False)
    if made.attrs.pop(_DELEGATED, False):
        return made
    given = arguments.pop(declaration.source)
    choices = made.attrs.pop(_CHOICES, {})
    described = made.attrs.pop(_INPUT, None) or describe_input(given)
    made, beside = _set_quantities(made, declaration), _find_other_sources(given, list(_find_labelled(arguments)))
    result = record_step(made, given, declaration.name, arguments | choices, described=described, beside=beside)
    note_made(result)
    return result


def _find_labelled(value: Any) -> Iterator[xr.DataArray | xr.Dataset]:
    """Give the labelled arguments, those in mappings and sequences too."""
    if isinstance(value, xr.DataArray | xr.Dataset):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _find_labelled(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _find_labelled(one)


def record_step(
    result: Labelled,
    given: xr.DataArray | xr.Dataset,
    name: str,
    parameters: Mapping[str, Any],
    *,
    described: Mapping[str, Any] | None = None,
    beside: Sequence[Step] = (),
) -> Labelled:
    """Append the step of one call to those of the object that it was given, and put all on the result.

    Parameters
    ----------
    result : DataArray or Dataset
        What the verb returns; it and each of its variables get the steps.
    given : DataArray or Dataset
        What the verb was given.
    name : str
        Name of the verb.
    parameters : mapping
        Every argument, and what the verb chose; values are turned into JSON.
    described : mapping, optional
        What is told of the input; by default of `given`.
    beside : sequence of step
        Other sources.

    Returns
    -------
    DataArray or Dataset
        `result` with new attributes.
    """
    step: Step = {
        "tool": name,
        "version": usidx_version(),
        "parameters": {str(k): as_json(v, describe_argument) for k, v in parameters.items()},
        "input": dict(described or describe_input(given)),
        **({"sources": list(beside)} if beside else {}),
    }
    made = {dim: int(result.sizes[dim]) for dim in position_dims(result) if dim not in given.dims}
    if made:
        step["positions"] = made  # by which the result, in memory and changed, is still known to be of one source
    return put_steps(result, [*read_steps(given), step])


def describe_input(source: xr.DataArray | xr.Dataset) -> dict[str, Any]:
    """Return what a step tells of the object that a verb was given."""
    described: dict[str, Any] = {"dims": {str(d): int(n) for d, n in _list_sizes(source).items()}}
    if isinstance(source, xr.Dataset) and len(units := {v.attrs.get("units") for v in source.data_vars.values()}) == 1:
        described["units"] = str(units.pop() or "")
    if isinstance(source, xr.DataArray):
        described["name"] = None if source.name is None else str(source.name)
        described["dtype"] = str(source.dtype)
        described["long_name"] = str(source.attrs.get("long_name", ""))
        described["units"] = str(source.attrs.get("units", ""))
    described["since_last_step"] = describe_changes(source)
    return described


def _list_sizes(source: xr.DataArray | xr.Dataset) -> Mapping[Any, int]:
    """Return the sizes in the order of the variable with most dims."""
    if isinstance(source, xr.DataArray) or not source.data_vars:
        return source.sizes
    widest = max(source.data_vars.values(), key=lambda v: v.ndim)
    return {**widest.sizes, **source.sizes}


def _find_other_sources(given: xr.DataArray | xr.Dataset, others: list[xr.DataArray | xr.Dataset]) -> list[Step]:
    """Return what a result rests on beside the source that its steps name, in the form of steps that open it."""
    texts = [text for one in (given, *others) for text in read_records(one)]
    named = [found for text in texts if (found := find_sealed_source(text)) is not None]
    read = [(str(s.file.name), s.dataset) for one in (given, *others) for s in find_sources(one)]
    own = find_sealed_source(json.dumps(read_steps(given)))
    return [make_opening_step(*place, "") for place in dict.fromkeys([*named, *read]) if not _is_part_of(place, own)]


def _is_part_of(place: tuple[str, str], own: tuple[str, str] | None) -> bool:
    """Say whether a dataset is the source, or belongs to a result of it that the history names."""
    if own is None or place[0] != own[0]:
        return False
    group = own[1].rpartition("/")[0]
    in_result = "-" in group.rpartition("/")[2] and place[1].startswith(f"{group}/")
    return place == own or place[1].startswith((f"{own[1]}-", f"{own[1]}/")) or in_result


def _set_quantities(made: Any, declaration: Declaration) -> Any:
    """Give what a verb returns its quantities and units, where the verb itself did not."""
    of = made.attrs.pop(_OF_DATA, {})
    if isinstance(made, xr.DataArray):
        return made
    for name, variable in made.data_vars.items():
        if "long_name" in variable.attrs or declaration.outputs is HANDED_ON:
            continue
        if str(name) not in declaration.outputs:
            raise ResultError(
                f"usidx.{declaration.name} returns the variable {name!r} without a quantity. Name it in "
                f"@verb(outputs={{{str(name)!r}: Quantity(...)}}) above it in {declaration.module}."
            )
        variable.attrs |= _make_attrs(declaration.outputs[str(name)], of) | variable.attrs
    return made


def _make_attrs(quantity: Quantity, of: Mapping[str, str]) -> dict[str, str]:
    long_name = quantity.long_name or of.get("long_name")
    units = of.get("units") if quantity.of_data else ""
    units = raise_to_power(units, quantity.of_data) if units and quantity.of_data > 1 else units
    return {key: value for key, value in (("long_name", long_name), ("units", units)) if value is not None}


def list_verb_steps(data: xr.DataArray | xr.Dataset) -> list[Step]:
    """Return the steps that are calls of verbs, oldest first: not those that open, simulate or stand for changes."""
    return [step for step in read_steps(data) if "input" in step and step["tool"] != CHANGED]


def find_last_verb(data: xr.DataArray | xr.Dataset) -> Declaration | None:
    """Return the verb that made an object, None where none did.

    Raises
    ------
    ResultError
        The verb is declared nowhere, so nobody knows how its results are called on disk.
    """
    recorded = list_verb_steps(data)
    if not recorded:
        return None
    name = str(recorded[-1]["tool"])
    if (found := find_declaration(name)) is None:
        raise ResultError(
            f"This is a result of {name!r}, which is no verb that usidx knows, so it cannot be written. A function "
            f"becomes one by @verb(...) above it (usidx.results.verbs); one of a package of its own must be imported."
        )
    return found
