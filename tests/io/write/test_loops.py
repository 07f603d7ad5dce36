"""Loop fits in files: the groups and compound datasets of the old tools, and the same Dataset again."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.legacy import add_sho_fit
from tests.kit.legacy_loops import LOOP_FIT_FIELDS, LOOP_METRICS_FIELDS, SWITCHING_FIELDS
from tests.kit.pyusid import accepts, open_with_pyusid
from usidx.testing.files import Expected
from usidx.testing.measurements import beps_file, forc_file

MAINS = {
    "Projected_Loops", "Loop_Metrics", "Guess", "Fit", "Guess_Loop_Parameters", "Fit_Loop_Parameters",
    "Fit_stderr", "Fit_Statistics", "Loop_Criteria", "Loop_Parameters_stderr",
}  # fmt: skip
STATUS = {"completed_positions", "completed_guess_positions", "completed_fit_positions"}


def fitted_scan(path: Path, *, cycles: int = 1, rows: int = 3) -> str:
    """Write a simulated scan and its oscillator fit; return the fit's group."""
    raw, _ = usidx.simulate.beps((rows, 4), 32, dc_steps=32, cycles=cycles, in_field=True, noise=0.01)
    usidx.write(raw, path)
    group: str = usidx.open_main(path, "Raw_Data").usid.sho_fit().usid.write()
    return group


@pytest.mark.parametrize("cycles", [1, 2])
def test_groups_and_fields_are_those_of_the_old_tools(tmp_path: Path, cycles: int) -> None:
    source = fitted_scan(tmp_path / "scan.h5", cycles=cycles)
    fit = usidx.open_result(tmp_path / "scan.h5", source).isel(Field=0).usid.loop_fit(nuc_threshold=0.05)
    group = fit.usid.write()
    assert group == f"{source}/Fit-Loop_Fit_000"
    with h5py.File(tmp_path / "scan.h5") as file:
        stored = file[group]
        assert {n for n in stored if "Indices" not in n and "Values" not in n} == MAINS | STATUS
        assert stored["Fit"].dtype == stored["Guess"].dtype == np.dtype([(n, "f8") for n in LOOP_FIT_FIELDS])
        assert stored["Loop_Metrics"].dtype.names == LOOP_METRICS_FIELDS
        assert stored["Loop_Criteria"].dtype.names == ("AIC_loop", "BIC_loop", "AIC_line", "BIC_line")
        for name in ("Fit_Loop_Parameters", "Guess_Loop_Parameters"):
            assert stored[name].dtype.names == SWITCHING_FIELDS
            assert stored[name].attrs["nuc_threshold"] == 0.05
        assert stored["Fit"].shape == (12, cycles)
        assert stored["Projected_Loops"].shape == (12, 32 * cycles)
        assert file[stored.attrs["source_000"]].name == f"{source}/Fit"
        assert stored.attrs["tool"] == "Loop_Fit"
        assert stored.attrs["projection_method"] == "usidx principal axis"
        assert (
            file[stored["Fit"].attrs["Position_Values"]]
            == file[f"{source}/Fit"].file[file[f"{source}/Fit"].attrs["Position_Values"]]
        )
        np.testing.assert_array_equal(stored["Fit"]["a_3"], stored["Fit_Loop_Parameters"]["V+"])
        np.testing.assert_array_equal(stored["Fit"]["a_3"].ravel(), fit.v_plus.values.ravel())
        np.testing.assert_array_equal(stored["Guess"]["b_2"].ravel(), fit.rising_width_below_guess.values.ravel())


@pytest.mark.parametrize("cycles", [1, 2])
def test_a_loop_fit_opens_as_the_dataset_that_was_written(tmp_path: Path, cycles: int) -> None:
    path = tmp_path / "scan.h5"
    source = fitted_scan(path, cycles=cycles)
    fit = usidx.open_result(path, source).isel(Field=1).usid.loop_fit()
    again = usidx.open_result(path, fit.usid.write())
    fit = fit.compute()
    assert list(again.data_vars) == list(fit.data_vars)
    assert {n: v.dtype for n, v in again.data_vars.items()} == {n: v.dtype for n, v in fit.data_vars.items()}
    xr.testing.assert_identical(again.compute(), fit)
    xr.testing.assert_identical(again.compute().usid.evaluate(), fit.usid.evaluate())
    xr.testing.assert_equal(again.usid.evaluate().compute(), fit.usid.evaluate())


def test_the_same_again_is_not_computed_again_and_the_other_field_is_another(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    source = usidx.open_result(path, fitted_scan(path))
    groups = [source.isel(Field=field).usid.loop_fit().usid.write() for field in (0, 0, 1)]
    assert [g.rsplit("_", 1)[-1] for g in groups] == ["000", "000", "001"]


def test_links_that_lead_nowhere_are_passed_by(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    source = fitted_scan(path)
    with h5py.File(path, "r+") as file:
        file[source].parent["Raw_Data-ZZZ_000"] = h5py.SoftLink("/nowhere")
    group = usidx.open_result(path, source).isel(Field=0).usid.loop_fit().usid.write(reuse=False)
    assert group == f"{source}/Fit-Loop_Fit_000"


def test_blocks_are_committed_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    source = fitted_scan(path, rows=8)
    fit = usidx.open_result(path, source, chunks={"Y": 1}).isel(Field=0).usid.loop_fit()
    group = fit.usid.write(progress=False)
    with h5py.File(path) as file:
        assert file[f"{group}/completed_positions"][()].all()
    expected = usidx.open_result(path, source).isel(Field=0).usid.loop_fit()
    xr.testing.assert_equal(usidx.open_result(path, group).compute(), expected.compute())


def test_without_a_stored_oscillator_fit_the_group_lies_beside_the_source(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    raw, _ = usidx.simulate.beps((2, 3), 32, noise=0.01)
    usidx.write(raw, path)
    fit = usidx.open_main(path, "Raw_Data").usid.sho_fit().usid.loop_fit()
    group = fit.usid.write()
    assert group == "/Measurement_000/Channel_000/Raw_Data-Loop_Fit_000"
    xr.testing.assert_identical(usidx.open_result(path, group).compute(), fit.compute())


def test_an_oscillator_fit_of_an_old_tool(tmp_path: Path) -> None:
    """Reversal curves, whose voltage grows with each; the parameters are noise, which makes no loops."""
    built: Expected = forc_file(tmp_path / "scan.h5")
    add_sho_fit(built, dtype="f4")
    fit = usidx.open_result(built.path, "SHO_Fit_000").usid.loop_fit()
    assert fit.v_plus.dims == ("Y", "X", "FORC")
    assert fit.v_plus.attrs["units"] == "V"
    group = fit.usid.write()
    assert group.endswith("Raw_Data-SHO_Fit_000/Fit-Loop_Fit_000")
    again = usidx.open_result(built.path, group)
    xr.testing.assert_identical(again.compute(), fit.compute())
    assert set(again.DC_Offset.dims) == {"FORC", "DC_Offset"}


def test_pyusid_reads_what_is_written(tmp_path: Path) -> None:
    """Three cycles, for pyUSID takes a table that is not longer than wide for one of positions."""
    path = tmp_path / "scan.h5"
    fit = usidx.open_result(path, fitted_scan(path, cycles=3)).isel(Field=0).usid.loop_fit()
    group = fit.usid.write()
    for name in MAINS:
        assert accepts(path, f"{group}/{name}"), name
    seen = open_with_pyusid(path, f"{group}/Projected_Loops")
    np.testing.assert_array_equal(seen.in_order("Y", "X", "Cycle", "DC_Offset"), fit.projected_loops)
    seen = open_with_pyusid(path, f"{group}/Fit")
    np.testing.assert_array_equal(seen.in_order("Y", "X", "Cycle")["a_2"], fit.v_minus)


def test_projected_loops_alone(tmp_path: Path) -> None:
    built = beps_file(tmp_path / "scan.h5")
    add_sho_fit(built)
    loops = usidx.open_result(built.path, "SHO_Fit_000").isel(Field=0).usid.project_loops()
    again = usidx.open_result(built.path, loops.usid.write())
    xr.testing.assert_identical(again.compute(), loops.compute())
