"""Unit strings: cleaned of stray white space, combined without guessing."""

from __future__ import annotations

__all__ = ["DIMENSIONLESS", "clean", "divide", "is_dimensionless", "is_same", "multiply", "raise_to_power"]

#: What results without a unit carry; what files mean by ``a.u.`` (arbitrary) is kept as found.
DIMENSIONLESS = ""


def clean(text: str) -> str:
    r"""Strip stray white space (files hold ``' m\n'``); nothing else is touched."""
    return " ".join(text.split())


def is_dimensionless(unit: str) -> bool:
    """Say whether multiplying by this unit changes nothing."""
    return clean(unit) in {"", "1"}


def is_same(one: str | None, other: str | None) -> bool:
    """Say whether two units are one: programs write the micro of micrometres in three ways."""
    return _spell(one) == _spell(other)


def _spell(unit: str | None) -> str | None:
    if unit is None:
        return None
    words = clean(unit).replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}")
    return f"\N{MICRO SIGN}{words[1:]}" if words in {"um", "us", "uV", "uA", "uN", "uW", "urad"} else words


def multiply(*units: str) -> str:
    """Multiply units: ``multiply("V", "Hz")`` is ``"V Hz"``.

    Equal factors are counted: ``multiply("V", "V")`` is ``"V^2"``.
    """
    factors: dict[str, int] = {}
    for unit in units:
        if not is_dimensionless(unit):
            factors[clean(unit)] = factors.get(clean(unit), 0) + 1
    return " ".join(raise_to_power(unit, count) for unit, count in factors.items())


def divide(numerator: str, denominator: str) -> str:
    """Divide units: ``divide("A", "V")`` is ``"A/V"``; equal units cancel."""
    if clean(numerator) == clean(denominator):
        return DIMENSIONLESS
    if is_dimensionless(denominator):
        return clean(numerator)
    top = "1" if is_dimensionless(numerator) else _group(numerator)
    return f"{top}/{_group(denominator)}"


def raise_to_power(unit: str, exponent: float) -> str:
    """Raise a unit to a power: ``raise_to_power("V", 2)`` is ``"V^2"``."""
    if exponent == 0 or is_dimensionless(unit):
        return DIMENSIONLESS
    return clean(unit) if exponent == 1 else f"{_group(unit)}^{exponent:g}"


def _group(unit: str) -> str:
    unit = clean(unit)
    return f"({unit})" if any(sign in unit for sign in " /^*") else unit
