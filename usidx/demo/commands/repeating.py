"""``usidx replay`` and ``run``: recorded steps again, and the steps of a recipe on many files."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

import usidx
from usidx.demo.commands.telling import tell, tell_json

__all__ = ["replay", "run"]


def replay(options: Namespace) -> int:
    """Compute a stored result again; return 1 where it is another."""
    found = usidx.replay(options.file, options.group, rtol=options.rtol, source=options.source)
    is_equal = bool(found.attrs["equal"])
    differences = {str(name): difference.item() for name, difference in found.data_vars.items()}
    if options.json:
        said = {"group": found.attrs["group"], "equal": is_equal, "rtol": options.rtol, "differences": differences}
        tell_json({"file": options.file} | said)
        return int(not is_equal)
    width = max(map(len, differences), default=0)
    for name, difference in differences.items():
        tell(f"{name:{width}}  {difference:.3g}")
    tell(f"{found.attrs['group']}: {'equal' if is_equal else 'different'}, to {options.rtol:g}")
    return int(not is_equal)


def run(options: Namespace) -> int:
    """Do the steps of a recipe to files; return 1 where one failed."""
    done = usidx.run(
        options.recipe, options.file, folder=options.folder, report=options.report, workers=options.workers
    )
    if options.json:
        tell_json([asdict(row) for row in done])
    else:
        tell(done)
    return int(bool(done.failed))
