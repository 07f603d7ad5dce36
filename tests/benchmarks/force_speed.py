"""Force curves a second, and how far contact points and moduli are from the truth.

    python tests/benchmarks/force_speed.py [--rounds 5]

Curves of 1000 points, 500 of the approach, with adhesion and a tilted baseline: all figures of each, by each model.
Medians of wall time, and of the time summed over the cores; nanite fits about 150 such curves in a second of a core.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any, Literal

import usidx


def measure(curves: Any, model: Any, rounds: int) -> tuple[float, float, Any]:
    """Return the medians of wall time and of the time of all cores, and what came out."""
    found = usidx.modes.force_curves(curves, model=model)
    walls, cores = [], []
    for _ in range(rounds):
        begin = time.perf_counter(), time.process_time()
        found = usidx.modes.force_curves(curves, model=model)
        walls.append(time.perf_counter() - begin[0])
        cores.append(time.process_time() - begin[1])
    return statistics.median(walls), statistics.median(cores), found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    lines = [
        "| model | noise | curves per s | per s of a core | contact point, of the indentation | modulus, off |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    cases: list[tuple[Literal["hertz", "cone", "jkr"], float]]
    cases = [("hertz", 0.01), ("hertz", 0.05), ("cone", 0.01), ("jkr", 0.01)]
    for model, noise in cases:
        curves, truth = usidx.simulate.force_map((100, 100), 500, model=model, noise=noise)
        wall, cores, found = measure(curves, model, rounds)
        off = float((abs(found.contact_point - truth.contact_point) / truth.indentation).median())
        wrong = float(abs(found.modulus / truth.modulus - 1).median())
        count = found.status.size
        lines.append(f"| {model} | {noise:.0%} | {count / wall:.0f} | {count / cores:.0f} | {off:.2%} | {wrong:.2%} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
