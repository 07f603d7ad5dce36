"""Files read by RosettaSciIO: values of the list, axes in their roles; what it does badly is mended on the way."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.kit.listed_values import assert_as_listed, get_leaf
from usidx.errors import MissingExtraError, TranslationError
from usidx.instruments.bridges.electron import rosetta

Files = Callable[[str], Path]


def stand_in(monkeypatch: pytest.MonkeyPatch, *found: dict[str, Any]) -> None:
    """Let a reader of RosettaSciIO give what is said here."""
    module = ModuleType("rsciio.tvips")
    vars(module)["file_reader"] = lambda path, lazy: list(found)
    monkeypatch.setitem(sys.modules, "rsciio", ModuleType("rsciio"))
    monkeypatch.setitem(sys.modules, "rsciio.tvips", module)
    monkeypatch.setattr("usidx.instruments.reader.Package.is_installed", True)


def axis(name: str, size: int, units: str = "", *, navigate: bool = False, **more: Any) -> dict[str, Any]:
    return {"name": name, "size": size, "units": units, "scale": 1.0, "offset": 0.0, "navigate": navigate, **more}


def test_a_real_spectrum_image_has_energy_as_what_was_swept(real_files: Files) -> None:
    pytest.importorskip("rsciio")
    path = real_files("dm/DMReader_SpectrumImage_SI-EELS.dm3")
    image = get_leaf(rosetta.DM(path), "06-EELS Spectrum Image")
    assert image.sizes == {"y": 49, "x": 6, "Energy loss": 1024}
    assert [image[dim].attrs["usid_role"] for dim in image.dims] == ["position", "position", "spectroscopic"]
    assert_as_listed(image.transpose("Energy loss", "y", "x"), path, "[1of1] (1024, 49, 6)")
    np.testing.assert_allclose(image["Energy loss"][[0, 1]], [350, 350.5])
    assert image["Energy loss"].attrs["units"] == "eV"
    assert image.chunks is not None


def test_a_real_spectrum_has_its_energies(real_files: Files) -> None:
    pytest.importorskip("rsciio")
    path = real_files("dm/EELS_STO.dm3")
    spectrum = get_leaf(rosetta.DM(path), "01-EELS Acquire_STO")
    assert_as_listed(spectrum, path, "[1of1] (2048,)")
    np.testing.assert_allclose(spectrum["Energy loss"][[0, -1]], [350, 350 + 0.25 * 2047])


def test_a_real_image_of_velox_is_one_of_positions(real_files: Files) -> None:
    pytest.importorskip("rsciio")
    path = real_files("emd/fei_emd_image.emd")
    image = get_leaf(rosetta.VELOX(path), "HAADF")
    assert_as_listed(image, path, "[1of1] (512, 512)")
    assert (image.dims, image.x.attrs["units"], image.x.attrs["usid_role"]) == (("y", "x"), "um", "position")
    np.testing.assert_allclose(image.x[0], -1.35741819852585)
    assert rosetta.VELOX.sniff(path, path.read_bytes()[:4096]) > 0.9


@pytest.mark.parametrize("keep", [10, 1000, 100_000])
def test_a_file_that_is_cut_off_is_one_error(real_files: Files, keep: int) -> None:
    pytest.importorskip("rsciio")
    path = real_files("dm/EELS_STO.dm3")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TranslationError, match=r"EELS_STO\.dm3.*'dm'"):
        get_leaf(rosetta.DM(path), "01-EELS Acquire_STO").compute()


def test_colours_are_channels_and_scales_that_are_no_numbers_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colours = np.zeros((2, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours["G"] = 7
    axes = [axis("height", 2, scale=float("inf")), axis("width", 3) | {"size": None}]
    stand_in(monkeypatch, {"data": colours, "axes": axes, "metadata": {"General": {"title": "a/b"}}})
    tree = rosetta.TVIPS(tmp_path / "x.tvips")
    assert sorted(tree["a_b"].children) == ["B", "G", "R"]
    assert (get_leaf(tree, "a_b/G") == 7).all()
    np.testing.assert_allclose(get_leaf(tree, "a_b/R").height, [0, 1])


def test_pictures_of_a_series_and_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.arange(24).reshape(4, 2, 3)
    axes = [axis("time", 4, "s", navigate=True, scale=0.5), axis("y", 2, "nm"), axis("x", 3, "nm", offset=10.0)]
    told = {"General": {"title": "<undefined>"}, "Signal": {"quantity": "Intensity (counts)"}}
    stand_in(monkeypatch, {"data": data, "axes": axes, "metadata": told, "original_metadata": {"a": {"b": 3}}})
    series = get_leaf(rosetta.TVIPS(tmp_path / "x.tvips"), "<undefined>")
    np.testing.assert_array_equal(series, data.transpose(1, 2, 0))
    assert (series.dims, series.attrs["units"], series.attrs["long_name"]) == (
        ("y", "x", "time"),
        "counts",
        "Intensity",
    )
    assert series.attrs["original_metadata.a.b"] == 3
    np.testing.assert_allclose(series.x, [10, 11, 12])


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usidx.instruments.reader.Package.is_installed", False)
    (tmp_path / "a.dm3").write_bytes(b"\x00\x00\x00\x03")
    with pytest.raises(MissingExtraError, match=r"DigitalMicrograph.*'rosettasciio'.*usidx\[em\]"):
        rosetta.DM(tmp_path / "a.dm3")


def test_it_is_not_imported_before_a_file_is_read() -> None:
    code = (
        "import sys, usidx; usidx.list_readers(); "
        "print([m for m in ('rsciio', 'sm4file', 'access2thematrix', 'PIL', 'tifffile') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
