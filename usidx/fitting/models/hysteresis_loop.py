"""The hysteresis loop of a ferroelectric, as piezoresponse spectroscopy measures it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from usidx.fitting.formula.nodes import Node, apply, select
from usidx.fitting.models.curves import measure_extent
from usidx.fitting.models.model import register
from usidx.fitting.models.parameter import Parameter
from usidx.fitting.models.shape import Shape

__all__ = ["HysteresisLoop", "find_rising"]

Array = npt.NDArray[np.float64]

_WIDE: Final = (1e-100, np.inf)  # at zero the formula divides zero by zero
_REVERSAL: Final = 0.05  # of the range: a smaller step back is noise of the voltage, not a turn


@register
@dataclass(frozen=True)
class HysteresisLoop(Shape):
    """Describe a ferroelectric hysteresis loop, a_0 + a_1 y(V) + a_4 V with its nine parameters.

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    On the falling branch y = (g erf((V - a_2) / g) + b_0) / (b_0 + b_1), with g = b_0 for V < a_2 and b_1 above; on
    the rising branch the same with a_3, b_2 and b_3. Each branch goes from 0 to 1, as wide on either side of its
    switching voltage as the two b say. Parameters: ``r_minus`` (a_0), the lower level; ``switchable_polarization``
    (a_1), from there to the upper one; ``v_minus`` (a_2) and ``v_plus`` (a_3), where the falling and the rising branch
    switch; ``slope`` (a_4); ``falling_width_below`` and ``falling_width_above`` (b_0, b_1), ``rising_width_below`` and
    ``rising_width_above`` (b_2, b_3), all > 0.

    In the paper and in older programs g goes from one width to the other by a step some mV wide, erf(1000 (V - a)),
    which makes the fit depend on the unit of the voltage. Here it jumps. That changes y by less than 1e-7 for widths
    from 0.1 V on, for g erf(u / g) does not depend on g at u = 0, nor do its first two derivatives by u: the jump
    shows only in the third. So the model is smooth in all parameters, and its derivatives are exact.

    Which branch a sample belongs to follows from the order of the samples: they are one or more whole cycles, the last
    sample being followed by the first. Where the voltage turns is the first sample of the new branch; a step back by
    less than a twentieth of the range is no turn.

    `usidx.loop_fit` projects loops, fits this model within bounds that follow the voltage, and works out the rest.

    References
    ----------
    S. Jesse, H. N. Lee and S. V. Kalinin, Rev. Sci. Instrum. 77, 073702 (2006).

    Examples
    --------
    >>> import numpy as np
    >>> from usidx.models import HysteresisLoop
    >>> loop = HysteresisLoop()
    >>> shape = dict.fromkeys(loop.names[-4:], 0.5) | {"v_minus": -2.0, "v_plus": 3.0, "slope": 0.0}
    >>> loop(np.array([0.0, 8.0, 0.0, -8.0]), r_minus=-1.0, switchable_polarization=2.0, **shape).round(6)
    array([-1.,  1.,  1., -1.])
    """

    derived: ClassVar[int] = 1
    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return (
            Parameter("r_minus", "R-", (1, 0)),
            Parameter("switchable_polarization", "Switchable Polarization", (1, 0)),
            Parameter("v_minus", "V-", (0, 1)),
            Parameter("v_plus", "V+", (0, 1)),
            Parameter("slope", "Slope", (1, -1)),
            Parameter("falling_width_below", "Width Below V-", (0, 1), _WIDE),
            Parameter("falling_width_above", "Width Above V-", (0, 1), _WIDE),
            Parameter("rising_width_below", "Width Below V+", (0, 1), _WIDE),
            Parameter("rising_width_above", "Width Above V+", (0, 1), _WIDE),
        )

    def derive(self, x: Array) -> Array:
        """Return 1 where the voltage rises and -1 where it falls."""
        return np.where(find_rising(x), 1.0, -1.0)

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return narrow and wide loops, centred on the range or imprinted to either side."""
        low, span = measure_extent(x)
        places = ((0.3, 0.7), (0.4, 0.6), (0.2, 0.8), (0.25, 0.5), (0.5, 0.75), (0.1, 0.4), (0.6, 0.9))
        widths = [self.prefix + p.name for p in self._own_parameters[-4:]]
        found: list[dict[str, Array | float]] = []
        for (minus, plus), width in itertools.product(places, (0.05, 0.15)):
            centers = {self.prefix + "v_minus": low + span * minus, self.prefix + "v_plus": low + span * plus}
            found.append({**centers, **dict.fromkeys(widths, span * width)})
        return found

    def _build_formula(self, voltage: Node, direction: Node, *parameters: Node) -> Node:
        low, height, falling_at, rising_at, slope, *widths = parameters
        above = voltage - select(direction, rising_at, falling_at)
        first, second = (select(direction, widths[k + 2], widths[k]) for k in range(2))
        width = select(above, second, first)
        return low + height * ((width * apply("erf", above / width) + first) / (first + second)) + slope * voltage


def find_rising(voltage: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Say for each sample of whole cycles whether the voltage rises from there on; the last axis is the cycle."""
    voltage = np.asarray(voltage, dtype=np.float64)
    rows = voltage.reshape(-1, voltage.shape[-1])
    different, where = np.unique(rows, axis=0, return_inverse=True)
    found = np.stack([_follow_cycle(row) for row in different]) if len(different) else np.zeros(rows.shape, dtype=bool)
    return found[where.reshape(-1)].reshape(voltage.shape)


def _follow_cycle(voltage: Array) -> npt.NDArray[np.bool_]:
    """Follow the cycle three times round: of the second one the way in and the way out are known."""
    known = np.flatnonzero(np.isfinite(voltage))
    if known.size == 0:
        return np.ones(voltage.shape, dtype=bool)
    size, tolerance = voltage.size, _REVERSAL * float(np.ptp(voltage[known]))
    sign, turn, extreme = 1.0, 0, -np.inf
    upward = np.ones(3 * size, dtype=bool)
    for step in np.concatenate([known, known + size, known + 2 * size]):
        value = sign * voltage[step % size]
        if value > extreme:
            turn, extreme = step, value
        elif value < extreme - tolerance:
            sign = -sign
            upward[turn:] = sign > 0.0
            turn, extreme = step, -value
    return upward[size : 2 * size]
