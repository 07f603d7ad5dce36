"""Work on more data than fits: a process with little address space left reads, decomposes, filters and writes.

``USIDX_MEMORY_MB=4096 pytest tests/test_memory.py`` runs it on more.
"""

import os
import sys
from pathlib import Path

import pytest

from tests.kit.limits import run_program

#: Size of the data, and how much more address space than at the start the process may take; a longer run leaves more of
#: it in pieces that the allocator keeps.
DATA_MB = int(os.environ.get("USIDX_MEMORY_MB", "768"))
MORE_MB = 320 if DATA_MB <= 1024 else 400

WORK = """
import resource, sys
import dask, dask.array as da, numpy as np, xarray as xr
import usidx

path, size, more = sys.argv[1], int(sys.argv[2]) << 20, int(sys.argv[3]) << 20
dask.config.set(scheduler="threads", num_workers=2)


def scan(rows):
    blocks = da.random.default_rng(0).random((rows, 64, 1024), chunks=(64, 64, 1024), dtype="f4")
    array = xr.DataArray(blocks, dims=("Y", "X", "E"), name="Raw_Data", attrs={"units": "V"})
    return usidx.set_roles(array, position=["Y", "X"], spectroscopic="E")


def work(path, rows):
    usidx.write(scan(rows), path)
    raw = usidx.open_main(path)
    total = float(raw.sum())
    raw.usid.svd(4).usid.write()
    smooth = (raw - raw.mean("E")).rename("Smooth")
    usidx.write(smooth, name="Smooth")
    width = usidx.map_positions(np.ptp, raw.isel(X=slice(0, 64, 16)), like=np.float32(0))
    usidx.write(width.rename("Width"), name="Width")
    return total


work(path + ".warm", 128)  # threads, libraries and their buffers are there from here on
size_now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size_now + more, size_now + more))
rows = size // (64 * 1024 * 4)
total = work(path, rows)
assert abs(total / (rows * 64 * 1024) - 0.5) < 0.01, total
print("done")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space with setrlimit")
def test_work_on_data_larger_than_memory(tmp_path: Path) -> None:
    run_program(WORK, tmp_path / "scan.h5", DATA_MB, MORE_MB, timeout=600)
