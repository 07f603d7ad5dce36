"""A stored dataset -> whether HDF5 can undo its filters; those of hdf5plugin are brought in where one is needed."""

from __future__ import annotations

import h5py

from usidx.io.disk.raw import import_if_there
from usidx.io.read.chunks.elsewhere import is_made_of_others, refuse_elsewhere

__all__ = ["bring_filters", "describe_missing_filters", "lies_elsewhere"]


def bring_filters(dataset: h5py.Dataset) -> None:
    """Make HDF5 know the filters of a dataset, if hdf5plugin is installed and has them.

    Workers of a cluster never import what the user's own program imports, so this is done where data is read.
    """
    if _list_unknown_filters(dataset):
        import_if_there("hdf5plugin")


def describe_missing_filters(dataset: h5py.Dataset) -> str:
    """Say which filter is missing and what to do, as a sentence; empty where all are there."""
    unknown = _list_unknown_filters(dataset)
    if not unknown:
        return ""
    named = " and ".join(f"{name!r} (number {code})" if name else f"number {code}" for code, name in unknown)
    if import_if_there("hdf5plugin") is None:
        return f" It is compressed by the HDF5 filter {named}. Install it with: pip install 'usidx[filters]'"
    return f" It is compressed by the HDF5 filter {named}, which hdf5plugin does not have either."


def _list_unknown_filters(dataset: h5py.Dataset) -> list[tuple[int, str]]:
    """List number and name, as the file gives it, of filters that HDF5 does not know."""
    creation = dataset.id.get_create_plist()
    steps = [creation.get_filter(index) for index in range(creation.get_nfilters())]
    return [
        (int(code), bytes(name).split(b"\0")[0].decode("latin-1").strip())
        for code, _, _, name in steps
        if not h5py.h5z.filter_avail(code)
    ]


def lies_elsewhere(dataset: h5py.Dataset) -> bool:
    """Say whether a dataset of an object behind a URL is made of other files; refuse one of this machine that is.

    HDF5 would look for them on this machine, or take the object itself for them.

    Raises
    ------
    UsidError
        Nobody asked for files that it is made of, or they may not be read.
    """
    # The driver is asked for last: h5py builds an object for the file to tell it.
    if not is_made_of_others(dataset):
        return False
    if dataset.file.driver == "fileobj":
        return not dataset.is_virtual or any(source.file_name != "." for source in dataset.virtual_sources())
    refuse_elsewhere(dataset)
    return False
