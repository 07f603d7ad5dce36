"""What is written is what was given: every verb, every parameter, whatever is done to a result, wherever it lies.

The suite takes a sample; `USIDX_RESULTS=all` takes the whole, as scripts/test-long does.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.verb_calls import ALIKE, CALLS, Call, write_sources
from usidx.catalogue import FAMILIES, MODULES
from usidx.results.declarations import find_declaration
from usidx.results.provenance import find_last_step

_SAMPLE = 25
pytestmark = [
    pytest.mark.usefixtures("keep_attrs"),  # some calls compute with what they were given
    pytest.mark.filterwarnings("ignore::usidx.errors.UsidWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*zero-size array|.*invalid value|.*divide by zero:RuntimeWarning"),
]

Result = xr.DataArray | xr.Dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sources")
    write_sources(made)
    return made


def take(cases: list[Any], count: int = _SAMPLE) -> list[Any]:
    """Take a sample, always the same, or the whole where that is asked for."""
    return cases if os.environ.get("USIDX_RESULTS") == "all" else random.Random(0).sample(cases, min(count, len(cases)))


def by_name(value: Any) -> str:
    return value.verb if isinstance(value, Call) else str(value)


def recipe(result: Result) -> str:
    step = find_last_step(result)
    assert step is not None
    return json.dumps([step["tool"], step["parameters"]])


def test_every_verb_and_parameter_is_called() -> None:
    """A verb or a parameter that is new fails here until it has a call above."""
    listed = [*MODULES, *(f"{family}.{name}" for family in FAMILIES for name in getattr(usidx, family).__all__)]
    verbs = {name for name in listed if find_declaration(name) is not None}
    assert {call.verb for call in CALLS} == verbs
    for call in CALLS:
        made_by = find_declaration(call.verb)
        assert made_by is not None
        alike = {parameter for verb, parameter in ALIKE if verb == call.verb}
        assert set(made_by.signature.parameters) - {made_by.source} - alike == set(call.others), call.verb


@pytest.mark.parametrize(("call", "parameter"), [(c, p) for c in CALLS for p in c.others], ids=by_name)
def test_calls_that_differ_in_an_argument_have_other_recipes(call: Call, parameter: str, folder: Path) -> None:
    first, again = call.make(folder), call.make(folder)
    other = call.make(folder, **{parameter: call.others[parameter]})
    assert recipe(first) == recipe(again)
    assert recipe(first) != recipe(other)


def _dims_first(result: Result) -> list[str]:
    """Return the dim that is changed: one of the positions, where there is one; none of a single number."""
    return [str(d) for d in ("Y", "X", *result.dims) if d in result.dims][:1]


def _numbers(result: Result, change: Callable[[Any], Any]) -> Result:
    """Change every variable of floats, and keep what is said of it."""
    if isinstance(result, xr.DataArray):
        changed: xr.DataArray = change(result.astype(float) if result.dtype == bool else result)
        return changed.assign_attrs(result.attrs)
    floats = {n: change(v).assign_attrs(v.attrs) for n, v in result.data_vars.items() if v.dtype.kind in "fc"}
    # Of a mask alone, which has no floats, those that it becomes.
    return result.assign(floats or {n: change(v.astype(float)).assign_attrs(v.attrs) for n, v in result.items()})


def _in_place(result: Result) -> Result:
    held = result.copy(deep=True).load()
    for values in [held] if isinstance(held, xr.DataArray) else held.data_vars.values():
        if values.dtype.kind in "fc":
            values.values[...] = values.values + 1
        elif values.dtype == bool and _is_mask(held):
            values.values[...] = ~values.values
    return held


def _is_mask(result: Result) -> bool:
    """Say whether there are only true and false."""
    held = [result] if isinstance(result, xr.DataArray) else result.data_vars.values()
    return all(values.dtype == bool for values in held)


def _relabel(result: Result) -> Result:
    return result.assign_coords({dim: result[dim] * 2 + 1 for dim in _dims_first(result)})


CHANGES: dict[str, Callable[[Result], Result]] = {
    "nothing": lambda r: r,
    "where": lambda r: _numbers(r, lambda v: v.where(v.real > v.real.mean())),
    "isel": lambda r: r.isel(dict.fromkeys(_dims_first(r), slice(0, 2))),
    "reverse": lambda r: r.isel(dict.fromkeys(_dims_first(r), slice(None, None, -1))),
    "double": lambda r: _numbers(r, lambda v: 2 * v),
    "flip": lambda r: _numbers(r, lambda v: -v),
    "in place": _in_place,
    "units": lambda r: _numbers(r, lambda v: v).assign_attrs(comment="seen by me"),
    "coordinate": _relabel,
}
STATES = ["lazy", "memory", "reopened", "reopened in memory"]


def write(result: Result) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return usidx.write(result, progress=False, name=None if isinstance(result, xr.Dataset) else "Out")


def values_of(result: Result) -> dict[str, xr.DataArray]:
    if isinstance(result, xr.DataArray):
        return {"": result.load()}
    return {str(name): values.load() for name, values in result.data_vars.items()}


def assert_holds(path: Path, group: str, given: Result) -> None:
    """Compare what a group holds with what was to be written."""
    stored = values_of(usidx.open_result(path, group))
    wanted = values_of(given)
    if isinstance(given, xr.DataArray):
        assert len(stored) == 1
        stored = {"": next(iter(stored.values()))}
    assert set(stored) == set(wanted)
    for name, values in wanted.items():
        assert set(stored[name].dims) == set(values.dims), name
        sizes = np.abs(values.values[np.isfinite(values.values)])
        np.testing.assert_allclose(
            stored[name].transpose(*values.dims), values, rtol=1e-5, atol=1e-6 * sizes.max(initial=0), err_msg=name
        )
        for dim in values.dims:
            if values[dim].dtype.kind in "iuf":
                np.testing.assert_allclose(stored[name][dim], values[dim], err_msg=f"{name}: {dim}")


def cases() -> Iterator[Any]:
    for call, change, state in product(CALLS, CHANGES, STATES):
        yield pytest.param(call, change, state, id=f"{call.verb}-{change}-{state}")


def in_state(state: str, result: Result, path: Path, group: str) -> Result:
    found = usidx.open_result(path, group) if state.startswith("reopened") else result
    return found.load() if "memory" in state else found


@pytest.mark.parametrize(("call", "change", "state"), take(list(cases())))
def test_a_changed_result_is_written_as_it_is(
    call: Call, change: str, state: str, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    result = call.make(tmp_path)
    path = source_file(result)
    first = write(result)
    changed = CHANGES[change](in_state(state, result, path, first))
    group = write(changed)
    assert_holds(path, group, changed)
    assert_holds(path, first, call.make(tmp_path))
    if change == "nothing" and state in ("lazy", "reopened"):
        assert group == first
    elif change != "nothing" and (_dims_first(changed) or change not in ("isel", "reverse", "coordinate")):
        assert group != first


def source_file(result: Result) -> Path:
    step = find_last_step(result, "open")
    assert step is not None
    return Path(step["file"])


@pytest.mark.parametrize(("call", "parameter"), take([(c, p) for c in CALLS for p in c.others], 20), ids=by_name)
def test_another_call_is_another_group(call: Call, parameter: str, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    first = call.make(tmp_path)
    other = call.make(tmp_path, **{parameter: call.others[parameter]})
    groups = [write(result) for result in (first, other, call.make(tmp_path))]
    assert groups[0] != groups[1]
    assert groups[2] == groups[0]
    assert_holds(source_file(first), groups[1], other)
    assert_holds(source_file(first), groups[0], first)
