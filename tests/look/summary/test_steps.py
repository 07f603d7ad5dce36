"""Steps in words: whatever a file claims was done, one line that can be shown."""

from typing import Any

import pytest

from usidx.look.summary.steps import tell


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"tool": "svd", "version": "1.0", "parameters": {"n": 4}}, "svd(n=4)  [usidx 1.0]"),
        ({"tool": "open", "file": "scan.h5", "dataset": "/Raw"}, "open('scan.h5', '/Raw')"),
        (
            {"tool": "fit", "parameters": {"dim": ["E"], "bounds": {}, "sigma": None, "fast": True}},
            "fit(dim='E', fast=True)",
        ),
        (
            {"tool": "fit", "parameters": {"model": {"name": "SHO", "prefix": ""}, "n": [1, 2]}},
            "fit(model=SHO, n=[1, 2])",
        ),
        (
            {"tool": "nmf", "input": {"name": "Raw", "dims": {"Y": 3, "X": 4}, "dtype": "float32"}},
            "nmf  [of Raw (Y 3 × X 4) float32]",
        ),
        ({}, "?"),
        ({"tool": "svd", "parameters": "n=4", "input": 7}, "svd"),
    ],
)
def test_a_step_in_one_line(step: dict[str, Any], expected: str) -> None:
    assert str(tell(step)) == expected


def test_values_that_are_no_json_are_told_by_their_kind() -> None:
    assert tell({"tool": "fit", "parameters": {"model": object()}}).arguments == "model=object"


def test_long_and_odd_texts_are_cut_and_made_printable() -> None:
    told = tell({"tool": "a\x1b[31m", "parameters": {"text": "x" * 10_000}})
    assert "\x1b" not in told.tool
    assert len(str(told)) < 1000
