"""Files larger than what memory is left are converted, and looked into, block by block."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Bytes of the file, and how much more address space than at the start the process may take: four blocks of 16 MiB,
#: and what threads and libraries keep of their own.
SIZE, MORE = 512 << 20, 144 << 20

WORK = """
import resource, sys
from pathlib import Path
import dask, numpy as np
import usidx

folder, size, more = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
dask.config.set(scheduler="threads", num_workers=2)


def make_frames(path, size):  # sparse on the disk: frames of zeros behind the first header
    frame = 384 + 256 * 256 * 2
    with path.open("wb") as file:
        file.write(b"MQ1,000001,00384,01,0256,0256,U16,".ljust(384, b"\\0"))
        file.truncate(size // frame * frame)
    return path


def work(path):
    target = usidx.convert(path, path.with_suffix(".h5"), progress=False)
    counts = usidx.read_instrument(path)["Counts"]["Counts"]
    total = float(counts.isel(detector_Y=slice(10, 12)).sum())
    return counts.nbytes, total, target.stat().st_size


work(make_frames(folder / "warm.mib", 64 << 20))  # threads, libraries and their buffers are there from here on
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + more, now + more))
read, total, written = work(make_frames(folder / "large.mib", size))
assert read > 3 * more and total == 0 and written >= read, (read, total, written)
print("done")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space with setrlimit")
def test_files_larger_than_memory_are_converted(tmp_path: Path) -> None:
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "MALLOC_ARENA_MAX": "2"}
    script = [sys.executable, "-c", WORK, str(tmp_path), str(SIZE), str(MORE)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=600, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
