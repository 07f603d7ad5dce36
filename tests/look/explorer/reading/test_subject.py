"""What a main or a result shows of a place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import usidx
from usidx.look.app.reading.contents import list_entries, write_entries
from usidx.look.explorer.reading.scene import make_scene
from usidx.look.explorer.reading.subject import Subject, open_subject, read_curves

RAW = "/Measurement_000/Channel_000/Raw_Data"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("subject") / "scan.h5"
    usidx.example_file(path)
    raw = usidx.open_main(path)
    fit = raw.usid.sho_fit()
    for result in (raw.usid.svd(3), raw.usid.svd(3).usid.cluster("kmeans", 2), fit):
        usidx.write(result)
    return path


def opened(path: Path, end: str) -> Subject:
    entry = next(e for e in list_entries(path) if e.path.endswith(end))
    return open_subject(path, entry.path, is_result=entry.kind == "result")


def test_results_are_listed_below_their_source(path: Path) -> None:
    entries = list_entries(path)
    assert [(e.path.rpartition("-")[2], e.depth) for e in entries[1:]] == [
        ("Cluster_000", 1),
        ("SHO_Fit_000", 1),
        ("SVD_000", 1),
    ]
    assert entries[0].path == RAW


def test_names_of_a_file_are_escaped(path: Path) -> None:
    entries = list_entries(path)
    assert "<img" not in write_entries('"><img src=x>', entries, "")


def test_a_fit_is_drawn_over_its_data(path: Path) -> None:
    subject = opened(path, "SHO_Fit_000")
    curves = read_curves(subject, make_scene(subject.arrays["amplitude"]), {"Y": 2, "X": 3}, "")
    raw, fit = usidx.open_main(path, RAW), usidx.open_result(path, "SHO_Fit_000")
    measured, smooth, left = (c.values for c in curves)
    np.testing.assert_array_equal(measured, raw[2, 3])
    assert smooth.size > 10 * measured.size
    np.testing.assert_allclose(smooth, fit.isel(Y=2, X=3).usid.evaluate(smooth.Frequency), rtol=1e-5)
    fitted = smooth[:: curves[1].every]
    np.testing.assert_allclose(fitted.Frequency, measured.Frequency)
    np.testing.assert_allclose(fitted, fit.usid.evaluate()[2, 3], rtol=1e-5)
    np.testing.assert_allclose(left, raw[2, 3].values - fitted.values, rtol=1e-5)


def test_components_come_with_the_one_of_the_map_last(path: Path) -> None:
    subject = opened(path, "SVD_000")
    assert subject.first == "scores"
    curves = read_curves(subject, make_scene(subject.arrays["scores"]), {"Y": 0, "X": 0, "component": 1}, "")
    assert [c.name for c in curves] == ["0", "2", "component 1"]
    np.testing.assert_array_equal(curves[-1].values, usidx.open_result(path, "SVD_000").components[1])


def test_the_cluster_of_the_place_stands_out(path: Path) -> None:
    subject = opened(path, "Cluster_000")
    here = int(usidx.open_result(path, "Cluster_000").labels[1, 1])
    curves = read_curves(subject, make_scene(subject.arrays["labels"]), {"Y": 1, "X": 1}, "")
    assert [c.name for c in curves if c.style == "line"] == [f"cluster {here}"]
