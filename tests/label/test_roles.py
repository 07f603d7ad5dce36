"""Roles of dims: found, given, kept, and what is said when they are not there."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import RoleError
from usidx.label.roles import POSITION, ROLE, as_dims, choose_dims, find_role, set_roles, split


def cube(*, lazy: bool = False) -> xr.DataArray:
    array = xr.DataArray(np.zeros((2, 3, 4)), dims=("y", "x", "energy"), name="scan")
    return array.chunk(2) if lazy else array


@pytest.mark.parametrize("lazy", [False, True])
def test_roles_are_given_and_found(lazy: bool) -> None:
    marked = usidx.set_roles(cube(lazy=lazy), position=["y", "x"], spectroscopic="energy")
    assert usidx.position_dims(marked) == ("y", "x")
    assert usidx.spectroscopic_dims(marked) == ("energy",)
    assert split(marked) == (("y", "x"), ("energy",))
    assert (marked.chunks is None) is not lazy
    assert "x" not in cube(lazy=lazy).coords
    np.testing.assert_array_equal(marked.x, [0, 1, 2])


def test_dims_keep_the_order_of_the_array() -> None:
    marked = usidx.set_roles(cube(), position=["y", "x"]).transpose("x", "energy", "y")
    assert usidx.position_dims(marked) == ("x", "y")
    assert split(marked, dim=["y", "x"]) == (("energy",), ("x", "y"))


def test_roles_survive_selection_and_arithmetic() -> None:
    marked = usidx.set_roles(cube(), position=["y", "x"], spectroscopic="energy")
    assert usidx.position_dims((2 * marked).isel(x=slice(1))) == ("y", "x")
    assert find_role(marked.isel(energy=0), "energy") == "spectroscopic"
    assert usidx.spectroscopic_dims(marked.isel(energy=0)) == ()


def test_a_coordinate_without_index_gets_none() -> None:
    plain = xr.Coordinates({"x": xr.Variable("x", [1.0, 1.0, 2.0])}, indexes={})
    marked = usidx.set_roles(cube().assign_coords(plain), position="x")
    assert "x" not in marked.xindexes
    assert marked.x.attrs == {ROLE: "position"}


def test_roles_of_a_dataset() -> None:
    marked = usidx.set_roles(cube().to_dataset(), position=["y", "x"])
    assert usidx.position_dims(marked) == ("y", "x")


def test_given_coordinates_are_not_changed_in_place() -> None:
    array = cube().assign_coords(x=("x", [1.0, 2.0, 3.0], {"units": "m"}))
    assert usidx.set_roles(array, position="x").x.attrs == {"units": "m", ROLE: "position"}
    assert array.x.attrs == {"units": "m"}


def test_a_dim_has_one_role() -> None:
    with pytest.raises(RoleError, match="'x' is named both as position and as spectroscopic"):
        usidx.set_roles(cube(), position=["y", "x"], spectroscopic="x")


def test_no_such_dim() -> None:
    with pytest.raises(RoleError, match=r"No dim or coordinate 'z' here; the dims are \('y', 'x', 'energy'\)"):
        usidx.set_roles(cube(), position="z")
    with pytest.raises(RoleError, match="No dim 'z' here"):
        as_dims(cube(), ["x", "z"])


def test_no_roles_at_all() -> None:
    with pytest.raises(RoleError, match=r"'scan' with dims .* has no spectroscopic dim \(none is marked\)\. Name"):
        split(cube())


def swept(**sizes: int) -> xr.DataArray:
    """Return an array over y and spectroscopic dims of these sizes, the last in volts."""
    units = ["s"] * (len(sizes) - 1) + ["V"]
    coords = {d: (d, np.arange(n), {"units": u}) for (d, n), u in zip(sizes.items(), units, strict=True)}
    array = xr.DataArray(np.zeros((2, *sizes.values())), dims=("y", *sizes), coords=coords, name="scan")
    return usidx.set_roles(array, position="y", spectroscopic=list(sizes))


def test_the_dim_to_work_along_is_the_only_one_of_several_steps() -> None:
    assert choose_dims(swept(energy=4), None, 1) == ("energy",)
    assert choose_dims(swept(cycle=1, energy=4), None, 1) == ("energy",)
    assert choose_dims(swept(cycle=2, energy=4)) == ("cycle", "energy")
    assert choose_dims(xr.DataArray(np.zeros(3), dims="energy"), None, 1) == ("energy",)
    assert choose_dims(swept(energy=4), None, 1, role=POSITION) == ("y",)


def test_familiar_names_and_units_decide_among_several() -> None:
    data = swept(DC_Offset=3, energy=4)
    assert choose_dims(data, None, 1, called=["dcoffset"], in_units=["V"]) == ("DC_Offset",)
    assert choose_dims(data, None, 1, called=["bias"], in_units=["V"]) == ("energy",)
    assert choose_dims(xr.DataArray(np.zeros((2, 3)), dims=("x", "Bias")), None, 1, called=["bias"]) == ("Bias",)


def test_named_dims_keep_the_order_in_which_they_are_named() -> None:
    assert choose_dims(cube(), ["energy", "y", "energy"], 2) == ("energy", "y")
    with pytest.raises(
        RoleError, match=r"dim=\['energy'\] names 1 dim\(s\), and 2 should be named. A plane is wanted."
    ):
        choose_dims(cube(), "energy", 2, reason="A plane is wanted.")
    with pytest.raises(RoleError, match=r"dim=\[\] names 0 dim\(s\), and 1 should be named"):
        choose_dims(cube(), [])


def test_what_is_not_clear_is_asked_for() -> None:
    told = r"has the spectroscopic dims \('cycle', 'energy'\), and 1 should be worked along. Name the dims"
    with pytest.raises(RoleError, match=told):
        choose_dims(swept(cycle=2, energy=4), None, 1)
    with pytest.raises(RoleError, match=r"no spectroscopic dim of more than one step, and 1 should"):
        choose_dims(swept(energy=1), None, 1)
    with pytest.raises(RoleError, match=r"no position dim .* and 2 should.*set_roles\(position=\[...\]\)"):
        choose_dims(cube(), None, 2, role=POSITION)


@pytest.mark.parametrize("verb", ["svd", "pca", "nmf", "ica"])
def test_naming_the_position_dims_is_enough(verb: str) -> None:
    values = np.random.default_rng(0).random((4, 5, 6)) + 1
    bare = xr.DataArray(values, dims=("y", "x", "energy"))
    named = set_roles(bare, position=["y", "x"])
    whole = set_roles(bare, position=["y", "x"], spectroscopic="energy")
    found, expected = (getattr(array.usid, verb)(2) for array in (named, whole))
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert choose_dims(named) == choose_dims(named, count=1) == ("energy",)
    assert named.usid.map_positions(lambda spectrum: spectrum.sum()).dims == ("y", "x")


def test_naming_the_spectroscopic_dims_is_enough() -> None:
    named = set_roles(xr.DataArray(np.ones((4, 5, 6)), dims=("y", "x", "energy")), spectroscopic="energy")
    assert choose_dims(named, role="position") == ("y", "x")
    assert split(named) == (("y", "x"), ("energy",))


def test_who_names_nothing_is_still_asked() -> None:
    with pytest.raises(RoleError, match="no spectroscopic dim"):
        split(xr.DataArray(np.ones((4, 5)), dims=("y", "energy")))
    image = set_roles(xr.DataArray(np.ones((4, 5)), dims=("y", "x")), position=["y", "x"])
    with pytest.raises(RoleError, match="no spectroscopic dim"):
        split(image)


def test_dims_without_a_name_or_a_size_are_told() -> None:
    with pytest.raises(RoleError, match=r"dim 0 is int: rename\(\{0: 'Y'\}\)"):
        set_roles(xr.DataArray(np.ones((3, 4)), dims=(0, 1)), position=[0])  # type: ignore[list-item]
    rows = da.from_array(np.ones((6, 4)), chunks=(2, 4))
    unknown = xr.DataArray(rows[rows[:, 0] > 0], dims=("n", "energy"))
    with pytest.raises(RoleError, match=r"how long dim 'n' is.*compute_chunk_sizes\(\)"):
        set_roles(unknown, position="n")
    unknown.data.compute_chunk_sizes()
    known = xr.DataArray(unknown.data, dims=("n", "energy"))
    assert set_roles(known, position="n").sizes == {"n": 6, "energy": 4}


def test_scans_put_together_have_the_new_dim_among_the_responses() -> None:
    """As the file that they are written to says."""
    scan = usidx.set_roles(
        xr.DataArray(np.random.default_rng(0).normal(size=(4, 5, 6)), dims=("y", "x", "e")),
        position=["y", "x"],
        spectroscopic="e",
    )
    both = xr.concat([scan, 2 * scan], "temperature")
    made = usidx.svd(both, 2)
    assert made.scores.dims == ("y", "x", "component")
    matrix = both.transpose("y", "x", "temperature", "e").values.reshape(20, 12)
    np.testing.assert_allclose(made.singular_values, np.linalg.svd(matrix, compute_uv=False)[:2])
    assert choose_dims(both, None, 1) == ("e",)


def test_dims_without_a_role_are_nothing_beside_no_position() -> None:
    spectra = usidx.set_roles(xr.DataArray(np.zeros((3, 4)), dims=("n", "e")), spectroscopic="e")
    assert split(spectra) == (("n",), ("e",))
