"""``usidx demo``: the main job from end to end, on its own scan and on any file."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import usidx
from usidx.cli import main
from usidx.demo import run as demo
from usidx.demo.first_look import list_images, look_at_images
from usidx.testing.files import build_main
from usidx.testing.measurements import aborted_file, relaxation_file, sparse_file

Out = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # Figures as vectors are tested with the reports; drawing each twice takes as long as all else here.
    monkeypatch.setattr("usidx.look.report.render_svg", lambda figure: b"")


def test_demo_simulates_fits_and_reports(capsys: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_SHAPE", (16, 16))
    Path("usidx-demo.h5").write_text("of a run before: each makes a scan of its own")
    assert main(["demo"]) == 0
    shown = capsys.readouterr().out
    assert "Resonance frequency  320 kHz" in shown
    page = Path("usidx-demo-1-report.html").read_text(encoding="utf-8")
    assert all(title in page for title in ("Singular value decomposition", "Clusters", "oscillator fit"))
    assert len(list(Path("usidx-demo-1-report_files").glob("*.png"))) == 8
    tools = [g.rsplit("-", 1)[-1] for g in usidx.list_results("usidx-demo-1.h5")]
    assert tools == ["Cluster_000", "SHO_Fit_000", "SVD_000"]
    fit = usidx.open_result("usidx-demo-1.h5", "SHO_Fit_000").compute()
    _, truth = usidx.simulate.band_excitation((16, 16), demo._FREQUENCIES)
    assert float(fit.converged.mean()) > 0.99
    assert float((abs(fit.frequency - truth.frequency) / truth.frequency).median()) < 1e-4
    assert float((abs(fit.amplitude - truth.amplitude) / truth.amplitude).median()) < 0.02


@pytest.mark.parametrize(
    "name",
    [
        "usid/pyUSID_SingFreqPFM_0003.h5",
        "usid/pyUSID_AFM_Force_Curve_a.h5",
        "usid/pyUSID_simulated_STEM_Image_a.h5",
        "usid/pyUSID_sparse_sampling_a.h5",
        "usid/pycroscopy_test_hdf_utils.h5",
        "usid/pycroscopy_chip.h5",
    ],
)
def test_demo_takes_real_files(real_files: Callable[[str], Path], name: str) -> None:
    path = real_files(name)
    path.chmod(0o644)
    left = demo.run_demo(path)
    page = left.page.read_text(encoding="utf-8")
    assert "First look" in page
    assert all(usidx.open_result(left.results, group) is not None for group in left.groups)
    if name == "usid/pyUSID_SingFreqPFM_0003.h5":
        assert [g.rsplit("-", 1)[-1] for g in left.groups] == ["SVD_000", "Cluster_000"]
        assert "PhaseRetrace" in page


@pytest.mark.parametrize("make", [sparse_file, aborted_file, relaxation_file])
def test_demo_takes_odd_scans(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "odd.h5")
    assert demo.run_demo(tmp_path / "odd.h5").page.exists()


def test_demo_takes_a_stored_fit(tmp_path: Path) -> None:
    from tests.kit.legacy import add_sho_fit

    built = build_main(
        tmp_path / "fit.h5",
        np.ones((3, 2, 4)),
        [("Y", "m", range(3)), ("X", "m", range(2))],
        [("Frequency", "Hz", range(4))],
    )
    add_sho_fit(built)
    assert demo.run_demo(tmp_path / "fit.h5").page.exists()


def test_demo_shows_what_can_be_seen_and_every_image(tmp_path: Path) -> None:
    """A bias of zero is in the middle of a sweep, and there is no current."""
    scan, _ = usidx.simulate.current_voltage((8, 8), 21)
    usidx.write(scan, tmp_path / "iv.h5")
    page = demo.run_demo(tmp_path / "iv.h5").page.read_text(encoding="utf-8")
    assert "Current at Bias 2 V." in page or "Current at Bias -2 V." in page
    for quantity in ("Height", "Phase", "Phase"):
        image = scan.isel(Bias=3, drop=True).rename("Raw_Data")
        image.attrs = {"long_name": quantity, "units": "V"}
        usidx.write(image, tmp_path / "images.h5", reuse=False)
    left = demo.run_demo(tmp_path / "images.h5")
    assert "The images of the scan." in left.page.read_text(encoding="utf-8")


def test_demo_takes_a_volume(tmp_path: Path) -> None:
    sides = [("Z", "m", range(3)), ("Y", "m", range(4)), ("X", "m", range(5))]
    values = np.random.default_rng(0).random((3, 4, 5, 6))
    build_main(tmp_path / "volume.h5", values, sides, [("Bias", "V", range(6))])
    page = demo.run_demo(tmp_path / "volume.h5").page.read_text(encoding="utf-8")
    assert re.search(r"at Bias \d V, at Z 0 m", page)


def test_demo_says_last_what_the_file_breaks(tmp_path: Path) -> None:
    sparse_file(tmp_path / "odd.h5")
    page = demo.run_demo(tmp_path / "odd.h5").page.read_text(encoding="utf-8")
    assert page.index("What was written") < page.index("What usidx validate says")


def test_demo_asks_for_a_place_for_its_report_before_it_works(tmp_path: Path, capsys: Out) -> None:
    path = usidx.example_file(str(tmp_path / "scan.h5"))
    (tmp_path / "taken").touch()
    assert main(["demo", path, "--report", str(tmp_path / "taken" / "page.html")]) == 2
    assert re.search(r"The report cannot be written to '.*page.html': .*--report", capsys.readouterr().err)
    assert usidx.list_results(path) == []


def test_demo_leaves_a_file_of_yours_as_it_is_unless_told(tmp_path: Path, capsys: Out) -> None:
    path = tmp_path / "mine.h5"
    scan, _ = usidx.simulate.band_excitation((6, 7), 40)
    usidx.write(scan, path)
    before = path.read_bytes()
    path.chmod(0o444)
    assert main(["demo", str(path)]) == 0
    assert path.read_bytes() == before
    assert "mine-results.h5:" in capsys.readouterr().out
    kept = usidx.list_results(tmp_path / "mine-results.h5")
    assert [g.rsplit("-", 1)[-1] for g in kept] == ["Cluster_000", "SHO_Fit_000", "SVD_000"]
    path.chmod(0o644)
    assert main(["demo", str(path), "--write"]) == 0
    assert len(usidx.list_results(path)) == 3
    assert not (tmp_path / "mine-results-1.h5").exists()


def test_demo_shows_all_images_beside_spectra_and_of_the_way_back(tmp_path: Path) -> None:
    path = tmp_path / "all.h5"
    scan, _ = usidx.simulate.current_voltage((6, 5), 9)
    usidx.write(scan, path)
    image = scan.isel(Bias=3, drop=True).drop_attrs(deep=False)
    for number in range(36):
        shown = image if number % 2 else image.isel(X=slice(None, None, -1))
        named = (number * shown).rename(f"Image_{number}").assign_attrs(long_name=f"Image {number}", units="V")
        usidx.write(named, path, reuse=False)
    images = list_images(path)
    assert [array.name for array in images] == [f"Image_{number}" for number in range(36)]
    figures = [drawn.picture for drawn in look_at_images(images)]
    titles = {axes.get_title() for figure in figures for axes in figure.axes}
    assert len(figures) == 2
    assert titles >= {f"Image {number}" for number in range(36)}
