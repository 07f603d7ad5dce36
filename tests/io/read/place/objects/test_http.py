"""Files on a web server: few requests, just the chunks that are needed, and no server is believed blindly."""

import gc
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

import usidx
from tests.conftest import REPOSITORY
from tests.kit.range_server import RangeServer
from usidx.errors import RemoteError, UsidError
from usidx.io.read.chunks.stored_array import StoredArray, describe_stored_array
from usidx.io.read.place.objects import connection
from usidx.io.read.place.place import find_place

pytest.importorskip("fsspec")
http = pytest.importorskip("usidx.io.read.place.objects.http", exc_type=ImportError)


Array = npt.NDArray[Any]
ALL = slice(None)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PAUSES", (0.01, 0.01))


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with RangeServer() as found:
        yield found


@pytest.fixture
def scan(tmp_path: Path, server: RangeServer) -> tuple[str, Path]:
    """Give the URL of a file, and the path of the same file."""
    data, _ = usidx.simulate.band_excitation((32, 24), 512, seed=3)
    usidx.write(data, tmp_path / "scan.h5")
    usidx.write(usidx.open_main(tmp_path / "scan.h5").usid.svd(3))
    server.files["scan.h5"] = (tmp_path / "scan.h5").read_bytes()
    return server.url("scan.h5"), tmp_path / "scan.h5"


def array(tmp_path: Path, server: RangeServer, query: str = "", **storage: Any) -> tuple[StoredArray, Array]:
    """Serve a dataset of 8 MB in chunks of about 1 MB, and give it and its content."""
    cells = np.random.default_rng(0).integers(0, 256, (512, 16384), dtype="u1")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=cells, chunks=(64, 16384), compression="gzip", compression_opts=1, **storage)
    server.files["x.h5"] = (tmp_path / "x.h5").read_bytes()
    place = find_place(server.url("x.h5") + query)
    with place.open() as (file, _):
        stored = describe_stored_array(file["x"], None, place)
    stored.read(slice(1), slice(1))
    server.requests.clear()
    return stored, cells


def test_everything_opens_as_the_file_does(scan: tuple[str, Path]) -> None:
    url, path = scan
    assert usidx.list_mains(url) == usidx.list_mains(path)
    assert usidx.validate(url) == []
    xr.testing.assert_equal(usidx.open_main(url), usidx.open_main(path))
    xr.testing.assert_equal(usidx.open_result(url, "SVD_000"), usidx.open_result(path, "SVD_000"))
    xr.testing.assert_equal(usidx.open_tree(url), usidx.open_tree(path))
    xr.testing.assert_equal(xr.open_datatree(url, engine="usid"), xr.open_datatree(str(path), engine="usid"))


def test_everything_passes_the_options_on(scan: tuple[str, Path], server: RangeServer) -> None:
    server.login = "Bearer feed5eed"
    options = {"headers": {"Authorization": "Bearer feed5eed"}}
    with pytest.raises(RemoteError, match="401"):
        usidx.list_mains(scan[0])
    assert [problem.rule for problem in usidx.validate(scan[0])] == ["hdf5"]
    assert usidx.validate(scan[0], storage_options=options) == []
    assert usidx.list_mains(scan[0], storage_options=options) == usidx.list_mains(scan[1])
    assert usidx.list_results(scan[0], storage_options=options) == usidx.list_results(scan[1])
    for found in (
        usidx.open_main(scan[0], storage_options=options),
        usidx.open_dataset(scan[0], storage_options=options),
        usidx.open_tree(scan[0], storage_options=options),
        usidx.open_result(scan[0], "SVD_000", storage_options=options),
        xr.open_dataset(scan[0], engine="usid", group="Raw_Data", storage_options=options),
        xr.open_datatree(scan[0], engine="usid", storage_options=options),
    ):
        assert found.load() is not None
        assert "feed5eed" not in repr(found) + str(found.attrs) + str(found.encoding)


def test_opening_takes_few_requests(scan: tuple[str, Path], server: RangeServer) -> None:
    data = usidx.open_main(scan[0])
    assert len(server.parts) < 6
    assert server.nbytes < 1.5e6  # of 3.2 MB
    assert server.requests == [("GET", "/scan.h5", *part) for part in server.parts]  # each answer tells the version
    server.requests.clear()
    np.testing.assert_array_equal(data.isel(Y=5, X=4), usidx.open_main(scan[1]).isel(Y=5, X=4))
    assert len(server.requests) == 1
    assert server.nbytes == 512 * 8


def test_a_selection_fetches_the_chunks_that_it_needs(tmp_path: Path, server: RangeServer) -> None:
    stored, cells = array(tmp_path, server)
    np.testing.assert_array_equal(stored.read(slice(70, 80), ALL), cells[70:80])
    assert len(server.parts) == 1
    assert server.nbytes < 1.1e6
    server.requests.clear()
    np.testing.assert_array_equal(stored.read(np.array([500, 3]), slice(5)), cells[[500, 3], :5])
    assert len(server.parts) == 2
    assert server.nbytes < 2.2e6


def test_requests_run_at_once(tmp_path: Path, server: RangeServer) -> None:
    stored, cells = array(tmp_path, server)
    waiting, most = 0, 0
    lock, all_there = threading.Lock(), threading.Event()

    def gather(handler: Any, content: bytes, start: int, stop: int) -> None:
        nonlocal waiting, most
        with lock:
            waiting += 1
            most = max(most, waiting)
            if waiting == 4:
                all_there.set()
        all_there.wait(10)
        with lock:
            waiting -= 1
        handler.part(content, start, stop)

    server.behaviour = gather
    np.testing.assert_array_equal(stored.read(slice(0, None, 128), ALL), cells[::128])
    assert most == 4


def test_a_server_without_marks_is_told_by_size(tmp_path: Path, server: RangeServer) -> None:
    server.has_marks = False
    stored, cells = array(tmp_path, server)
    np.testing.assert_array_equal(stored.read(slice(9), ALL), cells[:9])
    assert find_place(server.url("x.h5")).find_version().marks == ()  # type: ignore[union-attr]


def test_the_data_is_told_from_other_data_without_reading_it(scan: tuple[str, Path], server: RangeServer) -> None:
    first = usidx.open_main(scan[0]).attrs["usid_provenance"]
    assert usidx.open_main(scan[0]).attrs["usid_provenance"] == first
    server.has_marks = False
    sampled = usidx.open_main(scan[0]).attrs["usid_provenance"]
    local = usidx.open_main(scan[1]).attrs["usid_provenance"]
    assert json.loads(sampled)[-1]["fingerprint"] == json.loads(local)[-1]["fingerprint"]


def test_downloaded_whole_where_that_is_asked_for(scan: tuple[str, Path], server: RangeServer) -> None:
    server.behaviour = lambda handler, content, *_: handler.part(content, 0, len(content), 200)
    with pytest.raises(RemoteError, match=r"sends the whole file where a part is asked for .*'simplecache::' before"):
        usidx.open_main(scan[0])
    data = usidx.open_main(f"simplecache::{scan[0]}")
    np.testing.assert_array_equal(data, usidx.open_main(scan[1]))


def test_a_small_file_comes_at_once_and_whole(server: RangeServer) -> None:
    content = Path(usidx.example_file()).read_bytes()
    server.files["small.h5"] = content
    server.behaviour = lambda handler, content, *_: handler.part(content, 0, len(content), 200)
    assert usidx.list_mains(server.url("small.h5")) == ["/Measurement_000/Channel_000/Raw_Data"]
    assert len(server.parts) == 1


# -- objects that change ----------------------------------------------------------------------------------------------


def test_a_file_that_is_replaced_is_read_anew(tmp_path: Path, server: RangeServer) -> None:
    stored, cells = array(tmp_path, server)
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["y"] = np.zeros(10)
        del file["x"]
        file.create_dataset("z", data=np.zeros(1000))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=cells // 7, chunks=(64, 16384), compression="gzip", compression_opts=9)
    server.files["x.h5"] = (tmp_path / "x.h5").read_bytes()
    np.testing.assert_array_equal(stored.read(ALL, ALL), cells // 7)


def test_a_file_that_is_cut_off(tmp_path: Path, server: RangeServer) -> None:
    stored, _ = array(tmp_path, server)
    server.files["x.h5"] = server.files["x.h5"][:2_000_000]
    with pytest.raises(UsidError, match=r"'http://127\.0\.0\.1:\d+/x\.h5' cannot be opened as HDF5: .* cut off"):
        stored.read(ALL, ALL)


def test_a_file_that_went(tmp_path: Path, server: RangeServer) -> None:
    stored, _ = array(tmp_path, server, "?token=feed5eed")
    server.files.clear()
    with pytest.raises(FileNotFoundError, match=r"There is no file 'http://127\.0\.0\.1:\d+/x\.h5'\."):
        stored.read(ALL, ALL)


# -- servers that fail or lie -----------------------------------------------------------------------------------------


def too_short(handler: Any, content: bytes, start: int, stop: int) -> None:
    handler.part(content, start, stop - 10, Content_Range=f"bytes {start}-{stop - 1}/{len(content)}")


def cut_off(handler: Any, content: bytes, start: int, stop: int) -> None:
    handler.start(206, stop - start, content, Content_Range=f"bytes {start}-{stop - 1}/{len(content)}")
    handler.wfile.write(content[start : stop - 10])
    handler.close_connection = True


def another_part(handler: Any, content: bytes, start: int, stop: int) -> None:
    handler.part(content, start + 1, stop + 1)


def unnamed_part(handler: Any, content: bytes, start: int, stop: int) -> None:
    handler.part(content, start, stop, Content_Range="")


def whole(handler: Any, content: bytes, start: int, stop: int) -> None:
    handler.part(content, 0, len(content), 200)


def encoded(handler: Any, content: bytes, start: int, stop: int) -> None:
    handler.part(content, start, stop, Content_Encoding="gzip")


def another_version(handler: Any, content: bytes, start: int, stop: int) -> None:
    handler.part(content, start, stop, ETag='"other"')


def refused(handler: Any, content: bytes, start: int, stop: int) -> None:
    handler.start(403, 0)


def broken(handler: Any, content: bytes, start: int, stop: int) -> None:
    handler.start(500, 0)


def hung_up(handler: Any, content: bytes, start: int, stop: int) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


LIES = {
    too_short: r"the server gave \d+|ClientPayloadError",
    cut_off: r"the server gave \d+|ClientPayloadError",
    another_part: r"asked for the bytes \d+-\d+ of \d+, the server gives 'bytes \d+-\d+/\d+'",
    unnamed_part: r"asked for the bytes \d+-\d+ of \d+, the server gives ''",
    whole: r"sends the whole file where a part is asked for \(no range requests\)",
    encoded: r"compresses what it sends",
    refused: r"the server answers 403 Forbidden",
    broken: r"the server answers 500 ",
    hung_up: r"cannot be read\. \(\w+: ",
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_server_that_fails_or_lies(tmp_path: Path, server: RangeServer, lie: Any) -> None:
    stored, cells = array(tmp_path, server, "?token=feed5eed")
    server.behaviour = lie
    with pytest.raises(RemoteError, match=r"'http://127\.0\.0\.1:\d+/x\.h5'.*" + f"({LIES[lie]})") as caught:
        stored.read(slice(70, 80), ALL)
    assert "feed5eed" not in f"{caught.value!r} {caught.value.__context__!r}"
    server.behaviour = None
    np.testing.assert_array_equal(stored.read(slice(70, 80), ALL), cells[70:80])  # nothing is left hanging


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_server_that_fails_or_lies_while_a_file_is_opened(server: RangeServer, tmp_path: Path, lie: Any) -> None:
    """HDF5 must not take for damage what was never read, and leave it out."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for number in range(10):
            file[f"group_{number}/x"] = np.zeros(40_000)
    server.files["x.h5"] = (tmp_path / "x.h5").read_bytes()

    def later(handler: Any, content: bytes, start: int, stop: int) -> None:
        (lie if start > 0 else type(handler).part)(handler, content, start, stop)

    server.behaviour = later
    with pytest.raises(RemoteError, match=LIES[lie]):
        usidx.open_tree(server.url("x.h5"))


@pytest.mark.parametrize("lie", [broken, hung_up, cut_off], ids=lambda lie: lie.__name__)
def test_what_fails_once_is_asked_for_again(tmp_path: Path, server: RangeServer, lie: Any) -> None:
    stored, cells = array(tmp_path, server)
    failing = iter([lie, lie])

    def sometimes(handler: Any, content: bytes, start: int, stop: int) -> None:
        next(failing, type(handler).part)(handler, content, start, stop)

    server.behaviour = sometimes
    np.testing.assert_array_equal(stored.read(slice(70, 80), ALL), cells[70:80])
    assert len(server.parts) == 3


def test_a_version_that_is_not_told_at_once_is_asked_for_again(tmp_path: Path, server: RangeServer) -> None:
    array(tmp_path, server)
    server.failing = 3  # HEAD, and GET in its place; HEAD again
    assert find_place(server.url("x.h5")).find_version().size == len(server.files["x.h5"])
    assert server.failing == 0


def test_what_will_not_pass_is_asked_for_once(tmp_path: Path, server: RangeServer) -> None:
    stored, _ = array(tmp_path, server)
    server.behaviour = refused
    with pytest.raises(RemoteError, match="403"):
        stored.read(slice(70, 80), ALL)
    assert len(server.parts) == 1


def test_another_version_of_the_file_is_not_mixed_in(tmp_path: Path, server: RangeServer) -> None:
    stored, _ = array(tmp_path, server)
    server.behaviour = another_version
    with pytest.raises(RemoteError, match=r"x\.h5' changed while it was read; open it again"):
        stored.read(slice(70, 80), ALL)


@pytest.mark.parametrize("endless", [True, False])
def test_no_more_is_taken_than_was_asked_for(tmp_path: Path, server: RangeServer, endless: bool) -> None:
    """The rest of a body that never ends, or is said to be huge, is not read."""
    stored, cells = array(tmp_path, server)
    sent = 0

    def flood(handler: Any, content: bytes, start: int, stop: int) -> None:
        nonlocal sent
        handler.start(206, None if endless else 1 << 40, content, Content_Range=f"bytes {start}-{stop - 1}/*")
        handler.close_connection = True
        handler.wfile.write(content[start:stop])
        while not server.released.is_set() and sent < 1 << 28:
            handler.wfile.write(bytes(1 << 20))
            sent += 1 << 20

    server.behaviour = flood
    np.testing.assert_array_equal(stored.read(slice(70, 80), ALL), cells[70:80])
    time.sleep(0.5)
    assert sent < 1 << 27


@pytest.mark.parametrize("after", [0, 1000])
def test_a_server_that_never_answers(
    tmp_path: Path, server: RangeServer, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    stored, cells = array(tmp_path, server)
    monkeypatch.setattr(connection, "_PATIENCE", 0.5)
    monkeypatch.setattr(connection, "_LEAST_SPEED", 10_000_000)

    def stall(handler: Any, content: bytes, start: int, stop: int) -> None:
        if after:
            handler.start(206, stop - start, content, Content_Range=f"bytes {start}-{stop - 1}/{len(content)}")
            handler.wfile.write(content[start : start + after])
        server.released.wait(60)

    server.behaviour = stall
    with pytest.raises(RemoteError, match="the server does not answer in time; try again"):
        stored.read(slice(70, 80), ALL)
    with pytest.raises(RemoteError, match="the server does not answer in time; try again"):
        usidx.list_mains(server.url("x.h5?anew=1"))
    server.behaviour = None
    np.testing.assert_array_equal(stored.read(slice(70, 80), ALL), cells[70:80])


@pytest.mark.parametrize(("status", "told"), [(401, "401"), (403, "403"), (503, "503")])
def test_what_the_server_refuses_is_not_taken_for_missing(server: RangeServer, status: int, told: str) -> None:
    server.status = status
    with pytest.raises(RemoteError, match=rf"x\.h5' cannot be read\. \(ClientResponseError: {told}") as caught:
        usidx.open_main(server.url("x.h5?token=feed5eed"))
    assert "feed5eed" not in str(caught.value)


def test_nobody_listens(server: RangeServer) -> None:
    url = server.url("x.h5?token=feed5eed")
    server.stop()
    with pytest.raises(RemoteError, match=r"'http://127\.0\.0\.1:\d+/x\.h5' cannot be read\. \(\w+: ") as caught:
        usidx.open_main(url)
    assert "feed5eed" not in str(caught.value)


def test_a_server_that_does_not_say_how_large_a_file_is(server: RangeServer) -> None:
    server.files["x.h5"] = bytes(1000)
    server.says_sizes = False
    server.behaviour = lambda handler, content, *_: handler.part(content, 0, len(content), 200)
    with pytest.raises(RemoteError, match=r"x\.h5': the server does not say how large it is"):
        usidx.open_main(server.url("x.h5"))


# -- threads ----------------------------------------------------------------------------------------------------------


def test_no_garbage_is_collected_while_hdf5_waits(scan: tuple[str, Path], server: RangeServer) -> None:
    """Collecting in the thread that fetches would wait for HDF5's lock, which is held by who waits for that thread."""
    seen: list[bool] = []

    def noted(handler: Any, content: bytes, start: int, stop: int) -> None:
        seen.append(gc.isenabled())
        handler.part(content, start, stop)

    server.behaviour = noted
    usidx.open_main(scan[0])
    assert seen
    assert not any(seen)
    assert gc.isenabled()


GARBAGE = """
import faulthandler, gc, sys
import h5py, numpy as np
import usidx
from tests.kit.range_server import RangeServer
from usidx.io.read.place.objects import pages
from usidx.io.read.place.objects.lru import LruCache

faulthandler.dump_traceback_later(60, exit=True)
gc.set_threshold(50, 2, 2)
with RangeServer() as server:
    server.files["x.h5"] = open(sys.argv[1], "rb").read()
    for _ in range(10):
        pages._pages = LruCache(pages._MOST_BYTES, len)
        for _ in range(200):
            cycle = [h5py.h5s.create_simple((2,))]
            cycle.append(cycle)
        usidx.open_tree(server.url("x.h5"))
"""


def test_garbage_that_holds_objects_of_hdf5_does_not_stop_reading(tmp_path: Path) -> None:
    """Were it collected meanwhile, by the thread that fetches or by the server, this would hang sooner or later."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for number in range(40):
            file[f"group_{number}/x"] = np.zeros(20_000)
    done = subprocess.run(
        [sys.executable, "-c", GARBAGE, str(tmp_path / "x.h5")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_many_threads_open_and_read(scan: tuple[str, Path]) -> None:
    wanted = usidx.open_main(scan[1]).compute()
    problems: list[BaseException] = []

    def work(row: int) -> None:
        try:
            for _ in range(3):
                data = usidx.open_main(scan[0], chunks={"Y": 8})
                np.testing.assert_array_equal(data.isel(Y=slice(row, row + 4)).compute(), wanted[row : row + 4])
                cycle: list[Any] = [h5py.File.__new__(h5py.File), h5py.h5s.create_simple((2,))]
                cycle.append(cycle)
        except BaseException as err:
            problems.append(err)

    threads = [threading.Thread(target=work, args=(4 * number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert problems == []
    assert gc.isenabled()
