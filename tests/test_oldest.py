"""Versions: what pyproject.toml asks for is what is tested as the oldest, and extras hold what they say."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
#: Of these only those are named that users install to analyse data.
USED = ["plot", "image", "distributed", "filters", "remote", "zarr"]
#: Not on purpose anywhere in a session without extras; the names under which packages of extras are imported.
WITHOUT = ["matplotlib", "bokeh", "holoviews", "hvplot", "panel", "skimage", "distributed", "hdf5plugin", "aiohttp"]
WITHOUT += ["s3fs", "hypothesis", "pytest", "pyUSID", "sidpy"]


def read_bounds() -> dict[str, str]:
    found = [re.match(r"([A-Za-z0-9-]+)(?:\[.*\])?>=([0-9.]+)$", text) for text in list_requirements()]
    return {one[1].lower(): one[2] for one in found if one}


def list_requirements() -> list[str]:
    return [*PROJECT["dependencies"], *(text for extra in USED for text in EXTRAS[extra])]


def read_oldest() -> dict[str, str]:
    lines = (ROOT / "scripts" / "oldest.txt").read_text().splitlines()
    pinned = (line.split("==") for line in lines if "==" in line)
    return {name.lower(): version for name, version in pinned}


def test_every_requirement_says_from_which_version_on() -> None:
    assert len(read_bounds()) == len(set(list_requirements()))


@pytest.mark.parametrize("name", sorted(read_bounds()))
def test_the_oldest_that_is_asked_for_is_the_oldest_that_is_tested(name: str) -> None:
    """A bound may leave out the last number: 1.14 stands for the last of 1.14."""
    bound, tested = read_bounds()[name], read_oldest()[name]
    assert f"{tested}.".startswith(f"{bound}."), f"{name}: pyproject.toml says {bound}, scripts/oldest.txt {tested}"


def test_all_leaves_out_what_is_large_or_old() -> None:
    (everything,) = EXTRAS["all"]
    assert not {"filters", "pyusid", "test", "docs", "bench"} & set(re.findall(r"\w+", everything))


def test_the_package_works_without_any_extra() -> None:
    script = ROOT / "tests" / "kit" / "bare_session.py"
    done = subprocess.run([sys.executable, str(script), *WITHOUT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
