"""Fixtures for every test: files, real ones where they are at hand, and how hard Hypothesis looks."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import xarray as xr
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).parent.parent

# Times differ between machines, and the tests share their cores: no deadline, no complaint about slow draws.
settings.register_profile("default", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.register_profile("nightly", settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("USIDX_HYPOTHESIS", "ci" if os.environ.get("CI") else "default"))


def sample_data() -> Path:
    """Say where real instrument files are looked for."""
    return Path(os.environ.get("USIDX_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture
def real_files(tmp_path: Path) -> Callable[[str], Path]:
    """Give a function from the name of a real file ("usid/scan.h5") to the path of a copy of one's own."""

    def copy(name: str) -> Path:
        source = sample_data() / name
        if not source.is_file():
            pytest.skip(f"the sample file {name!r} is not in {sample_data()}; set USIDX_DATA to the folder that has it")
        target = tmp_path / "real" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        return target

    return copy


@pytest.fixture
def keep_attrs() -> Iterator[None]:
    """Let arithmetic keep the attributes, and with them the history, as xarray does by itself from 2025.11 on."""
    with xr.set_options(keep_attrs=True):  # type: ignore[no-untyped-call]
        yield
