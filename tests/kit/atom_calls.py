"""Calls of the verbs on atoms, and of what cleans their images."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

import usidx
from tests.kit.calls import Call, opened

__all__ = ["ALIKE", "CALLS", "make_sources"]


def make_sources() -> dict[str, xr.DataArray]:
    """Return the arrays that are written to files, by name: here an image of atoms."""
    return {"atomic": usidx.simulate.atoms((60, 60))[0]}


atomic = partial(opened, "atomic")


def found(folder: Path) -> Any:
    return atomic(folder).usid.image.find_atoms(sigma=0.04)


def _find(data: xr.DataArray, sigma: float = 0.04) -> xr.Dataset:
    return usidx.image.find_atoms(data.compute(), sigma=sigma)


def _move(atoms: xr.Dataset, factor: float = 1.01) -> xr.Dataset:
    return atoms.compute().assign(y=factor * atoms.y)


def _lattice(atoms: xr.Dataset, factor: float = 1.0) -> xr.Dataset:
    return usidx.image.lattice(_move(atoms, factor))


CALLS = [
    Call("image.find_atoms", atomic, {}, {"sigma": 0.05, "threshold": 0.5, "n": 3, "dims": ("X", "Y")}),
    Call("image.refine_atoms", atomic, {"atoms": partial(_find)}, {
        "atoms": partial(_find, sigma=0.05), "model": "round", "overlap": False, "dims": ("X", "Y"),
    }),
    Call("image.neighbours", found, {"n": 2}, {"n": 3}),
    Call("image.lattice", found),
    Call("image.strain", found, {"lattice": partial(_lattice)}, {
        "lattice": partial(_lattice, factor=1.02), "reach": 1,
    }),
    Call("image.displacements", found, {"other": partial(_move)}, {"other": partial(_move, factor=1.02), "n": 2}),
    Call("image.denoise_patches", atomic, {"size": 8}, {
        "size": 7, "n": 3, "step": 2, "dims": ("X", "Y"), "sigma": 0.1,
    }),
]  # fmt: skip
#: Parameters that have no other value beside what is given, with the reason.
ALIKE: Mapping[tuple[str, str], str] = {}
