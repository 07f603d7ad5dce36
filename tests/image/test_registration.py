"""Known transforms of a surface that is known at every point, and other grids beside SciPy."""

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import xarray as xr

import usidx
from usidx.errors import RoleError, UnitsError, UsidError
from usidx.image.kernels.warping import Grid, find_transform

RNG = np.random.default_rng(0)
WAVES = [(RNG.uniform(-0.5, 0.5), RNG.uniform(-0.5, 0.5), RNG.uniform(0, 6)) for _ in range(30)]
ROTATION = np.array([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]])
CASES = [
    ("translation", np.eye(2)),
    ("rigid", ROTATION),
    ("affine", np.array([[1.02, 0.03], [-0.04, 0.97]])),
]


def surface(y: Any, x: Any) -> Any:
    return sum(np.cos(a * y + b * x + p) for a, b, p in WAVES) / 4


def make_image(matrix: Any, by: Any, shape: tuple[int, int] = (80, 100), noise: float = 0.1) -> xr.DataArray:
    """Return the surface as it is seen at matrix @ place + by, places being counted from the middle."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    places = np.tensordot(matrix, np.stack(np.meshgrid(y, x, indexing="ij")), 1)
    values = surface(places[0] + by[0], places[1] + by[1])
    values = values + noise * np.random.default_rng(1).normal(size=shape)
    return xr.DataArray(values, coords={"Y": y, "X": x}, dims=("Y", "X"))


@pytest.mark.parametrize(("model", "matrix"), CASES)
def test_a_known_transform_is_found(model: Any, matrix: Any) -> None:
    by = np.array([3.3, -2.6])
    image, onto = make_image(matrix, by), make_image(np.eye(2), (0, 0)) * 3 + 7
    grid = Grid((float(image.Y[0]), float(image.X[0])), (1.0, 1.0), (80, 100))
    found = find_transform(image.values, onto.values, model, grid, grid)
    places = grid.place()
    back = np.linalg.inv(matrix)
    wanted = back @ places - (back @ by)[:, np.newaxis]
    off = found[:4].reshape(2, 2) @ places + found[4:, np.newaxis] - wanted
    assert np.sqrt((off**2).mean()) < 0.05
    moved = usidx.image.register(image, onto, model=model, dims=("Y", "X"))
    clean = make_image(np.eye(2), (0, 0), noise=0.0)
    assert np.nanstd((moved - clean).isel(Y=slice(8, -8), X=slice(8, -8))) < 0.12


def test_other_samples_and_other_dims_follow() -> None:
    onto = make_image(np.eye(2), (0, 0), (60, 70), 0.02)
    image = make_image(np.eye(2), (1.5, -2.5), (80, 100), 0.02).isel(Y=slice(None, None, -1))
    cube = (image * xr.DataArray([1.0, 2.0], dims="Energy")).assign_attrs(units="V")
    found = usidx.image.register(cube, onto, dims=("Y", "X"))
    assert found.dims == ("Y", "X", "Energy")
    assert found.units == "V"
    xr.testing.assert_equal(found.Y, onto.Y)
    off = (found.isel(Energy=1) - 2 * onto).isel(Y=slice(5, -5), X=slice(5, -5))
    assert off.std() < 0.1
    lazy = usidx.image.register(cube.chunk({"Y": 30, "Energy": 1}), onto.chunk(), dims=("Y", "X"))
    assert lazy.chunks is not None
    np.testing.assert_allclose(lazy.compute(), found, atol=1e-6)


@pytest.mark.parametrize(("model", "matrix"), CASES)
def test_landmarks(model: Any, matrix: Any) -> None:
    by = np.array([3.3, -2.6])
    image, onto = make_image(matrix, by, noise=0.0), make_image(np.eye(2), (0, 0), noise=0.0)
    points = np.array([[-20.0, 10.0], [15.0, -30.0], [5.0, 25.0], [-8.0, -14.0]])
    pairs = [(p, matrix @ p + by) for p in points]
    found = usidx.image.register(image, onto, model=model, landmarks=pairs, dims=("Y", "X"))
    off = (found - onto).isel(Y=slice(12, -12), X=slice(12, -12))
    assert abs(off).max() < 0.01
    again = usidx.image.register(image + 1j, onto, model=model, landmarks=pairs, dims=("Y", "X"))
    np.testing.assert_allclose(again.real, found)


@pytest.mark.parametrize(("method", "order"), [("cubic", 3), ("linear", 1), ("nearest", 0)])
@pytest.mark.parametrize("dtype", ["f4", "u1", "c16"])
def test_another_grid_is_what_scipy_gives(method: Any, order: int, dtype: str) -> None:
    values = (np.random.default_rng(0).normal(size=(3, 12, 15)) * 50).astype(dtype)
    data = xr.DataArray(values, dims=("Frame", "Y", "X"), coords={"Y": 5 - 0.5 * np.arange(12), "X": np.arange(15.0)})
    other = xr.DataArray(
        np.zeros((7, 9)), dims=("Y", "X"), coords={"Y": np.linspace(0, 4, 7), "X": np.linspace(1, 16, 9)}
    )
    found = usidx.image.resample_onto(data, other, method=method, dims=("Y", "X"))
    places = np.meshgrid((5 - other.Y) / 0.5, other.X, indexing="ij")
    for number in range(3):
        given = values[number].astype("c16" if dtype == "c16" else "f8")
        wanted = scipy.ndimage.map_coordinates(given, places, order=order, mode="mirror")
        wanted[places[1] > 14] = np.nan
        np.testing.assert_allclose(found[number], wanted, rtol=1e-4, atol=1e-4)
    lazy = usidx.image.resample_onto(data.chunk({"Y": 5, "X": 4}), other, method=method, dims=("Y", "X"))
    np.testing.assert_allclose(lazy.compute(), found)
    assert found.dtype == ("f8" if dtype == "u1" else dtype)


def test_missing_samples_stay_missing() -> None:
    data = xr.DataArray(np.arange(30.0).reshape(5, 6), dims=("Y", "X"))
    data[2, 3] = np.nan
    fine = xr.DataArray(
        np.zeros((9, 11)), dims=("Y", "X"), coords={"Y": np.linspace(0, 4, 9), "X": np.linspace(0, 5, 11)}
    )
    found = usidx.image.resample_onto(data, fine, method="linear", dims=("Y", "X"))
    missing = {tuple(map(int, p)) for p in np.argwhere(np.isnan(found.values))}
    assert missing == {(r, c) for r in (3, 4, 5) for c in (5, 6, 7)}
    nothing = usidx.image.register(data.where(False), data, dims=("Y", "X"))
    assert np.isnan(nothing).all()


def test_what_does_not_fit_is_refused() -> None:
    image = make_image(np.eye(2), (0, 0), (12, 15))
    with pytest.raises(UsidError, match="model='spline'"):
        usidx.image.register(image, image, model="spline", dims=("Y", "X"))  # type: ignore[arg-type]
    with pytest.raises(RoleError, match="other image has the dims"):
        usidx.image.register(image, image.rename(Y="Z"), dims=("Y", "X"))
    with pytest.raises(UsidError, match=r"1 landmark\(s\); model='rigid' needs 2"):
        usidx.image.register(image, image, model="rigid", landmarks=[((0, 0), (1, 1))], dims=("Y", "X"))
    for landmarks in ([(0, 0), (1, 1)], "here", [((0, np.nan), (1, 1))]):
        with pytest.raises(UsidError, match="Landmarks"):
            usidx.image.register(image, image, landmarks=landmarks, dims=("Y", "X"))
    with pytest.raises(UsidError, match="is complex"):
        usidx.image.register(image + 0j, image, dims=("Y", "X"))
    with pytest.raises(UsidError, match="method='spline'"):
        usidx.image.resample_onto(image, image, method="spline", dims=("Y", "X"))  # type: ignore[arg-type]
    meters, feet = (image.assign_coords(Y=image.Y.assign_attrs(units=u)) for u in ("m", "ft"))
    with pytest.raises(UnitsError, match="'m', and in the other image 'ft'"):
        usidx.image.resample_onto(meters, feet, dims=("Y", "X"))


@pytest.mark.parametrize("model", ["translation", "rigid", "affine"])
def test_how_bright_an_image_is_changes_nothing(model: Any) -> None:
    onto = make_image(np.eye(2), (0, 0), (40, 50))
    image = make_image(np.eye(2), (2.3, -1.6), (40, 50))
    plain = usidx.image.register(image, onto, model=model, dims=("Y", "X"))
    for scale, offset in ((1.0, 100.0), (1e-12, 3e-12)):
        found = usidx.image.register(scale * image + offset, onto, model=model, dims=("Y", "X"))
        np.testing.assert_allclose((found - offset) / scale, plain, atol=1e-6)
    # Bright at the edges, where a frame that was moved ends.
    assert np.nanstd(plain - make_image(np.eye(2), (0, 0), (40, 50), 0.0)) < 0.12


def test_coordinates_in_single_precision_lose_no_line() -> None:
    fine = 5e-3 + 1e-9 * np.arange(24)
    short = np.linspace(0, 1e-6, 31)
    image = xr.DataArray(np.random.default_rng(0).normal(size=(24, 31)), {"Y": fine - 5e-3, "X": short}, ("Y", "X"))
    stored = image.assign_coords(Y=image.Y.astype("f4"), X=image.X.astype("f4"))
    for data, other in ((image, stored), (stored, image)):
        found = usidx.image.resample_onto(data, other, dims=("Y", "X"))
        np.testing.assert_allclose(found, image, atol=1e-4)


def test_micrometres_are_written_in_three_ways() -> None:
    image = make_image(np.eye(2), (0, 0), (20, 24), 0.0)
    units = ("um", "\N{MICRO SIGN}m", "\N{GREEK SMALL LETTER MU}m")
    one, two, three = (image.assign_coords({d: image[d].assign_attrs(units=u) for d in ("Y", "X")}) for u in units)
    for first, second in ((one, two), (two, three), (three, one)):
        np.testing.assert_allclose(usidx.image.resample_onto(first, second, dims=("Y", "X")), image, atol=1e-9)
        mixed = first.assign_coords(X=second.X)
        assert usidx.image.profile(mixed, (0, 0), (5, 5), dims=("Y", "X")).distance.units in units
