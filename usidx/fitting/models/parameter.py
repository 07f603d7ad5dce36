"""One parameter of a model: its name, unit, bounds, and how a start value is found; and names that tell many apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from usidx.errors import UsidError
from usidx.label import units as unit_strings

__all__ = ["POSITIVE", "UNBOUNDED", "Parameter", "make_names_unique"]

UNBOUNDED: Final = (-np.inf, np.inf)
POSITIVE: Final = (0.0, np.inf)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a model.

    Attributes
    ----------
    name : str
        Snake case; the name of the result's variable.
    title : str
        Name in words, which files on disk use too.
    units : str or tuple of int, optional
        A unit, or the powers of (data, coordinate) that make it; None where it is not known.
    bounds : tuple of float
        Lowest and highest value.
    role : str
        How a start value is found: "" from candidates, "center" or "width" from the peak in the data.
    width_per_fwhm : float
        For the role "width": the parameter per full width at half maximum.
    period : float
        For an angle, what can be added without effect; 0 for none. Results lie within half a period of zero.
    finest : float
        For a width, the least that samples can tell from zero, in their distances; 0 for none. A fit that fails is
        tried again with no smaller one.
    """

    name: str
    title: str
    units: str | tuple[int, int] | None
    bounds: tuple[float, float] = UNBOUNDED
    role: str = ""
    width_per_fwhm: float = 0.0
    period: float = 0.0
    finest: float = 0.0

    def without_data(self) -> Parameter:
        """Return the parameter of a factor that has no units."""
        return replace(self, units=(0, self.units[1])) if isinstance(self.units, tuple) else self

    def unit(self, data: str | None, coordinate: str | None) -> str | None:
        """Return the unit, None where it rests on a unit that is not known."""
        if self.units is None or isinstance(self.units, str):
            return self.units
        known = {"data": (data, self.units[0]), "coordinate": (coordinate, self.units[1])}
        if any(unit is None and power for unit, power in known.values()):
            return None
        powers = [(unit or "", power) for unit, power in known.values()]
        top = unit_strings.multiply(*(unit_strings.raise_to_power(u, p) for u, p in powers if p > 0))
        bottom = unit_strings.multiply(*(unit_strings.raise_to_power(u, -p) for u, p in powers if p < 0))
        return unit_strings.divide(top, bottom) if bottom else top


def make_names_unique(members: tuple[Any, ...]) -> tuple[Any, ...]:
    """Prefix the members whose names another member has too."""
    counts = Counter(name for m in members for name in m.names)
    kinds = Counter(type(m).__name__ for m in members)
    seen: Counter[str] = Counter()
    renamed = []
    for member in members:
        kind = type(member).__name__
        seen[kind] += 1
        if member.prefix == "" and any(counts[name] > 1 for name in member.names):
            number = f"_{seen[kind]}" if kinds[kind] > 1 else ""
            member = member.with_prefix(f"{kind.lower()}{number}_")
        renamed.append(member)
    repeated = [n for n, count in Counter(name for m in renamed for name in m.names).items() if count > 1]
    if repeated:
        raise UsidError(f"The parameter {repeated[0]!r} appears twice; give the models different prefixes.")
    return tuple(renamed)
