"""Files that usidx 0.1 wrote: their results open as they did, are used again where certain, and are gone on with."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.of_before.make_files import COLUMNS, ROWS
from tests.of_before.swing import find_swing
from usidx.errors import UsidWarning
from usidx.results.provenance import read_steps

HERE = Path(__file__).parent
CHANNEL = "/Measurement_000/Channel_000/Raw_Data"
PEAK = usidx.models.Gaussian() + usidx.models.Constant()
#: What 0.1 put its own place beside.
LOOPS = f"{CHANNEL}-SHO_Fit_000/Fit-Loop_Fit_000"

Make = Callable[[xr.DataArray], xr.DataArray | xr.Dataset]

#: Verbs on a main dataset as it was opened: 0.1 recorded enough of these.
CERTAIN: dict[tuple[str, str], Make] = {
    ("spectra", "SVD_000"): lambda raw: usidx.svd(raw, 2),
    ("spectra", "Decomposition_000"): lambda raw: usidx.pca(raw, 2),
    ("spectra", "Decomposition_001"): lambda raw: usidx.nmf(raw, 2),
    ("spectra", "Cluster_000"): lambda raw: usidx.cluster(raw, "kmeans", 2),
    ("spectra", "Gaussian_Constant_Fit_000"): lambda raw: usidx.fit(raw, PEAK),
    ("oscillators", "SHO_Fit_000"): usidx.sho_fit,
}
#: Of a function it recorded no body, of a result that a verb was given nothing.
UNCERTAIN: dict[tuple[str, str], Make] = {
    ("spectra", "Map_Positions_000"): lambda raw: usidx.map_positions(find_swing, raw),
    ("spectra", "Map_Positions_001"): lambda raw: usidx.map_positions(lambda s: s.max() - s.min(), raw),
    ("spectra", "Evaluate_000"): lambda raw: usidx.evaluate(usidx.fit(raw, PEAK)),
    ("spectra", "Rebuilt_000"): lambda raw: usidx.reconstruct(usidx.svd(raw, 2)),
    ("oscillators", "SHO_Fit_001"): lambda raw: usidx.correct_phase(usidx.sho_fit(raw)),
    ("oscillators", "Response_000"): lambda raw: usidx.response(usidx.sho_fit(raw)),
}
#: What is worked out in another way since: slopes at the ends of a run.
CHANGED: dict[tuple[str, str], Make] = {("spectra", "Didv_000"): lambda raw: usidx.didv(raw, window=5)}
ALL = CERTAIN | UNCERTAIN | CHANGED


def unpack(name: str, folder: Path) -> Path:
    """Put a file of before into a folder, which is another than it was written in."""
    path = folder / f"{name}.h5"
    path.write_bytes(gzip.decompress((HERE / f"{name}.h5.gz").read_bytes()))
    return path


def read_by_before(name: str, group: str) -> dict[str, Any]:
    """Return what 0.1 itself read from a group."""
    with np.load(HERE / f"{name}.npz") as kept:
        parts = {key: key.split("|") for key in kept}
        return {variable: kept[key] for key, (found, variable) in parts.items() if found == group}


def groups() -> list[tuple[str, str]]:
    return [(name, f"{CHANNEL}-{ending}") for name, ending in ALL] + [("oscillators", LOOPS)]


@pytest.mark.parametrize(("name", "group"), groups())
def test_a_result_opens_as_it_did(tmp_path: Path, name: str, group: str) -> None:
    opened = usidx.open_result(unpack(name, tmp_path), group)
    values = read_by_before(name, group)
    assert set(opened.data_vars) == set(values)
    for variable, expected in values.items():
        np.testing.assert_array_equal(opened[variable], expected)


@pytest.mark.parametrize(("name", "ending"), ALL)
def test_a_result_keeps_its_history(tmp_path: Path, name: str, ending: str) -> None:
    path = unpack(name, tmp_path)
    told = [step["tool"] for step in read_steps(usidx.open_result(path, f"{CHANNEL}-{ending}"))]
    assert told[-1] == read_steps(ALL[name, ending](usidx.open_main(path, CHANNEL)))[-1]["tool"]
    assert "open" in told


@pytest.mark.parametrize("chunks", ["auto", {"Y": 1}, {"Y": 4, "X": 2}])
@pytest.mark.parametrize(("name", "ending"), CERTAIN)
def test_what_is_certain_is_used_again(tmp_path: Path, name: str, ending: str, chunks: Any) -> None:
    path = unpack(name, tmp_path)
    before = path.read_bytes()
    raw = usidx.open_main(path, CHANNEL, chunks=chunks)
    assert CERTAIN[name, ending](raw).usid.write() == f"{CHANNEL}-{ending}"
    assert path.read_bytes() == before


@pytest.mark.parametrize(("name", "ending"), UNCERTAIN)
def test_what_is_not_certain_is_computed_anew(tmp_path: Path, name: str, ending: str) -> None:
    path = unpack(name, tmp_path)
    there = usidx.list_results(path)
    made = UNCERTAIN[name, ending](usidx.open_main(path, CHANNEL))
    group = made.usid.write()
    assert group not in there
    for variable, expected in read_by_before(name, f"{CHANNEL}-{ending}").items():
        if variable != "nfev":  # doubtful fits are tried from more starts now
            np.testing.assert_allclose(usidx.open_result(path, group)[variable], expected, rtol=1e-6, atol=1e-12)
    assert UNCERTAIN[name, ending](usidx.open_main(path, CHANNEL)).usid.write() == group


def test_a_derivative_of_before_is_computed_anew(tmp_path: Path) -> None:
    path = unpack("spectra", tmp_path)
    there = usidx.list_results(path)
    group = CHANGED["spectra", "Didv_000"](usidx.open_main(path, CHANNEL)).usid.write()
    assert group not in there
    ((variable, expected),) = read_by_before("spectra", f"{CHANNEL}-Didv_000").items()
    found = usidx.open_result(path, group)[variable].values
    np.testing.assert_allclose(found[..., 1:-1], expected[..., 1:-1], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(("name", "ending"), CERTAIN)
def test_both_versions_find_the_same_numbers(tmp_path: Path, name: str, ending: str) -> None:
    made = CERTAIN[name, ending](usidx.open_main(unpack(name, tmp_path), CHANNEL))
    found = made if isinstance(made, xr.Dataset) else made.to_dataset()
    for variable, expected in read_by_before(name, f"{CHANNEL}-{ending}").items():
        if variable not in ("nfev", "status"):
            np.testing.assert_allclose(found[variable], expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda raw: usidx.svd(raw, 3),
        lambda raw: usidx.svd(raw, 2, solver="krylov"),
        lambda raw: usidx.pca(raw, 2, random_state=1),
        lambda raw: usidx.fit(raw, PEAK, loss="soft_l1"),
        lambda raw: usidx.fit(raw, usidx.models.Lorentzian() + usidx.models.Constant()),
        lambda raw: usidx.didv(raw, window=3),
        lambda raw: usidx.didv(raw.isel(Y=[0, 2, 1, 3, 4, 5]), window=5),
        lambda raw: usidx.svd(raw.isel(Bias=[0, 2, 1, 3, 4, 5, 6, 7, 8]), 2),
        lambda raw: usidx.svd(raw.persist(), 2),
        lambda raw: usidx.svd(raw.compute(), 2),
        lambda raw: usidx.svd(raw * 1, 2),
        lambda raw: usidx.fit(raw.assign_coords(Bias=("Bias", np.linspace(-1, 1, 9) ** 3, raw.Bias.attrs)), PEAK),
        lambda raw: usidx.fit(raw.assign_attrs(units="pA"), PEAK),
        lambda raw: usidx.svd(raw, 2).isel(component=[1, 0]),
        lambda raw: usidx.fit(raw, PEAK).pipe(lambda found: found.assign(center=found.center * -1)),
    ],
)
def test_another_call_is_another_result(tmp_path: Path, make: Make) -> None:
    path = unpack("spectra", tmp_path)
    there = usidx.list_results(path)
    assert make(usidx.open_main(path)).usid.write() not in there


@pytest.mark.parametrize(
    "make",
    [
        lambda raw: usidx.svd(raw, 2),
        lambda raw: usidx.didv(raw, window=5),
        lambda raw: usidx.fit(raw, PEAK),
        lambda raw: usidx.evaluate(usidx.fit(raw.isel(Y=slice(2, 4)), PEAK)),
    ],
)
def test_groups_that_only_seem_the_same_are_left(tmp_path: Path, make: Make) -> None:
    path = unpack("misleading", tmp_path)
    there = usidx.list_results(path)
    group = make(usidx.open_main(path, CHANNEL)).usid.write()
    assert group not in there


def test_a_source_that_was_corrected_is_another(tmp_path: Path) -> None:
    path = unpack("spectra", tmp_path)
    with h5py.File(path, "r+") as file:
        file[CHANNEL][4] += 1
    assert usidx.svd(usidx.open_main(path), 2).usid.write() not in read_groups("spectra")


def test_a_source_that_is_corrected_after_it_was_opened_is_another(tmp_path: Path) -> None:
    path = unpack("spectra", tmp_path)
    made = usidx.svd(usidx.open_main(path), 2)
    with h5py.File(path, "r+") as file:
        file[CHANNEL][4] += 1
    group = made.usid.write()
    assert group not in read_groups("spectra")
    with h5py.File(path) as file:
        expected = np.linalg.svd(file[CHANNEL][()])[1][:2]
    np.testing.assert_allclose(usidx.open_result(path, group).singular_values, expected, rtol=1e-6)


def read_groups(name: str) -> set[str]:
    with np.load(HERE / f"{name}.npz") as kept:
        return {key.split("|")[0] for key in kept}


def test_a_decomposition_still_rebuilds_and_projects(tmp_path: Path) -> None:
    path = unpack("spectra", tmp_path)
    raw = usidx.open_main(path)
    u, s, vt = np.linalg.svd(raw.values.reshape(ROWS * COLUMNS, -1), full_matrices=False)
    rank_two = ((u[:, :2] * s[:2]) @ vt[:2]).reshape(raw.shape)
    opened = usidx.open_result(path, f"{CHANNEL}-SVD_000")
    np.testing.assert_allclose(usidx.reconstruct(opened), rank_two, rtol=1e-6)
    scores = usidx.project(opened, raw).transpose("Y", "X", "component")
    np.testing.assert_allclose(abs(scores.values.reshape(-1, 2)), abs(u[:, :2] * s[:2]), rtol=1e-6, atol=1e-9)


def test_a_fit_is_still_evaluated(tmp_path: Path) -> None:
    path = unpack("spectra", tmp_path)
    found = usidx.evaluate(usidx.open_result(path, f"{CHANNEL}-Gaussian_Constant_Fit_000"))
    np.testing.assert_allclose(found, read_by_before("spectra", f"{CHANNEL}-Evaluate_000")["Raw_Data"], rtol=1e-6)
    written = found.usid.write()
    assert written not in read_groups("spectra")
    np.testing.assert_allclose(usidx.open_result(path, written).Raw_Data, found)


def test_loops_go_beside_the_fit_that_they_are_of(tmp_path: Path) -> None:
    path = unpack("oscillators", tmp_path)
    fitted = usidx.open_result(path, f"{CHANNEL}-SHO_Fit_000")
    assert usidx.loop_fit(fitted).usid.write() == f"{CHANNEL}-SHO_Fit_000/Fit-Loop_Fit_001"


def test_a_result_goes_back_where_it_was_opened(tmp_path: Path) -> None:
    path = unpack("spectra", tmp_path)
    group = f"{CHANNEL}-Map_Positions_000"
    assert usidx.open_result(path, group).usid.write() == group


@pytest.mark.parametrize("chunks", [{"Y": 1}, {"Y": 2, "X": 1}])
def test_an_interrupted_fit_is_gone_on_with(tmp_path: Path, chunks: Any) -> None:
    path = unpack("interrupted", tmp_path)
    (group,) = usidx.list_results(path)
    with h5py.File(path, "r+") as file:
        done = file[f"{group}/completed_positions"][()].astype(bool)
        assert 0 < done.sum() < done.size
        file[f"{group}/Fit"][:1, 0] = 7.0  # to see that what was done is not done again
    fitted = usidx.fit(usidx.open_main(path, CHANNEL, chunks=chunks), PEAK)
    with dask.config.set(scheduler="sync"), pytest.warns(UsidWarning, match=f"{done.sum()} of {done.size} positions"):
        assert fitted.usid.write() == group
    expected = read_by_before("spectra", f"{CHANNEL}-Gaussian_Constant_Fit_000")
    opened = usidx.open_result(path, group)
    assert opened.center.values[0, 0] == 7.0
    for name in ("amplitude", "center", "sigma", "offset", "r2"):
        found = opened[name].values.ravel()[1:]
        np.testing.assert_allclose(found, expected[name].ravel()[1:], rtol=1e-5)
    assert usidx.fit(usidx.open_main(path, CHANNEL), PEAK).usid.write() == group


def test_an_interrupted_fit_of_another_source_is_left(tmp_path: Path) -> None:
    path = unpack("interrupted", tmp_path)
    (group,) = usidx.list_results(path)
    with h5py.File(path, "r+") as file:
        file[CHANNEL][0] *= 2
    assert usidx.fit(usidx.open_main(path, CHANNEL, chunks={"Y": 1}), PEAK).usid.write() != group
