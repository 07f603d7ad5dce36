"""Files of several measurements and channels: each verb of modes works on all mains at once, results beside each."""

import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import SelectionError, UsidError, UsidWarning

PLACES = [f"Measurement_00{m}/Channel_00{c}" for m in range(2) for c in range(2)]


def write_all(file: Path, make: Callable[[int], xr.DataArray], places: list[str] = PLACES) -> None:
    """Write a main of its own size or values into each channel."""
    for number, place in enumerate(places):
        usidx.write(make(number), file, group=place, name="Raw_Data", compression="gzip", progress=False)


def make_force(number: int) -> xr.DataArray:
    return usidx.simulate.force_map((2, 2 + number % 3), 60, seed=number)[0]


def make_currents(number: int) -> xr.DataArray:
    return usidx.simulate.giv((2, 2 + number % 3), 60, seed=number)[0]


def make_lines(number: int) -> xr.DataArray:
    return usidx.simulate.gmode_lines((2 + number % 3, 4), 24, seed=number)[0]


def make_deflections(number: int) -> xr.DataArray:
    return usidx.simulate.gkpfm((2, 2 + number % 3), 10, samples=16, seed=number)[0]


def make_kelvin(number: int) -> xr.DataArray:
    return usidx.simulate.ckpfm((2, 2 + number % 2), 16, write_steps=3, read_steps=4, seed=number)[0]


def know_transfer_function() -> xr.DataArray:
    known: xr.DataArray = usidx.simulate.gkpfm((1, 1), 2, samples=4)[1].transfer_function
    return known


CALLS: list[tuple[str, Callable[[int], xr.DataArray], dict[str, Any]]] = [
    ("force_curves", make_force, {"model": "cone", "half_angle": 20.0}),
    ("giv", make_currents, {"frequency": 200.0, "steps": 22}),
    ("gkpfm", make_deflections, {"transfer_function": know_transfer_function(), "frequency": 4e3}),
    ("lines_to_pixels", make_lines, {"n": 4}),
]


def test_the_table_of_calls_is_whole() -> None:
    assert {name for name, _, _ in CALLS} | {"jcpd"} == set(usidx.modes.__all__)


@pytest.mark.parametrize(("name", "make", "options"), CALLS, ids=[name for name, _, _ in CALLS])
def test_each_verb_gives_what_it_gives_for_each_main(
    name: str, make: Callable[[int], xr.DataArray], options: dict[str, Any], tmp_path: Path
) -> None:
    write_all(tmp_path / "all.h5", make)
    made = getattr(usidx.open_tree(tmp_path / "all.h5").usid.modes, name)(**options)
    sources = [f"/{place}/Raw_Data" for place in PLACES]
    assert [leaf.path for leaf in made.leaves] == sources
    assert all(v.chunks is not None for leaf in made.leaves for v in leaf.data_vars.values() if v.ndim > 1)
    made.usid.write(progress=False)
    found = usidx.list_results(tmp_path / "all.h5")
    assert [group.rpartition("-")[0] for group in found] == sources
    for number, group in enumerate(found):
        alone = getattr(usidx.modes, name)(make(number), **options)
        alone = alone if isinstance(alone, xr.Dataset) else alone.to_dataset(name=alone.name)
        stored = usidx.open_result(tmp_path / "all.h5", group).compute()
        for variable in alone.data_vars:
            np.testing.assert_allclose(stored[variable], alone[variable], rtol=1e-6, err_msg=f"{group} {variable}")


def test_verbs_of_results_go_on_with_all_of_them(tmp_path: Path) -> None:
    write_all(tmp_path / "all.h5", make_kelvin, PLACES[:3])
    fits = usidx.open_tree(tmp_path / "all.h5").usid.map_mains(usidx.sho_fit)
    fits.usid.write(progress=False)
    found = fits.usid.modes.jcpd()
    found.usid.write(progress=False)
    for number, place in enumerate(PLACES[:3]):
        alone = usidx.modes.jcpd(usidx.sho_fit(make_kelvin(number)))
        xr.testing.assert_allclose(found[f"{place}/Raw_Data"]["junction_potential"], alone.junction_potential)
    groups = [g for g in usidx.list_results(tmp_path / "all.h5") if not g.endswith("SHO_Fit_000")]
    assert [g.split("/Raw_Data")[0] for g in groups] == [f"/{place}" for place in PLACES[:3]]


def make_reversal_curves(number: int) -> xr.DataArray:
    """Return loops up to three voltages, one after the other, whose voltage depends on the curve."""
    curves = [usidx.simulate.beps((2, 2 + number), 20, dc_steps=16, max_bias=top, noise=0.0)[0] for top in (6.0, 8.0)]
    voltage = xr.concat([c.DC_Offset.drop_vars("DC_Offset") for c in curves], "FORC")
    joined = xr.concat([c.drop_vars("DC_Offset") for c in curves], "FORC").assign_coords(DC_Offset=voltage)
    joined = joined.assign_coords(FORC=("FORC", [0, 1])).transpose("Y", "X", "FORC", ...)
    swept = ["FORC", "DC_Offset", "Frequency"]
    marked: xr.DataArray = usidx.set_roles(joined, position=["Y", "X"], spectroscopic=swept)
    return marked


def test_reversal_curves_in_several_measurements(tmp_path: Path) -> None:
    write_all(tmp_path / "all.h5", make_reversal_curves, [PLACES[0], PLACES[2]])
    fits = usidx.open_tree(tmp_path / "all.h5").usid.map_mains(usidx.sho_fit)
    loops = fits.usid.map_mains(usidx.response, offset=-0.4).usid.map_mains(usidx.loop_fit)
    for number, place in enumerate([PLACES[0], PLACES[2]]):
        own = loops[f"{place}/Raw_Data"].to_dataset()
        assert own.sizes["FORC"] == 2
        for curve, top in enumerate((6.0, 8.0)):
            truth = usidx.simulate.beps((2, 2 + number), 20, dc_steps=16, max_bias=top, noise=0.0)[1]
            expected = usidx.loop_fit(truth.response)
            np.testing.assert_allclose(own.v_plus.isel(FORC=curve), expected.v_plus.squeeze(), atol=0.05)


def make_mixed(file: Path) -> None:
    """Write currents into six channels, an image beside them, and damage one."""
    write_all(file, make_currents)
    image = xr.DataArray(np.ones((2, 2)), dims=("Y", "X"), attrs={"units": "m"})
    image = usidx.set_roles(image, position=["Y", "X"])
    usidx.write(image, file, group="Measurement_001/Channel_002", name="Topography", progress=False)
    with h5py.File(file) as h5:
        chunk = h5["Measurement_001/Channel_001/Raw_Data"].id.get_chunk_info(0)
    with file.open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * chunk.size)


def test_a_main_that_does_not_suit_is_named_or_left_out_with_the_reason(tmp_path: Path) -> None:
    make_mixed(tmp_path / "all.h5")
    tree = usidx.open_tree(tmp_path / "all.h5")
    with pytest.raises(UsidError, match="has no spectroscopic dim") as raised:
        tree.usid.modes.giv(200.0, steps=22)
    assert raised.value.__notes__ == ["This was for 'Measurement_001/Channel_002/Topography'."]
    with pytest.warns(UsidWarning, match="^'Measurement_001/Channel_002/Topography' is left out: "):
        made = tree.usid.modes.giv(200.0, steps=22, errors="skip")
    assert [leaf.path for leaf in made.leaves] == [f"/{place}/Raw_Data" for place in PLACES]
    with pytest.raises(SelectionError, match=r"refuses each main.*Topography.*no spectroscopic"):
        tree.usid.modes.giv(200.0, named="Topography", errors="skip")
    with pytest.raises(UsidError, match="errors is 'nan'; it can be 'raise' or 'skip'"):
        tree.usid.modes.giv(200.0, errors="nan")


def test_a_damaged_main_does_not_stop_the_others(tmp_path: Path) -> None:
    make_mixed(tmp_path / "all.h5")
    made = usidx.open_tree(tmp_path / "all.h5").usid.modes.giv(200.0, steps=22, named="Raw_Data")
    with pytest.raises(UsidError, match=r"Measurement_001/Channel_001/Raw_Data' .* is damaged") as raised:
        made.usid.write(progress=False)
    written = [f"/{place}/Raw_Data-Bayesian_Inference_000" for place in PLACES if place != PLACES[3]]
    assert raised.value.__notes__[-1] == f"Written: {written}."
    assert usidx.list_results(tmp_path / "all.h5") == written


def test_methods_of_a_tree_look_like_the_verbs() -> None:
    tree = usidx.open_tree(usidx.example_file(kind="force_map"))
    names = list(inspect.signature(tree.usid.modes.force_curves).parameters)
    assert names[0] == "spring_constant"
    assert names[-2:] == ["named", "errors"]
    assert "force_curves" in dir(tree.usid.modes)
    assert repr(tree.usid.signal).startswith("usidx.signal: align, ")
    with pytest.raises(AttributeError, match=r"usidx.modes has no verb 'gif'; it has force_curves"):
        tree.usid.modes.gif()
    assert repr(pickle.loads(pickle.dumps(tree.usid.modes))) == repr(tree.usid.modes)
