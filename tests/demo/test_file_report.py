"""``usidx report``: files as they are, on one page."""

import base64
import re
from pathlib import Path

import h5py
import pytest

import usidx
from tests.look.test_report import Page
from usidx.cli import main

Out = pytest.CaptureFixture[str]
#: The head of a PNG file, which is all that a page asks of it: one pixel wide.
PIXEL = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1"
EVIL = '"><script>alert(1)</script>'


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # Where panels stand is no matter here, and finding it takes most of the time of a figure.
    monkeypatch.setattr("matplotlib.layout_engine.ConstrainedLayoutEngine.execute", lambda engine, figure: None)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = Path(usidx.example_file(tmp_path / "scan.h5"))
    raw = usidx.open_main(path)
    raw.usid.svd(2).usid.write()
    usidx.open_result(path, "SVD_000").usid.cluster("kmeans", 2).usid.write()
    return path


def page_of(path: str) -> tuple[str, Page]:
    text = Path(path).read_text(encoding="utf-8")
    return text, Page(text)


def test_files_are_one_page_with_a_figure_of_each_part(scan: Path, capsys: Out) -> None:
    before = scan.read_bytes()
    image = usidx.open_main(scan).isel(Frequency=3, drop=True)
    usidx.write(abs(image).rename("Size"), "other.h5")
    assert main(["report", "scan.h5", "other.h5"]) == 0
    assert "scan-report.html" in capsys.readouterr().out
    assert scan.read_bytes() == before
    assert sorted(p.name for p in Path.cwd().iterdir()) == ["other.h5", "scan-report.html", "scan.h5"]
    text, page = page_of("scan-report.html")
    for title in ("scan.h5: What was made of what", "scan.h5: Raw_Data-Cluster_000", "other.h5: Size"):
        assert title in page.text
    assert "cluster(method='kmeans'" in page.text
    assert len([tag for tag, _ in page.tags if tag == "rect"]) == 3  # boxes of the lineage
    bare = re.sub(r"data:image/(png|svg\+xml);base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.search(r"https?:|url\(|<script|@import", bare)
    saved = [attrs for tag, attrs in page.tags if tag == "a" and attrs.get("download")]
    assert len(saved) == len([tag for tag, _ in page.tags if tag == "img"]) == 7
    assert re.fullmatch(r"01-[a-z-]+\.svg", str(saved[0]["download"]))
    drawn = base64.b64decode(str(saved[0]["href"]).partition(",")[2]).decode("utf-8")
    assert drawn.startswith("<?xml")
    assert ">X (µm)</text>" in drawn


@pytest.mark.filterwarnings("default")
def test_texts_are_escaped_and_damage_leaves_the_rest_of_the_page(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usidx.look.report._render", lambda figure: (PIXEL, b""))
    with h5py.File(scan, "r+") as file:
        file.attrs["sample_name"] = EVIL
        channel = file["Measurement_000/Channel_000"]
        channel["Raw_Data"].attrs["quantity"] = EVIL
        channel["Raw_Data-SVD_000"].attrs["tool"] = EVIL
        channel["Raw_Data-SVD_000"].attrs["usid_provenance"] = "none"
        del channel["Raw_Data-Cluster_000/Labels"]
    assert main(["report", "scan.h5"]) == 0
    _, page = page_of("scan-report.html")
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count("<script>") >= 3
    assert "It cannot be shown." in page.text
    assert "Raw_Data-SVD_000" in page.text


def test_a_place_that_cannot_be_written_is_named_before_there_is_work(scan: Path, capsys: Out) -> None:
    Path("taken").touch()
    assert main(["report", str(scan), "--report", "taken/page.html"]) == 2
    assert re.search(r"The report cannot be written to 'taken/page.html': .*--report", capsys.readouterr().err)
