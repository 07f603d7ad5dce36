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


MODULES_LOADED = """
import sys
sys.modules["sparse"] = None
sys.argv = ["usidx", *{arguments}]
import xarray
before = set(sys.modules)
try:
    {statement}
except SystemExit:
    pass
print("then", *sorted(set(sys.modules) - before))
"""


def loaded_after_xarray(statement: str, arguments: tuple[str, ...] = ()) -> set[str]:
    """Return the modules that a statement loads in a fresh interpreter that has xarray."""
    script = MODULES_LOADED.format(statement=statement, arguments=list(arguments))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


def without_standard_library(modules: set[str]) -> set[str]:
    return {m for m in modules if m.split(".")[0] not in sys.stdlib_module_names}


def test_import_loads_the_doors_alone() -> None:
    """All else is loaded where it is first used: import must cost little more than that of xarray."""
    loaded = without_standard_library(loaded_after_xarray("import usidx"))
    assert loaded == {"usidx", "usidx.accessor", "usidx.catalogue", "usidx.public"}


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_the_command_loads_no_more_to_speak_of_itself(argument: str) -> None:
    loaded = loaded_after_xarray("from usidx.cli import main; main()", (argument,))
    own = {f"usidx.{name}" for name in ("accessor", "catalogue", "public", "cli", "errors", "escapes", "version")}
    interrupts = {"usidx.io", "usidx.io.disk", "usidx.io.disk.interrupt"}
    parser = {"usidx.demo", "usidx.demo.commands", "usidx.demo.commands.loudness", "usidx.demo.commands.parser"}
    assert without_standard_library(loaded) == own | interrupts | parser | {"usidx"}


#: Each use, and what it has no business with.
USES = {
    "usidx.errors": {"dask", "h5py", "usidx.fitting", "usidx.learn"},
    "usidx.models": {"h5py", "numba", "sklearn", "usidx.learn", "usidx.look", "usidx.simulate", "usidx.io"},
    "usidx.simulate": {"h5py", "numba", "sklearn", "usidx.fitting", "usidx.learn", "usidx.io"},
    "usidx.open_main": {"numba", "sklearn", "scipy", "usidx.fitting", "usidx.learn", "usidx.look", "usidx.simulate"},
    "usidx.open_result": {"numba", "sklearn", "usidx.learn", "usidx.look", "usidx.simulate"},
    "usidx.svd": {"h5py", "numba", "sklearn", "usidx.fitting", "usidx.io", "usidx.look"},
    "usidx.fit": {"h5py", "numba", "sklearn", "usidx.io", "usidx.learn", "usidx.look"},
    "usidx.plot_map": {"h5py", "matplotlib", "numba", "sklearn", "usidx.fitting", "usidx.io"},
}


@pytest.mark.parametrize("name", USES)
def test_each_name_loads_what_it_needs(name: str) -> None:
    loaded = loaded_after_xarray(f"import usidx; {name}")
    needless = {m for m in loaded for n in USES[name] if m == n or m.startswith(f"{n}.")}
    assert not needless


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
