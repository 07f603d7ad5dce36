"""Units of current and bias -> those of resistance and capacitance, and the factors to V, nA, GOhm and nF."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from usidx.label import units

__all__ = ["Scales", "find_scales"]

#: Unit of a current in V/unit, in F, and the power of ten to the ampere.
_CURRENTS: Final = {
    "A": ("Ohm", "F", 0), "mA": ("kOhm", "mF", -3), "uA": ("MOhm", "uF", -6), "µA": ("MOhm", "µF", -6),
    "μA": ("MOhm", "μF", -6), "nA": ("GOhm", "nF", -9), "pA": ("TOhm", "pF", -12), "fA": ("POhm", "fF", -15),
}  # fmt: skip
_BIASES: Final = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6, "kV": 1e3}
#: As translators of G-IV write the gain of the amplifier.
_GAIN: Final = re.compile(r"1E-(\d+) A")
_PICO: Final = 1000.0  # of capacitances of currents in nA, as the old tool has them


@dataclass(frozen=True, slots=True)
class Scales:
    """Factors from the units of the data to V and nA, and from GOhm and nF to those of the result.

    Attributes
    ----------
    current, bias : float
        Multiply the data.
    resistance, capacitance : float
        Multiply the result.
    units : mapping
        Of resistance and capacitance, where they are known.
    """

    current: float
    bias: float
    resistance: float
    capacitance: float
    units: dict[str, str]

    def describe(self, name: str) -> dict[str, str]:
        """Return the attribute ``units`` of a quantity, none where they are not known."""
        return {"units": self.units[name]} if name in self.units else {}


def find_scales(current: object, bias: str | None) -> Scales:
    """Return the scales; currents of unknown units count as nA, biases as V."""
    unit = units.clean(current) if isinstance(current, str) else ""
    of_bias = _BIASES.get(units.clean(bias or ""), 1.0)
    if (gain := _GAIN.fullmatch(unit)) is not None:
        power = int(gain[1])
        return Scales(10.0 ** (9 - power), of_bias, 1.0, _PICO, {"resistance": "GOhm", "capacitance": "pF"})
    if unit not in _CURRENTS:
        if not unit or not bias:
            return Scales(1.0, of_bias, 1.0, 1.0, {})
        quotient = units.divide("V", unit)
        return Scales(1.0, of_bias, 1.0, 1.0, {"resistance": quotient, "capacitance": f"{units.multiply(unit, 's')}/V"})
    resistance, capacitance, power = _CURRENTS[unit]
    factor = 10.0 ** (power + 9)
    if unit == "nA":
        return Scales(1.0, of_bias, 1.0, _PICO, {"resistance": "GOhm", "capacitance": "pF"})
    return Scales(factor, of_bias, factor, 1 / factor, {"resistance": resistance, "capacitance": capacitance})
