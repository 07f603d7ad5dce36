"""Galactic spectra, written as their headers describe: new and old, one or a series, whole numbers and floats."""

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.kit.listed_values import get_leaf
from usidx.errors import TranslationError
from usidx.instruments.bridges.spc import READER

FLOATS = 0x80


def make_new(
    path: Path, bodies: list[bytes], *, flags: int = 0, exponent: int = FLOATS, points: int = 4, kind: int = 13
) -> Path:
    head = struct.pack("<BBBBiddiBBBB", flags, 0x4B, 0, exponent, points, 100.0, 400.0, len(bodies), kind, 4, 5, 0)
    path.write_bytes(head.ljust(512, b"\0") + b"".join(bodies))
    return path


def make_sub(values: np.ndarray, *, exponent: int = FLOATS, z: float = 0.0, x: bytes = b"", count: int = 0) -> bytes:
    return struct.pack("<BBHfffiif4x", 0, exponent, 0, z, 0, 0, count, 0, 0) + x + values.tobytes()


def test_a_spectrum_of_floats(tmp_path: Path) -> None:
    values = np.array([1, 2, 3, 4.5], "<f4")
    spectrum = get_leaf(READER(make_new(tmp_path / "a.spc", [make_sub(values)])), "Counts")
    np.testing.assert_array_equal(spectrum, values)
    np.testing.assert_allclose(spectrum["Raman shift"], [100, 200, 300, 400])
    assert (spectrum["Raman shift"].attrs["units"], spectrum.attrs["units"]) == ("1/cm", "counts")


def test_whole_numbers_have_a_power_of_two_as_unit(tmp_path: Path) -> None:
    wide = np.array([1 << 30, -(1 << 29), 0, 3], "<i4")
    spectrum = get_leaf(READER(make_new(tmp_path / "a.spc", [make_sub(wide)], exponent=5)), "Counts")
    np.testing.assert_array_equal(spectrum, wide * 2.0**5 / 2.0**32)
    short = np.array([1 << 14, -5, 0, 3], "<i2")
    spectrum = get_leaf(READER(make_new(tmp_path / "b.spc", [make_sub(short)], exponent=5, flags=1)), "Counts")
    np.testing.assert_array_equal(spectrum, short * 2.0**5 / 2.0**16)


def test_a_series_lies_over_its_times(tmp_path: Path) -> None:
    values = np.arange(12, dtype="<f4").reshape(3, 4)
    bodies = [make_sub(one, z=10.0 * n) for n, one in enumerate(values)]
    series = get_leaf(READER(make_new(tmp_path / "a.spc", bodies, flags=4)), "Counts")
    np.testing.assert_array_equal(series, values)
    np.testing.assert_allclose(series.Time, [0, 10, 20])
    assert (series.Time.attrs["units"], series.Time.attrs["usid_role"]) == ("min", "position")


def test_uneven_abscissas_and_one_per_spectrum(tmp_path: Path) -> None:
    x, values = np.array([1, 2, 4, 8], "<f4"), np.array([1, 2, 3, 4], "<f4")
    path = make_new(tmp_path / "a.spc", [x.tobytes() + make_sub(values)], flags=0x80)
    np.testing.assert_allclose(get_leaf(READER(path), "Counts")["Raman shift"], x)
    bodies = [make_sub(values[:n], x=x[:n].tobytes(), count=n) for n in (4, 2)]
    tree = READER(make_new(tmp_path / "b.spc", bodies, flags=0x80 | 0x40 | 4))
    assert [get_leaf(tree, name).size for name in ("Counts", "Counts_2")] == [4, 2]


def test_the_old_layout_turns_the_halves_of_numbers(tmp_path: Path) -> None:
    values = np.array([1 << 20, 3, -7], "<i4")
    head = struct.pack("<BBhfffBB", 0, 0x4D, 8, 3.0, 10.0, 30.0, 3, 2).ljust(256, b"\0")
    turned = values.view("<u2").reshape(-1, 2)[:, ::-1].tobytes()
    (tmp_path / "a.spc").write_bytes(head + turned)
    spectrum = get_leaf(READER(tmp_path / "a.spc"), "Absorbance")
    np.testing.assert_array_equal(spectrum, values * 2.0**8 / 2.0**32)
    np.testing.assert_allclose(spectrum.Wavelength, [10, 20, 30])


@pytest.mark.parametrize("points", [5, 2**31 - 1, 0, -1])
def test_what_does_not_fit_is_refused(tmp_path: Path, points: int) -> None:
    path = make_new(tmp_path / "a.spc", [make_sub(np.ones(4, "<f4"))], points=points)
    with pytest.raises(TranslationError, match=r"a\.spc.*'spc'.*promises"):
        READER(path)
