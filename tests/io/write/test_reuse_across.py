"""Whether other processes find the same work again: fresh interpreters, stored copies, and two that write at once."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import ResultError
from usidx.testing.files import build_main

SCRIPT = """
import sys
import numpy as np
import usidx
from users import find_swing

raw = usidx.open_main(sys.argv[1], "/Measurement_000/Channel_000/Raw_Data")
for result in (
    usidx.svd(raw, 2),
    usidx.fit(raw, usidx.models.Linear()),
    usidx.map_positions(find_swing, raw),
    usidx.map_positions(lambda s: s.max() * 2, raw),
    usidx.map_positions(lambda s: 1 if s.sum() in {"a", "b", 3.0} else 2, raw),
):
    print(result.usid.write(progress=False, wait=900))
"""
FUNCTION = "def find_swing(spectrum):\n    return (spectrum.max() - spectrum.min()) * {}\n"


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    data = np.random.default_rng(0).uniform(1, 2, (6, 3, 5))
    position = [("Y", "m", 1e-6 * np.arange(6)), ("X", "m", 2e-6 * np.arange(3))]
    build_main(tmp_path / "scan.h5", data, position, [("Bias", "V", np.linspace(-1, 1, 5))])
    (tmp_path / "users.py").write_text(FUNCTION.format(1), encoding="utf-8")
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    return tmp_path / "scan.h5"


def start(scan: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-B", str(scan.with_name("script.py")), str(scan)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> list[str]:
    told, complaints = process.communicate(timeout=900)
    assert process.returncode == 0, complaints
    return told.split()


def test_a_fresh_interpreter_finds_what_another_wrote(scan: Path) -> None:
    first = finish(start(scan))
    assert len(set(first)) == 5
    assert finish(start(scan)) == first
    scan.with_name("users.py").write_text(FUNCTION.format(3), encoding="utf-8")
    third = finish(start(scan))
    assert [a == b for a, b in zip(first, third, strict=True)] == [True, True, False, True, True]


def test_two_that_write_at_once_do_no_harm(scan: Path) -> None:
    groups = [finish(process) for process in [start(scan), start(scan)]]
    raw = usidx.open_main(scan, "/Measurement_000/Channel_000/Raw_Data").values
    for found in groups:
        opened = [usidx.open_result(scan, group) for group in found]
        expected = np.linalg.svd(raw.reshape(18, 5), compute_uv=False)[:2]
        np.testing.assert_allclose(opened[0].singular_values, expected)
        np.testing.assert_allclose(opened[2].Raw_Data, np.ptp(raw, axis=-1))
        np.testing.assert_allclose(opened[3].Raw_Data, raw.max(axis=-1) * 2)
        assert not bool(np.isnan(opened[1].slope).any())
    assert usidx.validate(scan) == []


def test_a_copy_loaded_from_another_file_says_where_it_cannot_go(scan: Path) -> None:
    result = usidx.svd(usidx.open_main(scan), 2)
    copy = scan.with_name("copy.nc")
    result.compute().to_netcdf(copy, engine="h5netcdf")
    text = (
        "import sys, xarray, usidx\n"
        "found = xarray.load_dataset(sys.argv[1], engine='h5netcdf')\n"
        "try:\n    print(found.usid.write())\n"
        "except usidx.errors.ResultError as err:\n    print(str(err).replace(' ', '_'))\n"
        "print(found.usid.write(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", text, str(copy), str(scan.with_name("new.h5"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    refused, group = done.stdout.split()
    assert "did_not_open_it_there" in refused
    assert usidx.list_results(scan) == []
    written = usidx.open_result(scan.with_name("new.h5"), group)
    np.testing.assert_allclose(written.scores, result.scores.transpose(*written.scores.dims))


def test_a_copy_loaded_in_this_process_is_refused_unless_it_is_told_where(scan: Path) -> None:
    result = usidx.svd(usidx.open_main(scan), 2).compute()
    result.to_netcdf(scan.with_name("copy.nc"), engine="h5netcdf")
    loaded = xr.load_dataset(scan.with_name("copy.nc"), engine="h5netcdf")
    for name in (None, *loaded.data_vars):
        holder = loaded if name is None else loaded[name]
        holder.attrs["usid_provenance"] = holder.attrs["usid_provenance"].replace('"seal": "', '"seal": "0')
    with pytest.raises(ResultError, match="did not open it there"):
        loaded.usid.write()
    assert loaded.usid.write(scan).startswith("/Measurement_000/Channel_000/Raw_Data-SVD")
