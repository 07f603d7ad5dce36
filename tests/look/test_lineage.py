"""What was made of what, as the records of usidx and of other programs say it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xarray as xr

import usidx
from tests.kit.legacy import add_sho_fit
from usidx.look.lineage import trace_lineage
from usidx.testing.files import build_main

CHANNEL = "/Measurement_000/Channel_000"


@pytest.fixture
def worked(tmp_path: Path) -> str:
    path = usidx.example_file(tmp_path / "scan.h5")
    raw = usidx.open_main(path)
    raw.usid.svd(3).usid.write()
    usidx.open_result(path, "SVD_000").usid.cluster("kmeans", 2).usid.write()
    usidx.signal.savgol(abs(raw), 5, 2, dim="Frequency", in_units=False).usid.svd(2).usid.write()
    return path


def test_results_lie_behind_their_sources(worked: str) -> None:
    lineage = trace_lineage(usidx.open_tree(worked))
    told = {node.path: (node.kind, node.verb) for node in lineage.nodes}
    assert told == {
        f"{CHANNEL}/Raw_Data": ("main", "12 × 10 positions (Y 0–6.111 µm, X 0–5 µm) × 32 Frequency (300–340 kHz)"),
        f"{CHANNEL}/Raw_Data-SVD_000": ("result", "svd"),
        f"{CHANNEL}/Raw_Data-Cluster_000": ("result", "cluster"),
        f"{CHANNEL}/Raw_Data-SVD_001": ("result", "signal.savgol → svd"),
    }
    assert set(lineage.arrows) == {
        (f"{CHANNEL}/Raw_Data", f"{CHANNEL}/Raw_Data-SVD_000"),
        (f"{CHANNEL}/Raw_Data", f"{CHANNEL}/Raw_Data-SVD_001"),
        (f"{CHANNEL}/Raw_Data-SVD_000", f"{CHANNEL}/Raw_Data-Cluster_000"),
    }
    placed = {node.path.rpartition("/")[2]: (node.x, node.y) for node in lineage.nodes}
    assert placed["Raw_Data"][0] < placed["Raw_Data-SVD_000"][0] < placed["Raw_Data-Cluster_000"][0]
    assert len(set(placed.values())) == 4
    assert all(node.date.startswith("20") and len(node.date) == 16 for node in lineage.nodes if node.kind == "result")


def test_groups_of_old_programs_have_their_place(tmp_path: Path) -> None:
    built = build_main(tmp_path / "old.h5", [[1.0, 2.0]], [("X", "m", [0])], [("Frequency", "Hz", [0, 1])])
    add_sho_fit(built)
    lineage = trace_lineage(usidx.open_tree(built.path))
    assert [node.kind for node in lineage.nodes] == ["main", "result"]
    ((source, result),) = lineage.arrows
    assert result.startswith(source + "-")


def test_a_file_that_claims_a_circle_or_nonsense_is_drawn(tmp_path: Path) -> None:
    def group(**attrs: str) -> xr.Dataset:
        return xr.Dataset(attrs={"tool": "<b>Evil</b>", **attrs})

    tree = xr.DataTree.from_dict(
        {
            "/a-X_000": group(source_000="/a-Y_000", timestamp="yesterday"),
            "/a-Y_000": group(source_000="/a-X_000", usidx_source_digests="[1"),
            "/a-Z_000": group(usidx_source_digests=json.dumps(["/a-X_000"]), source_000="/nowhere"),
        }
    )
    lineage = trace_lineage(tree)
    assert len(lineage.nodes) == 3
    assert set(lineage.arrows) == {("/a-X_000", "/a-Y_000"), ("/a-Y_000", "/a-X_000")}
    assert len({(node.x, node.y) for node in lineage.nodes}) == 3


def test_an_empty_file_has_no_boxes() -> None:
    assert trace_lineage(xr.DataTree()).nodes == ()


def test_the_name_of_the_file_makes_no_box(tmp_path: Path) -> None:
    """The root of a tree is called as its file, and names with a hyphen are those of results."""
    path = usidx.example_file(tmp_path / "my-first-scan.h5")
    assert [node.path for node in trace_lineage(usidx.open_tree(path)).nodes] == [f"{CHANNEL}/Raw_Data"]
