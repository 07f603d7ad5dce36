"""A reference store -> a repository of Icechunk: the same references, with versions, in Zarr of version 3."""

from __future__ import annotations

import base64
import json
import warnings
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from usidx.errors import MissingExtraError

__all__ = ["write_icechunk"]


def write_icechunk(path: Path, references: Mapping[str, Any]) -> None:
    """Write a repository whose chunks are ranges of the file that is referred to.

    Parameters
    ----------
    path : Path
        The folder to make.
    references : mapping of str to text or [URL, offset, length]
        As :func:`usidx.instruments.export.kerchunk.make_references` makes them.

    Raises
    ------
    MissingExtraError
        Icechunk is not installed.
    """
    try:
        import icechunk
        import zarr
    except ImportError as err:
        raise MissingExtraError("icechunk", "icechunk", "An export to Icechunk") from err
    repository = _make_repository(icechunk, path, {one[0] for one in references.values() if isinstance(one, list)})
    session = repository.writable_session("main")
    for key in sorted(references):
        folder = key.rpartition("/")[0]
        attrs = json.loads(references.get(f"{folder}/.zattrs" if folder else ".zattrs", "{}"))
        if key.endswith(".zgroup"):
            zarr.open_group(session.store, path=folder, mode="a").attrs.update(attrs)
    with warnings.catch_warnings():
        # That filters of HDF5 and texts are not in the standard of Zarr 3: who reads Icechunk by zarr knows them.
        warnings.simplefilter("ignore")
        for key in references:
            if key.endswith(".zarray"):
                _add_array(zarr.create_array, session.store, key.rpartition("/")[0], references)
    session.commit("exported by usidx")


def _make_repository(icechunk: Any, path: Path, urls: set[str]) -> Any:
    """Make a repository that knows the folders of the files; who opens it has to allow them, too."""
    icechunk.set_logs_filter("error")  # nobody else writes to a folder that is not there yet
    config = icechunk.RepositoryConfig.default()
    for folder in sorted({str(PurePosixPath(url.removeprefix("file://")).parent) for url in urls}):
        store = icechunk.local_filesystem_store(folder)
        config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(f"file://{folder.rstrip('/')}/", store))
    made = icechunk.Repository.create(icechunk.local_filesystem_storage(str(path)), config=config)
    made.save_config()
    return made


def _add_array(create_array: Any, store: Any, path: str, references: Mapping[str, Any]) -> None:
    meta, attrs = json.loads(references[f"{path}/.zarray"]), json.loads(references[f"{path}/.zattrs"])
    dims = attrs.pop("_ARRAY_DIMENSIONS")
    chunks = {k.rpartition("/")[2]: v for k, v in references.items() if k.rpartition("/")[0] == path}
    inline = next((text for text in chunks.values() if isinstance(text, str) and text.startswith("base64:")), None)
    dtype = np.dtype(meta["dtype"])
    array = create_array(
        store,
        name=path,
        shape=meta["shape"],
        chunks=meta["chunks"],
        dtype=dtype.newbyteorder("="),
        serializer="auto" if dtype.byteorder != ">" else {"name": "bytes", "configuration": {"endian": "big"}},
        filters=[],
        compressors=[] if inline else _make_codecs([*(meta["filters"] or []), meta["compressor"]]),
        fill_value=float("nan") if meta["fill_value"] == "NaN" else np.zeros((), dtype)[()],
        attributes=attrs,
        dimension_names=dims,
    )
    if inline is not None:
        content = zlib.decompress(base64.b64decode(inline.removeprefix("base64:")))
        array[...] = np.frombuffer(content, dtype).reshape(meta["shape"])
    for key, place in chunks.items():
        if isinstance(place, list):
            url, offset, length = place
            parts = key.split(".") if meta["shape"] else []
            store.set_virtual_ref("/".join([path, "c", *parts]), url, offset=offset, length=length)


def _make_codecs(filters: Iterable[Mapping[str, Any] | None]) -> list[Any]:
    """Return filters of Zarr 2, which HDF5 has too, as codecs of Zarr 3."""
    from zarr.codecs import numcodecs

    kinds = {"zlib": numcodecs.Zlib, "shuffle": numcodecs.Shuffle, "fletcher32": numcodecs.Fletcher32}
    return [kinds[one["id"]](**{k: v for k, v in one.items() if k != "id"}) for one in filters if one]
