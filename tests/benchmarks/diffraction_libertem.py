"""LiberTEM for diffraction_speed.py, in a process of its own: a task by each line, answered by times and values.

    python tests/benchmarks/diffraction_libertem.py FOLDER SIZE PIXELS INNER OUTER < tasks

Needs nothing but LiberTEM and h5py, so that it may be installed apart. The first answer is the seconds of the start.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Answer until there are no more tasks."""
    import libertem.api as lt
    from libertem.executor.pipelined import PipelinedExecutor
    from libertem.udf.com import CoMUDF
    from libertem.udf.masks import ApplyMasksUDF

    folder, size, pixels = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    inner, outer = map(float, sys.argv[4:6])
    begin = time.perf_counter()
    executor = PipelinedExecutor(spec=PipelinedExecutor.make_spec(cpus=range(2), cudas=[]))
    context = lt.Context(executor=executor)
    answer({"seconds": time.perf_counter() - begin})
    y, x = np.mgrid[:pixels, :pixels] - pixels / 2
    distance = np.hypot(y, x)
    ring = ((distance >= inner) & (distance < outer)).astype("f4")
    shape: dict[str, Any] = {"nav_shape": (size, size), "sig_shape": (pixels, pixels)}
    data = {
        "contiguous": context.load("raw", path=str(folder / "scan.raw"), dtype="u2", **shape),
        "chunked": context.load("hdf5", path=str(folder / "chunked.h5"), ds_path="scan"),
    }
    for line in sys.stdin:
        task, _, source = line.strip().partition(", ")
        udf = (
            ApplyMasksUDF(mask_factories=[lambda: ring])
            if task == "detector"
            else CoMUDF.with_params(cy=pixels / 2, cx=pixels / 2)
        )
        begin, cpu = time.perf_counter(), measure_cores()
        found = context.run_udf(data[source], udf)
        seconds, cpu = time.perf_counter() - begin, measure_cores() - cpu
        values = found["intensity" if task == "detector" else "raw_com"].data
        answer({"seconds": seconds, "cpu": cpu, "values": np.asarray(values, np.float64).ravel()[:4].tolist()})
    context.close()


def measure_cores() -> float:
    """Return the time that the cores have spent on this process and on those it started."""
    import psutil  # which LiberTEM brings

    own = psutil.Process()
    return float(sum(sum(one.cpu_times()[:2]) for one in (own, *own.children(recursive=True))))


def answer(what: dict[str, Any]) -> None:
    """Write a line of JSON."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
