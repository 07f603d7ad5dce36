"""The names are those of the specification, letter by letter."""

import ast
import re
from pathlib import Path

import pytest

from usidx.format import names


def test_the_four_references() -> None:
    assert names.ANCILLARIES == (
        "Position_Indices", "Position_Values", "Spectroscopic_Indices", "Spectroscopic_Values",
    )  # fmt: skip


def test_both_spellings_of_the_time_are_book_keeping() -> None:
    assert {"timestamp", "time_stamp"} <= names.BOOK_KEEPING


def test_kinds_of_dimensions() -> None:
    assert (names.DEFAULT_DIMENSION, names.INCOMPLETE_DIMENSION, names.DEPENDENT_DIMENSION) == (0, 1, 2)


def test_references_are_named_by_role_and_kind() -> None:
    made = [
        names.name_ancillary(role, kind) for role in ("position", "spectroscopic") for kind in ("Indices", "Values")
    ]
    assert tuple(made) == names.ANCILLARIES


@pytest.mark.parametrize("folder", ["io", "label", "results"])
def test_nobody_else_spells_a_name(folder: str) -> None:
    """Names that mean nothing else stand in the one module; words such as units have other uses in memory."""
    known = {v for v in vars(names).values() if isinstance(v, str)} | set(names.BOOK_KEEPING) | set(names.ANCILLARIES)
    telling = {name for name in known if "_" in name and not name.startswith("__")}
    assert {"source_000", "usid_provenance", "completed_positions", "machine_id", "Raw_Data"} <= telling
    offenders = [
        f"{file.name}:{node.lineno} {node.value!r}"
        for file in sorted((Path(names.__file__).parents[1] / folder).rglob("*.py"))
        for node in spelled_in(file)
        if node.value in telling or re.fullmatch(r"/?(Measurement|Channel)_\d+(/.*)?", str(node.value))
    ]
    assert offenders == []


def spelled_in(file: Path) -> list[ast.Constant]:
    """Return the texts of a file that are neither docstrings nor names that it exports."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    aside: set[ast.AST] = set()
    for node in ast.walk(tree):
        is_export = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        if is_export or isinstance(node, ast.Expr):
            aside |= set(ast.walk(node)) if is_export else {node.value}  # type: ignore[attr-defined]
    return [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str) and n not in aside]
