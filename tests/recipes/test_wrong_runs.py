"""What is wrong with a recipe or a table is said before anything is done, what is wrong with a file beside it."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import UsidError
from usidx.recipes import run as running

pytestmark = pytest.mark.usefixtures("keep_attrs")
SVD = '[[step]]\nverb = "svd"\nn = 2\n'


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = np.random.default_rng(0).normal(size=(3, 4, 5))
    data = usidx.set_roles(
        xr.DataArray(values, dims=("Y", "X", "Bias"), name="Current"), position=["Y", "X"], spectroscopic="Bias"
    )
    path: Path = tmp_path_factory.mktemp("whole") / "a.h5"
    usidx.write(data, path, progress=False)
    return path


@pytest.fixture
def scan(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[step]]\nverb = 'svd'\nn = true", r"Step 1, svd: n=True; it should be int or float or str or None"),
        ("[[step]]\nverb = 'nmf'\nn = 2\nmax_iter = 'many'", "nmf: max_iter='many'; it should be int"),
        ("[[step]]\nverb = 'nmf'\nn = 2\nmax_iter = 2.5", "nmf: max_iter=2.5; it should be int"),
        ("[[step]]\nverb = 'modes.force_curves'\nbaseline = 'bent'", "baseline='bent'; it should be Literal"),
        ("[[step]]\nverb = 'svd'\nwrite = 'no'", "Step 1 has write='no'; it should be true or false"),
        ("[[step]]\nverb = 'svd'\nwrite = false", "No step of the recipe is written"),
        ("[[step]]\nverb = 'svd'\nname = 5", "Step 1 has name=5; it should be a text"),
        ("[[step]]\nverb = 'svd'\nvariable = ['a']", r"Step 1 has variable=\['a'\]; it should be a text"),
        ("[[step]]\nverb = 'svd'\nbefore = ['boom']", r"Step 1 has before=\['boom'\]: .*not known: 'boom'"),
        ("[[step]]\nverb = 'svd'\nbefore = {boom = 1}", r"Step 1: before has \['boom'\]"),
        ("[[step]]\nverb = 'svd'\nbefore = {operations = 5}", "operations=5 is no list"),
        ("[[step]]\nverb = 'svd'\nbefore = [{operation = 'mul', number = 'x'}]", "'x', which is no number"),
        ("[[step]]\nverb = 'svd'\nbefore = [{operation = 'astype', dtype = 'O'}]", "'O' is no type of numbers"),
        ("[open]\ndataset = 5\n" + SVD, r"\[open\] has dataset=5; it should be a text"),
        ("[open]\nfield = ['a']\n" + SVD, r"\[open\] has field=\['a'\]; it should be a text"),
        ("[convert]\nreader = 5\n" + SVD, r"\[convert\] has reader=5; it should be a text"),
        ("a\0b", "cannot be read"),
        (5, "it is given as int"),
    ],
)
def test_a_recipe_of_wrong_kinds_is_refused_before_a_file_is_touched(text: Any, reason: str, scan: Path) -> None:
    before = scan.read_bytes()
    with pytest.raises(UsidError, match=reason):
        usidx.run(text, scan)
    assert scan.read_bytes() == before


@pytest.mark.parametrize("files", [None, 5, b"a.h5", ["a.h5", 5]])
def test_refuses_what_is_no_path(files: Any) -> None:
    with pytest.raises(UsidError, match="expected"):
        usidx.run(SVD, files)


def test_a_file_of_several_names_is_worked_on_once(scan: Path) -> None:
    names: list[str | Path] = [scan, scan.parent / ".." / scan.parent.name / scan.name, str(scan.parent / "*.h5")]
    try:
        os.symlink(scan, scan.parent / "link.h5")
    except OSError:
        pytest.skip("links are not allowed here")
    assert [row.file for row in usidx.run(SVD, names)] == [str(scan)]


def test_reasons_name_folders_patterns_and_files_that_hold_nothing(scan: Path) -> None:
    (scan.parent / "b.h5").write_text("no HDF5")
    folder = scan.parent
    reasons = [row.reason for row in usidx.run(SVD, [folder, folder / "z*.h5", folder / "b.h5", folder / "z\0.h5"])]
    said = ("it is a folder", "no file matches this pattern", "it has no main dataset", "there is no such file")
    assert [reason.startswith(start) for reason, start in zip(reasons, said, strict=True)] == [True] * 4


@pytest.mark.parametrize("name", ["", "none/table.csv", "a.h5", "recipe.toml"])
def test_a_table_that_cannot_be_written_is_said_before_a_file_is_touched(name: str, scan: Path) -> None:
    (scan.parent / "recipe.toml").write_text(SVD)
    before = scan.read_bytes()
    with pytest.raises(UsidError, match=r"The table (cannot be written to|would overwrite)"):
        usidx.run(SVD, scan, report=scan.parent / name)
    assert scan.read_bytes() == before
    assert (scan.parent / "recipe.toml").read_text() == SVD


def test_the_table_tells_what_was_done_before_an_interruption(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(scan, scan.parent / "b.h5")
    run_file = running._run_file

    def be_interrupted(recipe: Any, file: str, folder: Any) -> Any:
        if file.endswith("b.h5"):
            raise KeyboardInterrupt
        return run_file(recipe, file, folder)

    monkeypatch.setattr(running, "_run_file", be_interrupted)
    table = scan.parent / "table.csv"
    with pytest.raises(KeyboardInterrupt):
        usidx.run(SVD, str(scan.parent / "*.h5"), report=table)
    monkeypatch.undo()
    with table.open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done"]
    usidx.run(SVD, str(scan.parent / "*.h5"), report=table)  # a table of before may be written anew
    with table.open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["there", "done"]
