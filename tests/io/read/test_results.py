"""Results groups of the old programs open under the names of today; those of others variable by variable."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

import usidx
from tests.kit.agreement import assert_opens
from tests.kit.legacy import SHO_FIELDS, add_cluster, add_decomposition, add_sho_fit, add_svd, results_group
from usidx.errors import ResultError, SelectionError, UsidWarning
from usidx.format.names import RESULT_HINTS
from usidx.testing.files import Expected, build_main
from usidx.testing.measurements import beps_file, distinct, forc_file, raster, snake_file

Array = npt.NDArray[Any]
Build = Callable[..., Expected]
SOURCES = [snake_file, forc_file, beps_file]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("chunks", [{}, None], ids=str)
def test_svd(tmp_path: Path, source: Build, chunks: Any) -> None:
    built = source(tmp_path / "scan.h5")
    found = add_svd(built, components=3)
    result = usidx.open_result(built.path, "SVD_000", chunks=chunks)
    assert set(result.data_vars) == {"scores", "components", "singular_values"}
    assert result.scores.dims == ("Y", "X", "component")
    np.testing.assert_allclose(result.scores, found["U"] * found["S"], rtol=1e-6)
    np.testing.assert_array_equal(result.components, found["V"])
    np.testing.assert_array_equal(result.singular_values, found["S"])
    np.testing.assert_array_equal(result.component, [0, 1, 2])
    assert result.components.dtype == built.array.dtype
    assert (result.scores.attrs["units"], result.components.attrs["units"]) == (built.unit, "")
    assert (result.scores.chunks is None) == (chunks is None)


def test_scores_times_components_is_the_source(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    add_svd(built, components=6, dtype="f8")
    result = usidx.open_result(built.path, "SVD_000")
    again = (result.scores.astype("f8") * result.components.astype("f8")).sum("component")
    np.testing.assert_allclose(again.transpose("Y", "X", "Bias"), built.array, rtol=1e-5)
    made = result.usid.reconstruct()
    assert (made.name, made.attrs) == ("Raw_Data", made.attrs | {"long_name": built.quantity, "units": built.unit})
    np.testing.assert_allclose(made.transpose("Y", "X", "Bias"), built.array, rtol=1e-4)
    raw = usidx.open_main(built.path, "Raw_Data")
    np.testing.assert_allclose(result.usid.project(raw), result.scores, rtol=1e-3)
    alike = result.usid.cluster("kmeans", 2)
    assert alike.mean_response.attrs["units"] == built.unit
    assert alike.usid.write().endswith("/Raw_Data-SVD_000/U-Cluster_000")


@pytest.mark.parametrize(
    ("algorithm", "verb"), [("NMF", "nmf"), ("TruncatedSVD", "decompose"), ("PCA", "decompose"), ("FastICA", None)]
)
def test_old_decompositions_are_put_together_where_that_is_the_data(
    tmp_path: Path, algorithm: str, verb: str | None
) -> None:
    built = snake_file(tmp_path / "scan.h5")
    found = add_decomposition(built)
    with h5py.File(built.path, "r+") as file:
        (group,) = [g for g in file[built.main].parent.values() if "Decomposition" in str(g.name)]
        group.attrs["decomposition_algorithm"] = algorithm
    result = usidx.open_result(built.path, "Decomposition_000")
    assert ("comment" in result.components.attrs) == (algorithm == "PCA")  # its mean was not stored
    if verb is None:  # its components are what unmixes, not what was mixed
        with pytest.raises(ResultError, match="is not a decomposition"):
            result.usid.reconstruct()
    else:
        assert result.usid.history[-1]["tool"] == verb
        made = np.tensordot(found["Projection"], found["Components"], axes=1)
        np.testing.assert_allclose(result.usid.reconstruct().transpose("Y", "X", "Bias"), made, rtol=1e-5)


def test_an_old_svd_of_a_fit_has_its_fields_side_by_side(tmp_path: Path) -> None:
    """The old tool put the fields of a compound dataset side by side, and kept `V` compound."""
    built = beps_file(tmp_path / "scan.h5")
    add_sho_fit(built)
    with h5py.File(built.path, "r+") as file:
        fit = next(g for g in file[built.main].parent.values() if "SHO_Fit" in str(g.name))["Fit"]
        cells = fit[()]
        rows = np.hstack([cells[name] for name in cells.dtype.names]).astype("f8")
        left, sizes, right = np.linalg.svd(rows, full_matrices=False)
        group = fit.parent.create_group("Fit-SVD_000")
        group.attrs.update({"tool": "SVD", "source_000": fit.ref})
        group["S"] = sizes[:3].astype("f4")
        compound = np.zeros((3, cells.shape[1]), cells.dtype)
        for k, name in enumerate(cells.dtype.names):
            compound[name] = right[:3, k * cells.shape[1] : (k + 1) * cells.shape[1]]
        numbers = {"position": np.arange(3).reshape(3, 1), "spectroscopic": np.arange(3).reshape(1, 3)}
        for name, data, role in (("U", left[:, :3].astype("f4"), "spectroscopic"), ("V", compound, "position")):
            main = group.create_dataset(name, data=data)
            main.attrs.update({k: v for k, v in fit.attrs.items() if "_" in k} | {"quantity": "S", "units": "c"})
            for kind in ("Indices", "Values"):
                table = group.create_dataset(f"{role}_{kind}", data=numbers[role].astype("u4"))
                table.attrs.update({"labels": [b"Principal Component"], "units": [b"a. u."]})
                main.attrs[f"{role.title()}_{kind}"] = table.ref
    result = usidx.open_result(built.path, "Fit-SVD_000")
    assert result.components.dims[-1] == "field"
    again = result.usid.reconstruct()
    assert again["Amplitude"].attrs["units"] == "V"
    expected = (left[:, :3] * sizes[:3]) @ right[:3, : cells.shape[1]]
    np.testing.assert_allclose(again["Amplitude"].values.ravel(), expected.ravel(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("source", SOURCES)
def test_cluster(tmp_path: Path, source: Build) -> None:
    built = source(tmp_path / "scan.h5")
    found = add_cluster(built)
    result = usidx.open_result(built.path, "Cluster_000")
    assert set(result.data_vars) == {"labels", "mean_response"}
    np.testing.assert_array_equal(result.labels, found["Labels"][..., 0])
    np.testing.assert_array_equal(result.mean_response, found["Mean_Response"])
    assert result.mean_response.dims[0] == "cluster"
    assert result.mean_response.attrs["long_name"] == built.quantity
    assert "Cluster" not in result.coords


def test_one_component_and_one_cluster(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    found = add_svd(built, components=1)
    add_cluster(built, clusters=1)
    svd = usidx.open_result(built.path, "SVD_000")
    assert (svd.scores.dims, svd.components.dims) == (("Y", "X", "component"), ("component", "Bias"))
    np.testing.assert_allclose(svd.scores, found["U"] * found["S"], rtol=1e-6)
    cluster = usidx.open_result(built.path, "Cluster_000")
    assert (cluster.labels.dims, cluster.mean_response.dims) == (("Y", "X"), ("cluster", "Bias"))
    np.testing.assert_array_equal(cluster.labels, 0)


@pytest.mark.parametrize("source", SOURCES)
def test_decomposition(tmp_path: Path, source: Build) -> None:
    built = source(tmp_path / "scan.h5")
    found = add_decomposition(built)
    result = usidx.open_result(built.path, "Decomposition_000")
    assert set(result.data_vars) == {"scores", "components"}
    np.testing.assert_array_equal(result.scores, found["Projection"])
    np.testing.assert_array_equal(result.components, found["Components"])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("source", [beps_file, forc_file])
def test_sho_fit(tmp_path: Path, source: Build, dtype: str) -> None:
    built = source(tmp_path / "scan.h5")
    found = add_sho_fit(built, dtype=dtype, completed=7)
    with pytest.warns(UsidWarning, match=r"SHO_Fit_000' in .* is not finished: .* tells of 7 of 12 positions"):
        result = usidx.open_result(built.path, "SHO_Fit_000")
    named = ["amplitude", "frequency", "quality_factor", "phase", "r2"]
    assert set(result.data_vars) == {*named, *(f"{n}_guess" for n in named)}
    for name, field in zip(named, SHO_FIELDS, strict=True):
        dims = [d for d in built.dims if d != "Frequency"]
        np.testing.assert_array_equal(result[name].transpose(*dims), found["Fit"][field])
        np.testing.assert_array_equal(result[f"{name}_guess"].transpose(*dims), found["Guess"][field])
        assert result[name].dtype == dtype
    assert [result[n].attrs["units"] for n in named] == ["V", "Hz", "", "rad", ""]


def test_values_that_repeat_still_carry_no_index(tmp_path: Path) -> None:
    built = beps_file(tmp_path / "scan.h5")
    add_svd(built)
    add_sho_fit(built)
    for name in ("SVD_000", "SHO_Fit_000"):
        result = usidx.open_result(built.path, name)
        assert "DC_Offset" not in result.xindexes
        assert "X" in result.xindexes
        assert result.DC_Offset.attrs["usid_role"] == "spectroscopic"


def test_dependent_coordinates_survive(tmp_path: Path) -> None:
    built = forc_file(tmp_path / "scan.h5")
    add_svd(built)
    assert usidx.open_result(built.path, "SVD_000").DC_Offset.dims == ("FORC", "DC_Offset")


def test_the_tree_has_results_beside_their_source(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    found = add_svd(built)
    tree = usidx.open_tree(built.path)
    group = "Measurement_000/Channel_000/Raw_Data-SVD_000"
    assert_opens(tree[built.main].Raw_Data, built)
    np.testing.assert_array_equal(tree[group + "/U"].U, found["U"])
    assert set(tree[group].ds.data_vars) == {"S", "completed_positions"}
    assert tree[group].attrs["source_000"] == built.main
    assert tree[group].attrs["svd_method"] == "sklearn-randomized"


# -- groups of other programs ---------------------------------------------------------------------------------------


def other_result(path: Path, fill: Callable[[h5py.Group, Expected], Any]) -> Expected:
    built = build_main(path, distinct((3, 4, 6)), raster(), [("F", "Hz", range(6))])
    with h5py.File(path, "r+") as file:
        fill(results_group(file, built.main, "Tool"), built)
    return built


def test_datasets_keep_their_names(tmp_path: Path) -> None:
    def fill(group: h5py.Group, built: Expected) -> None:
        build_main(group, 2 * built.array, built.position, built.spectroscopic, name="Filtered")
        group["Eigen_Values"] = np.arange(3.0)
        group["square"] = np.eye(3)
        group["size_3"] = np.ones(3)
        group["note"] = "text"
        group["completed_positions"] = np.ones(12, "u1")
        group["completed_fit_positions"] = np.ones(12, "u1")

    built = other_result(tmp_path / "scan.h5", fill)
    result = usidx.open_result(built.path, "Raw_Data-Tool_000")
    assert set(result.data_vars) == {"Filtered", "Eigen_Values", "square", "size_3"}
    np.testing.assert_array_equal(result.Filtered, 2 * built.array)
    np.testing.assert_array_equal(result.square, np.eye(3))
    np.testing.assert_array_equal(result.Eigen_Values, np.arange(3))


@pytest.mark.parametrize("steps", [[10.0, 20.0], [0.0, 1, 2, 3, 4, 50]])
def test_dims_that_differ_are_told_apart(tmp_path: Path, steps: list[float]) -> None:
    """Nothing is aligned, so nothing is filled with NaN."""
    cells = distinct((3, 4, len(steps)), seed=1)

    def fill(group: h5py.Group, built: Expected) -> None:
        build_main(group, built.array, built.position, built.spectroscopic, name="First")
        prefixes = {"spectroscopic": "Own_"}
        build_main(group, cells, built.position, [("F", "Hz", steps)], name="Second", prefixes=prefixes)

    built = other_result(tmp_path / "scan.h5", fill)
    result = usidx.open_result(built.path, "Tool_000")
    assert result.First.dims == ("Y", "X", "F")
    assert result.Second.dims == ("Y", "X", "F_Second")
    np.testing.assert_array_equal(result.First, built.array)
    np.testing.assert_array_equal(result.Second, cells)
    np.testing.assert_array_equal(result.F_Second, steps)
    assert usidx.spectroscopic_dims(result.Second) == ("F_Second",)


def test_values_in_single_and_double_precision_are_the_same(tmp_path: Path) -> None:
    def fill(group: h5py.Group, built: Expected) -> None:
        build_main(group, built.array, built.position, built.spectroscopic, name="First")
        swept = [("F", "Hz", np.arange(6) * (1 + 1e-9))]
        prefixes = {"spectroscopic": "Own_"}
        build_main(group, built.array, built.position, swept, name="Second", prefixes=prefixes, value_dtype="f8")

    result = usidx.open_result(other_result(tmp_path / "scan.h5", fill).path, "Tool_000")
    assert result.Second.dims == ("Y", "X", "F")


def test_scalars_that_differ_are_dropped(tmp_path: Path) -> None:
    def fill(group: h5py.Group, built: Expected) -> None:
        for number, name in enumerate(("First", "Second")):
            swept = [("arb", "", [float(number)])]
            prefixes = {"spectroscopic": f"Own{number}_"}
            build_main(group, built.array[..., :1], built.position, swept, name=name, prefixes=prefixes)

    result = usidx.open_result(other_result(tmp_path / "scan.h5", fill).path, "Tool_000")
    assert set(result.data_vars) == {"First", "Second"}
    assert "arb" not in result.coords


def test_a_main_named_like_a_dim(tmp_path: Path) -> None:
    def fill(group: h5py.Group, built: Expected) -> None:
        build_main(group, built.array, built.position, built.spectroscopic, name="First")
        prefixes = {"spectroscopic": "Own_"}
        build_main(group, built.array[..., :1], built.position, (), name="F", prefixes=prefixes)

    built = other_result(tmp_path / "scan.h5", fill)
    result = usidx.open_result(built.path, "Tool_000")
    np.testing.assert_array_equal(result.F_, built.array[..., 0])
    np.testing.assert_array_equal(result.F, np.arange(6))


def test_groups_without_mains(tmp_path: Path) -> None:
    built = other_result(tmp_path / "scan.h5", lambda group, _: group.create_dataset("x", data=[1]))
    with pytest.raises(ResultError, match=r"Raw_Data-Tool_000' in .* holds no main dataset, so it is no result"):
        usidx.open_result(built.path, "Tool_000")
    with pytest.raises(SelectionError, match=r"There is no group 'Fit_000' .* Results groups are: .*Raw_Data-Tool_000"):
        usidx.open_result(built.path, "Fit_000")


def test_list_results(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    assert usidx.list_results(built.path) == []
    add_svd(built)
    add_cluster(built)
    channel = "/Measurement_000/Channel_000/Raw_Data-"
    assert usidx.list_results(built.path) == [channel + "Cluster_000", channel + "SVD_000"]


# -- what usidx itself records about a result -----------------------------------------------------------------------

HOSTILE: dict[str, Any] = {
    "no such dataset": {"a": {"dataset": "none", "dims": ["Y"]}},
    "no dims": {"a": {"dataset": "Filtered"}},
    "other dims": {"a": {"dataset": "Filtered", "dims": ["P", "Q", "R", "S"]}},
    "no such field": {"a": {"dataset": "Filtered", "dims": ["Y", "X", "F"], "field": "none"}},
    "no such type": {"a": {"dataset": "Filtered", "dims": ["Y", "X", "F"], "dtype": "nonsense"}},
    "a name that is taken": {"F": {"dataset": "Filtered", "dims": ["Y", "X", "F"]}},
}


def filtered(group: h5py.Group, built: Expected) -> None:
    build_main(group, built.array, built.position, built.spectroscopic, name="Filtered")


@pytest.mark.parametrize("case", HOSTILE)
def test_records_that_do_not_fit(tmp_path: Path, case: str) -> None:
    def fill(group: h5py.Group, built: Expected) -> None:
        filtered(group, built)
        group.attrs[RESULT_HINTS] = json.dumps({"variables": HOSTILE[case]})

    built = other_result(tmp_path / "scan.h5", fill)
    with pytest.raises(
        ResultError, match=r"Raw_Data-Tool_000'?:? .*names? a dataset|what was recorded about the result"
    ):
        usidx.open_result(built.path, "Tool_000")


@pytest.mark.parametrize(
    "hints",
    [{"variables": {"a": 3}}, {"variables": [1]}, {"variables": {}}, {}, {"attrs": 3, "variables": {"a": None}}],
    ids=str,
)
def test_records_that_say_nothing(tmp_path: Path, hints: dict[str, Any]) -> None:
    def fill(group: h5py.Group, built: Expected) -> None:
        filtered(group, built)
        group.attrs[RESULT_HINTS] = json.dumps(hints)

    built = other_result(tmp_path / "scan.h5", fill)
    np.testing.assert_array_equal(usidx.open_result(built.path, "Tool_000").Filtered, built.array)


@pytest.mark.parametrize("text", ["nonsense", "[3]", '[{"a": 1}]', '[{"tool": 3}]', "{}", "[" * 10_000])
def test_provenance_that_says_nothing(tmp_path: Path, text: str) -> None:
    def fill(group: h5py.Group, built: Expected) -> None:
        filtered(group, built)
        group.attrs["usid_provenance"] = text

    built = other_result(tmp_path / "scan.h5", fill)
    assert [s["tool"] for s in usidx.history(usidx.open_result(built.path, "Tool_000"))] == ["open"]
    assert [s["tool"] for s in usidx.history(usidx.open_main(built.path, "Filtered"))] == ["open"]
