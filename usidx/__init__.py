"""Microscopy data in USID HDF5 files as lazy, labelled xarray objects."""

from usidx import errors
from usidx.label.gridding import to_grid
from usidx.label.roles import position_dims, set_roles, spectroscopic_dims
from usidx.learn.nmf import nmf
from usidx.learn.reconstruct import project, reconstruct
from usidx.learn.svd import pca, svd
from usidx.read.opening import open_dataset, open_main, open_tree
from usidx.read.results import list_results, open_result
from usidx.read.tree import list_mains
from usidx.read.validate import validate
from usidx.results.history import history
from usidx.testing.example import example_file
from usidx.write.results import write

__all__ = [
    "errors",
    "example_file",
    "history",
    "list_mains",
    "list_results",
    "nmf",
    "open_dataset",
    "open_main",
    "open_result",
    "open_tree",
    "pca",
    "position_dims",
    "project",
    "reconstruct",
    "set_roles",
    "spectroscopic_dims",
    "svd",
    "to_grid",
    "validate",
    "write",
]
