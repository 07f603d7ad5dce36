"""Real files of instruments have the values of the table beside them, axes in their units, and convert."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import usidx
from tests.kit.small_scans import find_arrays
from usidx.errors import TranslationError

Files = Callable[[str], Path]

#: (file, leaf, mean, standard deviation, first value, unit), from the table MANIFEST.tsv.
VALUES = [
    ("gsf/chip.gsf", "Topography", 1.61414031e-05, 1.51500546e-06, 1.83451248e-05, "m"),
    ("nanonis_sxm/sxm_moire_10nm.sxm", "Z/forward", 1.0558864e-07, 8.54932344e-11, 1.05686588e-07, "m"),
    ("nanonis_sxm/sxm_moire_10nm.sxm", "Z/backward", 1.05580049e-07, 8.47195867e-11, 1.05389987e-07, "m"),
    ("nanonis_sxm/sxm_moire_10nm.sxm", "Current/forward", 3.01122422e-11, 3.21772543e-12, 3.43809425e-11, "A"),
    ("nanonis_sxm/sxm_moire_10nm.sxm", "Current/backward", 3.02720036e-11, 3.06167647e-12, 2.78560907e-11, "A"),
    ("nanonis_3ds/STS_grid_lockin.3ds", "Current", 4.6722424e-11, 1.45770608e-10, -1.37471451e-10, "A"),
    ("nanonis_3ds/STS_grid_lockin.3ds", "LockinX", 1.05346029, 1.14384357, 1.39723194, "V"),
    ("nanonis_3ds/STS_grid_lockin.3ds", "LockinY", 1.18616955, 1.43932647, 0.0211555287, "V"),
    ("nanonis_3ds/STS_grid_lockin.3ds", "Bias_m", -0.00654213987, 5.26847432e-05, -0.00654205447, "V"),
    ("nanonis_dat/Bias-Spectroscopy002.dat", "Input 3/forward", -6.96410668e-12, 7.17729829e-11, -1.32523e-10, "A"),
    ("nanonis_dat/Bias-Spectroscopy002.dat", "Input 3/backward", -6.10091459e-12, 7.55391773e-11, -1.50893e-10, "A"),
    ("nanonis_dat/nxarray_a.dat", "Timestamp", 45920400, 11604.5968, 45900400, "ms"),
    ("nanonis_dat/nxarray_a.dat", "Bias", -0.02, 3.46944695e-18, -0.02, "V"),
    ("npy/example-2d.npy", "example-2d", 3.025, 2.71143412, 0.1, ""),
    ("tiff/simulated_STEM_Image.tif", "simulated_STEM_Image", 102.399033, 42.1413752, 86, ""),
    # Counts of the converter in the table: -444781.438 and 2628.98875 on average.
    ("createc/A200810.000357.dat", "Z/forward", -444781.438 * 20 / 2**20 * 3 * 8.79e-10,
     1443.67457 * 20 / 2**20 * 3 * 8.79e-10, -445066.375 * 20 / 2**20 * 3 * 8.79e-10, "m"),
    ("createc/A200810.000357.dat", "Current/forward", 2628.98875 * 20 / 2**20 * 1e-9, 97.7412718 * 20 / 2**20 * 1e-9,
     2493.875 * 20 / 2**20 * 1e-9, "A"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "leaf", "mean", "std", "first", "unit"), VALUES)
def test_values_are_those_of_the_table(
    real_files: Files, name: str, leaf: str, mean: float, std: float, first: float, unit: str
) -> None:
    found = find_arrays(usidx.read_instrument(real_files(name)))[f"/{leaf}"]
    values = found.to_numpy().astype(float)
    assert values.mean() == pytest.approx(mean, rel=1e-6)
    assert values.std() == pytest.approx(std, rel=1e-5, abs=1e-15 * abs(mean))
    assert values.flat[0] == pytest.approx(first, rel=1e-6)
    assert found.attrs["units"] == unit


def test_park_heights_are_the_tag_and_not_the_thumbnail(real_files: Files) -> None:
    heights = find_arrays(usidx.read_instrument(real_files("park/example_ps.tiff")))["/Z Height"]
    assert (heights.shape, heights.attrs["units"]) == ((512, 512), "um")
    as_in_table = heights.to_numpy()[::-1].T  # dims (x, y), y reversed
    assert as_in_table.std() == pytest.approx(0.00393333373, rel=1e-6)
    assert as_in_table.flat[[0, 87381, -1]] == pytest.approx([-0.00201995108, -0.000947965488, 0.00208363862], rel=1e-6)


def test_a_stopped_scan_keeps_its_lines_in_their_places(real_files: Files) -> None:
    arrays = find_arrays(usidx.read_instrument(real_files("createc/A200810.000357.dat")))
    image, current = arrays["/Z/forward"], arrays["/Current/forward"]
    assert image.shape == (71, 512)
    assert (image.attrs["lines_measured"], image.attrs["lines_planned"]) == (71, 512)
    step = 231.2571e-10 / 512
    assert image.Y.values[[0, -1]] == pytest.approx([441 * step, 511 * step])
    # The header says 5e-11 A where the feedback held the current.
    assert float(current.mean()) == pytest.approx(5.0e-11, rel=0.01)


def test_the_points_of_a_grid_lie_where_the_tip_was(real_files: Files) -> None:
    current = find_arrays(usidx.read_instrument(real_files("nanonis_3ds/STS_grid_lockin.3ds")))["/Current"]
    assert current.dims == ("Y", "X", "Bias")
    assert current.Bias.values[[0, -1]] == pytest.approx([-0.22, 0.22])
    assert (float(current.scan_center_X), float(current.scan_angle)) == (8.451877e-08, 45.0)
    angle = np.deg2rad(-45)  # Nanonis turns clockwise
    x, y = current.X - 2.5e-9, current.Y - 2.5e-9
    np.testing.assert_allclose(x * np.cos(angle) - y * np.sin(angle) + 8.451877e-08, current.tip_X.T, atol=1e-11)
    np.testing.assert_allclose(x * np.sin(angle) + y * np.cos(angle) + 6.329924e-07, current.tip_Y.T, atol=1e-11)


def test_colours_are_channels(real_files: Files) -> None:
    pytest.importorskip("imagecodecs", reason="the image is packed by LZW")
    arrays = find_arrays(usidx.read_instrument(real_files("tiff/re48.tiff")))
    colours = [int(arrays[f"/re48/{name}"][0, 0]) for name in ("red", "green", "blue")]
    assert colours == [188, 0, 0]


def test_a_table_in_utf_16_is_read(real_files: Files) -> None:
    x = find_arrays(usidx.read_instrument(real_files("csv/csv-2.csv")))["/x"]
    np.testing.assert_allclose(x[:3], [-99.95833333333333, -99.875, -99.79166666666666])
    assert (x.attrs["units"], x.dims) == ("um", ("index",))


def test_what_is_converted_is_what_the_old_translator_wrote(real_files: Files, tmp_path: Path) -> None:
    target = usidx.convert(real_files("gsf/chip.gsf"), tmp_path / "chip.h5")
    ours, theirs = usidx.open_main(target), usidx.open_main(real_files("usid/pycroscopy_chip.h5"))
    assert ours.dims == theirs.dims
    np.testing.assert_array_equal(ours, theirs)
    assert usidx.validate(target) == []


def test_a_damaged_image_is_one_error_and_no_log(real_files: Files, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("tifffile", reason="tifffile is not installed")
    image = real_files("tiff/simulated_STEM_Image.tif")
    content = bytearray(image.read_bytes())
    content[4:8] = b"\xff\xff\xff\x7f"  # where the first page lies
    image.write_bytes(content)
    with pytest.raises(TranslationError, match=r"simulated_STEM_Image\.tif.*'tiff'"):
        usidx.read_instrument(image)
    assert not caplog.records
