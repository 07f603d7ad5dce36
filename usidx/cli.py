"""The command ``usidx``."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence

import usidx
from usidx.errors import UsidError
from usidx.version import usidx_version

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _say_warning  # type: ignore[assignment]
            code = run(options)
            sys.stdout.flush()
            return code
    except BrokenPipeError:
        # Who read this has seen enough, as `head` does; Python would complain again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UsidError, OSError) as err:
        print(f"usidx: {err}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("usidx", description="Microscopy data in USID HDF5 files.")
    parser.add_argument("--version", action="version", version=f"usidx {usidx_version()}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    info = _command(commands, "info", _info, "show what a file holds")
    info.add_argument("file", help="a USID file, or its URL")
    check = _command(commands, "validate", _validate, "list every rule of the format that a file breaks")
    check.add_argument("file", help="a USID file, or its URL")
    demo = _command(commands, "demo", _demo, "analyse a file (or a simulated scan) and write a report")
    demo.add_argument("file", nargs="?", help="a USID file; results are added to it. Without one a scan is simulated")
    demo.add_argument("--report", metavar="PAGE", help="HTML page to write (default: <file>-report.html here)")
    recover = _command(commands, "recover", _recover, "put a file back to its last commit after an interrupted write")
    recover.add_argument("file", help="an HDF5 file")
    recover.add_argument(
        "--no-lock",
        action="store_true",
        help="where there are no locks, as on some network drives: only if no other program has the file open",
    )
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    purpose: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
    command.set_defaults(run=run)
    return command


def _say_warning(message: Warning | str, *_where: object) -> None:
    """Write a warning as a line: the place in the code says nothing to who types commands."""
    print(f"usidx: warning: {message}", file=sys.stderr)


def _info(options: argparse.Namespace) -> int:
    print(usidx.summary(usidx.open_tree(options.file)))
    return 0


def _validate(options: argparse.Namespace) -> int:
    problems = usidx.validate(options.file)
    for problem in problems:
        print(problem)
    errors = sum(problem.is_error for problem in problems)
    print(f"{options.file}: {_count(errors, 'error')}, {_count(len(problems) - errors, 'warning')}")
    return 1 if errors else 0


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _demo(options: argparse.Namespace) -> int:
    from usidx.demo.run import run_demo

    left = run_demo(options.file, report=options.report, say=print)
    print(f"results in {left.file}:" if left.groups else f"nothing was written to {left.file}")
    for group in left.groups:
        print(f"  {group}")
    print(f"report: {left.page}")
    return 0


def _recover(options: argparse.Namespace) -> int:
    from usidx.io.read.place.place import find_local_path

    print(usidx.recover(find_local_path(options.file), lock=not options.no_lock))
    return 0
