"""What an explorer looks at, and that it reads nothing else."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from usidx.errors import RoleError
from usidx.look.explorer.reading.scene import (
    find_nearest,
    make_scene,
    read_map,
    read_mean,
    read_spectrum,
    start_at,
    take_part,
)
from usidx.simulate import band_excitation

SCAN, _ = band_excitation((6, 8), 10, dc_steps=4)


class Counted:
    """A lazy array of which every cell is its own flat index, and that remembers which blocks were read."""

    def __init__(self, shape: tuple[int, ...], block: tuple[int, ...]) -> None:
        self.read: list[tuple[int, ...]] = []
        self.values = np.arange(np.prod(shape), dtype=float).reshape(shape)
        chunks = da.core.normalize_chunks(block, shape)
        self.lazy = da.map_blocks(self._block, chunks=chunks, dtype=float, meta=np.empty((0,) * len(shape)))

    def _block(self, block_info: Any = None) -> Any:
        where = block_info[None]
        self.read.append(where["chunk-location"])
        return self.values[tuple(slice(*span) for span in where["array-location"])]


def marked(data: Any) -> xr.DataArray:
    roles = {"Y": "position", "X": "position", "E": "spectroscopic"}
    coords = {d: (d, np.arange(n), {"usid_role": r}) for (d, r), n in zip(roles.items(), data.shape, strict=True)}
    return xr.DataArray(data, dims=tuple(roles), coords=coords, name="Raw_Data")


def test_a_spectrum_is_one_read_of_one_place() -> None:
    counted = Counted((8, 8, 12), (2, 2, 12))
    scene = make_scene(marked(counted.lazy))
    start_at(scene, {"X": 3})
    assert counted.read == []
    spectrum = read_spectrum(scene, {"Y": 5, "X": 3}, "E")
    np.testing.assert_array_equal(spectrum, counted.values[5, 3])
    assert counted.read == [(2, 1, 0)]


def test_a_map_is_one_read_of_one_step() -> None:
    counted = Counted((8, 8, 12), (4, 8, 3))
    scene = make_scene(marked(counted.lazy))
    np.testing.assert_array_equal(read_map(scene, {"E": 7}), counted.values[:, :, 7])
    assert sorted(counted.read) == [(0, 0, 2), (1, 0, 2)]


def test_a_mean_reads_a_few_steps() -> None:
    counted = Counted((4, 4, 100), (4, 4, 1))
    scene = make_scene(marked(counted.lazy))
    np.testing.assert_allclose(read_mean(scene), counted.values[:, :, [12, 37, 62, 87]].mean(axis=-1))
    assert len(counted.read) == 4


def test_a_mean_of_complex_values_is_that_of_magnitudes() -> None:
    scene = make_scene(SCAN.isel(Frequency=slice(0, 3), DC_Offset=slice(0, 2)))
    expected = np.abs(scene.array.values).mean(axis=(2, 3))
    np.testing.assert_allclose(read_mean(scene), expected, rtol=1e-6)


def test_a_large_map_is_thinned() -> None:
    counted = Counted((1500, 4, 2), (1500, 4, 2))
    scene = make_scene(marked(counted.lazy))
    assert read_map(scene, {"E": 0}).shape == (500, 4)
    assert find_nearest(scene, 0.0, 1499.0) == {"Y": 1499, "X": 0}


@pytest.mark.parametrize(
    ("array", "kind", "places", "swept"),
    [
        (SCAN, "image", ("Y", "X"), ("DC_Offset", "Frequency")),
        (SCAN.transpose("Frequency", "X", "Y", "DC_Offset"), "image", ("X", "Y"), ("Frequency", "DC_Offset")),
        (SCAN.isel(Y=0), "line", ("X",), ("DC_Offset", "Frequency")),
        (SCAN.isel(DC_Offset=0, Frequency=0), "image", ("Y", "X"), ()),
        (SCAN.isel(Y=0, X=0), "none", (), ("DC_Offset", "Frequency")),
        (xr.DataArray(np.zeros((2, 3, 4)), dims=("a", "b", "c")), "image", ("a", "b"), ("c",)),
        (xr.DataArray(np.zeros(4), dims="c"), "none", (), ("c",)),
    ],
    ids=["image", "transposed", "line", "mere image", "pure spectrum", "no roles", "one dim"],
)
def test_what_there_is_to_look_at(array: xr.DataArray, kind: str, places: Any, swept: Any) -> None:
    scene = make_scene(array)
    assert (scene.kind, scene.places, scene.swept) == (kind, places, swept)


def test_a_third_position_dim_is_swept() -> None:
    deep = SCAN.expand_dims(Z=[0, 1]).assign_coords(Z=("Z", [0, 1], {"usid_role": "position"}))
    assert make_scene(deep).swept == ("Z", "DC_Offset", "Frequency")


def test_points_are_found_where_they_lie() -> None:
    places = {"X": [0.0, 1e-6, 2e-6], "Y": [5e-6, 5e-6, 0.0]}
    coords = {k: ("position", np.array(v), {"units": "m", "usid_role": "position"}) for k, v in places.items()}
    coords["position"] = ("position", np.arange(3), {"usid_role": "position"})
    scene = make_scene(xr.DataArray(np.zeros((3, 4)), dims=("position", "E"), coords=coords))
    assert scene.kind == "points"
    assert find_nearest(scene, 1.9, 0.2) == {"position": 2}
    assert find_nearest(scene, 0.9, 4.0) == {"position": 1}


def test_nearest_place() -> None:
    scene = make_scene(SCAN)
    step = 5 / 7
    assert find_nearest(scene, 3.2 * step, 1.9 * step) == {"Y": 2, "X": 3}
    assert find_nearest(scene, None, 1.0) is None
    assert find_nearest(scene, 1.0, None) is None
    assert find_nearest(scene, float("nan"), 1.0) is None
    assert find_nearest(make_scene(SCAN.isel(Y=0)), 7 * step, None) == {"X": 7}
    assert find_nearest(make_scene(SCAN.isel(Y=0, X=0)), 1.0, 1.0) is None


def test_where_to_begin() -> None:
    scene = make_scene(SCAN)
    assert start_at(scene, None) == {"Y": 3, "X": 4, "DC_Offset": 2, "Frequency": 5}
    assert start_at(scene, {"X": 5e-6, "Frequency": 300e3}) == {"Y": 3, "X": 7, "DC_Offset": 2, "Frequency": 0}
    with pytest.raises(RoleError, match="No dim 'Z' to start at"):
        start_at(scene, {"Z": 1})


@pytest.mark.parametrize("part", ["magnitude", "phase", "real", "imaginary"])
def test_parts(part: str) -> None:
    z = xr.DataArray([3 + 4j, -1j], dims="x", name="z", attrs={"units": "V"})
    expected = {"magnitude": [5, 1], "phase": [np.arctan2(4, 3), -np.pi / 2], "real": [3, 0], "imaginary": [4, -1]}
    taken = take_part(z, part)
    np.testing.assert_allclose(taken, expected[part])
    assert taken.attrs["units"] == ("rad" if part == "phase" else "V")


@pytest.mark.parametrize("array", [xr.DataArray(1.0, name="one"), xr.DataArray(["a", "b"], dims="x", name="text")])
def test_refuses(array: xr.DataArray) -> None:
    with pytest.raises(RoleError, match=f"Array '{array.name}' .* cannot be explored"):
        make_scene(array)
