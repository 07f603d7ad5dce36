"""Each example runs, in a folder of its own, and again over what it left there."""

import runpy
from pathlib import Path

import pytest

#: What starts clusters is run by tests of its own.
CLUSTERS = {"slurm", "mpi"}
EXAMPLES = [p for p in sorted((Path(__file__).parent.parent / "examples").glob("*.py")) if p.stem not in CLUSTERS]


@pytest.mark.filterwarnings("ignore:.*holds this very array already:usidx.errors.UsidWarning")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        runpy.run_path(str(example), run_name="__main__")
