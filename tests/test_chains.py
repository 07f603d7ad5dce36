"""Chains of verbs on files: how much they read."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.limits import run_program
from usidx.diffraction import Annulus, Disk
from usidx.io.read.chunks.stored_array import StoredArray
from usidx.tasks import passes


@pytest.fixture
def cells_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list of how many cells each read of a file asked for; nothing is small enough to be held."""
    counts: list[int] = []
    read = StoredArray.read

    def counted(self: StoredArray, *selectors: Any) -> Any:
        block = read(self, *selectors)
        counts.append(block.size)
        return block

    walk = StoredArray.walk

    def walked(self: StoredArray, rows: slice, columns: slice, work: Any) -> bool:
        counts.append((rows.stop - rows.start) * (columns.stop - columns.start))
        return walk(self, rows, columns, work)

    monkeypatch.setattr(StoredArray, "read", counted)
    monkeypatch.setattr(StoredArray, "walk", walked)
    monkeypatch.setattr(passes, "_HELD_BYTES", 1)
    return counts


def write_raman(path: Path) -> xr.DataArray:
    """Write a map of lines over fluorescence, with cosmic rays, and return the shares of three substances."""
    raw, truth = usidx.simulate.spectrum_image((24, 12), 300, counts=500.0)
    values = raw + 400 * np.exp(-raw.Raman_Shift / 1500)
    hits = np.random.default_rng(0).integers(0, [24, 12, 300], (40, 3))
    values.values[tuple(hits.T)] += 3000
    usidx.write(values.assign_attrs(raw.attrs).astype("f4", keep_attrs=True), path, progress=False)
    shares: xr.DataArray = truth.scores
    return shares


def find_likeness(found: xr.DataArray, truth: xr.DataArray) -> Any:
    """Return how like the map of each substance is the map of the component that is most like it."""
    maps = [one.transpose("component", "Y", "X").values.reshape(one.sizes["component"], -1) for one in (found, truth)]
    return np.corrcoef(maps[0], maps[1])[: len(maps[0]), len(maps[0]) :].max(axis=0)


@pytest.mark.parametrize(("verb", "options", "times"), [("svd", {}, 2), ("nmf", {"solver": "compressed"}, 4)])
def test_from_spikes_to_parts_of_a_map_in_few_passes(
    verb: str, options: dict[str, Any], times: int, tmp_path: Path, cells_read: list[int]
) -> None:
    shares = write_raman(tmp_path / "raman.h5")
    raw = usidx.open_main(tmp_path / "raman.h5", chunks={"Y": 4})
    clean = raw.usid.signal.remove_spikes().usid.signal.remove_baseline()
    parts = getattr(clean.usid, verb)(4, **options)
    assert not cells_read
    parts = usidx.compute(parts, progress=False)
    assert sum(cells_read) == times * raw.size
    if verb == "nmf":
        assert (find_likeness(parts.scores, shares) > 0.95).all()


def test_a_drift_of_one_channel_moves_a_spectrum_image(tmp_path: Path, cells_read: list[int]) -> None:
    stack, truth = usidx.simulate.drifting_stack((48, 64), 6, drift=1.0, noise=0.1)
    usidx.write(stack, tmp_path / "scan.h5", progress=False)
    lines = xr.DataArray([0.2, 1.0, 0.5], {"Energy": [1.0, 2.0, 3.0]}, "Energy", attrs={"units": "eV"})
    spectra = usidx.set_roles((stack * lines).rename("Spectra"), spectroscopic="Energy").assign_attrs(units="counts")
    usidx.write(spectra.astype("f4", keep_attrs=True), tmp_path / "scan.h5", progress=False)
    topography, counts = (usidx.open_main(tmp_path / "scan.h5", one) for one in usidx.list_mains(tmp_path / "scan.h5"))

    shifts = topography.usid.image.estimate_drift("Frame")
    moved = counts.usid.image.shift(shifts)
    assert not cells_read
    shifts, moved = usidx.compute(shifts, moved, progress=False)
    # Drift takes two looks at each frame, and what follows it is read once.
    assert sum(cells_read) <= 2 * topography.size + counts.size
    for dim in ("Y", "X"):
        off = (shifts[f"shift_{dim}"] - truth[f"shift_{dim}"]) / 1e-9
        assert float(np.sqrt((off**2).mean())) < 0.02
    assert moved.dims == counts.dims
    inside = moved.isel(Y=slice(8, -8), X=slice(8, -8)) / lines
    assert float(inside.std("Frame").mean() / inside.std(["Y", "X"]).mean()) < 0.15


def test_detectors_and_center_of_mass_in_one_pass(tmp_path: Path, cells_read: list[int]) -> None:
    scan, _ = usidx.simulate.diffraction((12, 10), (32, 32))
    usidx.write(scan, tmp_path / "scan.h5", progress=False)
    raw = usidx.open_main(tmp_path / "scan.h5", chunks={"Y": 3})
    image = raw.usid.diffraction.virtual_image({"bright": Disk((0, 0), 6), "dark": Annulus((0, 0), 6, 16)})
    com = raw.usid.diffraction.center_of_mass()
    assert not cells_read
    image, com = usidx.compute(image, com, progress=False)
    assert sum(cells_read) == raw.size
    assert len(cells_read) == 4
    y, x = scan.detector_Y, scan.detector_X
    near = (y**2 + x**2) < 36
    xr.testing.assert_equal(image.bright.reset_coords(drop=True), scan.where(near, 0).sum(y.dims + x.dims).astype("f8"))
    total = scan.sum(y.dims + x.dims)
    np.testing.assert_allclose(com.y, (scan * y).sum(y.dims + x.dims) / total, rtol=1e-10)


#: MiB of the file, and how much more address space than at the start the chain may take.
FILE_MB = int(os.environ.get("USIDX_CHAIN_MB", "320"))
MORE_MB = 256

CHAIN = """
import resource, sys
import dask, dask.array as da, numpy as np, xarray as xr
import usidx
from usidx.io.read.chunks.stored_array import StoredArray

path, size, more = sys.argv[1], int(sys.argv[2]) << 20, int(sys.argv[3]) << 20
dask.config.set(scheduler="threads", num_workers=2)
cells = []
read = StoredArray.read


def counted(self, *selectors):
    block = read(self, *selectors)
    cells.append(block.size)
    return block


StoredArray.read = counted
place = np.linspace(0, 1, 1024, dtype="f4")
lines = np.stack([np.exp(-(((place - c) / 0.006) ** 2)) for c in (0.2, 0.4, 0.6, 0.8)])


def find_shares(rows, columns):
    angle = np.arange(rows)[:, None] / 23 + np.arange(columns)[None] / 11
    shares = np.stack([1 + np.sin((k + 1) * angle + k) for k in range(4)], -1)
    return (shares / shares.sum(-1, keepdims=True)).astype("f4")


def make_block(shares, block_info=None):
    random = np.random.default_rng(block_info[0]["chunk-location"])
    values = 300 * shares @ lines + 400 * np.exp(-place / 1.5) + random.normal(0, 3, (*shares.shape[:2], 1024))
    values[tuple(random.integers(0, values.shape, (200, 3)).T)] += 5000
    return values.astype("f4")


def write(path, rows):
    shares = da.from_array(find_shares(rows, 64), chunks=(64, 64, 4))
    blocks = shares.map_blocks(make_block, chunks=((64,) * (rows // 64), (64,), (1024,)), dtype="f4")
    array = xr.DataArray(blocks, {"E": place.astype("f8")}, ("Y", "X", "E"), name="Raw_Data", attrs={"units": "1"})
    usidx.write(usidx.set_roles(array, position=["Y", "X"], spectroscopic="E"), path, progress=False)
    return usidx.open_main(path)


def work(raw):
    clean = raw.usid.signal.remove_spikes().usid.signal.remove_baseline()
    cells.clear()
    parts = usidx.compute(clean.usid.nmf(4, solver="compressed", tol=1e-3), progress=False)
    return clean, parts, sum(cells) / raw.size


rows = size // (64 * 1024 * 4) // 64 * 64
raw = write(path, rows)
work(write(path + ".warm", 64))  # threads, libraries and their buffers are there from here on
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + more, now + more))
clean, parts, passes = work(raw)
assert raw.nbytes > more and passes <= 7, (raw.nbytes, more, passes)
found = parts.scores.transpose("component", "Y", "X").values.reshape(4, -1)
likeness = np.corrcoef(found, find_shares(rows, 64).reshape(-1, 4).T)[:4, 4:].max(axis=0)
assert (likeness > 0.98).all(), likeness
some = raw.isel(Y=slice(56, 72)).load()
expected = some.usid.signal.remove_spikes().usid.signal.remove_baseline().isel(Y=slice(1, -1))
xr.testing.assert_allclose(clean.isel(Y=slice(57, 71)).compute(), expected, rtol=1e-4, atol=1e-2)
print("done")
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space with setrlimit")
def test_a_chain_on_a_file_larger_than_memory(tmp_path: Path) -> None:
    run_program(CHAIN, tmp_path / "scan.h5", FILE_MB, MORE_MB, timeout=3600)
