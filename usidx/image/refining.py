"""Images and about where their atoms are -> elliptic Gaussians fitted to them, neighbours together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError, UsidError
from usidx.image.finding import TITLES, describe_parameter, number_atoms
from usidx.image.kernels.blobs import fill_missing, measure_width
from usidx.image.kernels.ellipses import to_form, to_sigmas, vary_sigmas
from usidx.image.plane import choose_image_dims, read_axes
from usidx.label.blockwise import Output, over
from usidx.label.roles import Dims
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import Axis, refuse_complex

__all__ = ["refine_atoms"]

Array = npt.NDArray[Any]
_LINKED: Final = 4.5  # sigma: atoms as close as this are fitted together
_MOST: Final = 4  # atoms in a group; what is beyond takes turns with it
_REACH: Final = 3.0  # sigma, of a window
_NARROWEST: Final = 1.2  # pixels, of a sigma, for the window
_CROWDED: Final = 4.2  # sigma: who has three neighbours as close as this has no ground of its own
_OTHER: Final = 0.25  # change of sigma, in parts, at which an atom wants another window
_FARTHEST: Final = 3.0  # sigma, from where an atom was said to be
_ROUNDS: Final = 3  # of windows, which follow the sizes that were found


@verb(source="data")
def refine_atoms(
    data: xr.DataArray,
    atoms: xr.Dataset,
    model: Literal["elliptic", "round"] = "elliptic",
    overlap: bool = True,
    *,
    dims: Dims | None = None,
) -> xr.Dataset:
    """Fit a Gaussian to each atom of an image, those close to each other together.

    A lazy array stays lazy. An atom that cannot be fitted is NaN, and not converged.

    Parameters
    ----------
    data : DataArray, dims (*any, *dims)
        Real, on even axes. Pixels that are not finite do not count.
    atoms : Dataset, dims (*any, atom)
        ``y`` and ``x``, in the units of the axes, good to a sigma or so, as :func:`usidx.image.find_atoms` returns;
        further parameters are start values where they are there. NaN where there is no atom. Atoms of one image go
        for each of a stack.
    model : {"elliptic", "round"}
        Ellipses at any angle, or circles.
    overlap : bool
        Fit each atom to the image without all others: those within 4.5 sigma, as the two of a dumbbell, together in
        one fit (four at most), others taken out and all done anew until none moves any more. False is for atoms
        that stand far apart.
    dims : pair of str, optional
        By default the two position dims.

    Returns
    -------
    Dataset, dims (*any, atom)
        ``y``, ``x``, ``sigma_y`` and ``sigma_x`` in the units of the axes; ``amplitude`` and ``background`` in the
        unit of `data`; ``angle`` in radians, of the axis of ``sigma_x`` from that of the columns towards that of the
        lines, between -pi/4 and pi/4; a ``*_stderr`` for each; ``converged``.

    Raises
    ------
    RoleError
        It is not clear which dims are meant.
    ResultError
        The atoms have no ``y`` and ``x`` over ``atom``, or other dims that `data` does not have.
    UnitsError
        An axis is not even.
    UsidError
        The data is complex, or there is no such model.

    Notes
    -----
    Least squares over the pixels within three sigma, by the method of Levenberg and Marquardt with derivatives in
    closed form. Standard errors hold for noise that is white, as large as what the fit leaves. The atoms of a group
    have one background.

    References
    ----------
    M. Nord et al., Adv. Struct. Chem. Imaging 3, 9 (2017), for the model.

    Examples
    --------
    >>> import usidx
    >>> image, truth = usidx.simulate.atoms((64, 64))
    >>> atoms = usidx.image.refine_atoms(image, usidx.image.find_atoms(image))
    >>> bool(atoms.converged.all()), atoms.sigma_x.units
    (True, 'nm')
    """
    refuse_complex(data)
    if model not in ("elliptic", "round"):
        raise UsidError(f"model={model!r}; it should be 'elliptic' or 'round'.")
    core = choose_image_dims(data, dims)
    axes = read_axes(data, core)
    start = _read_start(data, atoms, core)
    own, errors = tuple(TITLES), tuple(f"{name}_stderr" for name in TITLES)
    outputs = {name: Output(dims=("atom",), sizes={"atom": atoms.sizes["atom"]}, dtype=np.float64,
                            attrs=describe_parameter(name, data, axes)) for name in (*own, *errors)}  # fmt: skip
    outputs["converged"] = Output(
        dims=("atom",), sizes={"atom": atoms.sizes["atom"]}, dtype=np.bool_, attrs={"long_name": "Converged"}
    )
    task = _Task(axes, _choose_ratio(axes, model), bool(overlap))
    found = over(
        data.drop_vars("atom", errors="ignore"), core, partial(_refine_all, task=task), outputs, beside=[start]
    )
    numbered = number_atoms(found, atoms.sizes["atom"])
    return add_choices(numbered, dims=list(core))


@dataclass(frozen=True, slots=True)
class _Task:
    """How atoms are fitted: the axes that they are told on, c of a as the kernel wants it, and whether they overlap."""

    axes: tuple[Axis, Axis]
    ratio: float
    overlap: bool


def _choose_ratio(axes: tuple[Axis, Axis], model: str) -> float:
    if model == "elliptic":
        return 0.0
    return float((axes[1].step / axes[0].step) ** 2) if axes[0].unit == axes[1].unit else 1.0


def _read_start(data: xr.DataArray, atoms: xr.Dataset, core: tuple[str, str]) -> xr.DataArray:
    """Return start values, dims (*any, atom, start), NaN where there are none."""
    for name in ("y", "x"):
        if name not in atoms or "atom" not in atoms[name].dims:
            raise ResultError(f"These atoms have no {name!r} over a dim 'atom'. usidx.image.find_atoms gives both.")
    others = {str(d): n for d, n in atoms["y"].sizes.items() if d != "atom"}
    wrong = [d for d, n in others.items() if data.sizes.get(d) != n or d in core]
    if wrong:
        raise ResultError(
            f"The atoms have {others[wrong[0]]} along {wrong[0]!r}, and the images are over {dict(data.sizes)}: "
            f"dims of atoms beside 'atom' should be those of the stack of images."
        )
    bare = atoms[[name for name in TITLES if name in atoms]].drop_vars(list(atoms.coords))
    like = bare["y"].astype(np.float64)
    columns = [bare[name] if name in bare else xr.full_like(like, np.nan) for name in TITLES]
    return xr.concat([c.drop_attrs().astype(np.float64) for c in columns], "start").transpose(*others, "atom", "start")


def _refine_all(block: Array, start: Array, *, task: _Task) -> tuple[Array, ...]:
    """Refine the atoms of each image of a block."""
    other, count = block.shape[:-2], start.shape[-2]
    starts = np.broadcast_to(start, (*other, count, len(TITLES)))
    made = np.full((2 * len(TITLES) + 1, *other, count), np.nan)
    for at in np.ndindex(*other):
        made[(slice(None), *at)] = _refine_image(block[at], starts[at], task)
    return (*made[:-1], made[-1] == 1)


def _refine_image(image: Array, start: Array, task: _Task) -> Array:
    """Return the parameters, their standard errors, and whether they converged, shape (2 x 7 + 1, atom)."""
    made = np.full((2 * len(TITLES) + 1, len(start)), np.nan)
    made[-1] = 0
    steps = np.array([a.step for a in task.axes])
    pixels = (start[:, :2] - np.array([a.first for a in task.axes])) / steps
    inside = np.isfinite(pixels).all(axis=1) & (np.abs(pixels / np.array(image.shape) - 0.5) < 0.6).all(axis=1)
    known = np.flatnonzero(inside)
    if not known.size or not np.isfinite(image).any():
        return made
    # Neighbours in memory are neighbours in the image; and who stands where in the list changes nothing.
    known = known[np.lexsort((pixels[known, 1], pixels[known, 0]))]
    table, crowded = _complete_start(image, pixels[known], start[known], task)
    found, variances, settled = _fit_image(image, table, crowded, task)
    shape = found[:, 3:6] / _list_squares(task.axes)
    sigmas = to_sigmas(shape)
    values = np.concatenate([
        (found[:, 1:3] * steps + np.array([a.first for a in task.axes])).T, found[:, :1].T, sigmas, found[:, 6:].T
    ])  # fmt: skip
    if task.ratio:
        variances[:, 5], variances[:, 7] = task.ratio**2 * variances[:, 3], task.ratio * variances[:, 3]
    plain = np.stack([variances[:, 1] * steps[0] ** 2, variances[:, 2] * steps[1] ** 2, variances[:, 0]])
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(np.concatenate([plain, vary_sigmas(shape, variances[:, 3:9], steps), variances[:, 9:].T]))
        if task.ratio:
            spread[5] = 0
    good = settled & np.isfinite(values).all(axis=0) & _is_where_it_was(image, found, table, spread, values)
    both = np.concatenate([values, spread, np.ones((1, len(known)))])
    made[:, known[good]] = both[:, good]
    return made


def _is_where_it_was(image: Array, found: Array, table: Array, spread: Array, values: Array) -> Array:
    """Say which atoms are on the image, near their start, and known better than by their own width."""
    off, (a, b, c) = found[:, 1:3] - table[:, 1:3], table[:, 3:6].T
    far = a * off[:, 0] ** 2 + 2 * b * off[:, 0] * off[:, 1] + c * off[:, 1] ** 2
    inside = ((found[:, 1:3] > -1) & (found[:, 1:3] < image.shape)).all(axis=1)
    known: Array = inside & (far < _FARTHEST**2) & (spread[0] < values[3]) & (spread[1] < values[4])
    return known


def _list_squares(axes: tuple[Axis, Axis]) -> Array:
    """Return what makes a form in pixels of one in units."""
    steps = axes[0].step, axes[1].step
    return np.array([steps[0] ** 2, steps[0] * steps[1], steps[1] ** 2])


def _complete_start(image: Array, pixels: Array, start: Array, task: _Task) -> tuple[Array, Array]:
    """Return start values as the kernel wants them, those not given read off the image, and whose ground is held."""
    from scipy.ndimage import gaussian_filter, minimum_filter

    steps = np.array([abs(a.step) for a in task.axes])
    widths, angle = start[:, 3:5] / steps, np.nan_to_num(start[:, 5])
    vague = ~(widths > 0).all(axis=1)
    at = tuple(np.clip(np.rint(pixels), 0, np.array(image.shape) - 1).astype(int).T)
    filled = fill_missing(image).astype(np.float64, copy=False)
    if vague.any():
        guess = max(1.0, 0.02 * min(image.shape)), max(1.0, 0.02 * min(image.shape))
        widths[vague] = measure_width(filled, pixels[:, 0], pixels[:, 1], guess)
    height, ground = start[:, 2].copy(), start[:, 6].copy()
    crowded = _find_crowded(pixels, np.sqrt(widths[:, 0] * widths[:, 1]))
    vague = ~(np.isfinite(height) & np.isfinite(ground)) | crowded
    if vague.any():
        middle = np.median(widths, axis=0)
        smooth = gaussian_filter(filled, 0.5 * middle, mode="nearest")
        low = minimum_filter(smooth, tuple(2 * np.ceil(2.5 * middle).astype(int) + 1))[at]
        low[crowded] = np.median(low[crowded]) if crowded.any() else 0
        height[vague], ground[vague] = (smooth[at] - low)[vague], low[vague]
    high, wide = (widths * steps).T
    form = to_form(high, wide, angle) * _list_squares(task.axes)[:, np.newaxis]
    if task.ratio:
        mean = np.sqrt(widths[:, 0] ** 2 * widths[:, 1] ** 2 * task.ratio)
        form = np.stack([1 / mean, 0 * mean, task.ratio / mean])
    return np.column_stack([height, pixels, form.T, ground]), crowded


def _fit_image(image: Array, table: Array, crowded: Array, task: _Task) -> tuple[Array, Array, Array]:
    """Fit all atoms of an image, again with windows of the size that was found where that is another."""
    from usidx.image.kernels.gaussians import fit_groups

    for _ in range(_ROUNDS):
        order, firsts = _group(table) if task.overlap else (np.arange(len(table)), np.arange(len(table) + 1))
        held = np.maximum.reduceat(crowded[order], firsts[:-1])
        found, variances, settled = fit_groups(
            image, table[order], _cut_windows(table[order, 3:6]), firsts, held, ratio=task.ratio, overlap=task.overlap
        )
        back = np.argsort(order)
        found, variances, settled = found[back], variances[back], settled[back]
        with np.errstate(invalid="ignore", divide="ignore"):
            grown = np.log(_measure_sigma(found) / _measure_sigma(table))
            is_clear = settled & (np.sqrt(variances[:, 3]) < 0.2 * found[:, 3])
        others = is_clear & (np.abs(grown) > _OTHER) & ~crowded
        if not others.any():
            break
        table = np.where(others[:, np.newaxis], found, table)
    return found, variances, settled


def _cut_windows(forms: Array) -> Array:
    """Return the form that is 1 on the edge of each window."""
    curvature = 0.5 * (forms[:, 0] + forms[:, 2])
    shrunk = np.minimum(1.0, _NARROWEST**-2 / np.maximum(curvature, 1e-12))
    found: Array = forms / _REACH**2 * shrunk[:, np.newaxis]
    return found


def _measure_sigma(table: Array) -> Array:
    sigma: Array = (table[:, 3] * table[:, 5] - table[:, 4] ** 2) ** -0.25
    return sigma


def _find_crowded(places: Array, sigma: Array) -> Array:
    """Say which atoms have so many neighbours that their tails cannot be told from a ground."""
    from scipy.spatial import cKDTree

    if len(places) < 4:
        return np.zeros(len(places), bool)
    apart = cKDTree(places).query(places, 4)[0][:, 3]
    crowded: Array = apart < _CROWDED * sigma
    return crowded


def _group(table: Array) -> tuple[Array, Array]:
    """Return the atoms in the order of their groups, and where each group begins; the closest join first."""
    from scipy.spatial import cKDTree

    sigma = _measure_sigma(table)
    pairs = cKDTree(table[:, 1:3]).query_pairs(_LINKED * float(sigma.max()), output_type="ndarray")
    apart = np.hypot(*(table[pairs[:, 0], 1:3] - table[pairs[:, 1], 1:3]).T) / (sigma[pairs].mean(axis=1))
    near = np.lexsort((pairs[:, 1], pairs[:, 0], np.round(apart, 6)))
    near = near[apart[near] < _LINKED]
    group = np.arange(len(table))
    members: dict[int, list[int]] = {}
    for i, j in pairs[near].tolist():
        one, other = group[i], group[j]
        mine, theirs = members.get(one, [one]), members.get(other, [other])
        if one != other and len(mine) + len(theirs) <= _MOST:
            members[one] = mine + theirs
            group[theirs] = one
    order = np.argsort(group, kind="stable")
    firsts = np.flatnonzero(np.diff(group[order], prepend=-1, append=len(table) + 1))
    return order, firsts
