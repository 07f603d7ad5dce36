"""The command on a cluster: it connects, computes there, and ends with an answer."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import usidx
import usidx.cli
from tests.conftest import REPOSITORY
from tests.kit.clusters import QUIET, start_cluster

distributed = pytest.importorskip("distributed")
pytestmark = QUIET


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with start_cluster() as client:
        yield client.cluster


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "usidx", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def count_tasks(dask_worker: Any) -> int:
    return sum(1 for event in dask_worker.state.log if event[1:] and "executing" in event)


@pytest.mark.slow
def test_demo_computes_on_the_workers(tmp_path: Path, cluster: Any) -> None:
    data, _ = usidx.simulate.band_excitation((24, 20), 64, seed=3)
    usidx.write(data, tmp_path / "scan.h5")
    done = run(tmp_path, "demo", "scan.h5", "--scheduler", cluster.scheduler_address)
    assert done.returncode == 0, done.stderr
    assert "2 workers" in done.stdout
    results = usidx.list_results(tmp_path / "scan-results.h5")
    assert any("SVD" in name for name in results)
    with distributed.Client(cluster) as client:
        worked = client.run(count_tasks)
        assert sum(worked.values()) > 10
        assert cluster.scheduler.tasks == {}  # the command left nothing behind
        assert len(cluster.scheduler.workers) == 2


def test_a_scheduler_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("usidx.cli._PATIENCE", 1)
    assert usidx.cli.main(["demo", "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "There is no scheduler at 'tcp://127.0.0.1:9'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_scheduler_without_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as empty:
        assert usidx.cli.main(["demo", "--scheduler", empty.scheduler_address]) == 2
    assert "has no workers" in capsys.readouterr().err
