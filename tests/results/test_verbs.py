"""A verb is declared once: every argument is recorded, every variable has a quantity, what is no array is refused."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import ResultError, RoleError
from usidx.results.declarations import HANDED_ON, Quantity, find_declaration
from usidx.results.provenance import PROVENANCE, find_last_step, read_steps
from usidx.results.verbs import add_choices, delegate, find_last_verb, record_step, verb
from usidx.testing.measurements import snake_file


def array() -> xr.DataArray:
    found = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("a", "b"), name="it")
    return found.assign_attrs(units="V", long_name="Q")


@verb("Halves", outputs={"half": Quantity("Half", of_data=1), "square": Quantity("Square", of_data=2)})
def halve(data: xr.DataArray, by: float = 2.0, *, also: xr.DataArray | None = None) -> xr.Dataset:
    """Halve an array."""
    made = xr.Dataset({"half": (data / by).drop_attrs(), "square": (data**2).drop_attrs()})
    made.attrs["usidx_of_data"] = {k: data.attrs[k] for k in ("long_name", "units")}
    return add_choices(made, way="slow")


@verb()
def forget(data: xr.DataArray) -> xr.Dataset:
    """Return a variable without a quantity."""
    return xr.Dataset({"lost": data.drop_attrs()})


@verb(outputs=HANDED_ON)
def pass_on(data: xr.Dataset) -> xr.Dataset:
    """Return the variables that came."""
    return data


@verb()
def either(data: xr.DataArray) -> xr.Dataset:
    """Let another verb do it."""
    return delegate(halve(data, 4.0))


def test_every_argument_is_recorded_and_what_was_chosen() -> None:
    step = find_last_step(halve(array()))
    assert step is not None
    assert step["tool"] == "halve"
    assert step["parameters"] == {"by": 2.0, "also": None, "way": "slow"}
    assert step["input"]["dims"] == {"a": 2, "b": 3}
    other = find_last_step(halve(array(), 3, also=array()))
    assert other is not None
    assert other["parameters"]["by"] == 3
    assert other["parameters"]["also"]["name"] == "it"


def test_arrays_among_the_arguments_are_told_apart_by_values_names_and_coordinates() -> None:
    plain = array()
    others = [plain, 2 * plain, plain.rename("other"), plain.assign_coords(b=[1, 2, 3]), plain.assign_attrs(units="A")]
    found = [str(find_last_step(halve(plain, also=other))) for other in others]
    assert len(set(found)) == len(others)
    assert str(find_last_step(halve(plain, also=array()))) == found[0]


def test_quantities_and_units_come_from_the_declaration() -> None:
    found = halve(array())
    assert found.half.attrs == {"long_name": "Half", "units": "V", PROVENANCE: found.attrs[PROVENANCE]}
    assert found.square.attrs["units"] == "V^2"
    assert "usidx_choices" not in found.attrs
    assert "usidx_of_data" not in found.attrs


def test_a_variable_without_a_quantity_says_where_to_name_it() -> None:
    with pytest.raises(ResultError, match=r"usidx\.forget returns the variable 'lost' .*@verb\(outputs=.*test_verbs"):
        forget(array())
    assert "long_name" not in pass_on(array().drop_attrs().to_dataset()).it.attrs


def test_what_is_not_labelled_is_refused() -> None:
    with pytest.raises(RoleError, match="A ndarray where a DataArray is expected"):
        halve(array().values)  # type: ignore[arg-type]


def test_the_record_of_a_verb_that_delegates_is_that_of_the_other() -> None:
    xr.testing.assert_identical(either(array()), halve(array(), 4.0))


def test_a_verb_is_declared_under_its_name() -> None:
    made_by = find_declaration("halve")
    assert made_by is not None
    assert (made_by.title, made_by.source) == ("Halves", "data")
    assert find_last_verb(halve(array())) is made_by
    assert find_last_verb(array()) is None
    assert find_declaration("nothing of this name") is None


def test_results_of_verbs_that_nobody_declared_are_not_written(tmp_path: Path) -> None:
    raw = usidx.open_main(snake_file(tmp_path / "scan.h5").path)
    strange = record_step(raw * 2, raw, "smoothen", {})
    with pytest.raises(ResultError, match=r"a result of 'smoothen', which is no verb .*@verb\(\.\.\.\) above it"):
        strange.usid.write(name="Smooth")


def test_a_result_of_one_s_own_verb_is_written_and_opened(tmp_path: Path) -> None:
    raw = usidx.open_main(snake_file(tmp_path / "scan.h5").path)
    group = halve(raw).usid.write()
    assert group.endswith("Raw_Data-Halves_000")
    again = usidx.open_result(tmp_path / "scan.h5", group)
    np.testing.assert_allclose(again.half, raw / 2)
    assert [s["tool"] for s in read_steps(again)] == ["open", "halve"]


def test_a_verb_of_a_family_bears_its_name_and_one_of_the_top_does_not() -> None:
    def tap(data: xr.DataArray) -> xr.DataArray:
        return data

    tap.__module__ = "usidx.modes.force.tap"
    assert str(find_last_step(verb()(tap)(array()))["tool"]) == "modes.tap"  # type: ignore[index]
    for name in ("sho_fit", "loop_fit", "signal.fft"):
        declared = find_declaration(name)
        assert declared is not None
        assert declared.name == name
