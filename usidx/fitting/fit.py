"""Labelled array and model -> Dataset of fitted parameters, one fit for each spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import xarray as xr

from usidx.fitting.arguments import (
    check_bounds,
    check_choices,
    check_counts,
    check_free_names,
    check_kinds,
    check_names,
    check_numbers,
    check_start,
    check_tied,
    choose_scale,
    split_bounds,
)
from usidx.fitting.axes import check_dtype, sweep_of
from usidx.fitting.blocks import Work
from usidx.fitting.content import describe_content
from usidx.fitting.models.function import Function
from usidx.fitting.models.functions.combined import resolve_functions, take_complex
from usidx.fitting.models.model import Model
from usidx.fitting.models.tied import Ties, tie
from usidx.fitting.results import Shown, to_dataset
from usidx.fitting.solver.alike import find_alike
from usidx.fitting.solver.compiled import Options
from usidx.fitting.solver.counts import POISSON
from usidx.fitting.table import table_of
from usidx.label.masking import apply_mask
from usidx.label.roles import Dims
from usidx.results.fit_names import name_by_model
from usidx.results.verbs import add_choices, verb

__all__ = ["fit"]

Value = float | xr.DataArray


@verb(fit=name_by_model)
def fit(
    data: xr.DataArray,
    model: Model,
    dim: Dims | None = None,
    *,
    coordinate: str | None = None,
    start: Mapping[str, Value] | None = None,
    bounds: Mapping[str, tuple[Value, Value]] | None = None,
    fixed: Mapping[str, Value] | None = None,
    tied: Mapping[str, str] | None = None,
    mask: xr.DataArray | None = None,
    sigma: Value | None = None,
    absolute_sigma: bool = False,
    loss: str = "linear",
    loss_scale: float | None = None,
    tolerance: float = 1e-8,
    max_evaluations: int = 200,
    covariance: bool = False,
    retry: str | None = None,
) -> xr.Dataset:
    """Fit a model to each spectrum of an array.

    A lazy array stays lazy: a block is read, fitted and left as a row of figures per spectrum. Samples that are not
    finite are left out. A spectrum that cannot be fitted gets NaN, ``converged`` False and a ``status``, and touches
    no other; each spectrum is fitted by itself, so the result does not depend on how the array is cut into blocks.
    With `retry` a spectrum that failed looks at its neighbours, in the whole map, wherever blocks end.

    Parameters
    ----------
    data : DataArray, dims (*any, *dim)
        Real, integer or complex; complex exactly where the model is.
    model : Model
        Such as ``Gaussian() + Constant()``; see `usidx.models`. For formulas and functions of your own see
        `Model.from_expression` and `Model.from_function`.
    dim : str or iterable of str, optional
        Where to fit, one dim for each coordinate of the model. By default the spectroscopic dim.
    coordinate : str, optional
        The coordinate along `dim`, by default that of the same name (or 0, 1, 2, ... where there is none). It may
        change from spectrum to spectrum.
    start : mapping of str to float or DataArray, optional
        Start values of parameters; what is missing or NaN is found from the data. The fit without them is tried too,
        and the better one is kept: to choose a minimum, give `bounds`.
    bounds : mapping of str to (low, high), optional
        In the place of those of the model; each a number, or a DataArray over dims of the result. Where one of these is
        NaN the model's own holds. Spectra are then fitted together only where all their bounds are the same; each by
        itself takes some thirty times as long.
    fixed : mapping of str to float or DataArray, optional
        Parameters that are held at a value.
    tied : mapping of str to str, optional
        Parameters that follow from others, by formulas of these: ``{"sigma_2": "0.5 * sigma_1"}``. See
        `models.expression.parse` for what a formula may hold; it is read, never run. The model's own bounds of a
        tied parameter do not hold.
    mask : DataArray of bool, optional
        True where samples are left out; dims among those of `data`, and their coordinates.
    sigma : float or DataArray, optional
        Standard deviation of the samples, in the units of `data`; dims among those of `data`. Where it is NaN or
        infinite the sample is left out; zero or less is an error where there is a sample, of a lazy array when it is
        computed.
    absolute_sigma : bool
        Whether `sigma` is known in absolute terms; if not (the default), standard errors are scaled by ``redchi``.
        A robust loss measures the scatter itself, whatever is said here.
    loss : {"linear", "soft_l1", "huber", "cauchy", "poisson"}
        What is done with large residuals, as in scipy.optimize.least_squares. Where one is chosen, start values are
        looked for without samples that are far from their neighbours. ``"poisson"`` is for counts, single ones and
        zeros too: the parameters of the largest likelihood, standard errors from Fisher's information, and the
        deviance 2 sum(mu - y + y ln(y / mu)) as ``chi2``. It takes no `sigma`; a spectrum with a negative count fails.
    loss_scale : float, optional
        The residual (by `sigma`) from which on it is large. By default the noise of each spectrum, estimated from
        the median of what a first fit leaves over, in which wild samples have no part.
    tolerance : float
        A fit has converged when the next step promises to lower the cost by less than this fraction.
    max_evaluations : int
        A fit that needs more evaluations has failed.
    covariance : bool
        Add ``covariance`` (*any, parameter, parameter_2).
    retry : {"neighbours"}, optional
        Fit spectra that failed again, from the parameters of each neighbour that converged: those beside it along the
        position dims, or along all dims where none has that role. Adds ``second_try``, True where that helped. The
        other spectra stay as they are. A lazy array's blocks are kept until the blocks beside them are fitted.

    Returns
    -------
    Dataset
        Over the other dims of `data`: a variable per parameter in its own units, and ``<name>_stderr`` (0 for what
        was fixed, NaN for what ended on a bound); ``chi2``, the sum of squared residuals (by `sigma`), of real and
        imaginary parts alike; ``redchi``, that by the degrees of freedom; ``r2`` = 1 - SS_res / SS_tot, without
        weights and about the (complex) mean; ``nfev``, the number of evaluations of the model; ``status`` (its
        attributes say what the values mean) and ``converged``; ``samples``, the number of finite samples. The
        coordinate of `dim` stays, for `evaluate`. What is called as a dim or a coordinate of `data` is called
        ``fit_<name>`` instead.

    Raises
    ------
    RoleError
        A dim is not there, or which one is meant is not clear; mask, sigma or start have other cells than the data.
    SelectionError
        A name is not a parameter, a coordinate, a loss or a retry, a parameter has the name of something else in the
        result, a formula lacks a start value, or what is tied is tied in a circle, or bounded.
    UsidError
        The data's dtype does not go with the model, nothing is left to fit, an argument is not of the kind that is
        wanted, or `sigma` is zero or less.
    UnitsError
        The coordinate is not a number.

    See Also
    --------
    evaluate : The fitted model over the coordinate.
    residual : The data less that.

    Notes
    -----
    Levenberg and Marquardt's method with exact derivatives; those of Python functions that give no formula are forward
    differences, which ``nfev`` does not count. Start values: what enters linearly is solved for, peaks are found by a
    matched filter, an oscillator by its linear form, the rest among templates or by trying candidates. A fit that
    failed or left more than noise is looked at again, all terms together, within what is fixed, tied and bounded;
    `nfev` counts all of it. Equal terms are in order of their position; where start values differ, each goes where its
    own is nearest, and what bounds, ties and fixed values say of one of them decides. Standard errors are the roots of
    the diagonal of redchi (J'J)^-1 at the solution; those of tied parameters are propagated from it.
    With a robust loss of slope psi, redchi is replaced by Huber's K^2 sum(psi^2) / (n - p) / mean(psi')^2, with
    K = 1 + p/n var(psi') / mean(psi')^2: the errors of the robust estimate, which a few spikes hardly change.

    References
    ----------
    P. J. Huber, Robust Statistics, Wiley (1981), chapter 7.6, on the errors of robust fits.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.fitting.fit import fit
    >>> from usidx.models import Linear
    >>> line = xr.DataArray([1.0, 3.0, 5.0], dims="x", coords={"x": [0.0, 1.0, 2.0]}, attrs={"units": "V"})
    >>> found = fit(line, Linear())
    >>> round(found.slope.item(), 6), round(found.intercept.item(), 6), found.intercept.units
    (2.0, 1.0, 'V')
    """
    check_kinds(data, model)
    model = take_complex(model) if data.dtype.kind == "c" and not model.has_formula else model
    sweep = sweep_of(data, model, dim, coordinate)
    check_dtype(data.dtype, model, data.name)
    check_choices(loss, retry)
    if loss == POISSON:
        check_counts(data, sigma)
    check_numbers(tolerance=tolerance, max_evaluations=max_evaluations, loss_scale=loss_scale)
    check_free_names(model)
    check_names(model, start=start or {}, bounds=bounds or {}, fixed=fixed or {}, tied=tied or {})
    bounds, fixed, tied = dict(bounds or {}), dict(fixed or {}), dict(tied or {})
    start = {k: v for k, v in model.defaults.items() if k not in fixed and k not in tied} | dict(start or {})
    check_tied(tied, start=start, bounds=bounds, fixed=fixed)
    ties = tie(model, tied) if tied else None
    shared, limits = split_bounds(bounds, model)
    options = Options(
        free=tuple(name for name in model.names if name not in fixed and name not in tied),
        bounds=shared, loss=loss, loss_scale=choose_scale(loss, loss_scale), tolerance=tolerance,
        max_evaluations=max_evaluations, covariance=covariance,
    )  # fmt: skip
    check_bounds(options)
    _check_start(model, ties, options, start)
    alike = find_alike(model, ties, bounds | {name: object() for name in limits}, fixed)
    threads = None if data.chunks is None else 1
    work = Work(model, ties, options, weighted=sigma is not None, threads=threads, alike=alike, limited=bool(limits))
    table = table_of(apply_mask(data, mask), sweep, work, sigma, start | fixed, limits, retry=retry is not None)
    # Robust losses measure the scatter themselves, and a likelihood has errors of its own.
    absolute = absolute_sigma and loss == "linear"
    shown = Shown(covariance=covariance, absolute=absolute, second_try=retry is not None)
    result = to_dataset(table, data, model, sweep, shown)
    return add_choices(
        result, model={"name": _title(model), **model.describe()}, dim=list(sweep.dims), start=start, bounds=bounds,
        fixed=fixed, tied=tied, content=describe_content(data),
        swept=[str(c.name) for c in sweep.coordinates if c.name is not None],
    )  # fmt: skip


def _check_start(model: Model, ties: Ties | None, options: Options, start: Mapping[str, Any]) -> None:
    if not model.has_formula and not isinstance(model, Function):
        model = resolve_functions(model)
        ties = None if ties is None else replace(ties, model=model)
    check_start(model if ties is None else ties.reduce(), options, start)


def _title(model: Model) -> str:
    return " ".join(str(t.describe()["model"]) for t in model.terms)
