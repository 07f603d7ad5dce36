"""What the command says to people, to programs, and to a shell."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import usidx
from tests.kit.broken import broken_file
from usidx.cli import main

Out = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def worked(tmp_path: Path) -> Path:
    path = Path(usidx.example_file(tmp_path / "scan.h5"))
    usidx.open_main(path).usid.svd(2).usid.write()
    return path


def test_info_takes_several_files_and_patterns(capsys: Out, worked: Path) -> None:
    usidx.example_file("other.h5")
    assert main(["info", "scan.h5", "other.h5"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("scan.h5\n")
    assert shown.count("12 × 10 positions") >= 2
    assert main(["info", "*.h5"]) == 0
    assert capsys.readouterr().out.startswith("other.h5\n")


def test_info_of_a_dataset_or_a_result_shows_how_it_was_made(capsys: Out, worked: Path) -> None:
    assert main(["info", "scan.h5", "SVD_000"]) == 0
    shown = capsys.readouterr().out
    assert "singular_values" in shown
    assert re.search(r"^3\. svd\(n=2", shown, re.MULTILINE)
    assert main(["info", "scan.h5", "Raw_Data"]) == 0
    assert "complex64" in capsys.readouterr().out
    assert main(["info", "scan.h5", "gone.h5"]) == 2
    assert "'gone.h5' is meant to be a second file: there is none" in capsys.readouterr().err


def test_info_says_it_to_programs(capsys: Out, worked: Path) -> None:
    assert main(["info", "--json", "scan.h5"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["file"] == "scan.h5"
    (raw,) = told["mains"]
    assert raw["path"] == "/Measurement_000/Channel_000/Raw_Data"
    assert raw["variables"]["Raw_Data"] == {
        "dims": {"Y": 12, "X": 10, "Frequency": 32},
        "dtype": "complex64",
        "quantity": "Cantilever deflection",
        "units": "V",
        "bytes": 12 * 10 * 32 * 8,
        "position_dims": ["Y", "X"],
        "spectroscopic_dims": ["Frequency"],
    }
    (result,) = told["results"]
    assert (result["verbs"], result["sources"]) == (["svd"], [raw["path"]])
    assert main(["info", "--json", "scan.h5", "SVD_000"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["variables"]["scores"]["dims"] == {"Y": 12, "X": 10, "component": 2}
    assert told["history"][-1]["tool"] == "svd"


def test_validate_and_readers_say_it_to_programs(capsys: Out, tmp_path: Path) -> None:
    (tmp_path / "empty.h5").touch()
    good = usidx.example_file()
    assert main(["validate", "--json", "empty.h5", good]) == 1
    empty, fine = json.loads(capsys.readouterr().out)
    assert empty["problems"][0]["is_error"] is True
    assert fine == {"file": good, "problems": []}
    assert main(["readers", "--json"]) == 0
    told = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert told["nanonis_sxm"]["installed"] is True


def test_replay_says_it_to_programs(capsys: Out, worked: Path) -> None:
    assert main(["replay", "--json", "scan.h5", "SVD_000"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["equal"] is True
    assert set(told["differences"]) >= {"scores", "components"}


def test_json_is_strict() -> None:
    from usidx.demo.commands.telling import tell_json

    with contextlib.redirect_stdout(io.StringIO()) as said:
        tell_json({"a": (np.float64("nan"), np.int8(3)), "b": Path("x"), "c": {"µ": True, "d": None}})
    assert json.loads(said.getvalue()) == {"a": [None, 3], "b": "x", "c": {"µ": True, "d": None}}


@pytest.mark.filterwarnings("default")
def test_quiet_leaves_warnings_out_and_verbose_says_where_and_how_long(capsys: Out, tmp_path: Path) -> None:
    broken_file(tmp_path / "broken.h5", "quantity not a string")
    assert main(["info", "-q", "broken.h5"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["info", "-v", "nowhere.h5"]) == 2
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert re.search(r"usidx: info took \d+\.\d s", said)
    assert said.strip().splitlines()[-1].startswith("usidx: ")


@pytest.mark.parametrize("command", ["info", "validate", "demo", "report", "convert", "export", "replay", "run"])
def test_help_has_examples_and_exit_codes(capsys: Out, command: str) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"  usidx {command}" in shown
    assert "exit codes: 0 " in shown


def test_what_is_no_command_is_an_exit_code_too(capsys: Out) -> None:
    assert main(["bogus"]) == 2
    assert "invalid choice: 'bogus'" in capsys.readouterr().err
    assert main([]) == 2
    assert main(["--version"]) == 0


def test_colors_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    from usidx.demo.commands.telling import color_kind

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert color_kind("error [rule] text", Terminal()) == "\x1b[31merror\x1b[0m [rule] text"
    assert color_kind("fine", Terminal()) == "fine"
    assert color_kind("error [rule]", io.StringIO()) == "error [rule]"
    monkeypatch.setenv("NO_COLOR", "1")
    assert color_kind("error [rule]", Terminal()) == "error [rule]"


def test_a_shell_completes_results_of_the_file(worked: Path) -> None:
    pytest.importorskip("argcomplete")

    def complete(line: str) -> set[str]:
        place = worked.parent / "completions"
        told = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(place)}
        told |= {"COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "usidx"], env={**os.environ, **told}, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return {one.strip() for one in place.read_text(encoding="utf-8").splitlines()}

    assert complete("usidx replay scan.h5 ") >= {"SVD_000"}


def test_completion_prints_lines_for_a_shell(capsys: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("argcomplete")
    assert main(["--completion", "bash"]) == 0
    assert "complete" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    assert main(["--completion", "fish"]) == 2
    assert "usidx[completion]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("inof scan.h5", "usidx: error: .* Did you mean 'info'?"),
        (
            "report scan.h5 --repot x",
            "usidx report: error: unrecognized arguments: --repot x. Did you mean '--report'?",
        ),
        ("info scan.h5 SVD_00", "Did you mean 'SVD_000'? (If 'SVD_00' is meant to be a second file"),
        ("info scan.h5 Raw_Dat", "Did you mean 'Raw_Data'?"),
        ("info scan.hh5", "Its folder holds 'scan.h5'"),
    ],
)
def test_a_word_that_is_misspelt_is_asked_about(typed: str, asked: str, capsys: Out, worked: Path) -> None:
    assert main(typed.split()) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert re.search(".*".join(map(re.escape, asked.split(".*"))), told.err)


def test_a_word_like_no_other_is_not_guessed_at(capsys: Out, worked: Path) -> None:
    assert main(["xyz"]) == 2
    assert "Did you mean" not in capsys.readouterr().err


def test_without_a_command_the_help_is_shown(capsys: Out) -> None:
    assert main([]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "usidx info scan.h5" in told.err


def test_loud_and_quiet_may_stand_before_the_command(capsys: Out, worked: Path) -> None:
    assert main(["-v", "info", "scan.h5"]) == 0
    assert "usidx: info took" in capsys.readouterr().err
    assert main(["info", "scan.h5"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", ["info", "report"])
def test_files_of_instruments_are_shown_as_they_are(command: str, capsys: Out) -> None:
    np.save("height.npy", np.zeros((20, 30)))
    assert main([command, "height.npy"]) == 0
    shown = capsys.readouterr().out
    assert sorted(os.listdir()) == ["height-report.html", "height.npy"][command == "info" :]
    if command == "info":
        assert "20 × 30 positions" in shown
    else:
        page = Path("height-report.html").read_text(encoding="utf-8")
        assert "20 × 30 positions" in page
        assert f"{Path('height.npy').resolve()}<" in page
        assert ".npy.h5" not in page


def test_each_command_shows_examples_and_exit_codes(capsys: Out) -> None:
    assert main(["--help"]) == 0
    commands = re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE)
    assert len(commands) == 11
    for command in commands:
        assert main([command, "--help"]) == 0
        told = capsys.readouterr().out
        assert re.search(rf"^examples:\n  usidx {command}\b", told, re.MULTILINE), command
        assert "exit codes: 0 " in told, command
