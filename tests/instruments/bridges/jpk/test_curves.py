"""JPK archives: values of another reader, the grid, times and segments; what is no measurement is refused."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.kit.listed_values import assert_as_listed, get_leaf
from usidx.errors import TranslationError
from usidx.instruments.bridges.jpk.curves import READER

Files = Callable[[str], Path]
MAP, CURVE = "jpk/force-map2x2-example.jpk-force-map", "jpk/force-save-example.jpk-force"
CHANNELS = {"vDeflection": "force", "capacitiveSensorHeight": "height (measured)", "height": "height (piezo)"}

_SCALE = """channel.{0}.encoder.type=signedshort
channel.{0}.encoder.scaling.style=offsetmultiplier
channel.{0}.encoder.scaling.offset=1.0
channel.{0}.encoder.scaling.multiplier=0.5
channel.{0}.encoder.scaling.unit.unit=V
channel.{0}.data.file.name=channels/{0}.dat
"""


def make_archive(path: Path, counts: list[list[int]], general: str = "", texts: dict[str, str] | None = None) -> Path:
    """Write a map of curves of so many samples per segment: sample k of curve c is stored as 100 c + k."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.properties", f"jpk-data-file=spm-force\ntype=force-scan-map\n{general}")
        for curve, segments in enumerate(counts):
            archive.writestr(f"index/{curve}/header.properties", f"force-scan-series.header.position-index={curve}\n")
            start = 100 * curve
            for number, count in enumerate(segments):
                stem = f"index/{curve}/segments/{number}"
                header = f"channels.list=height\nforce-segment-header.duration={count / 10}\n{_SCALE.format('height')}"
                archive.writestr(f"{stem}/segment-header.properties", header)
                archive.writestr(f"{stem}/channels/height.dat", np.arange(start, start + count, dtype=">i2").tobytes())
                start += count
        for name, text in (texts or {}).items():
            archive.writestr(name, text)
    return path


def make_pattern(columns: int, rows: int, *, back: bool = False) -> str:
    told = {
        "grid.xcenter": 0, "grid.ycenter": 0, "grid.ulength": columns, "grid.vlength": rows, "grid.ilength": columns,
        "grid.jlength": rows, "back-and-forth": str(back).lower(),
    }  # fmt: skip
    return "".join(f"force-scan-map.position-pattern.{name}={value}\n" for name, value in told.items())


@pytest.mark.parametrize(("cell", "curve"), [((0, 0), 0), ((0, 1), 1), ((1, 1), 2), ((1, 0), 3)])
def test_a_real_map_has_the_values_of_another_reader_where_it_was_measured(
    real_files: Files, cell: tuple[int, int], curve: int
) -> None:
    """The map was taken back and forth: the third curve lies to the right of the fourth."""
    path = real_files(MAP)
    tree = READER(path)
    for name, column in CHANNELS.items():
        assert_as_listed(get_leaf(tree, name)[cell], path, f"curve {curve} {column}")
    assert_as_listed(get_leaf(tree, "time")[cell], path, f"curve {curve} time")
    assert_as_listed(get_leaf(tree, "segment")[cell], path, f"curve {curve} segment")


def test_a_real_map_knows_places_and_units(real_files: Files) -> None:
    force = READER(real_files(MAP))["vDeflection"]["vDeflection"]
    assert force.dims == ("Y", "X", "sample")
    assert (force.attrs["units"], force.attrs["long_name"]) == ("N", "Force")
    # As the headers of the curves say, to the step of the stage.
    np.testing.assert_allclose(force.X, [3.1972656e-05, 5.718359e-04], atol=2e-7)
    np.testing.assert_allclose(force.Y, [-7.535e-04, -2.1373e-04], atol=4e-7)
    assert force.samples.values.tolist() == [[24060, 24060], [8210, 3226]]
    assert force.curve.values.tolist() == [[0, 9], [99, 90]]


def test_a_real_curve_has_the_values_of_another_reader(real_files: Files) -> None:
    path = real_files(CURVE)
    tree = READER(path)
    for name, column in CHANNELS.items():
        assert_as_listed(tree[name][name], path, f"curve 0 {column}")
    force = tree["vDeflection"]["vDeflection"]
    assert_as_listed(force.time, path, "curve 0 time")
    assert_as_listed(force.segment, path, "curve 0 segment")
    assert force.time.attrs["usid_role"] == "spectroscopic"
    assert float(force.X) == pytest.approx(-0.002153370535714286)


def test_curves_of_one_length_share_the_time(tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.jpk-force-map", [[3, 2]] * 6, make_pattern(3, 2))
    height = get_leaf(READER(path), "height")
    assert height.dims == ("Y", "X", "time")
    stored = 100 * np.arange(6).reshape(2, 3, 1) + np.arange(5)
    np.testing.assert_array_equal(height, stored * 0.5 + 1.0)
    np.testing.assert_allclose(height.time, [0, 0.1, 0.2, 0.3, 0.4])
    assert height.segment.values.tolist() == [0, 0, 0, 1, 1]
    np.testing.assert_allclose(height.X, [-1, 0, 1])


def test_a_map_taken_back_and_forth_is_laid_out_by_place(tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.jpk-force-map", [[1]] * 6, make_pattern(3, 2, back=True))
    height = get_leaf(READER(path), "height")
    np.testing.assert_array_equal(height[..., 0], np.array([[0, 100, 200], [500, 400, 300]]) * 0.5 + 1.0)


def test_a_map_that_was_stopped_keeps_its_curves_one_by_one(tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.jpk-force-map", [[2]] * 4, make_pattern(3, 2))
    height = get_leaf(READER(path), "height")
    assert height.sizes == {"position": 4, "time": 2}
    assert height.curve.values.tolist() == [0, 1, 2, 3]


def test_a_part_is_read_alone_after_a_trip_to_another_process(tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.jpk-force-map", [[3], [2], [4], [1]], make_pattern(2, 2))
    height = get_leaf(READER(path), "height")
    part = pickle.loads(pickle.dumps(height.isel(Y=1, X=0, sample=slice(1, 4))))
    np.testing.assert_array_equal(part, np.array([201, 202, 203]) * 0.5 + 1.0)
    assert np.isnan(height[1, 1, 1:]).all()


def test_a_file_that_changed_is_not_read_on(tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.jpk-force-map", [[3]] * 4, make_pattern(2, 2))
    height = get_leaf(READER(path), "height")
    make_archive(path, [[4]] * 4, make_pattern(2, 2))
    with pytest.raises(TranslationError, match="has changed since it was opened"):
        height.compute()


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jpk-force-map"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.properties", "type=force-scan-map\n")
        archive.writestr("index/0/segments/0/channels/height.dat", bytes(64 << 20))
    with pytest.raises(TranslationError, match=r"bomb.*'jpk'.*unpack to 67108864, as no measurement does"):
        READER(path)


def test_a_member_longer_than_it_says_is_refused(tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.jpk-force-map", [[300]])
    content = path.read_bytes()
    # The size in the central directory, made smaller: 600 bytes -> 598.
    at = content.rindex(b"index/0/segments/0/channels/height.dat") - 46 + 24
    path.write_bytes(content[:at] + (598).to_bytes(4, "little") + content[at + 4 :])
    with pytest.raises(TranslationError, match="is not 598 bytes long"):
        READER(path)["height"]["height"].compute()


def test_damage_that_is_met_later_names_file_and_reader(tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.jpk-force-map", [[40]], make_pattern(1, 1))
    content = bytearray(path.read_bytes())
    place = content.index(b"height.dat") + 14
    content[place : place + 20] = b"\xff" * 20
    path.write_bytes(content)
    height = READER(path)["height"]["height"]
    with pytest.raises(TranslationError, match=r"a\.jpk-force-map.*'jpk'.*is damaged"):
        height.compute()


@pytest.mark.parametrize("keep", [30, 300, -40])
def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path, keep: int) -> None:
    path = make_archive(tmp_path / "a.jpk-force-map", [[3]] * 4)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TranslationError, match=r"a\.jpk-force-map.*'jpk'.*cut off or damaged"):
        READER(path)


def test_conversions_that_lead_in_a_circle_are_refused(tmp_path: Path) -> None:
    circle = (
        "channel.height.conversion-set.conversions.base=volts\n"
        "channel.height.conversion-set.conversions.default=a\n"
        "channel.height.conversion-set.conversion.a.base-calibration-slot=b\n"
        "channel.height.conversion-set.conversion.b.base-calibration-slot=a\n"
    )
    path = tmp_path / "a.jpk-force"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.properties", "type=force-scan-series\n")
        header = f"channels.list=height\nforce-segment-header.duration=1\n{_SCALE.format('height')}{circle}"
        archive.writestr("segments/0/segment-header.properties", header)
        archive.writestr("segments/0/channels/height.dat", bytes(20))
    with pytest.raises(TranslationError, match="lead back to themselves"):
        READER(path)


def test_an_archive_of_something_else_is_not_taken_for_curves(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("word/document.xml", "<a/>")
    assert READER.sniff(tmp_path / "a.docx", buffer.getvalue()) == 0
