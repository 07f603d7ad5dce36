"""A layout becomes dims, coordinates and attributes, and each of its oddities is kept."""

from typing import Any

import numpy as np
import pytest

from usidx.format.layout import Layout, Role, Side
from usidx.label.coding import LABEL, decode, decode_array, parse_field
from usidx.label.roles import ROLE


def side(role: Role, labels: tuple[str, ...], sizes: tuple[int, ...], **more: Any) -> Side:
    """Return a raster whose last dim is the fastest, values ten times the counters."""
    counters = np.moveaxis(np.indices(sizes), 0, -1).reshape(-1, len(sizes))
    values = more.pop("values", 10.0 * counters)
    return Side(role, labels, more.pop("units", ("m",) * len(labels)), counters, np.asarray(values), **more)


def layout(position: Side, spectroscopic: Side, **more: Any) -> Layout:
    shape = position.size, spectroscopic.size
    named: dict[str, Any] = {"name": "Raw_Data", "quantity": " Current ", "units": " nA\n", "dtype": np.dtype("f8")}
    return Layout(shape=shape, position=position, spectroscopic=spectroscopic, **(named | more))


SCAN = side("position", ("Y", "X"), (2, 3)), side("spectroscopic", ("Bias",), (4,))


def test_dims_coordinates_and_attributes() -> None:
    frame = decode(layout(*SCAN, attributes={"gain": 3}, book_keeping={"timestamp": "now"}))
    assert (frame.name, frame.dims, frame.placement.shape) == ("Raw_Data", ("Y", "X", "Bias"), (2, 3, 4))
    assert frame.attrs == {"long_name": "Current", "units": "nA", "gain": 3}
    assert frame.encoding == {"timestamp": "now"}
    assert frame.coords["X"].attrs == {ROLE: "position", "units": "m"}
    assert frame.coords["Bias"].attrs == {ROLE: "spectroscopic", "units": "m"}
    np.testing.assert_array_equal(frame.coords["X"], [0, 10, 20])
    assert set(frame.coords.xindexes) == {"Y", "X", "Bias"}


def test_a_stray_attribute_does_not_hide_the_quantity() -> None:
    assert decode(layout(*SCAN, attributes={"long_name": "other"})).attrs["long_name"] == "Current"


@pytest.mark.parametrize("squeeze", [True, False])
def test_dims_of_one_step(squeeze: bool) -> None:
    one = side("position", ("Y", "X"), (1, 3)), side("spectroscopic", ("None",), (1,), values=[[1.0]])
    frame = decode(layout(*one), squeeze=squeeze)
    assert frame.dims == (("X",) if squeeze else ("Y", "X", "None"))
    assert frame.coords["None"].values.item() == 1.0
    assert frame.coords["None"].dims == (() if squeeze else ("None",))
    assert frame.coords["Y"].attrs[ROLE] == "position"


@pytest.mark.parametrize(
    ("position", "spectroscopic", "names"),
    [
        (("Time",), ("Time",), ("Time", "Time_spectroscopic")),
        (("Time",), ("Time", "Time_spectroscopic"), ("Time", "Time_spectroscopic_", "Time_spectroscopic")),
        (("A", "Time_spectroscopic"), ("A",), ("A", "Time_spectroscopic", "A_spectroscopic")),
        (("A", "A_spectroscopic"), ("A",), ("A", "A_spectroscopic", "A_spectroscopic_")),
    ],
)
def test_one_label_on_both_sides(
    position: tuple[str, ...], spectroscopic: tuple[str, ...], names: tuple[str, ...]
) -> None:
    sides = (
        side("position", position, (2, 3)[: len(position)]),
        side("spectroscopic", spectroscopic, (4, 5)[: len(spectroscopic)]),
    )
    frame = decode(layout(*sides))
    assert frame.dims == names
    labels = position + spectroscopic
    for name, label in zip(names, labels, strict=True):
        assert frame.coords[name].attrs.get(LABEL, name) == label


def test_a_label_that_cannot_be_a_name_is_kept() -> None:
    frame = decode(layout(side("position", (" a/b\n",), (2,)), SCAN[1]))
    assert frame.dims == ("a_b", "Bias")
    assert frame.coords["a_b"].attrs[LABEL] == " a/b\n"


@pytest.mark.parametrize("values", [[0, 1, 1, 0], [0, np.nan, 1, 2], [0, np.inf, 1, 2]])
def test_values_that_cannot_label_carry_no_index(values: list[float]) -> None:
    swept = side("spectroscopic", ("Bias",), (4,), values=np.reshape(values, (4, 1)))
    frame = decode(layout(SCAN[0], swept))
    assert set(frame.coords.xindexes) == {"Y", "X"}
    np.testing.assert_array_equal(frame.coords["Bias"], values)


def test_decreasing_values_carry_an_index() -> None:
    swept = side("spectroscopic", ("Bias",), (4,), values=[[3.0], [2.0], [1.0], [0.0]])
    assert "Bias" in decode(layout(SCAN[0], swept)).coords.xindexes


def test_half_floats_become_single() -> None:
    swept = side("spectroscopic", ("Bias",), (4,), values=np.array([[0], [0.5], [1], [1.5]], dtype="f2"))
    found = decode(layout(SCAN[0], swept)).coords["Bias"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [0, 0.5, 1, 1.5])


def test_flat_rows_get_a_counter_with_the_role() -> None:
    sparse = Side("position", ("X", "Y"), ("m", "m"), np.array([[0, 0], [1, 1], [2, 2]]), np.arange(6.0).reshape(3, 2))
    frame = decode(layout(sparse, SCAN[1]))
    assert frame.dims == ("position", "Bias")
    assert frame.coords["position"].attrs == {ROLE: "position"}
    assert {n: frame.coords[n].dims for n in "XY"} == {"X": ("position",), "Y": ("position",)}
    assert "X" not in frame.coords.xindexes


def test_both_sides_flat() -> None:
    counters = np.array([[0, 0], [1, 1], [2, 2]])
    sides = [Side(role, ("A", "B"), ("", ""), counters, counters / 2) for role in ("position", "spectroscopic")]
    frame = decode(layout(*sides))
    assert frame.dims == ("position", "spectroscopic")
    assert {"A", "B", "A_spectroscopic", "B_spectroscopic"} <= set(frame.coords)


@pytest.mark.parametrize(
    "hints",
    [
        {"coordinates": {"X": {"dims": ["Nope"], "dtype": "nonsense", "attrs": 3}}},
        {"coordinates": {"X": {"dims": 3, "dtype": ["f4"], "attrs": ["a"]}}},
        {"coordinates": {"X": "text"}},
        {"coordinates": ["X"]},
        {"coordinates": {"X": {"dtype": "M8[s]"}}},
        {"coordinates": {"X": {"dtype": "u1"}}},
        {"kept": "X", "flat": "yes", "placeholder": "maybe"},
        {"kept": [3, None], "placeholder": True},
    ],
    ids=str,
)
def test_damaged_hints_are_ignored(hints: dict[str, Any]) -> None:
    position = side("position", ("Y", "X"), (2, 3), values=-10.0 * np.indices((2, 3)).reshape(2, 6).T, hints=hints)
    frame = decode(layout(position, SCAN[1], hints={"dims": ["X", "Z"], "absent": "units"}))
    assert frame.dims == ("Y", "X", "Bias")
    np.testing.assert_array_equal(frame.coords["X"], [0, -10, -20])


def test_decode_array_places_the_data() -> None:
    main = np.arange(24.0).reshape(6, 4)
    array = decode_array(layout(*SCAN), main)
    np.testing.assert_array_equal(array, main.reshape(2, 3, 4))
    recorded = decode_array(layout(*SCAN, hints={"dims": ["Bias", "Y", "X"]}), main)
    np.testing.assert_array_equal(recorded, main.T.reshape(4, 2, 3))


@pytest.mark.parametrize(
    ("title", "name", "unit"),
    [
        ("Amplitude [V]", "Amplitude", "V"),
        ("Quality Factor", "Quality Factor", ""),
        (" Phase  [ rad ] ", "Phase", "rad"),
        ("a [b] c", "a [b] c", ""),
        ("[V]", "[V]", ""),
        ("x []", "x", ""),
        ("d/dV [nA/V]", "d_dV", "nA/V"),
        ("a[0] [m]", "a[0]", "m"),
    ],
)
def test_parse_field(title: str, name: str, unit: str) -> None:
    assert parse_field(title) == (name, unit)
