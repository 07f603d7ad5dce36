"""Anasys documents: maps as another reader has them, spectra at their places; entities and bombs are refused."""

import base64
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.kit.listed_values import assert_as_listed
from usidx.errors import TranslationError
from usidx.instruments.bridges.probe.anasys import READER

Files = Callable[[str], Path]
REAL = "anasys/maps.axz"


def encode(values: list[float]) -> str:
    return base64.b64encode(np.array(values, "<f4").tobytes()).decode()


def save(path: Path, body: str, before: str = "") -> Path:
    text = f'<?xml version="1.0"?>{before}<Document xmlns="www.anasysinstruments.com">{body}</Document>'
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_real_maps_have_the_values_of_another_reader(real_files: Files) -> None:
    path = real_files(REAL)
    tree = READER(path)
    for name, units in (("Height 1", "nm"), ("Amplitude 1", "V")):
        image = tree[name][name]
        assert_as_listed(image, path, f"height map {name}")
        assert image.attrs["units"] == units
    np.testing.assert_allclose(image.X[[0, -1]], [-1, 1 - 2 / 512])
    np.testing.assert_allclose(image.Y[[0, -1]], [1, -1 + 2 / 512])
    assert image.attrs["System"] == "NANOIR2"


def test_spectra_lie_at_their_places(tmp_path: Path) -> None:
    one = (
        "<IRRenderedSpectra><Label>S</Label><DataPoints>3</DataPoints><StartWavenumber>900</StartWavenumber>"
        "<EndWavenumber>910</EndWavenumber><Location><X>{x}</X><Y>{y}</Y><Z>0</Z></Location>"
        "<DataChannels><Name>IR Amplitude</Name><SampleBase64>{data}</SampleBase64></DataChannels></IRRenderedSpectra>"
    )
    body = one.format(x=1, y=2, data=encode([1, 2, 3])) + one.format(x=4, y=5, data=encode([4, 5, 6]))
    spectra = READER(save(tmp_path / "a.axz", f"<RenderedSpectra>{body}</RenderedSpectra>"))["IR Amplitude"][
        "IR Amplitude"
    ]
    np.testing.assert_array_equal(spectra, [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_allclose(spectra.Wavenumber, [900, 905, 910])
    assert (spectra.X.values.tolist(), spectra.Y.values.tolist()) == ([1, 4], [2, 5])
    assert spectra.Wavenumber.attrs["units"] == "1/cm"


def test_entities_are_refused(tmp_path: Path) -> None:
    before = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    with pytest.raises(TranslationError, match=r"a\.axz.*'anasys'.*has a document type"):
        READER(save(tmp_path / "a.axz", "&b;", before))


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TranslationError, match="unpacks to more than 67108864 bytes"):
        READER(save(tmp_path / "a.axz", f"<HeightMaps>{' ' * (70 << 20)}</HeightMaps>"))


def test_elements_nested_without_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TranslationError, match="nested deeper than 64"):
        READER(save(tmp_path / "a.axz", "<a>" * 1000))


def test_sizes_that_do_not_fit_the_numbers_are_refused(tmp_path: Path) -> None:
    size = "<Resolution><X>1000000</X><Y>1000000</Y></Resolution>"
    body = f"<HeightMap>{size}<SampleBase64>{encode([1])}</SampleBase64></HeightMap>"
    with pytest.raises(TranslationError, match="of 1000000 x 1000000 pixels has 1 numbers"):
        READER(save(tmp_path / "a.axz", body))


@pytest.mark.parametrize("keep", [4, 1000, -10])
def test_a_document_that_is_cut_off_is_refused(real_files: Files, keep: int) -> None:
    path = real_files(REAL)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TranslationError, match="it is cut off, or no XML"):
        READER(path)
