"""A cluster of processes reads an object: where it is, and what it is reached with, travels with the array."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import usidx
from tests.kit.clusters import QUIET, start_cluster
from tests.kit.range_server import RangeServer

pytest.importorskip("distributed")
pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")
pytestmark = QUIET


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with start_cluster(2, 2) as client:
        yield client


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with RangeServer() as found:
        found.login = "Bearer feed5eed"
        yield found


@pytest.fixture
def scan(tmp_path: Path, server: RangeServer) -> Path:
    data, _ = usidx.simulate.band_excitation((16, 12), 48, seed=3)
    usidx.write(data, tmp_path / "scan.h5", compression="gzip", chunks=(32, 48))
    server.files["scan.h5"] = (tmp_path / "scan.h5").read_bytes()
    return tmp_path / "scan.h5"


OPTIONS = {"headers": {"Authorization": "Bearer feed5eed"}}


def test_workers_read_with_the_options_of_the_array(client: Any, scan: Path, server: RangeServer) -> None:
    data = usidx.open_main(server.url("scan.h5"), chunks={"Y": 4}, storage_options=OPTIONS)
    server.requests.clear()
    np.testing.assert_array_equal(data.compute(), usidx.open_main(scan).compute(scheduler="sync"))
    assert len(server.parts) >= 2
    assert len(server.requests) < 40


def test_a_verb_and_its_result(client: Any, scan: Path, server: RangeServer, tmp_path: Path) -> None:
    data = usidx.open_main(server.url("scan.h5"), chunks={"Y": 4}, storage_options=OPTIONS)
    group = usidx.write(data.usid.fit(usidx.models.SHO(), dim="Frequency"), tmp_path / "results.h5", progress=False)
    alone = usidx.open_main(scan).usid.fit(usidx.models.SHO(), dim="Frequency").compute(scheduler="sync")
    again = usidx.open_result(tmp_path / "results.h5", group).compute(scheduler="sync")
    np.testing.assert_allclose(again.frequency, alone.frequency, rtol=1e-4)
    assert b"feed5eed" not in (tmp_path / "results.h5").read_bytes()


def test_what_fails_on_a_worker_shows_no_secret(client: Any, scan: Path, server: RangeServer) -> None:
    data = usidx.open_main(f"{server.url('scan.h5')}?token=a1b2c3d4", chunks={"Y": 4}, storage_options=OPTIONS)
    server.files.clear()
    with pytest.raises(FileNotFoundError, match=r"There is no file 'http://127\.0\.0\.1:\d+/scan\.h5'") as caught:
        data.compute()
    assert not [s for s in ("feed5eed", "a1b2c3d4") if s in f"{caught.value!r} {caught.value.__context__!r}"]
