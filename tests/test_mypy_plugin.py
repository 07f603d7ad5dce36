"""mypy knows the verbs of ``.usid``, their results, and that a misspelt one is not there."""

import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent

SCRIPT = """\
import xarray as xr
import usidx

data = xr.DataArray([[1.0, 2.0]], dims=("X", "Bias"))
reveal_type(data.usid.svd(4))                              # Dataset
reveal_type(data.usid.svd(4).usid.reconstruct)             # def (modes: int
reveal_type(data.usid.svd(4).usid.suggest_n())             # int
reveal_type(data.usid.set_roles(position="X"))             # DataArray
reveal_type(data.to_dataset(name="a").usid.set_roles())    # Dataset
reveal_type(data.isel(X=0).usid.position_dims)             # tuple[str, ...]
reveal_type(data.usid.map_positions)                       # def (def
reveal_type(data.usid.plot.map)                            # def (*, title: str | Literal[False] | None =, cmap: Any =
reveal_type(xr.DataTree().usid)                            # UsidDataTreeAccessor
reveal_type(usidx.open_main("scan.h5").usid.fit(usidx.models.SHO()))  # Dataset
data.usid.sdv(4)                                           # has no attribute "sdv"
data.usid.plot.mpa()                                       # "usidx.look.plot" has no verb "mpa"
data.usid.plot.scree()                                     # "scree" of "usidx.look.plot" is not for a DataArray
data.usid.svd(4, dims="X")                                 # Unexpected keyword argument "dims"
usidx.sdv(data)                                            # Module has no attribute "sdv"
xr.Dataset().usid.fit()                                    # has no attribute "fit"
"""


def test_mypy_knows_the_verbs(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    # With the settings of the package, and its cache: else mypy would read all of xarray again.
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(script)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    said = {int(line): text for line, text in re.findall(r"script\.py:(\d+): (.*)", done.stdout)}
    assert set(said) == {line for line, text in enumerate(SCRIPT.splitlines(), 1) if "# " in text}, (
        done.stdout + done.stderr
    )
    for line, text in enumerate(SCRIPT.splitlines(), 1):
        asked, _, expected = text.partition("# ")
        if expected:
            assert ("Revealed type is" if "reveal_type" in asked else "error:") in said[line], asked
            assert expected in said[line], asked
