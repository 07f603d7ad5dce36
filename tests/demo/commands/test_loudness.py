"""How much a command tells: the log of -v, which stands above bars, and none of them with -q."""

import io
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import usidx
from usidx.cli import main
from usidx.demo.commands.loudness import hide_progress, show_log
from usidx.tasks.progress import count_progress, is_watched


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("_SHOWN_AFTER", "_DRAWN_EVERY"):
        monkeypatch.setattr(f"usidx.tasks.progress.{name}", -1.0)
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def test_quiet_hides_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    open_terminal(monkeypatch)
    assert is_watched()
    with hide_progress(quiet=True):
        assert not is_watched()
    with hide_progress(quiet=False):
        assert is_watched()


def test_the_log_stands_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with show_log(verbose=True), count_progress(2, progress=True, step="fit") as advance:
        advance()
        logging.getLogger("usidx.test").info("told")
        advance()
    assert "\rusidx: told\n\rfit: 100%" in terminal.getvalue()


RECIPE = '[[step]]\nverb = "svd"\nn = 2\n'


def write_plain(file: Path) -> str:
    return usidx.write(usidx.open_main(usidx.example_file()).rename("Copy"), file, reuse=False)


def write_result(file: Path) -> str:
    return usidx.write(usidx.open_main(file).usid.svd(2))


def write_by_position(file: Path) -> str:
    return usidx.write(usidx.map_positions(abs, usidx.open_main(file)))


def write_tree(file: Path) -> str:
    return usidx.write(usidx.open_tree(usidx.example_file()), file)


@pytest.mark.parametrize("write", [write_plain, write_result, write_by_position, write_tree])
def test_write_logs_what_it_wrote_and_where(
    write: Callable[[Path], str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "scan.h5"
    usidx.example_file(file)
    with caplog.at_level(logging.INFO, "usidx"):
        group = write(file)
    assert f"write: {group} in {file}" in caplog.messages


def test_run_counts_files_and_quiet_does_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    terminal = open_terminal(monkeypatch)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    usidx.example_file(tmp_path / "a.h5")
    given = ["run", str(tmp_path / "recipe.toml"), str(tmp_path / "a.h5")]
    assert main(given) == 0
    assert "\rrun: 100%" in terminal.getvalue()
    terminal.truncate(0)
    assert main([*given, "-q"]) == 0
    assert terminal.getvalue() == ""
