"""What JSON has no type for comes back as what it was; what a stranger wrote is never believed."""

import json
from datetime import date, datetime
from typing import Any

import numpy as np
import pytest

from usidx.errors import UsidError, UsidWarning
from usidx.format.packing import pack, pack_attribute, unpack

KEPT: list[Any] = [
    None,
    True,
    3,
    2**70,
    2.5,
    float("inf"),
    "text",
    "a\0b",
    "\udcff",
    1 + 2j,
    b"\0\xff",
    (1, (2, "a")),
    [1, [None, "a"]],
    {"a": {"b": [1]}},
    {1: "a", (2, 3): None},
    {"@type": "float", "value": "x"},
    datetime(2026, 1, 2, 3, 4),
    date(2026, 1, 2),
]


@pytest.mark.parametrize("value", KEPT, ids=repr)
def test_comes_back_with_its_type(value: Any) -> None:
    found = unpack(json.loads(json.dumps(pack(value), allow_nan=False)))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">i2").reshape(2, 3),
        np.array([np.nan, 1.0]),
        np.linspace(0, 1, 5000),
        np.zeros((0, 3)),
        np.array([1 + 2j, np.inf], "c8"),
        np.array([True, False]),
        np.array([["a", "µ"], ["", "abc"]]),
        np.array([], "U3"),
        np.array(["2026-01-02T03:04", "NaT"], "M8[s]"),
        np.float32(0.1),
        np.timedelta64(3, "h"),
        np.array([b"a\xff", b""]),
    ],
    ids=repr,
)
def test_arrays_come_back_with_their_type_and_shape(array: Any) -> None:
    found = unpack(json.loads(json.dumps(pack(array), allow_nan=False)))
    assert found.shape == array.shape
    assert found.dtype.kind == array.dtype.kind
    assert array.dtype.kind == "U" or found.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, array)


def test_not_a_number_comes_back() -> None:
    assert np.isnan(unpack(json.loads(json.dumps(pack(float("nan")), allow_nan=False))))


@pytest.mark.parametrize(
    "text",
    [
        '{"@type": "array", "dtype": "O", "shape": [1], "bytes": "AAAAAAAAAAA="}',
        '{"@type": "array", "dtype": "<f8", "shape": [1000000000000], "bytes": ""}',
        '{"@type": "array", "dtype": "<f8", "shape": [3], "values": {"a": 1}}',
        '{"@type": "array", "dtype": "<U1000000000", "shape": [1], "values": ["a"]}',
        '{"@type": "array", "dtype": "no type", "shape": [1], "values": [1]}',
        '{"@type": "array"}',
        '{"@type": "os.system", "value": "true"}',
        '{"@type": 3}',
        '{"@type": "float", "value": "x"}',
        '{"@type": "complex", "value": ["a", 1]}',
        '{"@type": "bytes", "value": 3}',
        '{"@type": "dict", "items": [[[], 1]]}',
        '{"@type": "datetime", "value": "yesterday"}',
        '{"@type": "texts", "values": ["a"], "shape": [2]}',
    ],
)
def test_what_says_something_that_cannot_be_stays_json(text: str) -> None:
    assert unpack(json.loads(text)) == json.loads(text)


def test_texts_take_no_more_memory_than_they_are_worth() -> None:
    texts = ["a"] * 100_000 + ["b" * 100_000]  # 40 GB as an array, each as long as the longest
    assert unpack({"@type": "texts", "shape": [100_001], "values": texts}) == texts


class Odd:
    def __str__(self) -> str:
        return "an odd thing"


def test_other_objects_are_refused_by_type() -> None:
    with pytest.raises(UsidError, match="a Odd is none of the values"):
        pack([Odd()])


def test_other_attributes_become_text_and_say_so() -> None:
    with pytest.warns(UsidWarning, match="Attribute 'stage' holds a Odd"):
        assert pack_attribute(Odd(), "stage") == "an odd thing"
    endless: list[Any] = []
    endless.append(endless)
    with pytest.warns(UsidWarning, match="Attribute 'stage' holds a list"):
        pack_attribute(endless, "stage")
