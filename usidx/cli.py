"""The command ``usidx``: what it is given, and how it ends; what the commands do is loaded when it is called."""
# PYTHON_ARGCOMPLETE_OK

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import usidx
from usidx.demo.commands.loudness import hide_progress, show_log
from usidx.demo.commands.parser import Parser, parse
from usidx.errors import MissingExtraError, UsidError
from usidx.io.disk.interrupt import insist_on_interrupts
from usidx.version import usidx_version

__all__ = ["main"]

# Seconds in which a scheduler answers.
_PATIENCE = 15
_FORMATS = ("nexus", "kerchunk", "icechunk", "netcdf", "zarr", "hspy", "csv")
_EXITS = "exit codes: 0 done, 2 it could not be done and the reason is said, 130 interrupted"
_SHELLS = ("bash", "zsh", "fish")

Commands = argparse._SubParsersAction


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 1 or 2 for what went wrong, 130 after Ctrl-C, as of any program."""
    try:
        with insist_on_interrupts(), warnings.catch_warnings():
            return _run(arguments)
    except BrokenPipeError:
        _close_pipes()
        return 0
    except KeyboardInterrupt:
        _say_interrupted()
        return 130
    except (UsidError, OSError) as err:
        print(f"usidx: {err}", file=sys.stderr)
        return 2


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options = _parse(arguments)
        if isinstance(options, int):
            return options
        warnings.showwarning = _be_silent if options.quiet else _say_warning  # type: ignore[assignment]
        with show_log(verbose=options.verbose), hide_progress(quiet=options.quiet):
            return _call(options)
    finally:
        # Here, where a pipe that nobody reads any more is told from other errors; Python would only complain.
        if sys.stdout is not None:
            sys.stdout.flush()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace | int:
    """Return what was asked for, or an exit code; with a shell that asks for completions, complete."""
    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:
        _import_argcomplete().autocomplete(parser)
    return parse(parser, arguments)


def _call(options: argparse.Namespace) -> int:
    """Do what was asked for; with -v say where in the code it went wrong, and how long it took."""
    started = time.perf_counter()
    module, _, name = options.run.partition(":")
    run: Callable[[argparse.Namespace], int] = getattr(import_module(module), name)
    try:
        return run(options)
    except (UsidError, OSError) as err:
        if options.verbose and not isinstance(err, BrokenPipeError):
            sys.excepthook(type(err), err, err.__traceback__)
        raise
    finally:
        if options.verbose:
            print(f"usidx: {options.command} took {time.perf_counter() - started:.1f} s", file=sys.stderr)


def _close_pipes() -> None:
    """Let go of pipes that nobody reads any more: who read has seen enough, as `head` has."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _say_interrupted() -> None:
    """Say so once, and end at once and without a word if Ctrl-C is pressed again while threads are waited for."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("usidx: interrupted", file=sys.stderr, flush=True)
    if is_main:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))


def _parser() -> Parser:
    parser = Parser(
        "usidx",
        description="Microscopy data in USID HDF5 files.",
        epilog="""examples:
  usidx info scan.h5           what is in a file, of USID or of an instrument
  usidx view scan.h5           look at it in a browser
  usidx convert scan.sxm scan.h5

`usidx COMMAND --help` shows what a command takes, with examples and exit codes.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"usidx {usidx_version()}")
    parser.add_argument(
        "--completion", choices=_SHELLS, action=_Completion, help="print what makes a shell complete commands and files"
    )
    _add_loudness(parser, default=False)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")
    _add_shows(commands)
    _add_reports(commands)
    _add_view(commands)
    _add_convert(commands)
    _add_export(commands)
    _add_recipes(commands)
    recover = _command(
        commands,
        "recover",
        "working",
        "put a file back to its last commit after an interrupted write",
        "usidx recover scan.h5",
    )
    recover.add_argument("file", help="an HDF5 file")
    recover.add_argument(
        "--no-lock",
        action="store_true",
        help="where there are no locks, as on some network drives: only if no other program has the file open",
    )
    return parser


def _add_shows(commands: Commands[Parser]) -> None:
    info = _command(
        commands,
        "info",
        "showing",
        "show what files hold, or one dataset or result of a file",
        "usidx info scan.h5",
        "usidx info scan.h5 SVD_000",
        "usidx info scan.sxm",
        "usidx info *.h5 --json",
    )
    text = "USID files, their URLs, or files of instruments; or one file, and a dataset or result in it"
    info.add_argument("file", nargs="+", help=text)
    validate = _command(
        commands,
        "validate",
        "showing",
        "list every rule of the format that files break",
        "usidx validate scan.h5",
        "usidx validate *.h5 --json",
        exits="exit codes: 0 no errors (warnings do not count), 1 errors in a file, 2 it could not be done",
    )
    validate.add_argument("file", nargs="+", help="USID files, or their URLs")
    readers = _command(
        commands,
        "readers",
        "showing",
        "list the readers of instrument files, and what each needs",
        "usidx readers",
        "usidx readers --json",
    )
    for command in (info, validate, readers):
        command.add_argument("--json", action="store_true", help="say it as JSON, for programs")


def _add_reports(commands: Commands[Parser]) -> None:
    demo = _command(
        commands,
        "demo",
        "working",
        "analyse a file (or a simulated scan) and write a report",
        "usidx demo",
        "usidx demo scan.h5 --write",
    )
    demo.set_defaults(connect=_computing_at)
    demo.add_argument("file", nargs="?", help="a USID file, which stays as it is. Without one a scan is simulated")
    demo.add_argument(
        "--write", action="store_true", help="add the results to the file (default: <file>-results.h5 here)"
    )
    demo.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="compute on the workers of this dask scheduler, as tcp://host:8786. They must see the file by its path",
    )
    report = _command(
        commands,
        "report",
        "working",
        "write one page about files as they are: figures, history, lineage",
        "usidx report scan.h5",
        "usidx report monday.h5 tuesday.h5 --report week.html",
    )
    report.add_argument("file", nargs="+", help="a USID file, or one of an instrument")
    for command in (demo, report):
        command.add_argument("--report", metavar="PAGE", help="HTML page to write (default: <file>-report.html here)")


def _add_view(commands: Commands[Parser]) -> None:
    view = _command(
        commands,
        "view",
        "viewing",
        "look at files in a browser, and analyse them there",
        "usidx view scan.h5",
        "usidx view --folder data --no-browser",
    )
    view.add_argument("file", nargs="*", help="a USID file, its URL, or one of an instrument")
    view.add_argument("--folder", help="below which files may be opened (default: the folders of the files)")
    view.add_argument("--no-browser", action="store_true", help="write the address and open nothing")
    view.add_argument("--host", default="127.0.0.1", help="where to listen (default: this machine only)")
    view.add_argument("--port", type=int, default=0, help="the port (default: a free one)")
    view.add_argument("--no-token", action="store_true", help="let in whoever reaches the port")


def _add_convert(commands: Commands[Parser]) -> None:
    convert = _command(
        commands,
        "convert",
        "working",
        "convert files of instruments into one USID file",
        "usidx convert grid.3ds grid.h5",
        "usidx convert '*.sxm' session.h5 --overwrite",
    )
    convert.add_argument(
        "source", nargs="+", help="a file of an instrument, a folder of them, or a pattern such as '*.sxm'"
    )
    convert.add_argument("target", help="the USID file to make")
    convert.add_argument(
        "--reader", help="the reader to use; see `usidx readers` (default: the one that knows the file)"
    )
    for role, what in (("position", "say where"), ("spectroscopic", "were swept")):
        text = f"the dims that {what}, slowest first, where a file does not say"
        convert.add_argument(f"--{role}", type=_split_names, metavar="DIM,DIM", help=text)
    convert.add_argument("--overwrite", action="store_true", help="replace the target where it exists")


def _add_export(commands: Commands[Parser]) -> None:
    export = _command(
        commands,
        "export",
        "working",
        "write a file, or a part of it, in the format of other programs",
        "usidx export scan.h5 scan.nxs",
        "usidx export scan.h5 fit.csv --group SHO_Fit_000",
        "usidx export scan.nxs --check",
    )
    export.add_argument("file", help="a USID file, or its URL; with --check what an export made")
    export.add_argument("target", nargs="?", help="the file or folder to make")
    group = export.add_argument("--group", help="a main dataset, a result, or a group (default: the whole file)")
    _complete_by(group, _list_groups)
    export.add_argument("--to", choices=_FORMATS, help="the format (default: by the ending of the target, else nexus)")
    export.add_argument("--no-copy", action="store_true", help="make a small file that shows the data where it lies")
    export.add_argument("--overwrite", action="store_true", help="replace the target where it exists")
    export.add_argument("--check", action="store_true", help="say whether FILE still shows what it was made to show")


def _add_recipes(commands: Commands[Parser]) -> None:
    replay = _command(
        commands,
        "replay",
        "repeating",
        "run the steps of a stored result again, and compare",
        "usidx replay scan.h5 SVD_000",
        exits="exit codes: 0 equal, 1 different, 2 it cannot be replayed, and the reason is said",
    )
    replay.add_argument("file", help="a USID file")
    group = replay.add_argument("group", help="the results group, or an end of its path, as SVD_000")
    _complete_by(group, _list_groups)
    replay.add_argument(
        "--rtol", type=float, default=1e-6, help="up to which difference counts as equal (default: 1e-6)"
    )
    replay.add_argument(
        "--source", metavar="FILE", help="the file that the result was made of, where it is another one"
    )
    run = _command(
        commands,
        "run",
        "repeating",
        "do the steps of a recipe to many files",
        "usidx run recipe.toml '*.h5' --report done.csv",
        exits="exit codes: 0 done, 1 some files failed, 2 the recipe is wrong, 130 interrupted",
    )
    run.add_argument("recipe", help="a TOML file of steps")
    run.add_argument("file", nargs="+", help="a USID file, a file of an instrument, or a pattern such as '*.h5'")
    run.add_argument("--folder", help="where converted files go (default: beside their sources)")
    run.add_argument("--report", metavar="TABLE", help="where to write the table of what was done, as CSV")
    run.add_argument("--workers", type=int, default=1, metavar="N", help="files at a time, each in a process (1)")
    for command in (replay, run):
        command.add_argument("--json", action="store_true", help="say it as JSON, for programs")


def _command(
    commands: Commands[Parser],
    name: str,
    module: str,
    purpose: str,
    *examples: str,
    exits: str = _EXITS,
) -> Parser:
    told = ["examples:", *(f"  {example}" for example in examples), ""] if examples else []
    command = commands.add_parser(
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog="\n".join([*told, exits]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_loudness(command, default=argparse.SUPPRESS)  # what stands before the command holds
    command.set_defaults(run=f"usidx.demo.commands.{module}:{name}", parser=command)
    return command


def _add_loudness(parser: Parser, default: Any) -> None:
    quiet, loud = (
        "no warnings, no progress: results and errors only",
        "what is done on the way, and where errors come from",
    )
    parser.add_argument("-q", "--quiet", action="store_true", default=default, help=quiet)
    parser.add_argument("-v", "--verbose", action="store_true", default=default, help=loud)


class _Completion(argparse.Action):
    """Print the lines for a shell, and leave."""

    def __call__(self, parser: argparse.ArgumentParser, _options: Any, values: Any, _option: str | None = None) -> None:
        print(_import_argcomplete().shellcode(["usidx"], shell=values))
        parser.exit()


def _import_argcomplete() -> Any:
    try:
        return import_module("argcomplete")
    except ImportError as err:
        raise MissingExtraError("argcomplete", "completion", "Completion in a shell") from err


def _complete_by(argument: argparse.Action, list_choices: Callable[..., list[str]]) -> None:
    argument.completer = list_choices  # type: ignore[attr-defined]


def _list_groups(parsed_args: argparse.Namespace, **_others: Any) -> list[str]:
    """List results of the file that was typed, for a shell; nothing where there is none."""
    with suppress(UsidError, OSError):
        return [group.rpartition("-")[2] for group in usidx.list_results(parsed_args.file)]
    return []


def _be_silent(*_warning: object) -> None:
    """Leave a warning unsaid."""


def _say_warning(message: Warning | str, *_where: object) -> None:
    """Write a warning as a line: the place in the code says nothing to who types commands."""
    print(f"usidx: warning: {message}", file=sys.stderr)


@contextmanager
def _computing_at(scheduler: str | None) -> Iterator[None]:
    """Compute on a cluster for as long as the block lasts; here, where no scheduler is named."""
    if scheduler is None:
        yield
        return
    try:
        from distributed import Client
    except ImportError as err:
        raise MissingExtraError("distributed", "distributed", "Computing on a cluster") from err
    try:
        client = Client(scheduler, timeout=_PATIENCE)
    except (OSError, ValueError) as err:
        raise UsidError(f"There is no scheduler at {scheduler!r}. ({err}) `dask scheduler` says its address.") from err
    with client:
        workers = client.scheduler_info()["workers"]
        if not workers:
            raise UsidError(f"The scheduler at {scheduler!r} has no workers, which would be waited for without end.")
        print(f"computing at {scheduler}: {len(workers)} worker{'s' if len(workers) > 1 else ''}")
        yield


def _split_names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]
