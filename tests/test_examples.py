"""Each example runs, in a folder of its own, and again over what it left there; those with a limit are no longer."""

import ast
import re
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


#: Most lines of code of an analysis, from the data to all results: what other packages' notebooks take 25 to 190 for.
LIMITS = {
    "spectra/raman_map": 8, "spectra/core_loss": 8, "spectra/two_peaks": 6, "spectra/unmixing": 8,
    "patterns_4d": 12, "patterns/ronchigrams": 8,
    "atom_lattice": 8, "images/cleaning_by_windows": 8, "images/fourier_filter": 8, "images/registration": 8,
    "images/structural_units": 8, "force_map": 5,
}  # fmt: skip
#: Most lines of code of a whole example, with what makes the data, checks and draws: neither comments, blank lines nor
#: the text at its begin count.
WHOLE = {
    "band_excitation_spectroscopy": 12, "contact_kelvin_probe": 25, "kelvin_probe": 20, "relaxation": 12,
    "general_mode": 14, "tunnelling_spectroscopy": 20, "conductive_afm": 10,
}  # fmt: skip
#: Functions of usidx that make data, or name its dims; and what draws.
BESIDE = {"simulate", "write", "set_roles", "plot", "image.flatten", "diffraction import", "models import"}
CALL = re.compile(r"\busidx?\.((?:signal|image|diffraction)\.\w+|(?:diffraction|models) import|\w+)")


def cut(example: str) -> tuple[list[str], list[str], list[str]]:
    """Return the lines of code that make data, those of the analysis, and those that check it and draw."""
    lines = (FOLDER / f"{example}.py").read_text(encoding="utf-8").splitlines()
    begin, end = lines.index("# Analysis"), lines.index("# Truth")
    parts = lines[:begin], lines[begin:end], lines[end:]
    first, own, last = ([x for x in part if x.strip() and not x.lstrip().startswith("#")] for part in parts)
    return first, own, last


@pytest.mark.parametrize("example", LIMITS)
def test_analyses_are_short(example: str) -> None:
    first, own, last = cut(example)
    assert len(own) <= LIMITS[example]
    assert all(";" not in line for line in own)
    assert CALL.search("\n".join(own)), "the analysis calls nothing of usidx"
    # Nothing of it hides in what makes the data, or in what checks and draws.
    assert set(CALL.findall("\n".join([*first, *last]))) <= BESIDE
    assert sum(line.startswith(("assert ", "    assert ")) for line in last) >= 2


@pytest.mark.parametrize("example", WHOLE)
def test_whole_examples_of_modes_are_short(example: str) -> None:
    text = (FOLDER / f"{example}.py").read_text(encoding="utf-8").split('"""', 2)[2]
    code = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert 5 < len(code) <= WHOLE[example]
    begins = [statement.lineno for statement in ast.parse(text).body]
    assert len(begins) == len(set(begins)), "two statements share a line"


def test_lines_of_an_analysis_are_counted() -> None:
    first, own, last = cut("spectra/two_peaks")
    assert (len(own), own[0].split(" = ")[0]) == (4, "model")
    assert not any("usid.fit" in line for line in [*first, *last])
