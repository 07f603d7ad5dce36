"""Datasets by path -> groups of a netCDF file or of a Zarr store, written by xarray block by block."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import xarray as xr

from usidx.errors import MissingExtraError, UsidError
from usidx.instruments.export.blocks import choose_chunk, make_uniform
from usidx.instruments.export.contents import Contents
from usidx.instruments.export.portable import clean_name, make_portable

__all__ = ["write_netcdf", "write_zarr"]

_NETCDF_CHUNK: Final = 1 << 20
_ZARR_CHUNK: Final = 4 << 20


def write_netcdf(path: Path, contents: Contents, notes: dict[str, Any]) -> None:
    """Write netCDF-4 through h5netcdf.

    Complex numbers become the compound type of ``r`` and ``i`` that netCDF libraries share.
    """
    for number, (group, data) in enumerate(_lay_out(contents, notes).items()):
        encoding = {name: _choose_encoding(variable) for name, variable in data.variables.items()}
        try:
            data.to_netcdf(path, mode="a" if number else "w", group=group or None, engine="h5netcdf", encoding=encoding)
        except _REFUSALS as err:
            raise _explain(err, group, "netCDF") from err


def _choose_encoding(variable: xr.Variable) -> dict[str, Any]:
    if variable.dtype.kind in "OUSMm" or variable.size * variable.dtype.itemsize <= _NETCDF_CHUNK:
        return {}
    # No fill value: cells that hold that number are not missing.
    return {
        "chunksizes": choose_chunk(variable, _NETCDF_CHUNK),
        "zlib": True,
        "complevel": 1,
        "shuffle": True,
    }


def write_zarr(path: Path, contents: Contents, notes: dict[str, Any]) -> None:
    """Write a Zarr store of version 2, which every reader of Zarr knows, with consolidated metadata."""
    try:
        import zarr
    except ImportError as err:
        raise MissingExtraError("zarr", "zarr", "An export to Zarr") from err
    for number, (group, data) in enumerate(_lay_out(contents, notes).items()):
        for name, variable in data.variables.items():
            if variable.chunks is not None:
                data[name].encoding["chunks"] = choose_chunk(variable, _ZARR_CHUNK)
        try:
            data.to_zarr(path, mode="a" if number else "w", group=group or None, consolidated=False, zarr_format=2)
        except _REFUSALS as err:
            raise _explain(err, group, "Zarr") from err
    zarr.consolidate_metadata(path)


#: What xarray raises over types that a format does not have.
_REFUSALS: Final = (TypeError, ValueError, NotImplementedError)


def _explain(err: Exception, group: str, kind: str) -> UsidError:
    """Return an error that says what could not be written, and xarray's reason."""
    return err if isinstance(err, UsidError) else UsidError(f"{f'/{group}'!r} cannot be written as {kind}: {err}")


def _lay_out(contents: Contents, notes: dict[str, Any]) -> dict[str, xr.Dataset]:
    """Return what each group is to hold; what was named, or is the only data of a file, stands at the root."""
    leaves = contents.leaves
    top = contents.alone if contents.is_part or len(leaves) == 1 else None
    laid: dict[str, xr.Dataset] = {"": xr.Dataset()}
    for name, node in contents.nodes.items():
        clean = make_portable(node)
        for variable in (array.variable for array in clean.data_vars.values() if array.chunks):
            variable.data = make_uniform(variable).data
        group = "" if name in {top, "/"} else "/".join(clean_name(part) for part in name.split("/") if part)
        known = laid.get(group, xr.Dataset())
        laid[group] = clean.assign_attrs({**known.attrs, **clean.attrs})
    laid[""] = laid[""].assign_attrs(notes)
    return laid
