"""A scan analysed in one job of MPI: mpirun -np 6 python mpi.py scan.h5. Rank 0 schedules, 1 runs this, others work."""

import sys

from dask_mpi import initialize
from distributed import Client

import usidx

if __name__ == "__main__":
    initialize(nthreads=1, memory_limit="1GB", local_directory="/tmp", dashboard=False)
    with Client() as client:
        raw = usidx.open_main(sys.argv[1] if len(sys.argv) > 1 else usidx.example_file())
        print(raw.usid.svd(4).usid.write())
        print(raw.usid.fit(usidx.models.SHO(), dim="Frequency").usid.write())
        print("workers:", len(client.scheduler_info()["workers"]))
