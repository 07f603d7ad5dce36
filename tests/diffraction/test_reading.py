"""Patterns in files are summed while they are read: the same values, no byte twice, and none that does not count."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.diffraction import Annulus, Disk, Mask, center_of_mass, radial_mean, virtual_image
from usidx.errors import UsidError
from usidx.io.read.place.local_bytes import Source

DIMS = ("Y", "X", "ky", "kx")
SHAPE = (6, 5, 96, 120)
PATTERNS = np.random.default_rng(0).integers(0, 65536, SHAPE).astype("u2")
Y, X = np.mgrid[: SHAPE[2], : SHAPE[3]]


def write(path: Path, patterns: Any = PATTERNS, **options: Any) -> Path:
    scan = xr.DataArray(patterns, dims=DIMS, name="scan", coords={d: np.arange(n) for d, n in zip(DIMS, SHAPE)})  # noqa: B905
    usidx.write(usidx.set_roles(scan, position=DIMS[:2], spectroscopic=DIMS[2:]), path, progress=False, **options)
    return path


def open_scan(path: Path, rows: int = 2) -> xr.DataArray:
    return usidx.open_main(path, chunks={"Y": rows})


@pytest.fixture
def count_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    read: list[int] = []
    fill = Source.read_into

    def note(self: Source, address: int, buffers: Sequence[memoryview]) -> bool:
        read.extend(len(one) for one in buffers)
        return fill(self, address, buffers)

    monkeypatch.setattr(Source, "read_into", note)
    return read


def find_disk(radius: float) -> Any:
    return np.hypot(Y - 40, X - 50) < radius


@pytest.mark.parametrize(
    ("dtype", "scheduler"), [("u2", "sync"), ("u1", "sync"), ("i8", "sync"), ("f4", "sync"), (">u2", "threads")]
)
def test_values_are_those_of_the_pixels(dtype: str, scheduler: str, tmp_path: Path) -> None:
    patterns = (PATTERNS // 300).astype(dtype)
    scan, expected = open_scan(write(tmp_path / "scan.h5", patterns)), patterns.astype(float)
    weights = np.where(find_disk(9), Y - 35.0, 0)
    with dask.config.set(scheduler=scheduler):
        images = virtual_image(scan, [Disk((40, 50), 12), Mask(weights)]).values
        found = center_of_mass(scan, annulus=Annulus((40, 50), 0, 20)).compute()
    np.testing.assert_allclose(images[..., 0], (expected * find_disk(12)).sum((2, 3)), rtol=1e-6)
    np.testing.assert_allclose(images[..., 1], (expected * weights).sum((2, 3)), rtol=1e-5)
    total = (expected * find_disk(20)).sum((2, 3))
    np.testing.assert_allclose(found.y, (expected * find_disk(20) * Y).sum((2, 3)) / total, rtol=1e-5)
    np.testing.assert_allclose(found.x, (expected * find_disk(20) * X).sum((2, 3)) / total, rtol=1e-5)


@pytest.mark.parametrize(
    "select",
    [
        lambda scan: scan,
        lambda scan: scan.isel(Y=slice(1, 5), X=[3, 0]),
        lambda scan: scan.isel(ky=slice(10, 80)),
        lambda scan: scan.transpose("kx", "X", "ky", "Y"),
        lambda scan: scan.isel(Y=2),
        lambda scan: scan.chunk(ky=50),
        lambda scan: scan.chunk(Y=-1, X=-1),
        lambda scan: scan + 1,
    ],
)
def test_whatever_was_done_before(select: Callable[[xr.DataArray], xr.DataArray], tmp_path: Path) -> None:
    scan = open_scan(write(tmp_path / "scan.h5"))
    lazy, loaded = select(scan), select(scan.load().copy())
    found = usidx.compute(virtual_image(lazy, Disk((40, 50), 12)), center_of_mass(lazy), progress=False)
    xr.testing.assert_equal(found[0], virtual_image(loaded, Disk((40, 50), 12)))
    xr.testing.assert_equal(found[1], center_of_mass(loaded))


@pytest.mark.parametrize("options", [{"chunks": (7, 96 * 120)}, {"chunks": (7, 96 * 120), "compression": "gzip"}])
def test_chunks_are_read_as_before(options: dict[str, Any], tmp_path: Path) -> None:
    image = virtual_image(open_scan(write(tmp_path / "scan.h5", **options)), Disk((40, 50), 12))
    np.testing.assert_array_equal(image, (PATTERNS * find_disk(12)).sum((2, 3), dtype=float))


def test_only_lines_of_the_detector_are_read(tmp_path: Path, count_bytes: list[int]) -> None:
    large = np.zeros((2, 2, 400, 400), "u2")
    scan = xr.DataArray(large, dims=DIMS, name="scan")
    usidx.write(usidx.set_roles(scan, position=DIMS[:2], spectroscopic=DIMS[2:]), tmp_path / "a.h5", progress=False)
    image = virtual_image(usidx.open_main(tmp_path / "a.h5", chunks={"Y": 1}), Disk((200, 200), 10))
    count_bytes.clear()
    image.compute()
    assert sum(count_bytes) == 4 * 19 * 400 * 2


def test_several_verbs_read_each_byte_once(tmp_path: Path, count_bytes: list[int]) -> None:
    scan = open_scan(write(tmp_path / "scan.h5"))
    lazy = (
        virtual_image(scan, {"bright": Disk((40, 50), 12), "dark": Annulus((40, 50), 12, 30)}),
        center_of_mass(scan),
        radial_mean(scan, (40, 50)),
    )
    count_bytes.clear()
    images, found, _ = usidx.compute(*lazy, progress=False)
    assert sum(count_bytes) == PATTERNS.nbytes
    np.testing.assert_array_equal(images.bright, (PATTERNS * find_disk(12)).sum((2, 3), dtype=float))
    xr.testing.assert_equal(found, center_of_mass(scan.load()))


def test_who_wants_whole_blocks_shares_them(tmp_path: Path, count_bytes: list[int]) -> None:
    scan = open_scan(write(tmp_path / "scan.h5"))
    lazy = virtual_image(scan, Disk((40, 50), 12)), scan.mean()
    count_bytes.clear()
    image, mean = usidx.compute(*lazy, progress=False)
    assert sum(count_bytes) == PATTERNS.nbytes
    np.testing.assert_array_equal(image, (PATTERNS * find_disk(12)).sum((2, 3), dtype=float))
    np.testing.assert_allclose(mean, PATTERNS.mean())


def test_pixels_that_do_not_count_may_be_missing(tmp_path: Path) -> None:
    patterns = PATTERNS.astype("f4")
    patterns[..., 0, :] = np.nan
    patterns[1, 2, 40, 50] = np.nan
    image = virtual_image(open_scan(write(tmp_path / "scan.h5", patterns)), Disk((40, 50), 12)).values
    assert np.argwhere(np.isnan(image)).tolist() == [[1, 2]]


def test_a_file_that_was_cut_short_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.h5")
    image = virtual_image(open_scan(path), Disk((40, 50), 12))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - PATTERNS.nbytes // 2)
    with pytest.raises(UsidError):
        image.compute()
