"""The benchmarks run, and the page that shows their tables has a place for each."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.tables import BENCHMARKS, machine, put

REPOSITORY = Path(__file__).parent.parent
PAGE = REPOSITORY / "docs" / "performance.md"


@pytest.mark.parametrize("name", ["machine", *BENCHMARKS])
def test_the_page_shows_each_benchmark(name: str) -> None:
    page = PAGE.read_text()
    _, _, rest = page.partition(f"<!-- measured: {name} -->\n")
    table, end, _ = rest.partition("<!-- end -->")
    assert end
    assert sum(line.startswith("|") for line in table.splitlines()) > 2


def test_a_table_takes_the_place_of_the_old_one() -> None:
    page = "a\n<!-- measured: x -->\n| old |\n<!-- end -->\nb\n<!-- measured: y -->\n<!-- end -->\n"
    changed = put(put(page, "x", "| \\1 new |"), "y", "| other |")
    assert changed == page.replace("| old |", "| \\1 new |").replace("y -->\n", "y -->\n| other |\n")
    with pytest.raises(SystemExit, match="no place for 'z'"):
        put(page, "z", "")


def test_the_machine_is_told() -> None:
    assert f"numpy {__import__('numpy').__version__}" in machine()


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_runs(name: str, tmp_path: Path) -> None:
    program = REPOSITORY / "tests" / "benchmarks" / "tables.py"
    command = [sys.executable, str(program), "--quick", "--print", "--only", name, "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.partition("| packages")[2].splitlines() if line.startswith("|")]
    assert len(rows) > 4
    assert len({row.count("|") for row in rows}) == 1
