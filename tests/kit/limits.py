"""A program in a process of its own, for tests that limit how much memory it may take."""

import os
import subprocess
import sys

__all__ = ["run_program"]


def run_program(program: str, *arguments: object, timeout: float) -> None:
    """Run a program that limits itself as its arguments say, and check that it ends well."""
    script = [sys.executable, "-c", program, *map(str, arguments)]
    # Without a fixed threshold the allocator keeps what is freed, now and then by 150 MB more than at other times.
    kept = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "262144"}
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "2", **kept}
    done = subprocess.run(script, capture_output=True, text=True, timeout=timeout, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
