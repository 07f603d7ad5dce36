"""Microscopy data in USID HDF5 files as lazy, labelled xarray objects."""

from usidx import errors
from usidx.label.roles import set_roles

__all__ = ["errors", "set_roles"]
