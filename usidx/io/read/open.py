"""A path -> a labelled array, a Dataset or a tree; everything lazy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from typing import Any
from uuid import uuid4

import xarray as xr
from dask.base import tokenize
from xarray.core import indexing

from usidx.io.read.backend import open_main_node, open_node, open_nodes
from usidx.io.read.place.place import FilePath, Options, Place, find_place
from usidx.io.read.tree import build_tree
from usidx.io.read.usid.datasets import choose_field
from usidx.results.provenance import PROVENANCE, parse_steps, remove_seals

__all__ = ["Chunks", "open_at", "open_dataset", "open_main", "open_tree"]

#: As xarray takes them: {} for usidx's own block sizes, a mapping per dim, "auto", an int, None for no dask.
Chunks = Mapping[str, Any] | int | str | None
# Dask keeps what it knows of each block in memory; a shape that asks for more claims tens of TB.
_MOST_BLOCKS = 1_000_000


def open_main(
    path: FilePath,
    main: str | None = None,
    *,
    field: str | None = None,
    chunks: Chunks = {},  # noqa: B006 - xarray's own spelling of "the file's block sizes"; never modified
    squeeze: bool = True,
    partial: bool = False,
    storage_options: Options = None,
    external: bool = False,
) -> xr.DataArray:
    """Open a main dataset as one labelled array.

    Only the four ancillary matrices are read; the data stays in the file until it is asked for. Rows are placed by
    their indices: complete grids in any order of acquisition become N-D; rows that fill no grid (sparse, spiral,
    aborted) keep one dim ``position`` (see :func:`usidx.to_grid`).

    Parameters
    ----------
    path : path or URL
        A USID file; on S3, HTTP or another file system of fsspec by its URL (extra ``remote``).
    main : str, optional
        HDF5 path of the main dataset, or an end of it that no other measurement shares. Not needed where the file
        has one measurement; results beside it do not count.
    field : str, optional
        Field of a compound dataset, with or without its unit.
    chunks : mapping, int, "auto" or None, default {}
        Dask blocks. ``{}`` takes blocks of tens of MB that fit how the file is stored; None gives an array that is
        read whole when it is used.
    squeeze : bool, default True
        Make dims of size 1 scalar coordinates.
    partial : bool, default False
        Open as much as there is of a scan that was stopped, where the tables are longer or shorter than the data: the
        positions (and steps) that all of them have. By default that is an error.
    storage_options : mapping, optional
        What fsspec needs to reach a URL: keys, endpoints. Kept out of attributes, provenance and messages.
    external : bool, default False
        Read other files that this one takes data from (external storage, virtual datasets, links): those in its folder
        and below, and no others. By default they are refused, as a stranger's file may name any file of this machine.

    Returns
    -------
    DataArray, dims (*position, *spectroscopic)
        Each side slowest first. Coordinates carry ``usid_role`` and ``units``; ``long_name`` is the quantity.

    Raises
    ------
    MissingFileError
        There is no such file.
    SelectionError
        The name matches nothing or more than one main dataset, or a compound dataset needs `field`.
    NotMainError, LayoutError, GridError
        The dataset breaks a rule of the format; the message says which.
    RemoteError, MissingExtraError
        The object behind a URL cannot be reached, or a package for such URLs is not installed.

    References
    ----------
    USID, https://pycroscopy.github.io/USID/usid_model.html

    Examples
    --------
    >>> import usidx
    >>> raw = usidx.open_main(usidx.example_file(), "Raw_Data")
    >>> raw.dims
    ('Y', 'X', 'Frequency')
    """
    place = find_place(path, storage_options, external=external)
    holder, name, data = open_main_node(place, main, squeeze=squeeze, partial=partial)
    return choose_field(_cut_into_blocks(data, chunks, holder), name, field)


def open_dataset(
    path: FilePath,
    main: str | None = None,
    *,
    chunks: Chunks = {},  # noqa: B006
    squeeze: bool = True,
    storage_options: Options = None,
    external: bool = False,
) -> xr.Dataset:
    """Open a main dataset as a Dataset: one variable, or one per field of a compound type.

    Lazy as :func:`open_main`. Where the path is that of a group, its attributes and its extra datasets are opened.

    Parameters
    ----------
    path : path or URL
        A USID file; on S3, HTTP or another file system of fsspec by its URL (extra ``remote``).
    main : str, optional
        HDF5 path, or an end of it that no other measurement shares. Not needed where the file has one.
    chunks : mapping, int, "auto" or None, default {}
        Dask blocks, as in :func:`open_main`.
    squeeze : bool, default True
        Make dims of size 1 scalar coordinates.
    storage_options : mapping, optional
        What fsspec needs to reach a URL, as in :func:`open_main`.
    external : bool, default False
        Read other files that this one takes data from, as in :func:`open_main`.

    Returns
    -------
    Dataset
        Variables over (*position, *spectroscopic); each field ``Name [unit]`` is a variable with that unit.

    Raises
    ------
    MissingFileError
        There is no such file.
    SelectionError
        The name matches nothing or more than one main dataset.
    NotMainError, LayoutError, GridError
        The dataset breaks a rule of the format; the message says which.

    Examples
    --------
    >>> import usidx
    >>> data = usidx.open_dataset(usidx.example_file())
    >>> list(data.data_vars)
    ['Raw_Data']
    """
    return open_at(find_place(path, storage_options, external=external), main, chunks=chunks, squeeze=squeeze)


def open_at(place: Place, main: str | None, *, chunks: Chunks, squeeze: bool = True) -> xr.Dataset:
    """Open what `open_dataset` opens, where it is known what the path means."""
    # Not through xr.open_dataset, which indexes coordinates that cannot carry an index (repeats, gaps).
    return _cut_into_blocks(open_node(place, main, squeeze=squeeze), chunks, place)


def open_tree(
    path: FilePath,
    *,
    group: str | None = None,
    chunks: Chunks = {},  # noqa: B006
    squeeze: bool = True,
    storage_options: Options = None,
    external: bool = False,
) -> xr.DataTree:
    """Open a file as a tree: a leaf per main dataset at its HDF5 path, a node per group.

    Lazy as :func:`open_main`. Groups carry their attributes and extra datasets. A main dataset that breaks a rule is
    left out with a warning.

    Parameters
    ----------
    path : path or URL
        A USID file; on S3, HTTP or another file system of fsspec by its URL (extra ``remote``).
    group : str, optional
        Open only what lies below this group.
    chunks : mapping, int, "auto" or None, default {}
        Dask blocks, as in :func:`open_main`.
    squeeze : bool, default True
        Make dims of size 1 scalar coordinates.
    storage_options : mapping, optional
        What fsspec needs to reach a URL, as in :func:`open_main`.
    external : bool, default False
        Read other files that this one takes data from, as in :func:`open_main`.

    Returns
    -------
    DataTree
        With the paths of the file.

    Raises
    ------
    MissingFileError
        There is no such file.
    UsidError
        It is not an HDF5 file.

    Examples
    --------
    >>> import usidx
    >>> tree = usidx.open_tree(usidx.example_file())
    >>> tree["Measurement_000/Channel_000/Raw_Data"].Raw_Data.dims
    ('Y', 'X', 'Frequency')
    """
    place = find_place(path, storage_options, external=external)
    nodes = open_nodes(place, group, squeeze=squeeze)
    chunked = {name: _cut_into_blocks(node, chunks, place) for name, node in nodes.items()}
    return build_tree(chunked, name=place.title)


def _cut_into_blocks(data: xr.Dataset, chunks: Chunks, place: Place) -> xr.Dataset:
    """Cut the variables of a dataset that was opened just now into dask blocks; coordinates are small, so they stay."""
    for name in data.data_vars:
        variable = data.variables[name]
        variable.data = _cut_variable(str(name), variable, chunks, place)
    return data


def _cut_variable(name: str, variable: xr.Variable, chunks: Chunks, place: Place) -> Any:
    preferred = variable.encoding.get("preferred_chunks")
    if chunks is None or preferred is None or _count_blocks(variable, preferred) > _MOST_BLOCKS:
        return indexing.MemoryCachedArray(indexing.CopyOnWriteArray(variable._data))  # type: ignore[no-untyped-call]
    if isinstance(chunks, Mapping):
        wanted: Any = {d: chunks.get(str(d), preferred[d]) for d in variable.dims}
    else:
        wanted = dict.fromkeys(variable.dims, chunks)
    # The name tells a graph of plain selections from one that computes (see usidx.results.provenance). It stands for
    # file, dataset, fingerprint, dims and blocks, so that the same work on the same data is known again.
    text = variable.attrs.get(PROVENANCE)
    origin = uuid4().hex if text is None else json.dumps(remove_seals(parse_steps(text)))
    # No mapping: dask of 2025 gives it another token in each process.
    token = tokenize(origin, place.token, name, variable.dims, variable.shape, [*wanted.values()])
    return variable.chunk(wanted, name=f"usid-{name}-{token}").data


def _count_blocks(variable: xr.Variable, blocks: Mapping[Any, int]) -> int:
    return prod(-(-size // max(blocks[dim], 1)) for dim, size in variable.sizes.items())
