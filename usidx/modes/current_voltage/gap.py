"""Differential conductance by bias -> the gap that it shows."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import RoleError, SelectionError, UsidError
from usidx.label.blockwise import Output, along
from usidx.modes.current_voltage.bias import Swept, read_bias, work_by_bias
from usidx.modes.current_voltage.derivative import split_runs
from usidx.modes.current_voltage.edges import Floor, find_crossings, find_edges
from usidx.results.verbs import add_choices, verb

__all__ = ["gap"]

Array = npt.NDArray[np.float64]
_EDGES: Final = ("extrapolated", "threshold")


@verb()
def gap(
    data: xr.DataArray,
    dim: str | None = None,
    *,
    coordinate: str | None = None,
    threshold: float | None = None,
    inside: tuple[float, float] | None = None,
    edges: str | None = None,
    sigmas: float = 5.0,
    stays: int = 3,
    center: float = 0.0,
) -> xr.Dataset:
    """Find the gap of a semiconductor or superconductor in its differential conductance, with an error.

    A lazy array stays lazy. From `center` outwards the first sample is looked for that reaches the threshold, as do
    those after it. Where the noise within the gap is known (`inside`) a line through the samples from there on is
    extended down to the floor, so that the edge does not depend on the noise; where peaks stand at both edges, as in
    superconductors, these are where the conductance reaches 85 % of them. A conductance that reaches the threshold at
    `center` has no gap, 0. Where a side never reaches it, or a missing sample leaves it open, edge and gap are NaN.

    Parameters
    ----------
    data : DataArray, dims (*any, Bias)
        Differential conductance, such as :func:`didv` or a lock-in amplifier gives it; one way of the sweep.
    dim : str, optional
        The dim of the bias. By default ``Bias``, or the only spectroscopic one.
    coordinate : str, optional
        The bias along `dim`, as in :func:`didv`.
    threshold : float, optional
        In the units of `data`.
    inside : tuple of float, optional
        (low, high) bias known to lie within the gap: the threshold of each spectrum is then the mean there plus
        `sigmas` standard deviations. Give this or `threshold`.
    edges : {"extrapolated", "threshold"}, optional
        Whether an edge is the foot of the rise, or lies where the conductance reaches the threshold, by linear
        interpolation. By default the first where `inside` is given, and the second where `threshold` is.
    sigmas : float
        With few of them noise passes for an edge, with many edges that rise weakly are missed.
    stays : int
        How many samples in a row must reach the threshold, so that a spike of noise is no edge.
    center : float
        Bias within the gap.

    Returns
    -------
    Dataset, dims (*any)
        ``gap``, ``valence_edge`` and ``conduction_edge`` in the units of the bias, and the ``threshold`` in those of
        `data`. Extrapolated edges also have ``gap_stderr``, ``valence_edge_stderr`` and ``conduction_edge_stderr``.

    Raises
    ------
    RoleError, UnitsError
        As in :func:`didv`; also a bias that turns round.
    SelectionError
        Not one of `threshold` and `inside` is given, fewer than two samples lie inside, or edges are to be extrapolated
        without `inside`; or as in :func:`didv`.
    UsidError
        The data is not real, or `stays` is below one.

    Notes
    -----
    The line is drawn through the samples that are up to six times as far above the floor as the threshold is, eight of
    them at least; where the rise is bent, its foot is that of this part. Standard errors are those of the line, from
    the scatter about it, and of the floor. An edge that is steeper than three samples lies at the threshold, its error
    that of a place between two samples. The smoothing of :func:`didv` rounds the foot off.

    Peaks count where both sides have one, as far from `center` within a tenth; what follows is lower by a quarter
    of the height, and the upper half of the rise is shorter than half the distance from `center`. Heat smears a
    peak (E - gap)^(-1/2), sharp without it, such that at the gap 0.852 of its height is left, whatever the
    temperature, as long as that is small beside the gap. For lifetimes and high temperatures fit a model of them.

    The bias is that between tip and sample: a gap in eV is smaller by what bends the bands. From edge to edge the gap
    of a superconductor is twice its energy gap.

    References
    ----------
    The noise floor within the gap as the threshold: Nature Physics (2025), doi:10.1038/s41567-025-02917-6, extended
    data figure 4. Linear extrapolation of band edges: R. M. Feenstra, Phys. Rev. B 50, 4561 (1994). Thermal smearing:
    M. Tinkham, Introduction to Superconductivity (1996), section 3.8.

    Examples
    --------
    >>> import usidx
    >>> curves, truth = usidx.simulate.current_voltage((4, 4), 201, noise=1e-4)
    >>> found = usidx.gap(usidx.didv(curves), inside=(-0.3, 0.3))
    >>> found.gap.units, bool((abs(found.gap - truth.gap) < 0.1).all())
    ('V', True)
    """
    swept = read_bias(data, dim, coordinate)
    _check_one_way(swept)
    if stays < 1:
        raise UsidError(f"stays={stays}; give how many samples in a row must reach the threshold, 1 or more.")
    way = _choose_edges(edges, threshold, inside)
    _check_inside(swept, inside)
    work = partial(
        _find_gap, center=center, threshold=threshold, inside=inside, sigmas=sigmas, stays=stays, way=way
    )  # fmt: skip
    outputs = _declare_outputs(data, swept, way)
    found = along(data, swept.dim, partial(work_by_bias, work=work), outputs, beside=[swept.bias])
    return add_choices(found, dim=swept.dim, edges=way)


def _check_one_way(swept: Swept) -> None:
    for bias in swept.list_distinct():
        if len(runs := split_runs(bias)) > 1 or np.ptp(bias) == 0:
            raise RoleError(
                f"The bias along {swept.dim!r} turns round or stands still; select one way of the sweep first, such as "
                f"data.isel({swept.dim}=slice(0, {runs[0].samples.size}))."
            )


def _choose_edges(edges: str | None, threshold: float | None, inside: tuple[float, float] | None) -> str:
    if (threshold is None) == (inside is None):
        raise SelectionError(
            f"threshold={threshold!r} and inside={inside!r}: give one of the two, the conductance that counts as "
            f"an edge or a range of bias within the gap."
        )
    way = edges or ("threshold" if inside is None else "extrapolated")
    if way not in _EDGES:
        raise SelectionError(f"No edges {edges!r}; choose one of {_EDGES}.")
    if way == "extrapolated" and inside is None:
        raise SelectionError(
            "edges='extrapolated' lead down to the floor of the gap: give inside= in place of threshold=."
        )
    return way


def _check_inside(swept: Swept, inside: tuple[float, float] | None) -> None:
    for bias in swept.list_distinct() if inside is not None else ():
        if (count := int(_lies_inside(bias, inside).sum())) < 2:
            raise SelectionError(f"inside={inside!r}: {count} samples of the bias lie there; give a wider range.")


def _lies_inside(bias: Array, inside: tuple[float, float] | None) -> npt.NDArray[np.bool_]:
    low, high = (0.0, 0.0) if inside is None else (min(inside), max(inside))
    return (bias >= low) & (bias <= high)


def _declare_outputs(data: xr.DataArray, swept: Swept, way: str) -> dict[str, Output]:
    of_bias = {} if swept.units is None else {"units": swept.units}
    of_data = {k: v for k, v in data.attrs.items() if k == "units"}
    titles = {"gap": "Band Gap", "valence_edge": "Valence Band Edge", "conduction_edge": "Conduction Band Edge"}
    attrs: dict[str, dict[str, Any]] = {name: {"long_name": title} | of_bias for name, title in titles.items()}
    attrs["threshold"] = {"long_name": "Threshold"} | of_data
    if way == "extrapolated":
        attrs |= {f"{n}_stderr": {"long_name": f"Standard Error of {t}"} | of_bias for n, t in titles.items()}
    return {name: Output(dims=(), dtype=np.float64, attrs=own) for name, own in attrs.items()}


def _find_gap(
    spectra: npt.NDArray[Any],
    bias: Array,
    *,
    center: float,
    threshold: float | None,
    inside: tuple[float, float] | None,
    sigmas: float,
    stays: int,
    way: str,
) -> tuple[Array, ...]:
    """Return gap, both edges and the threshold of each spectrum, and errors where edges are extrapolated."""
    shape, rows = spectra.shape[:-1], spectra.reshape(-1, spectra.shape[-1]).astype(np.float64)
    floor = _measure_floor(rows, _lies_inside(bias, inside), threshold, sigmas)
    order = np.argsort(bias, kind="stable")
    sides = [order[bias[order] <= center][::-1], order[bias[order] >= center]]
    below, above = ((rows[:, side], np.abs(bias[side] - center)) for side in sides)
    if way == "threshold":
        nothing = np.zeros(len(rows))
        left, right = ((find_crossings(*side, floor.limit, stays)[0], nothing) for side in (below, above))
    else:
        left, right = find_edges(below, above, floor, stays)
    low, high, low_error, high_error = center - left[0], center + right[0], left[1], right[1]
    made = [high - low, low, high, floor.limit]
    if way == "extrapolated":
        made += [np.hypot(low_error, high_error), low_error, high_error]
    return tuple(one.reshape(shape) for one in made)


def _measure_floor(rows: Array, within: npt.NDArray[np.bool_], threshold: float | None, sigmas: float) -> Floor:
    if threshold is not None:
        nothing = np.full(len(rows), np.nan)
        return Floor(nothing, nothing, 0, np.full(len(rows), threshold, dtype=np.float64))
    inner = np.ascontiguousarray(rows[:, within])
    mean, noise = inner.mean(axis=1), inner.std(axis=1)
    return Floor(mean, noise, inner.shape[1], mean + sigmas * noise)
