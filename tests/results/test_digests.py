"""Digests of functions: those of the user's own by what they do, those of packages by name and version."""

import importlib
from pathlib import Path

import pytest

from usidx.results.digests import digest
from usidx.tasks.evidence import UnprovenError

MODULE = """\
import threading

_LOCK = threading.Lock()


def work(a):
    with _LOCK:
        return a
"""


@pytest.mark.parametrize(
    ("folder", "is_package"),
    [("lib/python3.12/site-packages", True), ("usr/lib/python3/dist-packages", True), ("my-site-packages", False)],
)
def test_packages_are_known_wherever_they_lie(
    folder: str, is_package: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with ``pip install --user``, ``PYTHONPATH`` and the packages of a system."""
    name = f"strange_{folder.count('/')}_{is_package}"
    place = tmp_path / folder
    place.mkdir(parents=True)
    (place / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(place)
    work = importlib.import_module(name).work
    if is_package:
        assert digest(work) == digest(work)
    else:
        with pytest.raises(UnprovenError, match="lock"):  # nobody can look into one
            digest(work)
