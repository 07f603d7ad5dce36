"""Names and units of axes, and what a program flagged -> which are positions and which were swept.

Flags alone mislead: DigitalMicrograph's spectrum images come with energy flagged as position, EMD files of py4DSTEM
with nothing flagged at all. So what a unit says for certain counts first, then the flags, then names; what is left is
unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from usidx.instruments.unit_texts import normalize_units

__all__ = ["Hint", "Role", "find_roles"]

Role = Literal["position", "spectroscopic", "unknown"]

_LENGTHS: Final = {"m", "mm", "um", "nm", "pm", "fm", "Å", "cm"}
_SWEPT_UNITS: Final = {
    "eV", "keV", "meV", "V", "mV", "Hz", "kHz", "MHz", "s", "ms", "us", "ns", "ps", "min", "h", "1/cm", "1/nm", "1/Å",
    "1/A", "1/m", "1/um", "1/pm", "A^-1", "Å^-1", "Å-1", "A-1", "rad", "mrad", "deg", "K", "°C", "T", "A", "nA", "pA",
    "N", "nN", "m/z",
}  # fmt: skip
_SWEPT_NAMES: Final = re.compile(
    r"(energy|wavelength|wavenumber|raman|frequency|voltage|bias|time|frame|temperature|spectr|scattering|channel|mass)"
    r"|^(q|k|dp|det|detector)_?[xy]?$|^q\w?$|^(sig|signal)",
    re.IGNORECASE,
)
_PLACE_NAMES: Final = re.compile(r"^(r_?[xy]|scan_?[xy]|[xyz]|pos.*|width|height|line|row|column)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Hint:
    """What is known of an axis: its name and unit, and whether a program flagged it as one of positions."""

    name: str
    units: str
    is_navigated: bool | None = None


def find_roles(hints: Sequence[Hint]) -> tuple[Role, ...]:
    """Return the role of each axis, slowest first; unknown where nothing tells."""
    flags = [one.is_navigated for one in hints]
    if True in flags and False in flags:
        return _follow_flags(hints)
    roles = tuple(_judge(one) for one in hints)
    if len(hints) == 1:
        return ("position",) if roles[0] == "position" else ("spectroscopic",)
    unknown = [number for number, role in enumerate(roles) if role == "unknown"]
    if len(hints) == 2 and "spectroscopic" not in roles:
        return "position", "position"
    if len(unknown) == len(hints) == 4:
        return roles
    if "position" in roles and len(unknown) == 1 and "spectroscopic" not in roles:
        return tuple("spectroscopic" if role == "unknown" else role for role in roles)
    if "spectroscopic" in roles and "position" not in roles and len(unknown) <= 2:
        return tuple("position" if role == "unknown" else role for role in roles)
    return roles


def _follow_flags(hints: Sequence[Hint]) -> tuple[Role, ...]:
    certain = [_is_swept(one) for one in hints]
    navigated = [number for number, one in enumerate(hints) if one.is_navigated]
    signal = [number for number in range(len(hints)) if number not in navigated]
    # Energy as position, or a series of images in time: the picture is where it was measured.
    is_turned = all(certain[n] for n in navigated) and not any(certain[n] for n in signal)
    is_stack = len(navigated) == 1 and len(signal) == 2 and all(_is_plainly_place(hints[n]) for n in signal)
    if is_turned or is_stack:
        return tuple("spectroscopic" if n in navigated else "position" for n in range(len(hints)))
    return tuple("position" if n in navigated else "spectroscopic" for n in range(len(hints)))


def _is_plainly_place(one: Hint) -> bool:
    return normalize_units(one.units) in _LENGTHS - {"cm"} and bool(_PLACE_NAMES.match(one.name))


def _is_swept(one: Hint) -> bool:
    return normalize_units(one.units) in _SWEPT_UNITS or bool(_SWEPT_NAMES.search(one.name))


def _judge(one: Hint) -> Role:
    if _is_swept(one):
        return "spectroscopic"
    if normalize_units(one.units) in _LENGTHS or _PLACE_NAMES.match(one.name):
        return "position"
    return "unknown"
