"""`import usidx` is light, and the test kit needs no Hypothesis unless strategies are asked for."""

import subprocess
import sys

import pytest

HEAVY = (
    "matplotlib",
    "holoviews",
    "panel",
    "hvplot",
    "bokeh",
    "pyUSID",
    "sidpy",
    "skimage",
    "numba",
    "sklearn",
    "fsspec",
    "aiohttp",
)

# dask.array imports `sparse` where it happens to be installed, and that imports numba: not our doing.
MEASURE = """
import sys, time
sys.modules["sparse"] = None
start = time.perf_counter()
import {module}
print(f"{{time.perf_counter() - start:.2f}} s")
print(*sorted({{name.split(".")[0] for name in sys.modules}}))
"""


def loaded_by(module: str) -> tuple[str, set[str]]:
    """Import in a fresh interpreter; return the time as text, and the top-level names then loaded."""
    script = MEASURE.format(module=module)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seconds, names = done.stdout.splitlines()
    return seconds, set(names.split())


@pytest.mark.parametrize("module", ["usidx", "usidx.testing", "usidx.testing.files", "usidx.testing.assertions"])
def test_import_loads_nothing_heavy(module: str) -> None:
    seconds, names = loaded_by(module)
    sys.stdout.write(f"import {module}: {seconds}\n")
    heavy = names & {*HEAVY, "hypothesis", "pytest"}
    assert not heavy, f"import {module} ({seconds}) loads {sorted(heavy)}"


def test_import_changes_no_options() -> None:
    script = (
        "import warnings, xarray as xr, numpy as np, dask, dask.array, h5py, scipy.sparse\n"
        "before = dict(xr.get_options()), np.geterr(), list(warnings.filters), dict(dask.config.config)\n"
        "import usidx\n"
        "after = dict(xr.get_options()), np.geterr(), list(warnings.filters), dict(dask.config.config)\n"
        "assert before == after, (before, after)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
