"""Labels and counters in every spelling that files have."""

from typing import Any

import numpy as np
import pytest

from usidx.errors import GridError, LayoutError
from usidx.format.layout import decode_text, parse_counters, parse_labels

COUNTS = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("µm", "µm"),
        (b"\xc2\xb5m", "µm"),
        (b"\xb5m", "µm"),
        (np.bytes_(b"V"), "V"),
        (np.str_("V"), "V"),
        (np.array("V"), "V"),
        (np.array([b"V"]), "V"),
        (np.array(["V"], dtype=object), "V"),
        (np.array([[b"V"]]), "V"),
        (3.5, None),
        (np.array([1, 2]), None),
        (np.array([b"V", b"m"]), None),
        (None, None),
    ],
)
def test_text_of(value: Any, text: str | None) -> None:
    assert decode_text(value) == text


@pytest.mark.parametrize(
    "value",
    [
        np.array([b"X", b"\xc2\xb5"]),
        np.array(["X", "µ"]),
        np.array(["X", "µ"], dtype=object),
        np.array([b"X", "µ"], dtype=object),
        np.array([[b"X"], [b"\xc2\xb5"]]),
    ],
)
def test_labels_in_any_storage(value: Any) -> None:
    assert parse_labels(value, 2, "'/table'", "labels") == ("X", "µ")


@pytest.mark.parametrize("value", ["X", b"X", np.bytes_(b"X"), np.array("X")])
def test_one_label_may_be_a_scalar(value: Any) -> None:
    assert parse_labels(value, 1, "'/table'", "labels") == ("X",)


def test_a_scalar_label_of_two_letters_is_not_two_labels() -> None:
    with pytest.raises(LayoutError, match=r"'/table': attribute 'labels' has 1 entries \['XY'\] for 2 dimensions"):
        parse_labels("XY", 2, "'/table'", "labels")


@pytest.mark.parametrize("value", [np.array([1, 2]), 3.5, np.array([None, "X"], dtype=object)])
def test_labels_must_be_strings(value: Any) -> None:
    with pytest.raises(LayoutError, match="'/table': attribute 'units' must hold strings"):
        parse_labels(value, 2, "'/table'", "units")


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", ">u2", "u4", ">i4", "u8", "i8", "f2", "f4", ">f8", "?"])
def test_counters_of_any_type(dtype: str) -> None:
    found = parse_counters(COUNTS.astype(dtype), "'/table'")
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, COUNTS)


@pytest.mark.parametrize("wrong", [0.5, np.nan, np.inf, -np.inf, 2.0**53])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_counters_are_whole(wrong: float, dtype: str) -> None:
    counters = COUNTS.astype(dtype)
    counters[2, 1] = wrong
    with pytest.raises(GridError, match=r"'/table': indices count.* at entry 2 of dimension 1"):
        parse_counters(counters, "'/table'")


def test_counters_beyond_counting() -> None:
    with pytest.raises(GridError, match=r"'/table': index 18446744073709551615 is too large"):
        parse_counters(np.array([[2**64 - 1]], dtype="u8"), "'/table'")


@pytest.mark.parametrize("dtype", ["S4", "c8", "M8[s]"])
def test_counters_are_numbers(dtype: str) -> None:
    with pytest.raises(LayoutError, match="'/table': indices must be whole numbers, found the type"):
        parse_counters(np.zeros((2, 2), dtype=dtype), "'/table'")
