"""Virtual detectors beside sums in NumPy."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from tests.diffraction.scans import BACKINGS, DTYPES, make_scan, spread
from usidx.diffraction import Annulus, Disk, Mask, virtual_image
from usidx.errors import RoleError, SelectionError, UnitsError, UsidError

TURNED = ("kx", "X", "ky", "Y")
BAD: Any = 3


@pytest.mark.parametrize("backing", BACKINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_detector_sums_what_lies_in_it(dtype: str, backing: str) -> None:
    scan = make_scan(dtype, backing)
    values, ky, kx = spread(scan)
    distance = np.hypot(ky - 1.0, kx - 1.5)
    inside = {"disk": distance < 1.0, "ring": (distance >= 1.0) & (distance < 1.5)}
    made = virtual_image(scan, {"disk": Disk((1.0, 1.5), 1.0), "ring": Annulus((1.0, 1.5), 1.0, 1.5)})
    for name, counts in inside.items():
        assert 0 < counts.sum() < counts.size
        image = made[name]
        np.testing.assert_allclose(image, (values * counts).sum(axis=(2, 3)), rtol=1e-6 if dtype == "f4" else 1e-14)
        assert image.dims == ("Y", "X")
        assert image.dtype == ("f4" if dtype == "f4" else "f8")
        assert (image.units, image.long_name) == ("counts", name)
        assert (image.chunks is None) == (backing == "memory")
        xr.testing.assert_identical(image.X, scan.X.drop_vars([n for n in scan.X.coords if n != "X"]))


def test_several_come_side_by_side_and_equal_each_alone() -> None:
    scan = make_scan("u2", "blocks", TURNED)
    shapes = [Disk((1, 1), 0.8), Annulus((0, 2), 0.3, 1.2), Mask(np.random.default_rng(0).normal(size=(9, 11)))]
    made = virtual_image(scan, shapes, dims=("ky", "kx"))
    assert dict(made.sizes) == {"X": 3, "Y": 4, "detector": 3}
    for n, shape in enumerate(shapes):
        alone = virtual_image(scan, shape, dims=("ky", "kx"))
        np.testing.assert_array_equal(made.isel(detector=n), alone)
        assert alone.name == "Counts"
    one = virtual_image(scan, shapes[:1], dims=("ky", "kx"))
    assert one.sizes["detector"] == 1


@pytest.mark.parametrize("dtype", ["u2", "f4", "i8"])
def test_masks_weigh(dtype: str) -> None:
    scan = make_scan(dtype)
    values, _, _ = spread(scan)
    weights = np.random.default_rng(1).normal(size=(9, 11))
    weights[weights < -1] = 0
    expected = np.einsum("abij,ij->ab", values, weights)
    for given in (weights, xr.DataArray(weights.T, dims=("kx", "ky"))):
        np.testing.assert_allclose(virtual_image(scan, Mask(given)), expected, rtol=1e-5 if dtype == "f4" else 1e-11)
    flags = weights > 0
    for array in (flags, flags.astype(int), 2.5 * flags):
        found = virtual_image(scan, Mask(array))
        np.testing.assert_allclose(found, (values * array).sum(axis=(2, 3)), rtol=1e-6)
    assert not virtual_image(scan, Mask(np.zeros((9, 11), bool))).any()


def test_whole_numbers_of_any_width_do_not_overflow() -> None:
    for dtype in ("u1", "i1", "u2", "i2", "u4", "i4"):
        for end in (np.iinfo(dtype).max, np.iinfo(dtype).min):
            scan = xr.DataArray(np.full((2, 300, 301), end, dtype), dims=("X", "ky", "kx"))
            found = virtual_image(scan, Disk((150, 150), 1e3), dims=("ky", "kx"))
            assert found.values.tolist() == [300 * 301 * float(end)] * 2
    long = xr.DataArray(np.full((1, 2, 70000), 65535, "u2"), dims=("X", "ky", "kx"))
    assert virtual_image(long, Disk((0, 0), 1e6), dims=("ky", "kx")).item() == 140000 * 65535


def test_complementary_detectors_add_up() -> None:
    scan = make_scan("f8")
    parts = virtual_image(scan, [Disk((1, 1), 0.7), Annulus((1, 1), 0.7, 1.4), Annulus((1, 1), 1.4, 99)])
    np.testing.assert_allclose(parts.sum("detector"), scan.sum(["ky", "kx"]), rtol=1e-14)


def test_permuted_positions_give_permuted_images() -> None:
    scan, order = make_scan("f4"), [2, 0, 3, 1]
    moved = virtual_image(scan.isel(Y=order), Disk((1, 1), 1))
    np.testing.assert_array_equal(moved, virtual_image(scan, Disk((1, 1), 1)).isel(Y=order))


@pytest.mark.parametrize("backing", ["memory", "blocks"])
def test_missing_pixels_count_only_where_they_are_looked_at(backing: str) -> None:
    scan = make_scan("f4").copy(deep=True)
    scan[0, 1, 0, 0], scan[2, 2, 4, 6] = np.nan, np.inf
    scan = scan.chunk(BACKINGS[backing] or {}) if backing != "memory" else scan
    inside = np.hypot(scan.ky.values[:, None] - 1.0, scan.kx.values - 1.5) < 1
    assert not inside[0, 0]
    assert inside[4, 6]
    found = virtual_image(scan, Disk((1.0, 1.5), 1)).compute()
    assert np.argwhere(~np.isfinite(found.values)).tolist() == [[2, 2]]
    left = ~(abs(scan) < np.inf).all(["Y", "X"])
    for mask in (left.compute(), left.values):
        whole = virtual_image(scan, Disk((0, 0), 99), mask=mask)
        np.testing.assert_allclose(whole, scan.values[..., ~left.values].sum(axis=-1), rtol=1e-6)


def test_a_mask_of_positions_leaves_them_out() -> None:
    scan = make_scan("u2")
    mask = xr.DataArray(np.arange(4) == 2, dims="Y")
    found = virtual_image(scan, Disk((0, 0), 99), mask=mask)
    assert found.isnull().all("X").values.tolist() == mask.values.tolist()
    np.testing.assert_array_equal(found[0], scan[0].sum(["ky", "kx"]))


@pytest.mark.parametrize("positions", [(), ("X",), ("T", "Y", "X")])
def test_any_number_of_position_dims(positions: tuple[str, ...]) -> None:
    sizes = {"T": 2, "Y": 3, "X": 2, "ky": 5, "kx": 6}
    dims = (*positions, "ky", "kx")
    values = np.random.default_rng(0).integers(0, 9, [sizes[d] for d in dims])
    scan = usidx.set_roles(xr.DataArray(values, dims=dims), position=positions, spectroscopic=("ky", "kx"))
    found = virtual_image(scan, Disk((2, 2), 2))
    ky, kx = np.mgrid[:5, :6]
    np.testing.assert_array_equal(found, values[..., np.hypot(ky - 2, kx - 2) < 2].sum(-1))
    assert found.dims == positions


def test_scans_without_a_position_give_no_image() -> None:
    empty = virtual_image(make_scan("u2").isel(Y=slice(0, 0)), Disk((0, 0), 1))
    assert empty.shape == (0, 3)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda s: Disk((0, 0), 0), UsidError, "radius=0"),
        (lambda s: Annulus((0, 0), 2, 1), UsidError, "inner=2, outer=1"),
        (lambda s: Disk(BAD, 1), UsidError, r"center=3; it should be \(y, x\)"),
        (lambda s: Disk((0, np.nan), 1), UsidError, "finite"),
        (lambda s: Mask(np.zeros(3)), UsidError, "1 dims"),
        (lambda s: Mask(np.array([[np.nan]])), UsidError, "finite"),
        (lambda s: virtual_image(s, Mask(np.zeros((2, 2)))), RoleError, r"\(2, 2\) pixels, and the detector \(9, 11\)"),
        (lambda s: virtual_image(s, Mask(xr.DataArray(np.zeros((9, 11))))), RoleError, "dim_0"),
        (lambda s: virtual_image(s, []), UsidError, "there are none"),
        (lambda s: virtual_image(s, BAD), UsidError, "detector=3"),
        (lambda s: virtual_image(s, {"a": BAD}), UsidError, "3 is none"),
        (lambda s: virtual_image(s, Disk((0, 0), 1), dims="ky"), RoleError, "A detector has two dims"),
        (lambda s: virtual_image(s.drop_vars(s.coords), Disk((0, 0), 1)), RoleError, "none is marked"),
        (lambda s: virtual_image(s + 1j, Disk((0, 0), 1)), UsidError, "complex"),
        (lambda s: virtual_image(s[..., :0], Disk((0, 0), 1), dims=("ky", "kx")), SelectionError, "9 x 0 pixels"),
        (lambda s: virtual_image(s, Disk((0, 0), 1), mask=np.zeros((2, 2), bool)), RoleError, "true where pixels are"),
        (lambda s: virtual_image(s, Disk((0, 0), 1), mask=s.Y > 9), RoleError, None),
        (lambda s: virtual_image(s.assign_coords(ky=list("abcdefghi")), Disk((0, 0), 1), dims=("ky", "kx")),
         UnitsError, "'ky'"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(make: Any, error: type[Exception], match: str | None) -> None:
    scan = make_scan("u2")
    if match is None:  # a mask over a dim of the scan is one
        assert make(scan).shape == (4, 3)
        return
    with pytest.raises(error, match=match):
        make(scan)


def test_detectors_are_values() -> None:
    assert Disk((0, 1), 2) == Disk([0.0, 1.0], 2.0)
    assert len({Disk((0, 1), 2), Disk((0, 1), 2), Annulus((0, 1), 0, 2)}) == 2
    assert repr(Disk((0, 1), 2)) == "Disk(center=(0.0, 1.0), radius=2.0)"
    assert repr(Annulus((0, 1), 1, 2)) == "Annulus(center=(0.0, 1.0), inner=1.0, outer=2.0)"


def test_several_verbs_read_each_block_once() -> None:
    reads: list[Any] = []

    def note(block: Any) -> Any:
        reads.append(1)
        return block

    scan = make_scan(backing="blocks")
    lazy = scan.copy(data=scan.data.map_blocks(note, dtype=scan.dtype, meta=np.empty((0,) * 4, scan.dtype)))
    bright = virtual_image(lazy, {"bright": Disk((0, 0), 1), "dark": Annulus((0, 0), 1, 2)})
    others = usidx.diffraction.center_of_mass(lazy), usidx.diffraction.radial_mean(lazy)
    usidx.compute(bright, *others, progress=False)
    assert len(reads) == scan.data.npartitions


def test_detectors_centers_and_rings_take_one_pass() -> None:
    scan, read = make_scan(), []

    def note(block: Any) -> Any:
        read.append(block.size)
        return block

    lazy = scan.copy(data=scan.chunk({"Y": 1}).data.map_blocks(note, dtype=scan.dtype, meta=np.empty((0,) * 4, "u2")))
    ring = usidx.diffraction.radial_mean(lazy, (1.0, 1.5))
    images = virtual_image(lazy, [Disk((1.0, 1.5), 1.0), Annulus((1.0, 1.5), 1.0, 1.5)])
    found = usidx.compute(images, usidx.diffraction.center_of_mass(lazy), ring, progress=False)
    assert read == [scan[0].size] * 4
    np.testing.assert_array_equal(found[0][..., 0], virtual_image(scan, Disk((1.0, 1.5), 1.0)))
