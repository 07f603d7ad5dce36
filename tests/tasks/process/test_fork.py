"""A child that is forked while other threads work opens, lists, reads, decomposes, fits and writes, and ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

WORK = """
import faulthandler, os, pathlib, sys, threading, warnings
import dask, dask.array as da, numpy as np
import usidx
from usidx.tasks.process.blas import limit_blas
from usidx.tasks.threads import worker_count

warnings.simplefilter("ignore")
dask.config.set(num_workers=2)
folder = sys.argv[1]
path, model = folder + "/scan.h5", usidx.models.SHO()


def work(path, number):
    raw = usidx.open_main(path, "Raw_Data")
    raw.usid.svd(2).compute()
    raw.isel(Y=slice(0, 2)).load().usid.fit(model, dim="Frequency")
    copy = pathlib.Path(folder, f"{number}.h5")
    copy.unlink(missing_ok=True)
    usidx.write(abs(raw), copy, compression="gzip", progress=False)


scan, _ = usidx.simulate.band_excitation((8, 6), 24)
usidx.write(scan, path, progress=False)
group = usidx.open_main(path).usid.fit(model, dim="Frequency").usid.write(progress=False)
work(path, "first")
is_over = threading.Event()


def repeat(do):
    while not is_over.is_set():
        do()


def hold_locks():
    with limit_blas(), dask.config.set(a=1):
        dask.tokenize.tokenize(list(range(500)))
        da.ones((8, 8), chunks=2).sum().compute()


others = (hold_locks, lambda: work(path, "parent"))[: int(sys.argv[2])]
threads = [threading.Thread(target=repeat, args=[do]) for do in others]
for thread in threads:
    thread.start()
codes = []
for number in range(4):
    child = os.fork()
    if not child:
        faulthandler.dump_traceback_later(90, exit=True)
        assert worker_count() == 2
        with limit_blas():
            pass
        usidx.validate(path), usidx.list_mains(path), usidx.open_tree(path)
        assert usidx.open_result(path, group).frequency.compute().notnull().all()
        work(path, f"child{number}")
        faulthandler.cancel_dump_traceback_later()
        if len(others) == 1:
            sys.exit(0)  # ends as any program: joins its threads
        os._exit(0)  # as multiprocessing ends its children
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
is_over.set()
for thread in threads:
    thread.join()
assert codes == [0] * 4, codes
print("done")
"""


# A child of a process whose threads are within BLAS or compiled code at that moment may die of a fault when it ends in
# the way of a program, whatever we do: that is POSIX's word on forks. There only the locks are held.
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("others", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_child_works_while_the_parent_does(tmp_path: Path, others: int) -> None:
    script = [sys.executable, "-c", WORK, str(tmp_path), str(others)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == "done\n"
