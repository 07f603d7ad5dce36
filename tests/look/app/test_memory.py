"""The app loads no more than it shows."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
from usidx.demo.commands.viewing import view
from types import SimpleNamespace
from usidx.errors import UsidError
try:
    view(SimpleNamespace(file=["nothing.h5"], folder=None, host="127.0.0.1", port=0, no_token=False, no_browser=True))
except UsidError as err:
    print(err)
import usidx.look.app.session
heavy = {"panel", "holoviews", "hvplot", "matplotlib.pyplot", "sklearn", "numba"}
print(sorted(heavy & set(sys.modules)))
"""


def test_what_the_page_does_without_is_not_loaded() -> None:
    pytest.importorskip("bokeh", reason="bokeh is not installed")
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["There is no file 'nothing.h5'.", "[]"]
