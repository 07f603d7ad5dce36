"""Steps are recorded as JSON on the result, whatever the parameters; what cannot be known is said to be unknown."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.results.provenance import (
    PROVENANCE,
    find_last_step,
    find_source,
    parse_steps,
    put_steps,
    read_steps,
    usidx_version,
)
from usidx.results.verbs import record_step
from usidx.testing.measurements import forc_file, snake_file


def array(*, lazy: bool = False) -> xr.DataArray:
    found = xr.DataArray(
        np.arange(6.0).reshape(2, 3), dims=("a", "b"), name="it", attrs={"units": "V", "long_name": "Q"}
    )
    return found.chunk(2) if lazy else found


def test_an_opened_array_knows_where_it_is_from(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    opened = usidx.open_main(built.path)
    assert find_source(opened) == (str(built.path), built.main)
    (step,) = read_steps(opened)
    assert (step["tool"], step["version"]) == ("open", usidx_version())
    assert len(step["fingerprint"]) == 24


def test_nothing_is_recorded_of_other_arrays() -> None:
    assert read_steps(array()) == []
    assert find_source(array()) is None
    assert find_last_step(array()) is None


@pytest.mark.parametrize("lazy", [False, True])
def test_steps_are_appended(lazy: bool) -> None:
    first = record_step(array(lazy=lazy) * 2, array(lazy=lazy), "double", {"by": 2})
    second = record_step(first.to_dataset(name="x"), first, "wrap", {})
    assert [s["tool"] for s in read_steps(second)] == ["double", "wrap"]
    assert [s["tool"] for s in read_steps(second.x)] == ["double", "wrap"]
    assert [s["tool"] for s in read_steps(first)] == ["double"]
    found = find_last_step(second, "double")
    assert found is not None
    assert found["parameters"] == {"by": 2}
    described = dict(found["input"])
    assert described == {
        "dims": {"a": 2, "b": 3}, "name": "it", "dtype": "float64", "long_name": "Q", "units": "V",
        "since_last_step": "unknown",
    }  # fmt: skip
    assert find_last_step(second, "none") is None


def test_the_source_is_not_changed() -> None:
    source = array()
    result = record_step(source, source, "nothing", {})
    assert PROVENANCE not in source.attrs
    assert PROVENANCE in result.attrs
    data = source.to_dataset()
    record_step(data, data, "nothing", {})
    assert PROVENANCE not in data.attrs
    assert PROVENANCE not in data.it.attrs


def test_coordinates_without_index_stay_so(tmp_path: Path) -> None:
    opened = usidx.open_dataset(forc_file(tmp_path / "scan.h5").path)
    marked = record_step(opened, opened, "nothing", {})
    assert set(marked.xindexes) == set(opened.xindexes)
    xr.testing.assert_identical(marked.DC_Offset.variable, opened.DC_Offset.variable)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(0.5), 0.5), (np.int8(3), 3), (np.bool_(True), True), (1 + 2j, {"real": 1, "imag": 2}),
        (np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf"), (np.float64("nan"), "nan"), ((1, [2, {3}]), [1, [2, [3]]]),
        ({"a": {1: None}}, {"a": {"1": None}}), (np.array([[1, 2]]), [[1, 2]]), (np.array([np.nan]), ["nan"]),
        (np.complex64(1j), {"real": 0, "imag": 1}), (np.array([1j]), [{"real": 0, "imag": 1}]), ("text", "text"),
        (None, None), (object(), "<builtins.object>"), (np.sum, "<builtins.function>"), (np.str_("a"), "a"),
    ],
    ids=lambda value: type(value).__name__,  # a repr may hold an address, and names must be the same in every process
)  # fmt: skip
def test_parameters_become_json(value: Any, plain: Any) -> None:
    step = find_last_step(record_step(array(), array(), "it", {"value": value}))
    assert step is not None
    found = step["parameters"]["value"]
    if isinstance(plain, str) and plain.startswith("<"):
        assert found.startswith("<")
    else:
        assert found == plain
    json.loads(array().attrs.get(PROVENANCE, "[]"))


def test_provenance_is_strict_json() -> None:
    text = record_step(array(), array(), "it", {"a": np.array([np.nan, 1e400]), "b": {"c": float("-inf")}}).attrs[
        PROVENANCE
    ]
    assert "NaN" not in text
    assert "Infinity" not in text


def test_selections_are_recorded_where_the_graph_proves_them(tmp_path: Path) -> None:
    opened = usidx.open_main(snake_file(tmp_path / "scan.h5").path)
    step = find_last_step(record_step(opened, opened.isel(X=slice(1, 3)).sel(Bias=slice(-0.7, 0.3)), "it", {}))
    assert step is not None
    selection = step["input"]["since_last_step"]["selection"]
    assert selection["X"]["size"] == 2
    assert selection["Bias"] == pytest.approx({"size": 3, "first": -0.6, "last": 0.2})


@pytest.mark.parametrize(
    "change",
    [lambda a: a + a.mean(), lambda a: a.clip(0), lambda a: a.cumsum("X"), lambda a: a.compute()],
    ids=range(4),
)
def test_computations_are_unknown(tmp_path: Path, change: Any) -> None:
    opened = usidx.open_main(snake_file(tmp_path / "scan.h5").path)
    changed = change(opened)
    changed.attrs[PROVENANCE] = opened.attrs[PROVENANCE]
    step = find_last_step(record_step(opened, changed, "it", {}))
    assert step is not None
    assert step["input"]["since_last_step"] == "unknown"


def test_variables_of_one_origin_answer_for_a_dataset() -> None:
    one = put_steps(array(), [{"tool": "a"}])
    other = put_steps(array().rename("other"), [{"tool": "b"}])
    assert [s["tool"] for s in read_steps(xr.Dataset({"x": one, "y": one}))] == ["a"]
    assert read_steps(xr.Dataset({"x": one, "y": other})) == []


@pytest.mark.parametrize(
    "text", ["", "nonsense", "{}", "3", "[3]", '[{"a": 1}]', '[{"tool": 3}]', "[" * 100_000, "null"]
)
def test_text_that_is_no_list_of_steps(text: str) -> None:
    assert parse_steps(text) == []


def test_steps_survive_netcdf(tmp_path: Path) -> None:
    marked = record_step(array(), array(), "it", {"text": "µm \u2603 \"'"})
    marked.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with xr.open_dataarray(tmp_path / "a.nc", engine="h5netcdf") as again:
        assert read_steps(again) == read_steps(marked)


@pytest.mark.parametrize("chunks", [None, 1])
def test_arrays_among_the_parameters_are_told_apart(chunks: int | None) -> None:
    def recorded(values: list[float]) -> object:
        given = xr.DataArray(values, dims="Y")
        given = given if chunks is None else given.chunk(Y=chunks)
        step = find_last_step(record_step(given, given, "fit", {"start": {"center": given}}))
        assert step is not None
        return step["parameters"]["start"]["center"]

    assert recorded([1.0, 2.0]) == recorded([1.0, 2.0])
    assert recorded([1.0, 2.0]) != recorded([1.0, 3.0])


def test_the_record_comes_behind_what_one_looks_for() -> None:
    raw = usidx.open_main(usidx.example_file())
    for one in (raw, raw.usid.svd(2).scores, usidx.open_dataset(usidx.example_file()).Raw_Data):
        assert list(one.attrs)[-1] == PROVENANCE
        assert {"long_name", "units"} <= one.attrs.keys()
