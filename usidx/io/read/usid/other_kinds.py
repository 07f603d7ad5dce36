"""An open HDF5 file without main datasets -> which other kind it is, and the call that opens it today."""

from __future__ import annotations

from collections.abc import Iterable

import h5py

from usidx.format.other_formats import OtherFormat, make_own_format
from usidx.io.read.place.open_errors import DAMAGE

__all__ = ["recognize_hdf5"]

_MOST_OBJECTS = 200

_HYPERSPY = make_own_format("a HyperSpy file")
_NSID = make_own_format("an NSID file")
_NEXUS = make_own_format("a NeXus file")
_PY4DSTEM = make_own_format("an EMD file of py4DSTEM")
_EMD = make_own_format("an EMD file")
_NETCDF = OtherFormat("a netCDF file", "xarray.open_dataset({path}, engine='h5netcdf')", "h5netcdf")
_MATLAB = OtherFormat("a MATLAB file of version 7.3", "mat73.loadmat({path})", "mat73")
_PANDAS = OtherFormat("a table of pandas", "pandas.read_hdf({path})", "tables")
_IMARIS = OtherFormat("an Imaris file", "imaris_ims_file_reader.ims({path})", "imaris-ims-file-reader")

# Attributes that mark a format: on the root, or on any group or dataset.
_OF_ROOT = (
    ("_NCProperties", _NETCDF),
    ("ImarisDataSet", _IMARIS),
    ("authoring_program", _PY4DSTEM),
    ("version_major", _EMD),
)
_OF_ANY = (
    ("nsid_version", _NSID),
    ("pyNSID_version", _NSID),
    ("NX_class", _NEXUS),
    ("emd_group_type", _EMD),
    ("MATLAB_class", _MATLAB),
    ("pandas_type", _PANDAS),
)
# Names at the root of the file that only one program writes.
_INSIDE = (
    (("Experiments", "file_format"), _HYPERSPY),
    (("Presentation", "Data", "Version"), _EMD),
    (("Operations", "Data", "Version"), _EMD),
)


def recognize_hdf5(file: h5py.File, paths: Iterable[str]) -> OtherFormat | None:
    """Say which format a file is of that is HDF5 but no USID, by marks on its root or on some of the objects."""
    for marks, known in _INSIDE:
        if all(_has_attribute(file, mark) or _has_link(file, mark) for mark in marks):
            return known
    for mark, known in _OF_ROOT:
        if _has_attribute(file, mark):
            return known
    for path in ["/", *list(paths)[:_MOST_OBJECTS]]:
        for mark, known in _OF_ANY:
            if _has_attribute(file, mark, path):
                return known
    return None


def _has_attribute(file: h5py.File, name: str, path: str = "/") -> bool:
    try:
        return bool(h5py.h5a.exists(file.id, name.encode(), obj_name=path.encode()))
    except DAMAGE:
        return False


def _has_link(file: h5py.File, name: str) -> bool:
    try:
        return bool(file.id.links.exists(name.encode()))
    except DAMAGE:
        return False
