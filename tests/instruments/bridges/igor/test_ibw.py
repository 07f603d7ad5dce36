"""Igor waves: values of other readers, clean labels, units per channel, segments of curves; old and odd waves."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.kit.listed_values import assert_as_listed, get_leaf
from usidx.errors import TranslationError
from usidx.instruments.bridges.igor.ibw import READER

Files = Callable[[str], Path]


def make_old_wave(path: Path, values: np.ndarray, kind: int, order: str = "<") -> Path:
    """Write a wave of version 2 as note 003 of WaveMetrics lays it out, in steps of 0.25 s from 10 s on."""
    note = b"made here"
    header = struct.pack(
        f"{order}hi20shhi4s4sih dd hhhddBBiiihih".replace(" ", ""),
        kind, 0, b"wave0", 0, 0, 0, b"A", b"s", len(values), 0, 0.25, 10.0, 0, 0, 0, 0.0, 0.0, 0, 0, 0, 0, 0, 0, 0, 0,
    )[:110]  # fmt: skip
    first = struct.pack(f"{order}hiiih", 2, 126 + values.nbytes, len(note), 0, 0)
    path.write_bytes(first + header.ljust(110, b"\0") + values.tobytes() + bytes(16) + note)
    return path


def test_layers_of_a_real_image_are_channels_with_clean_names_and_their_own_units(real_files: Files) -> None:
    path = real_files("ibw/P0089OP0027.ibw")
    tree = READER(path)
    found = {name: tree[name]["retrace"]["retrace"].attrs["units"] for name in tree.children}
    assert found == {"Height": "m", "Amplitude": "m", "Deflection": "m", "Phase": "deg", "UserIn0": "V"}
    layers = np.stack([get_leaf(tree, f"{name}/retrace").values.T for name in tree.children], axis=-1)
    assert_as_listed(layers, path, "(256, 256, 5)")
    height = tree["Height"]["retrace"]["retrace"]
    assert height.dims == ("Y", "X")
    np.testing.assert_allclose(height.X[[0, -1]], [0, 255 * 7.84313725e-09])
    assert tree.attrs["ImagingMode"] == "PFM Mode"


def test_layers_are_the_values_of_igor2(real_files: Files) -> None:
    binarywave = pytest.importorskip("igor2.binarywave")
    path = real_files("ibw/P0089OP0027.ibw")
    wave = binarywave.load(str(path))["wave"]["wData"]
    for layer, node in enumerate(READER(path).children.values()):
        np.testing.assert_array_equal(node["retrace"]["retrace"], wave[:, :, layer].T)


def test_a_real_force_curve_has_its_segments_and_its_force(real_files: Files) -> None:
    path = real_files("ibw/force_distance.ibw")
    tree = READER(path)
    assert_as_listed(tree["Force"]["Force"], path, "curve 0 force")
    assert_as_listed(tree["height_measured"]["height_measured"], path, "curve 0 height (measured)")
    assert_as_listed(tree["height_piezo"]["height_piezo"], path, "curve 0 height (piezo)")
    force = tree["Force"]["Force"]
    assert force.attrs["units"] == "N"
    np.testing.assert_allclose(force.time[:3], [0, 5e-4, 1e-3])
    # The note says: Indexes 0,1008,2015, Direction NaN,1,-1.
    assert np.unique(force.segment, return_counts=True)[1].tolist() == [1008, 1008]


def test_a_label_that_stands_alone_is_read(real_files: Files) -> None:
    path = real_files("ibw/10x10-one_channel_without_name.ibw")
    tree = READER(path)
    assert_as_listed(get_leaf(tree, "Generated 1").values.T, path, "(10, 10, 1)")


@pytest.mark.parametrize(
    ("order", "kind", "dtype"), [("<", 4, "f8"), (">", 2, "f4"), (">", 0x10, "i2"), ("<", 0x60, "u4")]
)
def test_an_old_wave_is_read_in_either_byte_order(tmp_path: Path, order: str, kind: int, dtype: str) -> None:
    values = np.arange(1, 6, dtype=order + dtype)
    wave = READER(make_old_wave(tmp_path / "a.ibw", values, kind, order))["wave0"]["wave0"]
    np.testing.assert_array_equal(wave, [1, 2, 3, 4, 5])
    assert wave.dtype.isnative
    np.testing.assert_allclose(wave.X, 10 + 0.25 * np.arange(5))
    assert (wave.attrs["units"], wave.X.attrs["units"], wave.X.attrs["usid_role"]) == ("A", "s", "spectroscopic")


def test_complex_numbers_are_read(tmp_path: Path) -> None:
    values = np.array([1 + 2j, 3 - 1j], dtype="<c16")
    np.testing.assert_array_equal(READER(make_old_wave(tmp_path / "a.ibw", values, 5))["wave0"]["wave0"], values)


@pytest.mark.parametrize(
    ("count", "kind", "reason"), [(3, 0, "wave of texts"), (0, 4, "without a point"), (3, 9, "of the kind 0x9")]
)
def test_what_holds_no_numbers_is_refused(tmp_path: Path, count: int, kind: int, reason: str) -> None:
    with pytest.raises(TranslationError, match=reason):
        READER(make_old_wave(tmp_path / "a.ibw", np.zeros(count), kind))


@pytest.mark.parametrize("keep", [1, 100, 700_000, 1_320_000])
def test_a_wave_that_is_cut_off_is_refused(real_files: Files, keep: int, capfd: pytest.CaptureFixture[str]) -> None:
    path = real_files("ibw/P0089OP0027.ibw")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TranslationError, match=r"P0089OP0027\.ibw.*'ibw'"):
        READER(path)
    assert capfd.readouterr().err == ""


def test_a_header_that_promises_terabytes_is_refused(real_files: Files) -> None:
    path = real_files("ibw/P0089OP0027.ibw")
    content = bytearray(path.read_bytes())
    content[76:80] = (2**30).to_bytes(4, "little")
    content[132:144] = struct.pack("<3i", 2**10, 2**10, 2**10)
    path.write_bytes(content)
    with pytest.raises(TranslationError, match="promises more than the"):
        READER(path)
