"""Arguments of a fit -> an error that says what to do, where they cannot be meant."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import SelectionError, UsidError
from usidx.fitting.compile.layout import LOSSES
from usidx.fitting.models.model import Model
from usidx.fitting.solver.compiled import Options
from usidx.fitting.solver.counts import POISSON
from usidx.fitting.solver.search.terms import find_linear_parameters

__all__ = [
    "check_bounds", "check_choices", "check_counts", "check_free_names", "check_kinds", "check_names", "check_numbers",
    "check_start", "check_tied", "choose_scale", "split_bounds",
]  # fmt: skip

RETRIES: Final = ("neighbours",)
_RESERVED: Final = frozenset(
    {"chi2", "redchi", "r2", "nfev", "status", "converged", "samples", "covariance", "second_try", "parameter"}
)


def check_kinds(data: object, model: object) -> None:
    """Refuse what is no array or no model."""
    if not isinstance(data, xr.DataArray):
        some = f"Choose one of its variables: {tuple(data.data_vars)}." if isinstance(data, xr.Dataset) else ""
        raise UsidError(f"A fit is of a DataArray, and this is a {type(data).__name__}. {some}".rstrip())
    if not isinstance(model, Model):
        called = isinstance(model, type) and issubclass(model, Model)
        hint = f"Write {model.__name__}()." if called else "See usidx.models, such as models.Gaussian()."  # type: ignore[attr-defined]
        raise UsidError(f"model: {model!r} is no model. {hint}")


def choose_scale(loss: str, loss_scale: float | None) -> float:
    """Return the residual from which on it is large, NaN for the noise of each spectrum."""
    if loss_scale is None:
        return 1.0 if loss in {"linear", POISSON} else math.nan
    return float(loss_scale)


def check_numbers(*, tolerance: float, max_evaluations: int, loss_scale: float | None) -> None:
    """Refuse numbers with which no fit ends well."""
    given: dict[str, Any] = {"tolerance": tolerance, "max_evaluations": max_evaluations}
    given |= {} if loss_scale is None else {"loss_scale": loss_scale}
    for name, value in given.items():
        if not isinstance(value, Real) or not 0.0 < float(value) < np.inf:
            raise UsidError(f"{name} is {value!r}; it should be a number above zero.")


def check_choices(loss: str, retry: str | None) -> None:
    """Refuse options that there are none of."""
    if loss not in (*LOSSES, POISSON):
        raise SelectionError(f"No loss {loss!r}; choose one of {(*LOSSES, POISSON)}.")
    if retry is not None and retry not in RETRIES:
        raise SelectionError(f"No retry {retry!r}; choose one of {RETRIES}, or None.")


def check_counts(data: xr.DataArray, sigma: object) -> None:
    """Refuse what cannot be counts."""
    if data.dtype.kind == "c":
        raise UsidError(f"Array {data.name!r} is complex, and loss='poisson' is for counts.")
    if sigma is not None:
        raise UsidError("sigma: counts tell their own errors, so loss='poisson' takes none. Leave one of the two out.")


def check_free_names(model: Model) -> None:
    """Refuse parameters whose names the result has for something else."""
    for name in model.names:
        if name in _RESERVED or name.endswith("_stderr"):
            raise SelectionError(
                f"The parameter {name!r} of {model!r} cannot be a variable of the result, which has another {name!r} "
                f"already (a figure of merit). Give the parameter another name."
            )


def check_names(model: Model, **given: Mapping[str, Any]) -> None:
    """Refuse names that are not parameters."""
    for option, mapping in given.items():
        if not isinstance(mapping, Mapping):
            raise SelectionError(
                f"{option}: {mapping!r} says nothing of parameters. Write {{{model.names[0]!r}: ...}}."
            )
        for name in mapping:
            if name not in model.names:
                raise SelectionError(f"{option}: no parameter {name!r} in the model; its parameters are {model.names}.")


def check_tied(tied: Iterable[str], **given: Mapping[str, Any]) -> None:
    """Refuse to say more about a parameter that follows from others."""
    for name in tied:
        for option, mapping in given.items():
            if name in mapping:
                raise SelectionError(
                    f"{option}: {name!r} is tied, so it follows from other parameters. Leave it out of {option}= "
                    f"(and say it of the others), or out of tied=."
                )


def check_start(model: Model, options: Options, start: Mapping[str, Any]) -> None:
    """Refuse to begin without start values that only the user knows."""
    if not model.has_formula and (missing := [n for n in options.free if n not in start]):
        raise SelectionError(
            f"start: {missing[0]!r} has no start value, and none can be worked out from a Python function. Give "
            f"start={{{missing[0]!r}: ...}}, or a default in the function's signature."
        )
    found = {*find_linear_parameters(model, options.free), *start}
    for term in model.terms:
        missing = [name for name in term.names if name in options.free and name not in found]
        if term.search == "given" and missing:
            raise SelectionError(
                f"start: {missing[0]!r} does not enter the formula linearly, so its start value cannot be worked out. "
                f"Give start={{{missing[0]!r}: ...}}."
            )


def split_bounds(
    bounds: Mapping[str, Any], model: Model
) -> tuple[dict[str, tuple[float, float]], dict[str, tuple[Any, Any]]]:
    """Return the bounds of all parameters that hold for all spectra, and those that change from one to the other.

    Raises
    ------
    UsidError
        Bounds in memory of which the first is not the lower one.
    """
    changing = {
        name: tuple(pair)
        for name, pair in bounds.items()
        if isinstance(pair, tuple | list) and len(pair) == 2 and any(isinstance(v, xr.DataArray) for v in pair)
    }
    for name, (low, high) in changing.items():
        if not all(isinstance(v, Real | xr.DataArray) for v in (low, high)):
            raise UsidError(f"bounds: {name!r} has a {type(low).__name__} and a {type(high).__name__}; write numbers.")
        crossed = xr.DataArray(low >= high)
        if crossed.chunks is None and (count := int(crossed.sum())):
            raise UsidError(f"bounds: {name!r} has {count} pairs whose first is not the lower one.")
    shared = {p.name: p.bounds if p.name in changing else bounds.get(p.name, p.bounds) for p in model.parameters}
    return shared, changing


def check_bounds(options: Options) -> None:
    """Refuse bounds that leave no room, and fits of nothing."""
    if not options.free:
        raise UsidError("All parameters are fixed or tied, so nothing is left to fit. Leave at least one free.")
    for name in options.free:
        pair = options.bounds[name]
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(v, Real) for v in pair)):
            raise UsidError(f"bounds: {name!r} has {pair!r}; write (low, high), with -inf or inf for none.")
        low, high = pair
        if not low < high:
            raise UsidError(f"bounds: {name!r} has the bounds ({low}, {high}); the first should be the lower one.")
