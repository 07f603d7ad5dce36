"""Quotas of containers, as both versions of Linux's control groups write them, and the affinity of the process."""

import os
from pathlib import Path

import pytest

from usidx.tasks.process import cores

SECOND = "0::{}\n"
V1 = "cpu,cpuacct/cpu.cfs_"
FIRST = "5:memory:/x\n3:cpu,cpuacct:{}\n1:name=systemd:/x\n"


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        (SECOND.format("/"), {"cpu.max": "max 100000\n"}, None),
        (SECOND.format("/"), {"cpu.max": "200000 100000\n"}, 2),
        (SECOND.format("/"), {"cpu.max": "250000 100000\n"}, 3),
        (SECOND.format("/"), {"cpu.max": "10000 100000\n"}, 1),
        # The group itself sets no limit, one above it does; and the lowest of several counts.
        (SECOND.format("/a/b"), {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        (SECOND.format("/a/b"), {"a/b/cpu.max": "500000 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        # In a container the path is that of the host, and the mount begins at the container's group.
        (SECOND.format("/docker/0123"), {"cpu.max": "400000 100000\n"}, 4),
        (SECOND.format("/"), {"cpu.max": "two cores\n"}, None),
        (SECOND.format("/"), {}, None),
        (
            FIRST.format("/"),
            {V1 + "quota_us": "-1\n", V1 + "period_us": "100000\n"},
            None,
        ),
        (FIRST.format("/"), {V1 + "quota_us": "150000", V1 + "period_us": "50000"}, 3),
        (FIRST.format("/k/j"), {"cpu/k/cpu.cfs_quota_us": "200000", "cpu/k/cpu.cfs_period_us": "100000"}, 2),
        (FIRST.format("/"), {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "0"}, None),
        # A limit of memory says nothing of cores.
        ("4:memory:/\n", {"memory/cpu.cfs_quota_us": "100000", "memory/cpu.cfs_period_us": "100000"}, None),
        ("", {"cpu.max": "200000 100000\n"}, None),
    ],
)
def test_quota(membership: str, files: dict[str, str], expected: int | None, tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text(membership)
    for name, text in files.items():
        (tmp_path / "mount" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mount" / name).write_text(text)
    assert cores.read_quota(tmp_path / "cgroup", tmp_path / "mount") == expected


def test_there_is_no_quota_where_there_are_no_control_groups(tmp_path: Path) -> None:
    assert cores.read_quota(tmp_path / "missing", tmp_path) is None


@pytest.mark.parametrize(("allowed", "quota", "expected"), [(8, 3, 3), (2, 3, 2), (8, None, 8)])
def test_the_least_of_affinity_and_quota(
    allowed: int, quota: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: allowed, raising=False)
    monkeypatch.setattr(cores, "_find_quota", lambda: quota)
    assert cores.count_cores() == expected


def test_affinity_is_asked_for_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "process_cpu_count", raising=False)
    monkeypatch.setattr(cores, "_find_quota", lambda: None)
    for allowed in ({0}, {0, 1, 5}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, found=allowed: found, raising=False)
        assert cores.count_cores() == len(allowed)


def test_where_the_system_tells_no_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "process_cpu_count", raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(cores, "_find_quota", lambda: None)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert cores.count_cores() == 7
