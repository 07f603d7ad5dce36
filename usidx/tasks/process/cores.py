"""System and container -> how many cores they leave this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from math import ceil
from pathlib import Path, PurePosixPath

__all__ = ["count_cores"]

_MOUNT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def count_cores() -> int:
    """Return how many cores this process may use: its affinity, and the quota of its container rounded up."""
    return max(1, min(_count_allowed(), _find_quota() or _count_allowed()))


def _count_allowed() -> int:
    """Count the cores that the process may run on; asked each time, for a program may change it."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13; knows -X cpu_count, too
        return os.process_cpu_count() or 1
    # Not on every system.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def _find_quota() -> int | None:
    """Return how many cores the control groups of Linux leave, None where they set no limit."""
    return read_quota(_MEMBERSHIP, _MOUNT)


def read_quota(membership: Path, mount: Path) -> int | None:
    """Return the least quota of the groups that a process is in, and of those above them.

    Parameters
    ----------
    membership : Path
        What ``/proc/self/cgroup`` says: lines of ``number:controllers:path``.
    mount : Path
        Where the groups are, ``/sys/fs/cgroup``. A container may see its own group as the root of it, while
        `membership` tells the path on the host: so folders that are not there are passed over.
    """
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    shares = [share for line in lines for share in _read_shares(mount, *line.split(":", 2)[1:])]
    return max(1, ceil(min(shares))) if shares else None


def _read_shares(mount: Path, controllers: str, path: str) -> Iterator[float]:
    """Yield the quotas of a group and all above it, in cores."""
    if not controllers:
        roots, read = [mount, mount / "unified"], _read_second
    elif "cpu" in controllers.split(","):
        roots, read = [mount / controllers, mount / "cpu", mount / "cpu,cpuacct", mount / "cpuacct,cpu"], _read_first
    else:
        return
    group = PurePosixPath(path.lstrip("/"))
    for root in roots:
        for folder in (group, *group.parents):
            share = read(root / folder)
            if share is not None:
                yield share


def _read_first(folder: Path) -> float | None:
    """Read a quota of version 1; -1 is none."""
    try:
        quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None


def _read_second(folder: Path) -> float | None:
    """Read a quota of version 2, as in "150000 100000"; "max" is none."""
    try:
        quota, period = map(int, (folder / "cpu.max").read_text().split())
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None
