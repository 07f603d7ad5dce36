"""The commands of scripts/check, run as tests."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parent.parent

COMMANDS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_house_style(name: str) -> None:
    if name == "mypy" and np.lib.NumpyVersion(np.__version__) < "2.3.0":
        pytest.skip("the types are those of today's packages")
    done = subprocess.run(
        [sys.executable, "-m", *COMMANDS[name]], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{name} says:\n{done.stdout}{done.stderr}"


def test_scripts_run_the_same_commands() -> None:
    written = (REPOSITORY / "scripts" / "check").read_text(encoding="utf-8")
    missing = [command for command in COMMANDS.values() if f"python -m {' '.join(command)}\n" not in written]
    assert not missing


def test_scripts_name_tests_that_are_there() -> None:
    written = "\n".join(script.read_text(encoding="utf-8") for script in (REPOSITORY / "scripts").iterdir())
    named = re.findall(r"\btests/[\w/.]+", written)
    assert named
    assert not [name for name in named if not (REPOSITORY / name).exists()]
