"""Images of atoms on a strained lattice, with where each atom is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.errors import UsidError
from usidx.label.roles import POSITION, ROLE
from usidx.results.provenance import put_steps
from usidx.simulate.fields import make_coordinate
from usidx.version import usidx_version

__all__ = ["atoms"]

Array = NDArray[np.float64]
_PIXEL: Final = 0.02  # nm
_REACH: Final = 6.0  # sigma, within which an atom is drawn


def atoms(
    shape: tuple[int, int] = (256, 256),
    *,
    spacing: float = 0.24,
    dumbbell: tuple[float, float] | None = None,
    sigma: tuple[float, float] = (0.04, 0.04),
    angle: float = 0.0,
    rotation: float = 0.0,
    strain: float = 0.0,
    scatter: float = 0.0,
    noise: float = 0.05,
    seed: int = 0,
) -> tuple[xr.DataArray, xr.Dataset]:
    """Simulate an atomically resolved image: elliptic Gaussians on a square lattice, on a flat ground.

    Parameters
    ----------
    shape : tuple of int
        Rows (Y) and columns (X), pixels of 0.02 nm. Half a spacing at the edges stays empty.
    spacing : float
        Of the lattice, in nm.
    dumbbell : pair of float, optional
        From each atom to a second one, 0.8 as bright, along Y and X in nm.
    sigma : pair of float
        Standard deviation along the axes of the ellipse that lie nearest to Y and X, in nm.
    angle : float
        By which the ellipses are turned, from X towards Y, in radians.
    rotation : float
        By which the lattice is turned, in the same sense.
    strain : float
        How much longer the lattice is along X in the right half of the image.
    scatter : float
        Standard deviation of each coordinate of an atom from its site, in nm.
    noise : float
        Standard deviation of white noise; the atoms are 0.8 to 1.2 high.
    seed : int
        Same seed, same image.

    Returns
    -------
    image : DataArray, dims (Y, X)
        Intensity, named ``Raw_Data``.
    truth : Dataset, dims (atom)
        ``y``, ``x``, ``amplitude``, ``sigma_y``, ``sigma_x``, ``angle``, ``background`` of each atom, its ``site``
        (0, and 1 for the second of a dumbbell), and ``strain_xx``.

    Raises
    ------
    UsidError
        A size, the spacing or a sigma is not more than zero.

    Examples
    --------
    >>> from usidx.simulate import atoms
    >>> image, truth = atoms((64, 64))
    >>> image.dims, truth.y.dims
    (('Y', 'X'), ('atom',))
    """
    if min(*shape, spacing, *sigma) <= 0:
        raise UsidError(f"shape={shape}, spacing={spacing} and sigma={sigma} should be more than zero.")
    rng = np.random.default_rng(seed)
    size = _PIXEL * np.array(shape)
    sites = _place_sites(size, spacing, rotation)
    places = np.concatenate([sites, sites + np.array(dumbbell)]) if dumbbell else sites
    site = np.repeat(np.arange(len(places) // max(len(sites), 1)), len(sites))
    right = places[:, 1] > size[1] / 2
    places[:, 1] += strain * np.maximum(places[:, 1] - size[1] / 2, 0)
    places += scatter * rng.normal(size=places.shape)
    kept = ((places > spacing / 2) & (places < size - spacing / 2)).all(axis=1)
    places, site, right = places[kept], site[kept], right[kept]
    height = rng.uniform(0.8, 1.2, len(places)) * np.where(site == 1, 0.8, 1.0)
    values = _draw(shape, places / _PIXEL, height, np.array(sigma) / _PIXEL, angle)
    values += 0.2 + noise * rng.normal(size=shape)
    coords = {d: make_coordinate(d, _PIXEL * np.arange(n), role=POSITION, long_name=d, units="nm")
              for d, n in zip("YX", shape, strict=True)}  # fmt: skip
    image = xr.DataArray(values, coords, ("Y", "X"), "Raw_Data", {"long_name": "Intensity", "units": "a.u."})
    told = {"y": places[:, 0], "x": places[:, 1], "amplitude": height, "sigma_y": sigma[0], "sigma_x": sigma[1],
            "angle": angle, "background": 0.2, "site": site, "strain_xx": strain * right}  # fmt: skip
    options = {"shape": list(shape), "spacing": spacing, "dumbbell": dumbbell and list(dumbbell),
               "sigma": list(sigma), "angle": angle, "rotation": rotation, "strain": strain, "scatter": scatter,
               "noise": noise, "seed": seed}  # fmt: skip
    step = {"tool": "simulate.atoms", "version": usidx_version(), "parameters": options}
    return put_steps(image, [step]), _label_truth(told, len(places))


def _place_sites(size: Array, spacing: float, rotation: float) -> Array:
    """Return the sites of a lattice that covers the image and more, by its middle."""
    count = int(np.hypot(*size) / spacing) + 2
    steps = spacing * np.arange(-count, count + 1)
    y, x = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    sine, cosine = np.sin(rotation), np.cos(rotation)
    places = np.stack([cosine * y + sine * x, cosine * x - sine * y], axis=1) + size / 2
    return places[((places > -spacing) & (places < size + spacing)).all(axis=1)]


def _draw(shape: Sequence[int], places: Array, height: Array, sigma: Array, angle: float) -> Array:
    image, reach = np.zeros(tuple(shape)), int(np.ceil(_REACH * sigma.max()))
    sine, cosine = np.sin(angle), np.cos(angle)
    for (y, x), high in zip(places, height, strict=True):
        near = tuple(slice(max(round(c) - reach, 0), round(c) + reach + 1) for c in (y, x))
        v, u = (np.arange(n)[part] - c for n, part, c in zip(shape, near, (y, x), strict=True))
        along_x, along_y = cosine * u + sine * v[:, None], cosine * v[:, None] - sine * u
        image[near] += high * np.exp(-0.5 * ((along_x / sigma[1]) ** 2 + (along_y / sigma[0]) ** 2))
    return image


def _label_truth(told: dict[str, Any], count: int) -> xr.Dataset:
    units = {"y": "nm", "x": "nm", "sigma_y": "nm", "sigma_x": "nm", "amplitude": "a.u.", "background": "a.u.",
             "angle": "rad", "strain_xx": ""}  # fmt: skip
    variables = {name: xr.Variable("atom", np.broadcast_to(value, count).copy(),
                                   {"long_name": name.capitalize()} | ({"units": units[name]} if name in units else {}))
                 for name, value in told.items()}  # fmt: skip
    return xr.Dataset(variables, {"atom": ("atom", np.arange(count), {ROLE: POSITION, "long_name": "Atom"})})
