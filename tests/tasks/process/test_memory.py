"""Blocks use the memory that others left, where the allocator is that of glibc."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told what to keep")

COUNT = """
import resource, sys
import numpy as np
from usidx.tasks.process.memory import use_memory_again

if sys.argv[1] == "told":
    use_memory_again()
for _ in range(3):
    np.ones(2**24, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(2**24, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 10 * 2**24 // os.sysconf("SC_PAGE_SIZE")


def count_new_pages(told: bool, threshold: str | None) -> int:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    if threshold is not None:
        environment["MALLOC_TRIM_THRESHOLD_"] = threshold
    command = [sys.executable, "-c", COUNT, "told" if told else "untold"]
    return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("threshold", [None, "65536"])  # dask.distributed sets the second
def test_blocks_of_a_worker_take_no_new_pages(threshold: str | None) -> None:
    assert count_new_pages(True, threshold) < PAGES / 10


def test_a_chosen_limit_holds() -> None:
    assert count_new_pages(True, "65537") > 0.5 * count_new_pages(False, "65537")
