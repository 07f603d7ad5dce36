"""Each example runs, in a folder of its own, and again over what it left there."""

import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
#: What starts clusters is run by tests of its own.
CLUSTERS = {"slurm", "mpi"}
EXAMPLES = [p for p in sorted(FOLDER.glob("*.py")) if p.stem not in CLUSTERS]
#: They write no data, so that a second run finds nothing of the first.
IN_MEMORY = sorted(FOLDER.glob("*/*.py"))


@pytest.mark.filterwarnings("ignore:.*holds this very array already:usidx.errors.UsidWarning")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        runpy.run_path(str(example), run_name="__main__")


@pytest.mark.parametrize("example", IN_MEMORY, ids=lambda path: path.stem)
def test_example_that_writes_no_data_makes_a_figure(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(example), run_name="__main__")
    assert {path.suffix for path in tmp_path.iterdir()} == {".png"}
