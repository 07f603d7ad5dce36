"""Units are combined, never guessed."""

import pytest

from usidx.label.units import clean, divide, is_dimensionless, multiply, raise_to_power


@pytest.mark.parametrize(("text", "unit"), [(" m\n", "m"), ("a. u.", "a. u."), ("\tnA  / V ", "nA / V"), ("", "")])
def test_clean(text: str, unit: str) -> None:
    assert clean(text) == unit


@pytest.mark.parametrize(("text", "claim"), [("", True), (" 1 ", True), ("a.u.", False), ("V", False)])
def test_is_dimensionless(text: str, claim: bool) -> None:
    assert is_dimensionless(text) is claim


@pytest.mark.parametrize(
    ("units", "unit"),
    [
        ((), ""),
        (("V",), "V"),
        (("V", "Hz"), "V Hz"),
        (("V", "", " V "), "V^2"),
        (("1", ""), ""),
        (("nA/V", "nA/V"), "(nA/V)^2"),
    ],
)
def test_product(units: tuple[str, ...], unit: str) -> None:
    assert multiply(*units) == unit


@pytest.mark.parametrize(
    ("top", "bottom", "unit"),
    [("A", "V", "A/V"), ("V", " V", ""), ("", "s", "1/s"), ("V", "", "V"), ("V", "m s", "V/(m s)"), ("", "1", "")],
)
def test_quotient(top: str, bottom: str, unit: str) -> None:
    assert divide(top, bottom) == unit


@pytest.mark.parametrize(
    ("unit", "exponent", "found"),
    [("V", 2, "V^2"), ("V", 1, "V"), ("V", 0, ""), ("", 3, ""), ("V/m", 2, "(V/m)^2"), ("V", -1, "V^-1")],
)
def test_power(unit: str, exponent: int, found: str) -> None:
    assert raise_to_power(unit, exponent) == found
