"""The scripts for computing centres, run with what stands in for these: jobs and ranks of this machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import usidx
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def scan(tmp_path: Path) -> str:
    data, _ = usidx.simulate.band_excitation((16, 12), 48, seed=3)
    usidx.write(data, tmp_path / "scan.h5")
    return str(tmp_path / "scan.h5")


def test_jobs(tmp_path: Path, scan: str) -> None:
    pytest.importorskip("dask_jobqueue")
    script = str(REPOSITORY / "examples/slurm.py")
    run(tmp_path, sys.executable, script, scan, "--local", "--jobs", "2")
    assert sorted(name.rsplit("-", 1)[-1] for name in usidx.list_results(scan)) == ["SHO_Fit_000", "SVD_000"]


def test_ranks(tmp_path: Path, scan: str) -> None:
    pytest.importorskip("dask_mpi")
    mpirun = shutil.which("mpirun")
    if mpirun is None:
        pytest.skip("mpirun is not installed")
    script = str(REPOSITORY / "examples/mpi.py")
    said = run(tmp_path, mpirun, "--allow-run-as-root", "--oversubscribe", "-np", "4", sys.executable, script, scan)
    assert "workers: 2" in said
    assert sorted(name.rsplit("-", 1)[-1] for name in usidx.list_results(scan)) == ["SHO_Fit_000", "SVD_000"]
