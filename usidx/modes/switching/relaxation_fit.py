"""Responses over time -> the decays in them: one exponential, two, or a stretched one, above an offset."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import SelectionError
from usidx.fitting.fit import Value, fit
from usidx.fitting.formula.nodes import Node, apply
from usidx.fitting.models.curves import measure_extent
from usidx.fitting.models.model import register
from usidx.fitting.models.parameter import POSITIVE, Parameter
from usidx.fitting.models.shape import Shape
from usidx.label.roles import choose_dims
from usidx.results.fit_names import FitNames
from usidx.results.provenance import Step, find_last_step
from usidx.results.verbs import add_choices, verb

__all__ = ["Relaxation", "relaxation_fit"]

Array = npt.NDArray[np.float64]

_CALLED: Final = ("time",)
_AMPLITUDE: Final = Parameter("amplitude", "Amplitude", (1, 0))
_CONSTANT: Final = Parameter("time_constant", "Time Constant", (0, 1), POSITIVE)
_OFFSET: Final = Parameter("offset", "Offset", (1, 0))
_DECAYS: Final[Mapping[str, tuple[Parameter, ...]]] = {
    "exponential": (_AMPLITUDE, _CONSTANT, _OFFSET),
    "double": (
        _AMPLITUDE,
        _CONSTANT,
        Parameter("amplitude_2", "Amplitude 2", (1, 0)),
        Parameter("time_constant_2", "Time Constant 2", (0, 1), POSITIVE),
        _OFFSET,
    ),
    "stretched": (_AMPLITUDE, _CONSTANT, Parameter("beta", "Beta", "", POSITIVE), _OFFSET),
}
#: Which parameters change places with which.
_PAIRS: Final = {"amplitude": "amplitude_2", "time_constant": "time_constant_2"}


@register
@dataclass(frozen=True)
class Relaxation(Shape):
    """Describe what relaxes to an offset: a exp(-(t / tau)^beta) + c, or two decays.

    Parameters
    ----------
    decay : {"exponential", "double", "stretched"}
        With beta = 1; a exp(-t / tau) + a_2 exp(-t / tau_2) + c; or with any beta > 0.
    prefix : str
        Put before the names of the parameters.

    Raises
    ------
    SelectionError
        There is no such decay.

    Notes
    -----
    For t >= 0. Parameters: ``amplitude`` and ``offset``, with the units of the data; ``time_constant`` (> 0), with
    those of the coordinate; ``amplitude_2`` and ``time_constant_2``, or ``beta``.

    References
    ----------
    R. Kohlrausch, Ann. Phys. 167, 179 (1854), on the stretched one.

    Examples
    --------
    >>> from usidx.modes.switching.relaxation_fit import Relaxation
    >>> Relaxation("stretched").names
    ('amplitude', 'time_constant', 'beta', 'offset')
    """

    decay: str = "exponential"
    prefix: str = ""

    def __post_init__(self) -> None:
        if self.decay not in _DECAYS:
            raise SelectionError(f"There is no decay {self.decay!r}; choose one of {tuple(_DECAYS)}.")

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return _DECAYS[self.decay]

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return time constants from a hundredth of the range to three times the range."""
        span = measure_extent(x)[1]
        first, second, beta = (self.prefix + n for n in ("time_constant", "time_constant_2", "beta"))
        parts = (0.01, 0.03, 0.08, 0.2, 0.5, 1.2, 3.0)
        if self.decay == "double":
            pairs = itertools.combinations(parts, 2)
            return [{first: span * fast, second: span * slow} for fast, slow in pairs]
        if self.decay == "stretched":
            return [{first: span * part, beta: shape} for part in parts for shape in (0.4, 0.7, 1.0)]
        return [{first: span * part} for part in parts]

    def _build_formula(self, t: Node, amplitude: Node, constant: Node, *rest: Node) -> Node:
        *further, offset = rest
        if self.decay == "stretched":
            return amplitude * apply("exp", -((t / constant) ** further[0])) + offset
        one = amplitude * apply("exp", -t / constant)
        return one + further[0] * apply("exp", -t / further[1]) + offset if further else one + offset


_DECAY_FIELDS = {
    "amplitude": "Amplitude",
    "time_constant": "Time_Constant",
    "time_constant_2": "Time_Constant 2",
    "offset": "Offset",
}
#: How BGlib calls the fits of each decay.
_NAMES: Mapping[str, FitNames] = {
    "exponential": FitNames("Exp_Fit", "Exponential_Fit", _DECAY_FIELDS),
    "double": FitNames("Double_Exp", "Double_Exp_Fit", _DECAY_FIELDS),
    "stretched": FitNames("Str_Exp", "Str_Exp_Fit", _DECAY_FIELDS),
}


def _name_by_decay(step: Step) -> FitNames:
    return _NAMES.get(str(step.get("parameters", {}).get("decay")), _NAMES["exponential"])


@verb(fit=_name_by_decay)
def relaxation_fit(
    data: xr.DataArray,
    decay: str = "exponential",
    dim: str | None = None,
    *,
    coordinate: str | None = None,
    start: Mapping[str, Value] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    fixed: Mapping[str, Value] | None = None,
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
    r"""Fit what relaxes after a pulse: one exponential decay, two, or a stretched one, above an offset.

    A lazy array stays lazy. Each position and each step of what else was swept (the bias of the pulse) is fitted by
    itself; one that cannot be fitted gets NaN, ``converged`` False and a ``status``.

    Parameters
    ----------
    data : DataArray, dims (*any, Time)
        Real, such as :func:`usidx.response` of an oscillator's fit.
    decay : {"exponential", "double", "stretched"}
        :math:`a e^{-t/\tau} + c`, :math:`a e^{-t/\tau} + a_2 e^{-t/\tau_2} + c` or
        :math:`a e^{-(t/\tau)^\beta} + c`.
    dim : str, optional
        The dim of the time. By default ``Time``, or the only spectroscopic one.
    coordinate : str, optional
        The times since the pulse, by default the coordinate named after `dim`.
    start, bounds, fixed, mask, sigma, absolute_sigma, loss, loss_scale, tolerance, max_evaluations, covariance, retry
        As in :func:`usidx.fit`.

    Returns
    -------
    Dataset
        Over the other dims of `data`: ``amplitude`` and ``offset``, in the units of the data, and ``time_constant``,
        in those of the time; of two decays ``amplitude_2`` and ``time_constant_2``, the longer one; of a stretched
        one ``beta``; each with ``_stderr``; and the other figures of :func:`usidx.fit`. Amplitudes are those at time
        0 of the coordinate. Where `start`, `bounds` or `fixed` name one of two decays, these keep their places.

    Raises
    ------
    RoleError
        It is not clear along which dim the time runs.
    SelectionError
        There is no such decay, or a name is not a parameter, a coordinate or a loss.
    UsidError
        The data is complex, or nothing is left to fit.
    UnitsError
        The times are not numbers.

    References
    ----------
    R. Kohlrausch, Ann. Phys. 167, 179 (1854), on the stretched exponential.

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.relaxation((4, 4), kind="double", noise=0.001)
    >>> found = usidx.relaxation_fit(scan, "double")
    >>> found.time_constant.dims, found.time_constant.units
    (('Y', 'X', 'DC_Offset'), 's')
    >>> bool((abs(found.time_constant_2 / truth.time_constant_2 - 1) < 0.1).mean() > 0.9)
    True
    """
    along = choose_dims(data, dim, 1, called=_CALLED)
    fitted = fit(
        data, Relaxation(decay), along, coordinate=coordinate, start=start, bounds=bounds, fixed=fixed, mask=mask,
        sigma=sigma, absolute_sigma=absolute_sigma, loss=loss, loss_scale=loss_scale, tolerance=tolerance,
        max_evaluations=max_evaluations, covariance=covariance, retry=retry,
    )  # fmt: skip
    told: Mapping[str, Any] = (find_last_step(fitted) or {})["parameters"]
    named = {*(start or {}), *(bounds or {}), *(fixed or {})}
    if decay == "double" and not named & {*_PAIRS, *_PAIRS.values()}:
        fitted = _put_longer_last(fitted)
    return add_choices(fitted, **{**told, "decay": decay})


def _put_longer_last(fitted: xr.Dataset) -> xr.Dataset:
    """Exchange the two decays where the first is the longer one."""
    turned = fitted["time_constant"] > fitted["time_constant_2"]
    found = {}
    for one, other in _PAIRS.items():
        for ending in ("", "_stderr"):
            first, second = fitted[one + ending], fitted[other + ending]
            found[one + ending] = second.where(turned, first).assign_attrs(first.attrs)
            found[other + ending] = first.where(turned, second).assign_attrs(second.attrs)
    if "covariance" in fitted:
        whole = fitted["covariance"]
        places = {d: [2, 3, 0, 1, 4] for d in ("parameter", "parameter_2")}
        exchanged = whole.copy(data=whole.isel(places).data)
        found["covariance"] = exchanged.where(turned, whole).assign_attrs(whole.attrs)
    return fitted.assign(found)
