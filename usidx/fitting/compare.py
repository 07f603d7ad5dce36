"""Fits of several models to the same data -> which model describes each spectrum best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError, SelectionError
from usidx.fitting.content import refuse_other_content
from usidx.fitting.evaluate import fit_step_of
from usidx.fitting.results import find_variable, pick_variable
from usidx.fitting.solver.counts import POISSON
from usidx.label.alignment import align_like
from usidx.label.blockwise import Output, along
from usidx.results.provenance import Step
from usidx.results.verbs import add_choices, verb

__all__ = ["compare"]

Array = npt.NDArray[np.float64]
_CRITERIA: Final = ("aic", "bic")
_LIKELIHOODS: Final = ("linear", POISSON)  # the losses whose chi2 is a likelihood


@verb()
def compare(
    result: xr.Dataset,
    *others: xr.Dataset,
    criterion: str = "bic",
    corrected: bool = False,
    names: Sequence[str] | None = None,
) -> xr.Dataset:
    """Compare fits of the same data by the criteria of Akaike and Schwarz, spectrum by spectrum.

    Lazy results stay lazy. Spectra are paired by their labels, or by position along dims that have none. Where a fit
    failed its criteria are NaN, and it is not the best; where fits rest on different samples, nothing is comparable
    and all are.

    Parameters
    ----------
    result, *others : Dataset
        What `fit` returned for the same data with different models (or bounds, or ties).
    criterion : {"bic", "aic"}
        Which says what is ``best``.
    corrected : bool
        Whether ``aic`` is that for few samples (AICc).
    names : sequence of str, optional
        Coordinate of the dim ``model``; by default the names of the models.

    Returns
    -------
    Dataset
        ``aic`` and ``bic`` (*any, model), of which lower is better and only differences mean something; ``best``
        (*any), the position along ``model`` of the lowest, -1 where there is none.

    Raises
    ------
    ResultError
        Fewer than two fits, one that is no fit, fits of different data or with different weights, spectra that one of
        them lacks, or a robust loss, whose chi2 is no likelihood.
    SelectionError
        There is no such criterion, or `names` are not one for each fit.

    See Also
    --------
    fit : Fit a model to each spectrum.

    Notes
    -----
    With N numbers fitted (a complex sample is two) and k free parameters, for Gaussian noise of unknown variance
    AIC = N ln(chi2 / N) + 2k and BIC = N ln(chi2 / N) + k ln N. Where all fits have ``absolute_sigma``, or the loss
    of Poisson, chi2 stands in place of the first summand. AICc adds 2K(K + 1) / (N - K - 1), in which the variance,
    where unknown, is one more parameter: K = k + 1.

    References
    ----------
    H. Akaike, IEEE Trans. Autom. Control 19, 716 (1974); G. Schwarz, Ann. Statist. 6, 461 (1978); C. M. Hurvich and
    C.-L. Tsai, Biometrika 76, 297 (1989).

    Examples
    --------
    >>> import usidx, xarray as xr
    >>> line = xr.DataArray([0.1, 0.9, 2.1, 3.0, 3.9], dims="x")
    >>> fits = [usidx.fit(line, model) for model in (usidx.models.Constant(), usidx.models.Linear())]
    >>> found = usidx.compare(*fits)
    >>> found.model.values[found.best.item()].item()
    'Linear'
    """
    results = (result, *others)
    if criterion not in _CRITERIA:
        raise SelectionError(f"No criterion {criterion!r}; choose one of {_CRITERIA}.")
    if len(results) < 2:
        raise ResultError("One fit alone cannot be compared. Pass the fits of two or more models.")
    steps = [fit_step_of(r) for r in results]
    _check(results, steps)
    results = (result, *(_align(r, s, result, steps[0]) for r, s in zip(others, steps[1:], strict=True)))
    labels = _labels(steps, names)
    told = steps[0]["parameters"]
    absolute = bool(told.get("absolute_sigma")) or told.get("loss") == POISSON
    free = [_free(r, s) for r, s in zip(results, steps, strict=True)]
    chi2 = _stacked([pick_variable(r, "chi2") for r in results])
    sizes = _stacked([_numbers(r, s, k) for r, s, k in zip(results, steps, free, strict=True)])
    kernel = partial(_criteria, free=np.array(free), absolute=absolute, corrected=corrected, by=criterion)
    outputs = _outputs(labels, criterion, corrected=corrected)
    found = along(chi2, "model", kernel, outputs, beside=[sizes]).assign_coords(model=("model", labels))
    return add_choices(found, models=labels, other_fits=[s["parameters"] for s in steps[1:]])


def _align(result: xr.Dataset, step: Step, first: xr.Dataset, first_step: Step) -> xr.Dataset:
    """Return a fit with its spectra in the order of the first one's, once it is of the same data."""
    aligned = align_like(
        result, pick_variable(first, "chi2"), what=f"the fit {_title(step)!r}", other=f"{_title(first_step)!r}"
    )
    refuse_other_content(first, first_step, aligned, step)
    return aligned


def _check(results: Sequence[xr.Dataset], steps: Sequence[Step]) -> None:
    """Refuse fits whose figures do not compare."""
    for result, step in zip(results, steps, strict=True):
        loss = step["parameters"].get("loss", "linear")
        if loss not in _LIKELIHOODS:
            raise ResultError(
                f"The fit {_title(step)!r} has loss={loss!r}; chi2 compares fits with loss='linear' only."
            )
        if find_variable(result, "chi2") is None:
            raise ResultError(f"The fit {_title(step)!r} lacks 'chi2'; it has {tuple(result.data_vars)}.")
        for place, key in (("input", "name"), ("input", "dims"), ("input", "dtype"), ("parameters", "dim")):
            _check_same(
                steps[0][place].get(key), step[place].get(key), f"{key} of the data" if place == "input" else key
            )
        for key in ("loss", "sigma", "absolute_sigma"):
            _check_same(steps[0]["parameters"].get(key), step["parameters"].get(key), key)
        if pick_variable(result, "chi2").sizes != pick_variable(results[0], "chi2").sizes:
            first, other = (dict(pick_variable(r, "chi2").sizes) for r in (results[0], result))
            _check_same(first, other, "size of the results")


def _check_same(first: Any, other: Any, what: str) -> None:
    if first != other:
        raise ResultError(
            f"The fits differ in the {what}: {first!r} and {other!r}. Only fits of the same data, with the same "
            f"weights, are comparable."
        )


def _title(step: Step) -> str:
    model = step["parameters"]["model"]
    return str(model.get("name") or model.get("model"))


def _labels(steps: Sequence[Step], names: Sequence[str] | None) -> list[str]:
    if names is not None:
        if len(names) != len(steps) or len(set(names)) != len(names):
            raise SelectionError(f"names: {list(names)!r} are not {len(steps)} different names, one for each fit.")
        return [str(n) for n in names]
    titles = [_title(s) for s in steps]
    counts, seen = Counter(titles), Counter[str]()
    labels = []
    for title in titles:
        seen[title] += 1
        labels.append(f"{title} {seen[title]}" if counts[title] > 1 else title)
    return labels


def _free(result: xr.Dataset, step: Step) -> int:
    """Return the number of parameters that were fitted."""
    given = step["parameters"]
    held = {*(given.get("fixed") or {}), *(given.get("tied") or {})}
    names = {str(n).removesuffix("_stderr") for n in result.data_vars if str(n).endswith("_stderr")}
    return len(names - held)


def _numbers(result: xr.Dataset, step: Step, free: int) -> xr.DataArray:
    """Return how many numbers each fit rests on."""
    if find_variable(result, "samples") is not None:
        parts = 2 if np.dtype(step["input"]["dtype"]).kind == "c" else 1
        return pick_variable(result, "samples") * float(parts)
    if "redchi" not in result:
        raise ResultError(f"The fit {_title(step)!r} has neither 'samples' nor 'redchi', so N is not known.")
    # Results of earlier versions: chi2 / redchi are the degrees of freedom.
    freedom: xr.DataArray = pick_variable(result, "chi2") / pick_variable(result, "redchi")
    return freedom.round() + float(free)


def _stacked(figures: Sequence[xr.DataArray]) -> xr.DataArray:
    """Put one figure of all fits side by side, all in one order of spectra; the coordinates are the first fit's."""
    joined = xr.concat([xr.DataArray(f.variable) for f in figures], dim="model").transpose(..., "model")
    return joined.assign_coords(figures[0].coords.to_dataset().drop_vars("model", errors="ignore").coords)


def _criteria(chi2: Array, sizes: Array, free: Array, *, absolute: bool, corrected: bool, by: str) -> tuple[Any, ...]:
    """Return AIC and BIC (..., model), and the place of the lowest of one of them (...)."""
    with np.errstate(all="ignore"):
        misfit = chi2 if absolute else sizes * np.log(chi2 / sizes)
        aic, bic = misfit + 2.0 * free, misfit + free * np.log(sizes)
        if corrected:
            counted = free + (0.0 if absolute else 1.0)
            left = sizes - counted - 1.0
            aic = aic + np.where(left > 0.0, 2.0 * counted * (counted + 1.0) / left, np.nan)
    fitted = np.where(np.isnan(chi2), np.nan, sizes)
    low, high = (f(np.nan_to_num(fitted, nan=fill), axis=-1) for f, fill in ((np.min, np.inf), (np.max, -np.inf)))
    differ = (low < high)[..., None]
    aic, bic = np.where(differ, np.nan, aic), np.where(differ, np.nan, bic)
    return aic, bic, _lowest(bic if by == "bic" else aic)


def _outputs(labels: list[str], criterion: str, *, corrected: bool) -> dict[str, Output]:
    title = "Akaike's Information Criterion" + (", Corrected for Few Samples" if corrected else "")
    flags = {
        "flag_values": np.arange(len(labels), dtype=np.int8),
        "flag_meanings": " ".join(n.replace(" ", "_") for n in labels),
    }
    best = {"long_name": f"Model with the Lowest {criterion.upper()}", **flags}
    return {
        "aic": Output(attrs={"long_name": title, "units": ""}),
        "bic": Output(attrs={"long_name": "Schwarz's Bayesian Information Criterion", "units": ""}),
        "best": Output(dims=(), dtype=np.int8, attrs=best),
    }


def _lowest(criterion: Array) -> npt.NDArray[np.int8]:
    """Return the place of the lowest value along the last axis, -1 where all are NaN."""
    lowest = np.argmin(np.where(np.isnan(criterion), np.inf, criterion), axis=-1)
    return np.where(np.isnan(criterion).all(axis=-1), -1, lowest).astype(np.int8)
