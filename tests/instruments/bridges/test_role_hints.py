"""Which axes are positions: by units, by flags where they make sense, by names; else unknown."""

import pytest

from usidx.instruments.bridges.role_hints import Hint, find_roles

P, S, U = "position", "spectroscopic", "unknown"


@pytest.mark.parametrize(
    ("hints", "roles"),
    [
        ([("Energy loss", "eV", False)], [S]),
        ([("x", "nm", False)], [P]),
        ([("y", "µm", False), ("x", "µm", False)], [P, P]),
        ([("height", "", None), ("width", "", None)], [P, P]),
        # As DigitalMicrograph's files come: energy as position.
        ([("Energy loss", "eV", True), ("y", "", False), ("x", "", False)], [S, P, P]),
        ([("x", "nm", True), ("Energy", "keV", False)], [P, S]),
        ([("scan_y", "", True), ("scan_x", "", True), ("y", "", False), ("x", "", False)], [P, P, S, S]),
        ([("y", "nm", True), ("x", "nm", True), ("dy", "cm", False), ("dx", "cm", False)], [P, P, S, S]),
        # Pictures in time: the picture is where it was measured.
        ([("time", "s", True), ("y", "nm", False), ("x", "nm", False)], [S, P, P]),
        ([("index", "", True), ("y", "nm", False), ("x", "nm", False)], [S, P, P]),
        # As py4DSTEM's files come: nothing is flagged.
        ([("Rx", "nm", None), ("Ry", "nm", None), ("Qx", "A^-1", None), ("Qy", "A^-1", None)], [P, P, S, S]),
        ([("Rx", "px", False), ("Ry", "px", False), ("Qx", "px", False), ("Qy", "px", False)], [P, P, S, S]),
        ([("a", "", None), ("b", "", None), ("c", "", None), ("d", "", None)], [U, U, U, U]),
    ],
)  # fmt: skip
def test_roles(hints: list[tuple[str, str, bool | None]], roles: list[str]) -> None:
    assert list(find_roles([Hint(*one) for one in hints])) == roles
