"""Unit strings: cleaned of stray white space, combined without guessing."""

from __future__ import annotations

__all__ = ["DIMENSIONLESS", "clean", "is_dimensionless", "power", "product", "quotient"]

#: What results without a unit carry; what files mean by ``a.u.`` (arbitrary) is kept as found.
DIMENSIONLESS = ""


def clean(text: str) -> str:
    r"""Strip stray white space (files hold ``' m\n'``); nothing else is touched."""
    return " ".join(text.split())


def is_dimensionless(unit: str) -> bool:
    """Say whether multiplying by this unit changes nothing."""
    return clean(unit) in {"", "1"}


def product(*units: str) -> str:
    """Multiply units: ``product("V", "Hz")`` is ``"V Hz"``.

    Equal factors are counted: ``product("V", "V")`` is ``"V^2"``.
    """
    factors: dict[str, int] = {}
    for unit in units:
        if not is_dimensionless(unit):
            factors[clean(unit)] = factors.get(clean(unit), 0) + 1
    return " ".join(power(unit, count) for unit, count in factors.items())


def quotient(numerator: str, denominator: str) -> str:
    """Divide units: ``quotient("A", "V")`` is ``"A/V"``; equal units cancel."""
    if clean(numerator) == clean(denominator):
        return DIMENSIONLESS
    if is_dimensionless(denominator):
        return clean(numerator)
    top = "1" if is_dimensionless(numerator) else _grouped(numerator)
    return f"{top}/{_grouped(denominator)}"


def power(unit: str, exponent: float) -> str:
    """Raise a unit to a power: ``power("V", 2)`` is ``"V^2"``."""
    if exponent == 0 or is_dimensionless(unit):
        return DIMENSIONLESS
    return clean(unit) if exponent == 1 else f"{_grouped(unit)}^{exponent:g}"


def _grouped(unit: str) -> str:
    unit = clean(unit)
    return f"({unit})" if any(sign in unit for sign in " /^*") else unit
