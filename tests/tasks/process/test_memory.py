"""Blocks use the memory that others left, where the allocator is that of glibc."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told what to keep")

# Bytes are counted, not page faults: a system that gives large pages faults rarely, whatever is kept.
COUNT = """
import os, sys
import numpy as np
from usidx.tasks.process.memory import use_memory_again

def count_resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if sys.argv[1] == "told":
    use_memory_again()
before = count_resident()
for _ in range(3):
    np.ones(2**24, np.uint8)
print(count_resident() - before)
"""
BLOCK = 2**24


def count_kept(told: bool, threshold: str | None) -> int:
    """How many bytes the process keeps when its blocks are gone."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    if threshold is not None:
        environment["MALLOC_TRIM_THRESHOLD_"] = threshold
    command = [sys.executable, "-c", COUNT, "told" if told else "untold"]
    return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("threshold", [None, "65536"])  # dask.distributed sets the second
def test_blocks_of_a_worker_take_no_new_pages(threshold: str | None) -> None:
    assert 0.8 * BLOCK < count_kept(True, threshold) < 1.5 * BLOCK


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("threshold", ["65537", "0"])
def test_a_chosen_limit_holds(threshold: str, told: bool) -> None:
    assert count_kept(told, threshold) < 0.2 * BLOCK


def test_dask_alone_would_give_it_all_back() -> None:
    assert count_kept(False, "65536") < 0.2 * BLOCK
