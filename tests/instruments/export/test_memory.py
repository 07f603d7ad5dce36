"""What is larger than memory is exported: a few blocks at a time, and under a hard limit of the address space."""

import sys
import weakref
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.limits import run_program

TARGETS = ("nexus", "netcdf", "zarr", "hspy", "csv")
#: Rows of the data, a block each, and how many of them may be there at once with two threads.
ROWS, MOST = 60, 12

#: MiB of the data, and how much more address space than at the start the process may take: four blocks of 16 MiB, and
#: what libraries and the allocator keep. Of text, which takes long, there is less, and a smaller limit.
LIMITS = {"csv": (192, 160)}
DATA_MB, MORE_MB = 768, 192


class _Counted:
    """An array that knows how many of the blocks that it gave are still there."""

    shape, dtype, ndim = (ROWS, 50, 20), np.dtype("f8"), 3

    def __init__(self) -> None:
        self.now = self.most = self.given = 0

    def __getitem__(self, key: Any) -> np.ndarray:
        block = np.ones([len(range(*one.indices(n))) for one, n in zip(key, self.shape, strict=True)])
        self.given, self.now = self.given + 1, self.now + 1
        self.most = max(self.most, self.now)
        weakref.finalize(block, self._forget)
        return block

    def _forget(self) -> None:
        self.now -= 1


@pytest.mark.parametrize("to", TARGETS)
def test_few_blocks_are_there_at_once(to: Any, tmp_path: Path) -> None:
    if to == "zarr":
        pytest.importorskip("zarr", reason="zarr is not installed")
    counted = _Counted()
    blocks = da.from_array(counted, chunks=(1, 50, 20), name=False, meta=np.empty((0, 0, 0)))
    array = usidx.set_roles(xr.DataArray(blocks, dims=("Y", "X", "E"), name="large"), spectroscopic="E")
    with dask.config.set(scheduler="threads", num_workers=2):
        usidx.export(array, tmp_path / "out", to=to)
    assert counted.given >= ROWS
    assert counted.most <= MOST


WORK = """
import resource, sys
import dask, dask.array as da, numpy as np, xarray as xr
import usidx

folder, to, size, more = sys.argv[1], sys.argv[2], int(sys.argv[3]) << 20, int(sys.argv[4]) << 20
dask.config.set(scheduler="threads", num_workers=2)


def work(name, size):
    shape = size // (16 * 64 * 512), 64, 512
    blocks = da.random.default_rng(0).integers(0, 9, shape, chunks=(32, 64, 512)).astype("c16")
    array = xr.DataArray(blocks, dims=("Y", "X", "E"), name="Raw_Data", attrs={"units": "V"})
    path = usidx.write(usidx.set_roles(array, spectroscopic="E"), f"{folder}/{name}.h5", progress=False)
    usidx.export(f"{folder}/{name}.h5", f"{folder}/{name}.out", to=to)


work("warm", 32 << 20)  # threads, libraries and their buffers are there from here on
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + more, now + more))
work("large", size)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space with setrlimit")
@pytest.mark.parametrize("to", TARGETS)
def test_files_larger_than_memory_are_exported(to: str, tmp_path: Path) -> None:
    if to == "zarr":
        pytest.importorskip("zarr", reason="zarr is not installed")
    data, more = LIMITS.get(to, (DATA_MB, MORE_MB))
    run_program(WORK, tmp_path, to, data, more, timeout=1200)
