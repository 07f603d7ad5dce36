"""Objects of other libraries: the same numbers, axes and roles, and no copy."""

import numpy as np
import pytest

import usidx
from tests.kit.listed_values import get_leaf
from usidx.errors import TranslationError

CUBE = np.arange(24.0).reshape(2, 3, 4)


def test_a_dataset_of_sidpy_keeps_its_dims() -> None:
    sidpy = pytest.importorskip("sidpy")
    held = sidpy.Dataset.from_array(CUBE, title="scan")
    held.quantity, held.units = "Current", "nA"
    for number, (name, units, kind) in enumerate(
        [("bias", "V", "spectral"), ("x", "nm", "spatial"), ("y", "nm", "spatial")]
    ):
        values = 0.5 * np.arange(CUBE.shape[number])
        dim = sidpy.Dimension(values, name=name, units=units, quantity=name, dimension_type=kind)
        held.set_dimension(number, dim)
    scan = get_leaf(usidx.read_instrument(held), "scan")
    assert scan.dims == ("x", "y", "bias")
    np.testing.assert_array_equal(scan, CUBE.transpose(1, 2, 0))
    np.testing.assert_allclose(scan.x, [0, 0.5, 1])
    assert (scan.attrs["units"], scan.bias.attrs["units"], scan.bias.attrs["usid_role"]) == ("nA", "V", "spectroscopic")
    assert scan.chunks is not None


def test_a_signal_of_hyperspy_shares_its_memory() -> None:
    hyperspy = pytest.importorskip("hyperspy.api")
    signal = hyperspy.signals.Signal1D(CUBE.copy())
    signal.metadata.General.title = "map"
    for axis, (name, units, scale) in zip(
        signal.axes_manager._axes, [("y", "nm", 2), ("x", "nm", 1), ("E", "eV", 5)], strict=True
    ):
        axis.name, axis.units, axis.scale = name, units, scale
    found = get_leaf(usidx.read_instrument(signal), "map")
    assert found.dims == ("y", "x", "E")
    np.testing.assert_array_equal(found, CUBE)
    np.testing.assert_allclose(found.E, [0, 5, 10, 15])
    assert np.shares_memory(found.values, signal.data)
    assert [found[dim].attrs["usid_role"] for dim in found.dims] == ["position", "position", "spectroscopic"]


class _Axis:
    def __init__(self, name: str, size: int, *, navigate: bool) -> None:
        self.name, self.units, self.navigate, self.axis = name, "", navigate, np.arange(size)


class _Signal:
    """As little of a signal of HyperSpy as is looked at."""

    ragged = False
    data = CUBE

    class metadata:
        @staticmethod
        def get_item(path: str, otherwise: str) -> str:
            return {"General.title": "a/b", "Signal.quantity": "Counts (Hz)"}.get(path, otherwise)

        @staticmethod
        def as_dictionary() -> dict[str, dict[str, str]]:
            return {"Signal": {"signal_type": "EELS"}}

    class axes_manager:
        _axes = (_Axis("y", 2, navigate=True), _Axis("x", 3, navigate=True), _Axis("<undefined>", 4, navigate=False))


def test_what_is_looked_at_of_a_signal() -> None:
    found = get_leaf(usidx.read_instrument(_Signal()), "a_b")  # type: ignore[arg-type]
    assert np.shares_memory(found.values, CUBE)
    assert found.dims == ("y", "x", "dim_2")
    assert (found.attrs["units"], found.attrs["long_name"], found.attrs["signal_type"]) == ("Hz", "Counts", "EELS")
    assert "read_instrument" in str(found.attrs)


def test_a_ragged_signal_is_refused() -> None:
    signal = _Signal()
    signal.ragged = True
    with pytest.raises(TranslationError, match="is ragged"):
        usidx.read_instrument(signal)  # type: ignore[arg-type]
