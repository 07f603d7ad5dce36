"""What a stranger's file says never reaches the terminal as something that it obeys; the data stays as it is."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from xarray.core import formatting_html

import usidx
from usidx.errors import LockedError, SelectionError, UsidError, UsidWarning
from usidx.testing.assertions import assert_same

EVIL = "a\x1b[2J\x07\x9b\u202eb"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
CHANNEL = f"Measurement_000/{EVIL}"


@pytest.fixture
def evil_file(tmp_path: Path) -> Path:
    """A sound file in which every text has control characters."""
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file.attrs[EVIL] = EVIL
        group = file.create_group(CHANNEL)
        group.attrs["note"] = [EVIL, EVIL]
        main = group.create_dataset(f"{EVIL}Raw", data=np.arange(6.0).reshape(2, 3))
        main.attrs["quantity"] = main.attrs["units"] = main.attrs["header"] = main.attrs[EVIL] = EVIL
        for role, counters in {"Position": np.arange(2)[:, None], "Spectroscopic": np.arange(3)[None]}.items():
            for kind in ("Indices", "Values"):
                table = group.create_dataset(f"{role}_{kind}", data=counters.astype("u4"))
                text = f"{EVIL} {role}".encode()
                table.attrs["labels"] = table.attrs["units"] = np.array([text])
                main.attrs[f"{role}_{kind}"] = table.ref
        group[f"{EVIL}extra"] = [1, 2]
        group.create_group(f"{EVIL}Raw-{EVIL}_000").attrs["tool"] = EVIL
    return path


def test_arrays_and_trees_show_nothing_that_is_obeyed(evil_file: Path) -> None:
    raw = usidx.open_main(evil_file)
    tree = usidx.open_tree(evil_file)
    shown = [repr(raw), str(raw), repr(tree), repr(raw.to_dataset()), repr(raw.coords), usidx.summary(tree)]
    shown += [f"{raw.attrs['header']} {raw.attrs['units']} {raw.name} {raw.dims}", str(raw.attrs["long_name"])]
    shown += [
        formatting_html.array_repr(raw),
        formatting_html.datatree_repr(tree),
        *map(str, usidx.validate(evil_file)),
        str(usidx.history(raw)),
    ]
    for text in shown:
        assert not OBEYED.search(text)
    assert r"a\x1b[2J\x07\x9b\u202eb" in repr(raw)


def test_the_data_stays_as_it_is(evil_file: Path, tmp_path: Path) -> None:
    raw = usidx.open_main(evil_file)
    assert raw.attrs["header"] == EVIL
    assert raw.attrs[EVIL] == EVIL
    usidx.write(raw, tmp_path / "copy.h5", progress=False)
    assert_same(usidx.open_main(tmp_path / "copy.h5"), raw)
    with h5py.File(tmp_path / "copy.h5") as file:
        main = file[usidx.list_mains(tmp_path / "copy.h5")[0]]
        assert main.attrs["header"] == EVIL
        assert file[main.attrs["Position_Values"]].attrs["labels"][0].decode() == f"{EVIL} Position"


@pytest.mark.parametrize("kind", [UsidError, SelectionError, LockedError, UsidWarning])
def test_errors_and_warnings(kind: type[Exception]) -> None:
    assert str(kind(f"{EVIL}\n\tend")) == "a\\x1b[2J\\x07\\x9b\\u202eb\n\tend"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warnings.warn(UsidWarning(EVIL), stacklevel=1)
    assert not OBEYED.search(warnings.formatwarning(said[0].message, UsidWarning, "f", 1))


@pytest.mark.parametrize("command", ["info", "validate"])
def test_commands(evil_file: Path, command: str) -> None:
    with h5py.File(evil_file, "r+") as file:
        file[CHANNEL].create_dataset(f"{EVIL}broken", data=[[1]]).attrs["Position_Values"] = EVIL
    done = subprocess.run([sys.executable, "-m", "usidx", command, evil_file], capture_output=True, check=False)
    assert done.stdout
    assert not OBEYED.search((done.stdout + done.stderr).decode())
