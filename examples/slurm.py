"""A scan analysed by jobs of SLURM: python slurm.py scan.h5. With --local, jobs of this machine stand in for them."""

import argparse
from typing import Any

from dask_jobqueue import SLURMCluster
from dask_jobqueue.local import LocalCluster
from distributed import Client

import usidx


def make_cluster(*, is_local: bool) -> Any:
    """Describe one job: processes with two threads each, and 4 GB for each process."""
    if is_local:
        return LocalCluster(cores=1, processes=1, memory="1GB")
    return SLURMCluster(
        cores=8,
        processes=4,
        memory="16GB",
        walltime="02:00:00",
        # The worker ends by itself before SLURM kills it, and hands over what it holds.
        worker_extra_args=["--lifetime", "115m", "--lifetime-stagger", "4m"],
        # One core for each thread, and no threads of BLAS beside those.
        job_script_prologue=["export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1"],
        local_directory="/tmp",
    )


def analyse(file: str) -> list[str]:
    """Decompose and fit; what a result of an earlier, broken-off run holds already is not computed again."""
    raw = usidx.open_main(file)
    svd = raw.usid.svd(4)
    fit = raw.usid.fit(usidx.models.SHO(), dim="Frequency")
    return [svd.usid.write(), fit.usid.write()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", help="a USID file that all nodes see (default: an example)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--local", action="store_true")
    options = parser.parse_args()
    with make_cluster(is_local=options.local) as cluster, Client(cluster) as client:
        cluster.scale(jobs=options.jobs)
        client.wait_for_workers(1, timeout=600)  # the queue may be long; others join when their jobs begin
        print("dashboard:", client.dashboard_link)
        print("\n".join(analyse(options.file or str(usidx.example_file()))))
