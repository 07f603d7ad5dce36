"""A recipe makes of other files what it says, tells what failed, and goes on with the others."""

from __future__ import annotations

import csv
import logging
import os
import shutil
import signal
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.calls import opened
from tests.kit.verb_calls import CALLS, Call, write_sources
from usidx.cli import main
from usidx.errors import ResultError, UsidError
from usidx.recipes.processes import call_side_by_side
from usidx.results.provenance import read_steps

pytestmark = [
    pytest.mark.usefixtures("keep_attrs"),
    pytest.mark.filterwarnings("ignore::usidx.errors.UsidWarning"),
    pytest.mark.filterwarnings("ignore:.*zero-size array|.*invalid value|.*divide by zero:RuntimeWarning"),
]
#: Verbs whose arguments are of all kinds: models, arrays, filters, estimators, earlier results, several names of one.
VARIED = (
    "svd", "fcls", "decompose", "rotate", "project", "fit", "residual", "compare", "gap", "signal.power_spectrum",
    "signal.fft_filter", "signal.remove_baseline", "signal.calibrate", "signal.align", "map_positions",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sources")
    write_sources(made)
    return made


@pytest.fixture
def scan(folder: Path, tmp_path: Path) -> Path:
    shutil.copy(folder / "spectra.h5", tmp_path)
    return tmp_path


@pytest.mark.parametrize("call", [c for c in CALLS if c.verb in VARIED], ids=lambda call: call.verb)
def test_the_recipe_of_a_result_makes_it_again(call: Call, folder: Path, tmp_path: Path) -> None:
    made = call.make(folder)
    source = next(step["file"] for step in reversed(read_steps(made)) if step["tool"] == "open")
    shutil.copy(source, tmp_path / "copy.h5")
    text = made.usid.recipe()
    assert text == usidx.recipe(made)
    (row,) = usidx.run(text, tmp_path / "copy.h5")
    assert row.status == "done", row.reason
    found = usidx.open_result(tmp_path / "copy.h5", row.groups[0])
    name = next(iter(found.data_vars))
    expected = made if isinstance(made, xr.Dataset) else made.rename(name).to_dataset()
    xr.testing.assert_allclose(found, expected, rtol=1e-6)
    (again,) = usidx.run(text, tmp_path / "copy.h5")
    assert (again.status, again.groups) == ("there", row.groups)


def test_arguments_at_none_that_are_not_by_default_are_kept(scan: Path) -> None:
    made = usidx.signal.power_spectrum(opened("spectra", scan), window=None)
    assert "window = { none = true }" in made.usid.recipe()
    (row,) = usidx.run(made.usid.recipe(), scan / "spectra.h5")
    assert usidx.open_result(scan / "spectra.h5", row.groups[0]).usid.history[-1]["parameters"]["window"] is None


RECIPE = """
[open]
dataset = "Counts"

[[step]]
verb = "signal.gaussian"
name = "smooth"
dim = "Energy"
sigma = 0.5

[[step]]
verb = "svd"
n = 3
before = ["abs", { operation = "mul", number = 2.0 }]
write = true

[[step]]
verb = "cluster"
method = "kmeans"
n = 2
variable = "scores"

[[step]]
verb = "fit"
from = "smooth"
model = "a * exp(-((x - c) / w) ** 2) + b"
dim = "Energy"
start = { a = 1.0, c = 0.0, w = 1.0, b = 0.3 }
"""


def test_several_results_come_from_one_recipe(scan: Path) -> None:
    path = scan / "spectra.h5"
    (row,) = usidx.run(RECIPE, str(path))
    assert row.status == "done", row.reason
    assert [group.rpartition("-")[2] for group in row.groups] == ["SVD_000", "Cluster_000", "Expression_Fit_000"]
    smooth = usidx.signal.gaussian(opened("spectra", scan), 0.5, dim="Energy")
    values = np.abs(smooth.values.reshape(20, 16)) * 2
    found = usidx.open_result(path, row.groups[0]).singular_values
    np.testing.assert_allclose(found, np.linalg.svd(values, compute_uv=False)[:3], rtol=1e-6)
    assert usidx.open_result(path, row.groups[2]).c.dims == ("Y", "X")
    with h5py.File(path) as file:
        assert {file[group].attrs["usidx_recipe"] for group in row.groups} == {RECIPE}
    for group in row.groups:
        assert usidx.replay(path, group).attrs["equal"]


def test_one_bad_file_stops_no_other(scan: Path) -> None:
    shutil.copy(scan / "spectra.h5", scan / "z.h5")
    (scan / "bad.h5").write_bytes(b"\x89HDF\r\n\x1a\n and nothing more")
    (scan / "unknown.xyz").write_text("nothing that anybody reads")
    files: list[str | Path] = [
        scan / "bad.h5",
        scan / "unknown.xyz",
        scan / "gone.h5",
        str(scan / "[sz]*.h5"),
        scan / "z.h5",
    ]
    done = usidx.run('[[step]]\nverb = "svd"\nn = 2\n', files, report=scan / "table.csv")
    assert [row.status for row in done] == ["failed", "failed", "failed", "done", "done"]
    assert [Path(row.file).name for row in done] == ["bad.h5", "unknown.xyz", "gone.h5", "spectra.h5", "z.h5"]
    assert all(row.reason for row in done.failed)
    assert "there is no such file" in repr(done)
    assert repr(done).endswith("5 files, 3 failed")
    with (scan / "table.csv").open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == [row.status for row in done]


def test_files_of_instruments_are_converted_once(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((4, 5, 8))
    np.save(tmp_path / "cube.npy", values)
    step = "[[step]]\nverb = 'svd'\nn = 2\n"
    text = "[convert]\nposition = ['Y', 'X']\nspectroscopic = 'Energy'\n" + step
    (first,) = usidx.run(text, tmp_path / "cube.npy")
    assert first.status == "done", first.reason
    found = usidx.open_result(tmp_path / "cube.h5", first.groups[0]).singular_values
    np.testing.assert_allclose(found, np.linalg.svd(values.reshape(20, 8), compute_uv=False)[:2], rtol=1e-5)
    assert usidx.run(text, tmp_path / "cube.npy")[0].status == "there"
    np.save(tmp_path / "cube.npy", values[:3])
    (other,) = usidx.run(text, tmp_path / "cube.npy")
    assert "where something else is; name another folder=" in other.reason
    assert usidx.run(text, tmp_path / "cube.npy", folder=tmp_path / "elsewhere")[0].status == "done"
    assert (tmp_path / "elsewhere" / "cube.h5").exists()
    assert "say where and which were swept" in usidx.run(step, tmp_path / "cube.npy", folder=tmp_path / "new")[0].reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[step]]\nverb = 'smoothen'", r"Step 1 names the verb 'smoothen', which is none of .*signal\.fft.*svd"),
        ("[[step]]\nverb = 'svd'\nk = 3", r"Step 1: svd has no parameter \['k'\]; it has \['n', 'dim'"),
        ("[[step]]\nverb = 'svd'\nn = 3\n[[step]]\nverb = 'cluster'\nfrom = 'pca'", "Step 2 goes on from 'pca'"),
        ("[[step]]\nverb = 'svd'\nname = 'a'\n[[step]]\nverb = 'pca'\nname = 'a'", "Step 2 is called 'a', as another"),
        ("[[step]]\nverb = 'signal.gaussian'\ndim = 'X'", "Step 1, signal.gaussian: the argument 'sigma' was not"),
        ("[[step]]\nverb = 'fit'\nmodel = 'a * import(x)'", "Step 1, fit: "),
        ("[[step]]\nverb = 'write'\npath = '/tmp/x'", "names the verb 'write'"),
        ("[[step]]\nverb = 'scree'\nbefore = 3", "has before=3"),
        ("[[step]]\nverb = 'map_positions'\nfunction = '<os.system 00>'", "'os.system' was changed"),
        ("[other]\na = 1\n[[step]]\nverb = 'svd'", r"The recipe has \['other'\]"),
        ("[open]\nfile = 'a'\n[[step]]\nverb = 'svd'", r"\[open\] has \['file'\]"),
        ("open = 3\n[[step]]\nverb = 'svd'", "A recipe has a table"),
        ("[open]\n", "The recipe has no steps"),
        ("[[step]\n", "The recipe is no TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_before_a_file_is_touched(text: str, reason: str, scan: Path) -> None:
    before = (scan / "spectra.h5").read_bytes()
    with pytest.raises(UsidError, match=reason):
        usidx.run(text, scan / "spectra.h5")
    assert (scan / "spectra.h5").read_bytes() == before


def test_what_nobody_knows_has_no_recipe(scan: Path) -> None:
    raw = opened("spectra", scan)
    with pytest.raises(ResultError, match="not known what plain xarray did before 'svd'"):
        usidx.recipe((raw + raw.mean()).usid.svd(2))
    with pytest.raises(ResultError, match="No step of this opened a file"):
        usidx.recipe(xr.DataArray([1.0]))


def test_the_command_tells_failures_by_its_exit_code(scan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (scan / "recipe.toml").write_text('[[step]]\nverb = "svd"\nn = 2\n')
    assert main(["run", str(scan / "recipe.toml"), str(scan / "*.h5")]) == 0
    assert "1 files, 0 failed" in capsys.readouterr().out
    assert main(["run", str(scan / "recipe.toml"), str(scan / "*.h5"), "gone.h5"]) == 1
    (scan / "recipe.toml").write_text('[[step]]\nverb = "sdv"\n')
    assert main(["run", str(scan / "recipe.toml"), str(scan / "*.h5")]) == 2
    assert main(["run", str(scan / "none.toml"), str(scan / "*.h5")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_processes_do_the_same(scan: Path) -> None:
    for name in ("a.h5", "b.h5", "c.h5"):
        shutil.copy(scan / "spectra.h5", scan / name)
    (scan / "broken.h5").write_bytes(b"no HDF5")
    text = '[[step]]\nverb = "svd"\nn = 2\n'
    files = [scan / name for name in ("a.h5", "broken.h5", "b.h5", "missing.h5")]
    (scan / "recipe.toml").write_text(text)
    assert (
        main(["run", "--workers", "2", str(scan / "recipe.toml"), *map(str, files), "--report", str(scan / "t")]) == 1
    )
    with (scan / "t").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done", "failed", "done", "failed"]
    rows = usidx.run(text, files)
    assert [row.status for row in rows] == ["there", "failed", "there", "failed"]
    alone = usidx.run(text, scan / "c.h5")
    for row in (rows[0], rows[2]):
        found, expected = (usidx.open_result(one.file, one.groups[0]) for one in (row, alone[0]))
        xr.testing.assert_allclose(found, expected)


def test_long_work_is_logged_and_nothing_is_said_unasked(
    scan: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    path = scan / "spectra.h5"
    (scan / "recipe.toml").write_text('[[step]]\nverb = "nmf"\nn = 2\nmax_iter = 3\n')
    assert main(["run", str(scan / "recipe.toml"), str(path)]) == 0
    assert capsys.readouterr().err == ""
    with caplog.at_level(logging.INFO, logger="usidx"):
        usidx.compute(opened("spectra", scan).usid.nmf(2, max_iter=4))
        usidx.run((scan / "recipe.toml").read_text(), [path, "gone.h5"])
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert any(text.startswith("nmf: done in ") for _, text in said)
    assert any(text.startswith("nmf: iteration 1 of at most 4") for _, text in said)
    assert any(text.startswith("compute: ") for _, text in said)
    assert any(level == "INFO" and text.startswith(f"{path}: there in ") for level, text in said)
    assert any(level == "WARNING" and text.startswith("gone.h5: failed in ") for level, text in said)
    assert main(["run", "-v", str(scan / "recipe.toml"), str(path)]) == 0
    assert f"usidx: {path}: there in " in capsys.readouterr().err
    assert not [h for h in logging.getLogger("usidx").handlers if isinstance(h, logging.StreamHandler)]


@pytest.mark.parametrize("workers", [0, True, 1.5])
def test_refuses_what_is_no_number_of_processes(workers: object, scan: Path) -> None:
    with pytest.raises(UsidError, match="expected a number of processes"):
        usidx.run('[[step]]\nverb = "svd"\nn = 2\n', scan / "spectra.h5", workers=workers)  # type: ignore[arg-type]


def _measure(file: str, folder: str) -> str:
    if file.startswith("bad"):
        os.kill(os.getpid(), signal.SIGKILL)
    Path(folder, file).touch()
    return file.upper()


def test_a_process_that_dies_costs_its_own_file(tmp_path: Path) -> None:
    files = ["one", "bad", "two"]
    task = partial(_measure, folder=str(tmp_path))
    found = call_side_by_side(task, files, 2, lambda file: f"{file} died")
    assert found == ["ONE", "bad died", "TWO"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["one", "two"]
