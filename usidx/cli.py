"""The command ``usidx``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import usidx
from usidx.errors import MissingExtraError, UsidError
from usidx.io.disk.interrupt import insist_on_interrupts
from usidx.version import usidx_version

__all__ = ["main"]

# Seconds in which a scheduler answers.
_PATIENCE = 15


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 1 or 2 for what went wrong, 130 after Ctrl-C, as of any program."""
    try:
        with insist_on_interrupts(), warnings.catch_warnings():
            warnings.showwarning = _say_warning  # type: ignore[assignment]
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
        options = _parser().parse_args(arguments)
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    finally:
        # Here, where a pipe that nobody reads any more is told from other errors; Python would only complain.
        if sys.stdout is not None:
            sys.stdout.flush()


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("usidx", description="Microscopy data in USID HDF5 files.")
    parser.add_argument("--version", action="version", version=f"usidx {usidx_version()}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, run, purpose in (
        ("info", _info, "show what a file holds"),
        ("validate", _validate, "list every rule of the format that a file breaks"),
    ):
        _command(commands, name, run, purpose).add_argument("file", help="a USID file, or its URL")
    demo = _command(commands, "demo", _demo, "analyse a file (or a simulated scan) and write a report")
    demo.add_argument("file", nargs="?", help="a USID file, which stays as it is. Without one a scan is simulated")
    demo.add_argument("--report", metavar="PAGE", help="HTML page to write (default: <file>-report.html here)")
    demo.add_argument(
        "--write", action="store_true", help="add the results to the file (default: <file>-results.h5 here)"
    )
    demo.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="compute on the workers of this dask scheduler, as tcp://host:8786. They must see the file by its path",
    )
    recover = _command(commands, "recover", _recover, "put a file back to its last commit after an interrupted write")
    recover.add_argument("file", help="an HDF5 file")
    recover.add_argument(
        "--no-lock",
        action="store_true",
        help="where there are no locks, as on some network drives: only if no other program has the file open",
    )
    _add_convert(commands)
    _add_export(commands)
    _add_recipes(commands)
    _command(commands, "readers", _readers, "list the readers of instrument files, and what each needs")
    return parser


def _add_convert(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    convert = _command(commands, "convert", _convert, "convert files of instruments into one USID file")
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


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    export = _command(commands, "export", _export, "write a file, or a part of it, in the format of other programs")
    export.add_argument("file", help="a USID file, or its URL; with --check what an export made")
    export.add_argument("target", nargs="?", help="the file or folder to make")
    export.add_argument("--group", help="a main dataset, a result, or a group (default: the whole file)")
    export.add_argument(
        "--to", choices=[*_ENDINGS.values()], help="the format (default: by the ending of the target, else nexus)"
    )
    export.add_argument("--no-copy", action="store_true", help="make a small file that shows the data where it lies")
    export.add_argument("--overwrite", action="store_true", help="replace the target where it exists")
    export.add_argument("--check", action="store_true", help="say whether FILE still shows what it was made to show")


def _add_recipes(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    replay = _command(commands, "replay", _replay, "run the steps of a stored result again, and compare")
    replay.add_argument("file", help="a USID file")
    replay.add_argument("group", help="the results group, or an end of its path, as SVD_000")
    replay.add_argument(
        "--rtol", type=float, default=1e-6, help="up to which difference counts as equal (default: 1e-6)"
    )
    replay.add_argument(
        "--source", metavar="FILE", help="the file that the result was made of, where it is another one"
    )
    run = _command(commands, "run", _run_recipe, "do the steps of a recipe to many files")
    run.add_argument("recipe", help="a TOML file of steps")
    run.add_argument("file", nargs="+", help="a USID file, a file of an instrument, or a pattern such as '*.h5'")
    run.add_argument("--folder", help="where converted files go (default: beside their sources)")
    run.add_argument("--report", metavar="TABLE", help="where to write the table of what was done, as CSV")
    run.add_argument("--workers", type=int, default=1, metavar="N", help="files at a time, each in a process (1)")


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

    with _computing_at(options.scheduler):
        left = run_demo(options.file, report=options.report, write=options.write, say=print)
    print(f"results in {left.results}:" if left.groups else "there are no results to keep")
    for group in left.groups:
        print(f"  {group}")
    print(f"report: {left.page}")
    return 0


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
        print(f"computing at {scheduler}: {_count(len(workers), 'worker')}")
        yield


def _split_names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]


def _convert(options: argparse.Namespace) -> int:
    chosen = {name: getattr(options, name) for name in ("reader", "position", "spectroscopic", "overwrite")}
    print(usidx.convert(options.source, options.target, **chosen))
    return 0


#: Format by the ending of a target.
_ENDINGS: Final = {
    ".nxs": "nexus",
    ".json": "kerchunk",
    ".nc": "netcdf",
    ".zarr": "zarr",
    ".hspy": "hspy",
    ".csv": "csv",
}


def _export(options: argparse.Namespace) -> int:
    if options.check:
        usidx.check_export(options.file)
        print(f"{options.file}: shows what it was made to show")
        return 0
    if options.target is None:
        raise UsidError("Name the file to make: usidx export FILE TARGET.")
    to: Any = options.to or _ENDINGS.get(os.path.splitext(options.target)[1].lower(), "nexus")
    copy = not options.no_copy
    print(
        usidx.export(options.file, options.target, group=options.group, to=to, copy=copy, overwrite=options.overwrite)
    )
    return 0


def _replay(options: argparse.Namespace) -> int:
    found = usidx.replay(options.file, options.group, rtol=options.rtol, source=options.source)
    width = max((len(str(name)) for name in found.data_vars), default=0)
    for name, difference in found.data_vars.items():
        print(f"{name!s:{width}}  {difference.item():.3g}")
    verdict = "equal" if found.attrs["equal"] else "different"
    print(f"{found.attrs['group']}: {verdict}, to {options.rtol:g}")
    return 0 if found.attrs["equal"] else 1


def _run_recipe(options: argparse.Namespace) -> int:
    done = usidx.run(
        options.recipe, options.file, folder=options.folder, report=options.report, workers=options.workers
    )
    print(done)
    return 1 if done.failed else 0


def _readers(options: argparse.Namespace) -> int:
    print(usidx.list_readers())
    return 0


def _recover(options: argparse.Namespace) -> int:
    from usidx.io.read.place.place import find_local_path

    print(usidx.recover(find_local_path(options.file), lock=not options.no_lock))
    return 0
