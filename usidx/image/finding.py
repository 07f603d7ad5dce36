"""Images -> the atoms in them: about where, how bright."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import UsidError
from usidx.image.kernels.blobs import Width, estimate_width, find_blobs
from usidx.image.plane import choose_image_dims, read_axes, read_pair
from usidx.label.blockwise import Output, over
from usidx.label.roles import Dims
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import Axis, refuse_complex

__all__ = ["TITLES", "describe_parameter", "find_atoms", "number_atoms"]

Array = npt.NDArray[Any]
#: The parameters of an atom, and what they are.
TITLES: Final = {
    "y": "Y", "x": "X", "amplitude": "Amplitude", "sigma_y": "Sigma Y", "sigma_x": "Sigma X", "angle": "Angle",
    "background": "Background",
}  # fmt: skip


@verb()
def find_atoms(
    data: xr.DataArray,
    *,
    sigma: float | tuple[float, float] | None = None,
    threshold: float | Literal["noise"] = "noise",
    n: int | None = None,
    dims: Dims | None = None,
) -> xr.Dataset:
    """Find the bright spots of an image: atoms, columns of atoms, particles, molecules.

    Places are good to about a tenth of a pixel; :func:`usidx.image.refine_atoms` makes the best of them. A lazy array
    stays lazy where `sigma` and `n` are given; else the first image is read for the width, and all are read once for
    the most atoms that one of them has.

    Parameters
    ----------
    data : DataArray, dims (*any, *dims)
        Real, on even axes. Dark atoms are found in ``-data``. Pixels that are not finite are no atoms.
    sigma : float or pair of float, optional
        Standard deviation of an atom's brightness, in the unit of the axes. By default it is estimated from the first
        image, from all atoms together.
    threshold : float or "noise"
        How bright an atom is above its surroundings, at least, in the unit of `data`; ``"noise"``: five standard
        deviations of the noise of an image, and a tenth of its brighter atoms.
    n : int, optional
        Most atoms of an image: the brightest are kept. By default all.
    dims : pair of str, optional
        By default the two position dims.

    Returns
    -------
    Dataset, dims (*any, atom)
        In the order of the lines, NaN where an image has fewer atoms: ``y`` and ``x`` in the units of the axes;
        ``amplitude`` and ``background`` in the unit of `data`; ``sigma_y``, ``sigma_x`` and ``angle``, all alike.

    Raises
    ------
    RoleError
        It is not clear which dims are meant.
    UnitsError
        An axis is not even.
    UsidError
        The data is complex, an option is not as above, or nothing in the first image looks like an atom.

    Notes
    -----
    Atoms are maxima of the Laplacian of the Gaussian-smoothed image, at the scale of the atoms, or a finer one where
    they stand far out of the noise: two that are two and a half sigma apart are told from each other then. An atom
    whose brightest pixel is the outermost of the image is not counted.

    Examples
    --------
    >>> import usidx
    >>> image, truth = usidx.simulate.atoms((64, 64))
    >>> found = usidx.image.find_atoms(image)
    >>> found.sizes["atom"] == truth.sizes["atom"], found.y.units
    (True, 'nm')
    """
    refuse_complex(data)
    core = choose_image_dims(data, dims)
    axes = read_axes(data, core)
    width = _choose_width(data, axes, sigma)
    find = partial(_find, width=width, threshold=_read_threshold(threshold))
    if n is None:
        counts = over(data, core, partial(_count, find=find), Output(dims=(), dtype=np.int64))
        n = max(1, int(counts.max())) if counts.size else 1
    if not isinstance(n, int | np.integer) or n < 1:
        raise UsidError(f"n={n!r}; it should be a number of atoms, 1 or more.")
    outputs = {p: Output(dims=("atom",), sizes={"atom": int(n)}, dtype=np.float64,
                         attrs=describe_parameter(p, data, axes)) for p in TITLES}  # fmt: skip
    bare = data.drop_vars("atom", errors="ignore")  # it may have come from an atom that the image was cut around
    found = over(bare, core, partial(_measure, find=find, n=int(n), width=width, axes=axes), outputs)
    used = [w * abs(a.step) for w, a in zip(width, axes, strict=True)]
    return add_choices(number_atoms(found, int(n)), dims=list(core), sigma=used)


def number_atoms(found: xr.Dataset, n: int) -> xr.Dataset:
    """Count the atoms, which come last."""
    return found.transpose(..., "atom").assign_coords(atom=("atom", np.arange(n), {"long_name": "Atom"}))


def describe_parameter(name: str, data: xr.DataArray, axes: tuple[Axis, Axis]) -> dict[str, str]:
    """Return the attributes of a parameter of atoms."""
    own = data.attrs.get("units") if isinstance(data.attrs.get("units"), str) else None
    plain = name.removesuffix("_stderr")
    unit = {"angle": "rad", "amplitude": own, "background": own}.get(plain, axes[plain.endswith("x")].unit)
    title = f"Standard Error of {TITLES[plain]}" if plain != name else TITLES[plain]
    return {"long_name": title} | ({} if unit is None else {"units": unit})


def _read_threshold(threshold: Any) -> float | None:
    if isinstance(threshold, str) and threshold == "noise":
        return None
    if isinstance(threshold, str | bool) or not 0 < float(threshold) < np.inf:
        raise UsidError(f"threshold={threshold!r}; it should be a brightness above 0, or 'noise'.")
    return float(threshold)


def _choose_width(data: xr.DataArray, axes: tuple[Axis, Axis], sigma: Any) -> Width:
    """Return the width of the atoms in pixels."""
    if sigma is not None:
        pair = read_pair(sigma, "sigma", least=0)
        if min(pair) <= 0:
            raise UsidError(f"sigma={sigma!r}; it should be more than 0.")
        return pair[0] / abs(axes[0].step), pair[1] / abs(axes[1].step)
    if not data.size:
        return 1.0, 1.0
    first = data.isel({d: 0 for d in data.dims if d not in (axes[0].dim, axes[1].dim)})
    ratio = abs(axes[0].step / axes[1].step) if axes[0].unit == axes[1].unit else 1.0
    image = first.transpose(axes[0].dim, axes[1].dim).values.astype(np.float64)
    return estimate_width(image, ratio, f"{data.name!r}")


def _find(image: Array, *, width: Width, threshold: float | None) -> Any:
    return find_blobs(image, width, threshold)


def _count(block: Array, *, find: Any) -> Array:
    images = block.reshape(-1, *block.shape[-2:])
    return np.array([find(image).y.size for image in images], np.int64).reshape(block.shape[:-2])


def _measure(block: Array, *, find: Any, n: int, width: Width, axes: tuple[Axis, Axis]) -> tuple[Array, ...]:
    images = block.reshape(-1, *block.shape[-2:])
    made = np.full((len(TITLES), len(images), n), np.nan)
    for k, image in enumerate(images):
        found = find(image)
        if found.y.size > n:
            found = found.take(np.sort(np.argsort(-found.height, kind="stable")[:n]))
        high, wide = (w * abs(a.step) for w, a in zip(width, axes, strict=True))
        y, x = axes[0].first + axes[0].step * found.y, axes[1].first + axes[1].step * found.x
        for row, values in enumerate((y, x, found.height, high, wide, 0.0, found.ground)):
            made[row, k, : found.y.size] = values
    return tuple(made.reshape(len(TITLES), *block.shape[:-2], n))
