"""Objects behind URLs: opened like files, read in few requests, never written, and no secret is ever shown."""

import os
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.cli import main
from usidx.errors import RemoteError, ResultError, SelectionError, UsidError
from usidx.io.read.chunks import direct
from usidx.io.read.chunks.stored_array import StoredArray, describe_stored_array
from usidx.io.read.place.local import LocalFile
from usidx.io.read.place.objects.connection import Connection
from usidx.io.read.place.objects.remote_bytes import Fetched, RemoteSource
from usidx.io.read.place.objects.version import ObjectVersion
from usidx.io.read.place.place import find_local_path, find_place
from usidx.io.read.place.remote import RemoteFile
from usidx.results.provenance import parse_steps

fsspec = pytest.importorskip("fsspec")
MemoryFileSystem = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem

SECRETS: Mapping[str, Any] = {"key": "AKIAVERYSECRET", "client": {"password": ["open-sesame"]}}


@pytest.fixture
def memory() -> Iterator[Any]:
    found = fsspec.filesystem("memory")
    found.store.clear()
    found.pseudo_dirs[:] = [""]
    yield found
    found.store.clear()


@pytest.fixture
def scan(tmp_path: Path, memory: Any) -> tuple[str, Path]:
    """Give the URL of an object, and the path of the same file."""
    data, _ = usidx.simulate.band_excitation((16, 12), 48, seed=3)
    usidx.write(data, tmp_path / "scan.h5")
    usidx.write(usidx.open_main(tmp_path / "scan.h5").usid.svd(3))
    return uploaded(memory, tmp_path / "scan.h5"), tmp_path / "scan.h5"


def uploaded(memory: Any, path: Path, to: str = "bucket/scan.h5") -> str:
    memory.pipe("/" + to, path.read_bytes())
    return f"memory://{to}"


class Requests(list[tuple[int, int]]):
    """The ranges that were asked for."""

    @property
    def nbytes(self) -> int:
        return sum(end - start for start, end in self)


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Requests:
    sent, fetch = Requests(), Connection._fetch

    def counted(self: Connection, spans: Any, *others: Any) -> list[bytes]:
        sent.extend(spans)
        return fetch(self, spans, *others)

    monkeypatch.setattr(Connection, "_fetch", counted)
    return sent


# -- what a URL is ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["s3://b/k.h5", "https://h/x.h5?t=1", "simplecache::s3://b/k.h5", "memory://x"])
def test_urls_are_remote(url: str) -> None:
    found = find_place(url, {"anon": True})
    assert isinstance(found, RemoteFile)
    assert (found.url, found.options) == (url, {"anon": True})
    assert find_place(found) is found


@pytest.mark.parametrize("path", ["scan.h5", "C:\\data\\scan.h5", "c:/scan.h5", "a/b::c.h5", "x:y/z.h5"])
def test_paths_are_local(path: str) -> None:
    assert find_place(path) == LocalFile(str(Path(path).absolute()))
    assert isinstance(find_place(Path(path)), LocalFile)


def test_file_urls_are_paths(tmp_path: Path) -> None:
    path = tmp_path / "a b.h5"
    assert find_place(path.as_uri()) == find_place(path)
    assert find_local_path(f"file://localhost{path.as_posix()}") == path
    path.write_bytes(Path(usidx.example_file()).read_bytes())
    assert usidx.list_mains(path.as_uri()) == usidx.list_mains(path) != []


def test_urls_that_were_made_paths_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsidError, match=r"'s3:/bucket/scan\.h5' is a URL that was made a path.* Give URLs as text"):
        usidx.open_main(Path("s3://bucket/scan.h5"))
    if os.name == "nt":
        return  # no folder has such a name
    monkeypatch.chdir(tmp_path)
    Path("s3:/bucket").mkdir(parents=True)
    assert find_place(Path("s3:/bucket")) == LocalFile(str(tmp_path / "s3:" / "bucket"))


def test_options_go_with_urls_alone(tmp_path: Path) -> None:
    with pytest.raises(UsidError, match=r"storage_options go with URLs .*'.*scan\.h5' is a path"):
        usidx.open_main(tmp_path / "scan.h5", storage_options={"anon": True})


# -- opened like files ------------------------------------------------------------------------------------------------


def test_everything_opens_as_the_file_does(scan: tuple[str, Path]) -> None:
    url, path = scan
    assert usidx.list_mains(url) == usidx.list_mains(path)
    assert usidx.list_results(url) == usidx.list_results(path) != []
    assert usidx.validate(url) == []
    xr.testing.assert_equal(usidx.open_main(url), usidx.open_main(path))
    xr.testing.assert_equal(usidx.open_dataset(url), usidx.open_dataset(path))
    xr.testing.assert_equal(usidx.open_result(url, "SVD_000"), usidx.open_result(path, "SVD_000"))
    assert usidx.open_tree(url).name == "scan.h5"
    xr.testing.assert_equal(usidx.open_tree(url), usidx.open_tree(path))
    xr.testing.assert_equal(xr.open_datatree(url, engine="usid"), xr.open_datatree(str(path), engine="usid"))
    lazily = xr.open_dataset(url, engine="usid", group="Raw_Data", chunks={})
    xr.testing.assert_equal(lazily, xr.open_dataset(path, engine="usid", group="Raw_Data"))


def test_the_command_shows_what_an_object_holds(scan: tuple[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", scan[0]]) == 0
    assert "16 × 12 positions" in capsys.readouterr().out


@pytest.mark.parametrize("storage", [{}, {"chunks": (3, 5)}, {"chunks": (4, 7), "compression": "gzip", "shuffle": True},
                                     {"chunks": (4, 7), "compression": "lzf"}], ids=str)  # fmt: skip
def test_blocks_are_outer_indexing(tmp_path: Path, memory: Any, storage: dict[str, Any]) -> None:
    cells = np.random.default_rng(0).normal(size=(40, 30)).astype("f4")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=cells, **storage)
    stored = remote_array(uploaded(memory, tmp_path / "x.h5"))
    for rows in (slice(None), slice(3, 30, 4), np.array([5, 2, 2, 39])):
        for columns in (slice(None), slice(25, 3, -2), np.array([29, 0])):
            np.testing.assert_array_equal(stored.read(rows, columns), cells[rows][:, columns])


def remote_array(url: str, name: str = "x") -> StoredArray:
    place = find_place(url)
    with place.open() as (file, _):
        return describe_stored_array(file[name], None, place)


def test_names_that_are_not_ascii(scan: tuple[str, Path], memory: Any) -> None:
    url = uploaded(memory, scan[1], "Messgerät/Lauf 1.h5")
    with pytest.raises(SelectionError, match="Messger%C3%A4t/Lauf 1"):
        usidx.open_main(url, "none")
    assert usidx.history(usidx.open_main(url))
    assert "Messgerät" in str(find_place(url))
    np.testing.assert_array_equal(usidx.open_main(url), usidx.open_main(scan[1]))


# -- few requests -----------------------------------------------------------------------------------------------------


def test_a_selection_fetches_the_chunks_that_it_needs(tmp_path: Path, memory: Any, requests: Requests) -> None:
    cells = np.random.default_rng(0).integers(0, 256, (512, 131072), dtype="u1")  # 64 MiB in chunks of 1 MiB
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=cells, chunks=(32, 32768), compression="gzip", compression_opts=1)
    stored = remote_array(uploaded(memory, tmp_path / "x.h5"))
    np.testing.assert_array_equal(stored.read(slice(40, 50), slice(70_000, 70_010)), cells[40:50, 70_000:70_010])
    chunks = [span for span in requests if span[1] - span[0] > 1_000_000]
    assert len(chunks) == 1
    assert requests.nbytes < 2.5e6  # of 67 MB: one chunk, and what tells where it is
    assert len(requests) < 12
    requests.clear()
    np.testing.assert_array_equal(stored.read(slice(0, 64), slice(100)), cells[:64, :100])
    assert len(requests) == 2  # where the chunks lie is known now
    assert requests.nbytes < 2.2e6


def test_neighbouring_ranges_come_together(tmp_path: Path, memory: Any, requests: Requests) -> None:
    cells = np.arange(4000 * 1000, dtype="i4").reshape(4000, 1000)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = cells
    stored = remote_array(uploaded(memory, tmp_path / "x.h5"))
    stored.read(slice(1), slice(1))
    requests.clear()
    np.testing.assert_array_equal(stored.read(slice(None), slice(3, 4)), cells[:, 3:4])
    assert len(requests) == 4  # of 4 MiB: a cell of each row of 4 kB is no request of its own
    requests.clear()
    np.testing.assert_array_equal(stored.read(slice(None, None, 400), slice(5)), cells[::400, :5])
    assert len(requests) == 10
    assert requests.nbytes == 10 * 5 * 4


def test_memory_is_bounded_however_much_is_asked_for(
    tmp_path: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = np.arange(300 * 1000, dtype="i4").reshape(300, 1000)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=cells, chunks=(10, 100), compression="gzip")
    stored = remote_array(uploaded(memory, tmp_path / "x.h5"))
    held: list[int] = []
    known = Fetched.__init__

    def noted(self: Fetched, spans: Any, parts: Any) -> None:
        held.append(sum(len(part) for part in parts))
        known(self, spans, parts)

    monkeypatch.setattr(Fetched, "__init__", noted)
    for name, size in {"_CHEAP_GAP": 100, "_REQUEST": 5000, "_BATCH": 20_000}.items():
        monkeypatch.setattr(f"usidx.io.read.place.objects.remote_bytes.{name}", size)
    np.testing.assert_array_equal(stored.read(slice(None), slice(None)), cells)
    assert len(held) > 5
    assert max(held) <= 20_000


def test_hundreds_of_datasets_take_few_requests(tmp_path: Path, memory: Any, requests: Requests) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for number in range(300):
            file[f"group_{number:03d}/x"] = np.full(5000, number)
    url = uploaded(memory, tmp_path / "x.h5")
    tree = usidx.open_tree(url)
    assert len(tree.children) == 300
    assert len(requests) < 100  # 12 MB, headers all over the file
    requests.clear()
    usidx.open_tree(url)
    assert requests == []  # what was read of this version is kept
    assert tree["group_123"].x.values.tolist() == [123] * 5000


def test_the_index_of_chunks_is_read_when_it_is_needed(tmp_path: Path, memory: Any, requests: Requests) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", (0, 1024), "u1", chunks=(8, 1024), maxshape=(None, 1024))
        for number in range(2000):  # pages of the index come to lie between the chunks
            dataset.resize(8 * number + 8, 0)
            dataset[8 * number : 8 * number + 8] = number % 256
    url = uploaded(memory, tmp_path / "x.h5")
    array = usidx.open_tree(url).x
    assert len(requests) <= 2
    assert (array[8 * 777 : 8 * 778].values == 777 % 256).all()
    assert len(requests) > 10


def test_long_reads_of_hdf5_are_few_requests(tmp_path: Path, memory: Any, requests: Requests) -> None:
    cells = np.arange(3_000_000, dtype=">c16")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        file.create_dataset("x", data=cells)
    url = uploaded(memory, tmp_path / "x.h5")
    with find_place(url).open() as (file, _):
        requests.clear()
        np.testing.assert_array_equal(file["x"][()], cells)
    assert len(requests) < 20
    assert requests.nbytes < 1.1 * cells.nbytes


# -- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/a.h5?X-Amz-Signature=feed5eed", "https://h/a.h5"),
        ("https://me:pass@h/a.h5", "https://h/a.h5"),
        ("https://token@h/a.h5", "https://h/a.h5"),
        ("ftp://me:pass@h/a.h5", "ftp://h/a.h5"),
        ("abfs://container@account.dfs.core.windows.net/a.h5", "abfs://container@account.dfs.core.windows.net/a.h5"),
        ("simplecache::https://h/a.h5?sig=x", "simplecache::https://h/a.h5"),
    ],
)
def test_urls_are_shown_without_secrets(url: str, shown: str) -> None:
    place = find_place(url, SECRETS)
    assert place.name == str(place) == shown
    assert repr(place) == f"RemoteFile({shown!r})"


def test_no_secret_is_shown_or_recorded(scan: tuple[str, Path], tmp_path: Path, memory: Any) -> None:
    url = uploaded(memory, scan[1], "bucket/scan.h5?token=feed5eed")
    data = usidx.open_main(url, chunks={"Y": 4}, storage_options=SECRETS)
    assert "memory://bucket/scan.h5" in data.attrs["usid_provenance"]
    tree = xr.open_datatree(url, engine="usid", storage_options=SECRETS, chunks={})
    dataset = xr.open_dataset(url, engine="usid", group="Raw_Data", storage_options=SECRETS)
    result = data.usid.svd(2)
    group = usidx.write(result, tmp_path / "result.h5")
    written = usidx.open_result(tmp_path / "result.h5", group)
    texts = [str(find_place(url, SECRETS)), repr(find_place(url, SECRETS))]
    with find_place(url, SECRETS).open() as (file, _):
        texts.append(repr(describe_stored_array(file[usidx.list_mains(url)[0]], None, find_place(url, SECRETS))))
    for one in (data, tree, dataset, result, written):
        texts += [repr(one), str(one.attrs), str(one.encoding), one._repr_html_()]
    texts += [str(node.encoding) + str(node.attrs) for node in tree.subtree]
    texts += [str(v.encoding) + str(v.attrs) for v in dataset.variables.values()]
    texts.append((tmp_path / "result.h5").read_bytes().decode("latin-1"))
    for secret in ("feed5eed", "AKIAVERYSECRET", "open-sesame"):
        assert not [text for text in texts if secret in text]


@pytest.mark.parametrize("said", ["https://h/a.h5?sig=feed5eed", "key AKIAVERYSECRET, 'open-sesame'", "sig feed5eed!"])
def test_errors_of_other_libraries_lose_their_secrets(
    monkeypatch: pytest.MonkeyPatch, memory: Any, scan: tuple[str, Path], said: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError(said)

    monkeypatch.setattr(type(memory), "info", fail)
    with pytest.raises(RemoteError, match=r"'memory://bucket/scan\.h5' cannot be read\. \(ConnectionError: ") as caught:
        usidx.open_main(f"{scan[0]}?sig=feed5eed", storage_options=SECRETS)
    shown = [str(caught.value), repr(caught.value), repr(caught.value.__cause__), repr(caught.value.__context__)]
    for secret in ("feed5eed", "AKIAVERYSECRET", "open-sesame"):
        assert not [text for text in shown if secret in text]


def test_options_travel_with_the_array(scan: tuple[str, Path]) -> None:
    place = pickle.loads(pickle.dumps(find_place(scan[0], SECRETS)))
    assert place.options == SECRETS
    assert place == find_place(scan[0], SECRETS) != find_place(scan[0])
    array = pickle.loads(pickle.dumps(usidx.open_main(scan[0])))
    np.testing.assert_array_equal(array, usidx.open_main(scan[1]))


def test_urls_that_differ_in_their_query_are_different_data(scan: tuple[str, Path], memory: Any) -> None:
    """They look alike in what is recorded, but dask must not take one for the other."""
    urls = [uploaded(memory, scan[1], f"get?id={number}") for number in (1, 2)]
    names = {usidx.open_main(url).data.name for url in urls}
    assert len(names) == 2


# -- reading only -----------------------------------------------------------------------------------------------------


def test_results_are_written_to_a_local_file(scan: tuple[str, Path], tmp_path: Path) -> None:
    url, path = scan
    result = usidx.open_main(url).usid.svd(2)
    with pytest.raises(ResultError, match=r"came from the URL 'memory://bucket/scan\.h5'.* Name a local file: write"):
        result.usid.write()
    group = usidx.write(result, tmp_path / "results.h5")
    again = usidx.open_result(tmp_path / "results.h5", group)
    np.testing.assert_allclose(again.scores, usidx.open_main(path).usid.svd(2).scores, rtol=1e-5, atol=1e-7)
    steps = parse_steps(again.attrs["usid_provenance"])
    assert [step["file"] for step in steps if step["tool"] == "open"] == [url, str(tmp_path / "results.h5")]


@pytest.mark.parametrize("command", ["demo", "recover"])
def test_commands_that_write_refuse_urls(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "https://h/scan.h5?token=feed5eed"]) == 2
    assert "'https://h/scan.h5' is a URL, and usidx only reads those" in capsys.readouterr().err


def test_urls_are_not_written(scan: tuple[str, Path]) -> None:
    with pytest.raises(UsidError, match=r"'s3://b/k\.h5' is a URL, and usidx only reads those\. Give the path of"):
        usidx.write(usidx.open_main(scan[1]), "s3://b/k.h5?token=1")


# -- objects that change, are missing or hostile -----------------------------------------------------------------------


def test_an_object_that_is_replaced_is_read_anew(scan: tuple[str, Path], tmp_path: Path, memory: Any) -> None:
    url, path = scan
    data = usidx.open_main(url)
    data.isel(Y=0).compute()
    with h5py.File(path, "r+") as file:
        raw = file["Measurement_000/Channel_000/Raw_Data"]
        raw[...] = raw[...] * 2
    uploaded(memory, path)
    np.testing.assert_array_equal(data, usidx.open_main(path))


@pytest.mark.parametrize("direct_too", [True, False])
def test_an_object_with_another_dataset_in_its_place(
    tmp_path: Path, memory: Any, monkeypatch: pytest.MonkeyPatch, direct_too: bool
) -> None:
    for name, shape in (("a", (30, 20)), ("b", (10, 20))):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_dataset("x", data=np.zeros(shape, "f4"), chunks=(5, 5), compression="gzip")
    stored = remote_array(uploaded(memory, tmp_path / "a.h5"))
    if not direct_too:
        monkeypatch.setattr("usidx.io.read.chunks.stored_array.read_direct", lambda *_: None)
    stored.read(slice(None), slice(None))
    uploaded(memory, tmp_path / "b.h5")
    with pytest.raises(UsidError, match=r"has changed .* had the shape \(30, 20\) of float32, now there is \(10, 20\)"):
        stored.read(slice(None), slice(None))


def test_an_object_that_is_replaced_while_it_is_read(
    tmp_path: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block is of one version or the other, whole."""
    cells = np.random.default_rng(0).normal(size=(30, 20)).astype("f4")
    for name, content in (("a", cells), ("b", np.round(cells, 1))):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_dataset("x", data=content, chunks=(5, 5), compression="gzip")
    stored = remote_array(uploaded(memory, tmp_path / "a.h5"))
    read = direct._Block._read_unit

    def replaced(self: Any, *args: Any) -> None:
        uploaded(memory, tmp_path / "b.h5")
        monkeypatch.undo()
        read(self, *args)

    monkeypatch.setattr(direct._Block, "_read_unit", replaced)
    np.testing.assert_array_equal(stored.read(slice(None), slice(None)), np.round(cells, 1))


def test_an_object_that_changes_while_it_is_opened(
    scan: tuple[str, Path], memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter(range(1000))
    info = type(memory).info
    monkeypatch.setattr(type(memory), "info", lambda *args, **kw: {**info(*args, **kw), "ETag": str(next(found))})
    with pytest.raises(RemoteError, match=r"'memory://bucket/scan\.h5' changed while it was being opened; open it"):
        usidx.open_main(scan[0])


def test_chained_urls(scan: tuple[str, Path], tmp_path: Path, memory: Any) -> None:
    cache = {"simplecache": {"cache_storage": str(tmp_path / "cache")}}
    xr.testing.assert_equal(usidx.open_main(f"simplecache::{scan[0]}", storage_options=cache), usidx.open_main(scan[1]))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(scan[1], "inside/scan.h5")
    url = f"zip://inside/scan.h5::{uploaded(memory, tmp_path / 'x.zip', 'x.zip')}"
    xr.testing.assert_equal(usidx.open_main(url), usidx.open_main(scan[1]))


def test_missing_objects(memory: Any) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no file 'memory://bucket/none\.h5'\."):
        usidx.open_main("memory://bucket/none.h5?token=feed5eed")
    memory.pipe("/folder/x", b"1")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        usidx.list_mains("memory://folder")


def test_an_object_that_went(scan: tuple[str, Path], memory: Any) -> None:
    data = usidx.open_main(scan[0])
    data.compute()
    memory.rm("/bucket/scan.h5")
    with pytest.raises(FileNotFoundError, match=r"There is no file 'memory://bucket/scan\.h5'"):
        data.compute()


def test_what_is_no_hdf5_file(memory: Any) -> None:
    memory.pipe("/bucket/page.html", b"<html>" * 1000)
    with pytest.raises(UsidError, match=r"'memory://bucket/page\.html' cannot be opened as HDF5"):
        usidx.open_main("memory://bucket/page.html")
    assert [problem.rule for problem in usidx.validate("memory://bucket/page.html")] == ["hdf5"]


def test_kinds_of_urls_that_are_not_known() -> None:
    with pytest.raises(UsidError, match=r"'gopher://x/y' cannot be read\..*gopher"):
        usidx.open_main("gopher://x/y")


@pytest.mark.parametrize(
    ("url", "package", "told"),
    [
        ("s3://b/k.h5", "s3fs", r"needs the package 's3fs'.*pip install 'usidx\[remote\]'"),
        ("simplecache::s3://b/k.h5", "s3fs", r"pip install 'usidx\[remote\]'"),
        ("https://h/k.h5", "aiohttp", r"needs the package 'aiohttp'.*pip install 'usidx\[remote\]'"),
        ("gs://b/k.h5", "gcsfs", "gcsfs"),
    ],
)
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, url: str, package: str, told: str) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ImportError(f"Install {package}")

    monkeypatch.setattr("fsspec.core.url_to_fs", fail)
    with pytest.raises(UsidError, match=told):
        usidx.open_main(url)


def test_files_that_point_to_other_files_are_refused(tmp_path: Path, memory: Any) -> None:
    """HDF5 would take the object itself for the other file, or look for it on this machine."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["y"] = np.ones(3, int)
    np.arange(3).tofile(tmp_path / "raw.bin")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["y"] = np.zeros(3, int)
        file["link"] = h5py.ExternalLink("other.h5", "/")
        layout = h5py.VirtualLayout((3,), int)
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "y", (3,))
        file.create_virtual_dataset("virtual", layout)
        layout = h5py.VirtualLayout((3,), int)
        layout[:] = h5py.VirtualSource(".", "y", (3,))
        file.create_virtual_dataset("own", layout)
        file.create_dataset("external", (3,), int, external=[(str(tmp_path / "raw.bin"), 0, 24)])
    url = uploaded(memory, tmp_path / "x.h5")
    with pytest.raises(UsidError, match=r"'link' in 'memory://bucket/scan\.h5' is a link to another file"):
        usidx.open_tree(url, group="link")
    tree = usidx.open_tree(url)
    assert tree.own.values.tolist() == [0, 0, 0]
    for name in ("virtual", "external"):
        with pytest.raises(UsidError, match=f"'/{name}' in .* is made of other files, which cannot be followed"):
            tree[name].compute()


class Liar(MemoryFileSystem):  # type: ignore[misc, valid-type]
    """A server that gives other bytes than asked for."""

    protocol = "liar"
    lie: Any = None

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("liar://", "memory://")))

    def cat_ranges(self, paths: Any, starts: Any, ends: Any, **options: Any) -> Any:
        honest = super().cat_ranges(paths, starts, ends, **options)
        return honest if Liar.lie is None else [Liar.lie(part) for part in honest]


@pytest.fixture
def liar(scan: tuple[str, Path], memory: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    fsspec.register_implementation("liar", Liar, clobber=True)
    memory.pipe("/scan.h5", scan[1].read_bytes())
    memory.pipe("/other.h5", scan[1].read_bytes())
    monkeypatch.setattr(Liar, "lie", None)
    return "liar://scan.h5"


@pytest.mark.parametrize("lie", [lambda part: part[:-1], lambda part: part + b"x", lambda _: b""])
def test_other_lengths_than_asked_for(liar: str, monkeypatch: pytest.MonkeyPatch, lie: Any) -> None:
    data = usidx.open_main(liar)
    monkeypatch.setattr(Liar, "lie", lie)
    with pytest.raises(RemoteError, match=r"'liar://scan\.h5': asked for \d+ bytes at byte \d+, the server gave \d+"):
        data.compute()
    with pytest.raises(RemoteError, match="the server gave"):
        usidx.open_main("liar://other.h5")


def test_addresses_beyond_the_object(tmp_path: Path, memory: Any) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", data=np.arange(6000.0).reshape(60, 100), chunks=(20, 100))
        place = dataset.id.get_chunk_info(2).byte_offset
        size = dataset.id.get_chunk_info(2).size
    content = (tmp_path / "x.h5").read_bytes()
    stored = remote_array(uploaded(memory, tmp_path / "x.h5"))
    at = content.index(place.to_bytes(8, "little"))
    memory.pipe("/bucket/scan.h5", content[:at] + (len(content) - size + 1).to_bytes(8, "little") + content[at + 8 :])
    with pytest.raises(UsidError, match=r"at \(40, 0\).*it is said to have 16000 bytes at byte \d+ of \d+ in the file"):
        stored.read(slice(None), slice(None))


def test_a_source_asks_for_nothing_where_nothing_is_stored(memory: Any, scan: tuple[str, Path]) -> None:
    source = RemoteSource(find_place(scan[0]).make_connection(), ObjectVersion(100, ()))  # type: ignore[attr-defined]
    assert list(source.split_ranges(np.empty((4, 0), np.int64))) == []
    (found,) = source.connection.fetch_ranges([(5, 5)], source.version)
    assert found == b""
