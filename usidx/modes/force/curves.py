"""Force curves -> contact point, modulus, adhesion and what else they tell, each with its standard error."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import pi, radians, sqrt, tan
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import UsidError
from usidx.label.blockwise import Output, along
from usidx.modes.force.instrument import Curves, choose_number, read_curves
from usidx.modes.force.kernels.status import STATUS_MEANINGS
from usidx.results.verbs import add_choices, verb
from usidx.tasks.pool import share_slices

__all__ = ["force_curves"]

Array = npt.NDArray[Any]
Model = Literal["hertz", "cone", "jkr"]
Teller = tuple[str, float]
_MODELS: Final = ("hertz", "cone", "jkr", None)
_PIECE: Final = 2**20  # bytes that a thread takes at a time
_TITLES: Final = {
    "contact_point": "Contact Point",
    "indentation": "Indentation",
    "peak_force": "Force at the End of the Approach",
    "stiffness": "Contact Stiffness",
    "modulus": "Young's Modulus",
    "adhesion": "Adhesion",
    "work": "Work of Adhesion",
    "surface_energy": "Work of Adhesion per Area",
    "snap_in": "Snap-in Force",
    "baseline": "Force Before Contact",
    "tilt": "Tilt of the Baseline",
    "noise": "Noise of the Force",
    "r2": "Coefficient of Determination",
}
#: Those without a standard error.
_PLAIN: Final = ("indentation", "peak_force", "baseline", "tilt", "noise", "r2")


@verb("Force_Curves")
def force_curves(
    data: xr.DataArray,
    *,
    spring_constant: float | None = None,
    sensitivity: float | None = None,
    model: Model | None = "hertz",
    radius: float | None = None,
    half_angle: float | None = None,
    poisson: float | None = None,
    height: str | xr.DataArray | None = None,
    segments: str | xr.DataArray | None = None,
    baseline: Literal["tilted", "flat"] = "tilted",
    dim: str | None = None,
) -> xr.Dataset:
    r"""Measure force curves: where contact begins, how stiff it is, and what holds the tip back.

    A lazy array stays lazy, and is read once. Approach, pause and retract are told apart, baseline and tilt are part of
    the fit, and a jump into contact is found where there is one. A curve that cannot be fitted is NaN, ``converged``
    False, and has a ``status``; it touches no other.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Real: a force (N), a deflection (m), or the voltage of a detector (V), each with its prefix; what pushes the tip
        away is positive. In the order in which it was measured. Samples that are not finite do not count, so curves
        may end early.
    spring_constant : float, optional
        Of the cantilever, in N/m. By default the attribute ``spring_constant`` of the data. A force of which it is
        not known is taken over the way of the tip itself, as after a correction for bending.
    sensitivity : float, optional
        In m/V, negative where the voltage falls as the tip is pushed away. By default the attribute
        ``inverse_sensitivity``.
    model : {"hertz", "cone", "jkr"} or None
        The law of contact: a sphere, a cone, each fitted to the approach; or a sphere that sticks, fitted to the
        retract where something holds the tip. None finds contact as of a sphere, and tells no modulus.
    radius : float, optional
        Of the sphere, in m; by default the attribute ``tip_radius``. Where it is not known there is no modulus.
    half_angle : float, optional
        Of the cone, between axis and side, in degrees; by default the attribute ``half_angle``.
    poisson : float, optional
        Poisson's ratio of the sample; by default the attribute ``poisson``, or 0.5.
    height : str or DataArray, optional
        Of the base of the cantilever, which may rise or fall towards the sample: a coordinate, or an array over dims of
        the data. By default the coordinate of `dim`, or one along it, that is a length.
    segments : str or DataArray, optional
        A number for each sample that changes from segment to segment; by default the coordinate ``segment``. Without
        one the height tells where the tip turned round.
    baseline : {"tilted", "flat"}
        Whether the force may drift on the way to the sample.
    dim : str, optional
        By default the only spectroscopic one.

    Returns
    -------
    Dataset, dims (*any)
        ``contact_point``, the height at which the undeflected tip touches, and ``indentation``, in the unit of the
        height; ``peak_force``, ``adhesion``, ``snap_in``, ``baseline`` and ``noise`` as forces; ``stiffness``, the
        slope of the force by the indentation at the end of the approach (N/m); ``modulus`` (Pa); ``work`` of adhesion
        (J), and with jkr and a radius ``surface_energy`` (J/m^2); ``tilt`` (N/m), ``r2``; ``*_stderr`` of those that
        are fitted or integrated; ``status`` and ``converged``.

    Raises
    ------
    RoleError
        It is not clear along which dim a curve runs, or an array beside has other dims.
    SelectionError
        There is no height, or an array beside has other sizes.
    UnitsError
        Units are not as above, or a number is missing that makes a force of the data.
    UsidError
        The data is not real, a number is not above zero, or the model or baseline is not one of those.

    Notes
    -----
    With z the way of the base since contact, the force is :math:`F = C \delta^p - F_a` at an indentation
    :math:`\delta = z - F / k`: :math:`C = \frac{4}{3} E^* \sqrt{R}`, p = 3/2 for a sphere,
    :math:`C = \frac{2}{\pi} E^* \tan\alpha`, p = 2 for a cone, :math:`E^* = E / (1 - \nu^2)`. It is solved for the
    force at each height, so the noise of the force has no part in the indentation; then contact, C, line and, after a
    jump, the attraction :math:`F_a` are fitted together by least squares. Standard errors hold for white noise as
    large as what the fit leaves. Adhesion is the lowest force of the retract below its own baseline, by the line
    through the samples before it; work is the area, which the cantilever that snaps off has a part in. What does not
    stand out of the noise is 0.

    References
    ----------
    H.-J. Butt, B. Cappella and M. Kappl, Surf. Sci. Rep. 59, 1 (2005). K. L. Johnson, K. Kendall and A. D. Roberts,
    Proc. R. Soc. A 324, 301 (1971).

    Examples
    --------
    >>> import usidx
    >>> curves, truth = usidx.simulate.force_map((4, 4))
    >>> found = usidx.modes.force_curves(curves)
    >>> found.modulus.units, bool((abs(found.modulus / truth.modulus - 1) < 0.05).all())
    ('Pa', True)
    """
    _check(model, baseline)
    curves = read_curves(data, dim, spring_constant, sensitivity, height, segments)
    tip = _read_tip(data, model, radius, half_angle, poisson)
    beside = [curves.height, *([] if curves.segments is None else [curves.segments])]
    task = _Task(
        model or "hertz", curves.to_newton, curves.to_meter,
        0.0 if curves.spring_constant is None else 1 / curves.spring_constant, baseline == "tilted",
    )  # fmt: skip
    outputs = _describe(curves, tip)
    work = partial(_measure_block, task=task, tells={n: _find_teller(n, curves, tip) for n in outputs})
    found = along(data, curves.dim, work, outputs, beside=beside)
    return add_choices(
        found, dim=curves.dim, spring_constant=curves.spring_constant, sensitivity=curves.sensitivity,
        radius=tip.radius, half_angle=tip.half_angle, poisson=tip.poisson,
    )  # fmt: skip


def _check(model: str | None, baseline: str) -> None:
    if model not in _MODELS:
        raise UsidError(f"model={model!r}; it should be 'hertz', 'cone', 'jkr' or None.")
    if baseline not in ("tilted", "flat"):
        raise UsidError(f"baseline={baseline!r}; it should be 'tilted' or 'flat'.")


@dataclass(frozen=True, slots=True)
class _Tip:
    """What is known of tip and sample, None where it is not known."""

    model: str | None
    radius: float | None
    half_angle: float | None
    poisson: float

    @property
    def per_coefficient(self) -> float | None:
        """Return modulus by coefficient."""
        flat = 1 - self.poisson**2
        if self.model == "cone":
            return None if self.half_angle is None else flat * pi / 2 / tan(radians(self.half_angle))
        return None if self.radius is None or self.model is None else flat * 3 / 4 / sqrt(self.radius)


def _read_tip(
    data: xr.DataArray, model: str | None, radius: float | None, half_angle: float | None, poisson: float | None
) -> _Tip:
    ratio = choose_number("poisson", poisson, data.attrs) if poisson != 0 else 0.0
    ratio = 0.5 if ratio is None else ratio
    angle = choose_number("half_angle", half_angle, data.attrs)
    if ratio > 0.5 or (angle is not None and angle >= 90):
        raise UsidError(f"poisson={ratio!r}, half_angle={angle!r}; they should be 0.5 at most, and below 90 degrees.")
    return _Tip(model, choose_number("radius", radius, data.attrs, "tip_radius"), angle, ratio)


def _describe(curves: Curves, tip: _Tip) -> dict[str, Output]:
    own = {"stiffness": "N/m", "modulus": "Pa", "work": "J", "surface_energy": "J/m^2", "tilt": "N/m", "r2": ""}
    own |= dict.fromkeys(("contact_point", "indentation"), curves.height_units)
    left_out = {n for n, known in (("modulus", tip.per_coefficient), ("surface_energy", tip.radius)) if known is None}
    left_out |= set() if tip.model == "jkr" else {"surface_energy"}
    outputs = {}
    for name, title in _TITLES.items():
        if name in left_out:
            continue
        unit = own.get(name, curves.force_units)
        outputs[name] = Output(dims=(), dtype=np.float64, attrs={"long_name": title, "units": unit})
        if name not in _PLAIN:
            attrs = {"long_name": f"Standard Error of {title}", "units": unit}
            outputs[f"{name}_stderr"] = Output(dims=(), dtype=np.float64, attrs=attrs)
    outputs["status"] = Output(dims=(), dtype=np.int8, attrs=_describe_status())
    outputs["converged"] = Output(dims=(), dtype=np.bool_, attrs={"long_name": "Whether the Fit Converged"})
    return outputs


def _describe_status() -> dict[str, Any]:
    codes = sorted(STATUS_MEANINGS)
    meanings = " ".join(STATUS_MEANINGS[code] for code in codes)
    return {"long_name": "Why the Fit Ended", "flag_values": np.array(codes, np.int8), "flag_meanings": meanings}


def _find_teller(name: str, curves: Curves, tip: _Tip) -> Teller:
    """Return which figure of the kernels a variable is made of, and the factor."""
    bare = name.removesuffix("_stderr")
    end = name.removeprefix(bare)
    if bare == "modulus":
        return f"coefficient{end}", tip.per_coefficient or np.nan
    if bare == "surface_energy":
        return f"pull_off{end}", 1 / (1.5 * pi * (tip.radius or np.nan))
    if bare in ("contact_point", "indentation"):
        return name, 1 / curves.to_meter
    if bare in ("stiffness", "work", "tilt", "r2", "status", "converged"):
        return name, 1.0
    return name, 1 / curves.force_unit


@dataclass(frozen=True, slots=True)
class _Task:
    """How curves are measured: the law, the factors to SI units, 1 / k, and whether the line may be tilted."""

    model: str
    to_newton: float
    to_meter: float
    compliance: float
    is_tilted: bool

    def measure(self, forces: Array, heights: Array, marks: Array | None) -> dict[str, Array]:
        """Return the figures of curves, in SI units, by name."""
        from usidx.modes.force.kernels.measure import measure  # imports numba

        in_newton, in_meter = self.to_newton * forces, self.to_meter * heights
        return measure(in_newton, in_meter, marks, self.model, self.compliance, is_tilted=self.is_tilted)


def _measure_block(
    block: Array, height: Array, marks: Array | None = None, *, task: _Task, tells: dict[str, Teller]
) -> tuple[Array, ...]:
    """Measure the curves of a block, in pieces, on as many threads as are idle."""
    lead, size = block.shape[:-1], block.shape[-1]
    rows, heights = block.reshape(-1, size), _spread(height, lead)
    segments = np.empty((1, 0)) if marks is None else _spread(marks, lead)
    made = {name: np.empty(len(rows)) for name in tells}

    def run(part: slice) -> None:
        own, numbers = (one if len(one) == 1 else one[part] for one in (heights, segments))
        table = task.measure(rows[part], own, None if marks is None else numbers)
        for name, (figure, factor) in tells.items():
            made[name][part] = factor * table[figure]

    share_slices(run, len(rows), at_once=max(1, _PIECE // max(8 * size, 1)))
    return tuple(one.reshape(lead) for one in made.values())


def _spread(beside: Array, lead: tuple[int, ...]) -> Array:
    """Return what is told beside a block for each of its curves, or once for all."""
    size = beside.shape[-1]
    if beside.size == size:
        return np.asarray(beside.reshape(1, size))
    return np.broadcast_to(beside, (*lead, size)).reshape(-1, size)
