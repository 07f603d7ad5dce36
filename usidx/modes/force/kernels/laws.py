"""Laws of contact, of one place each, in machine code; importing this imports numba.

The base of the cantilever went on by u since contact, and the tip gives way by d = F / k, with c = 1 / k; so the
indentation is u - d, and the force is found from u.

- sphere, cone: F = C indentation^p, p = 3/2 and 2.
- jkr: a sphere that sticks, by Johnson, Kendall and Roberts. Its contact radius is beta^2, in that at no load.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from usidx.modes.force.kernels.compiled import compile_part_in_order

__all__ = ["CONE", "JKR", "SPHERE", "find_edge", "measure", "push_jkr", "push_power"]

SPHERE: Final = 0
CONE: Final = 1
JKR: Final = 2


@compile_part_in_order
def push_power(kind: int, u: float, c: float, law: float, guess: float) -> Any:
    """Return force, its slopes by u and by log C, and the root of the indentation."""
    q = c * law
    if kind == CONE:
        far = 2.0 * u / (1.0 + np.sqrt(1.0 + 4.0 * q * u))
        root, force, slope = 0.0, law * far * far, 2.0 * law * far
    else:
        root = np.sqrt(u / (1.0 + q * guess))
        for _ in range(30):
            step = (root * root * (1.0 + q * root) - u) / (root * (2.0 + 3.0 * q * root))
            root -= step
            if np.abs(step) <= 1e-4 * root:
                break
        force, slope = law * root**3, 1.5 * law * root
    share = 1.0 / (1.0 + c * slope)
    return force, slope * share, force * share, root


@compile_part_in_order
def find_edge(c: float, law: float, pull: float) -> Any:
    """Return the size of the contact of jkr, and the smallest beta at which it holds."""
    size, low, high = (4.0 * pull / law) ** (2.0 / 3.0), 0.5, 0.8
    for _ in range(40):
        beta = 0.5 * (low + high)
        rises = size * (4.0 * beta**3 - 2.0 / 3.0) + 12.0 * c * pull * (2.0 * beta**5 - beta**2) > 0.0
        low, high = (low, beta) if rises else (beta, high)
    return size, high


@compile_part_in_order
def push_jkr(u: float, c: float, size: float, edge: float, pull: float, guess: float) -> Any:
    """Return force, its slopes by u, log C and log P, beta and its slope; off the sample those of the last hold."""
    # From above Newton's steps never leave the branch that holds; as it is hollow there they come down.
    beta = guess if guess > 1.0 else max(np.sqrt(np.sqrt(max(3.0 * u / size, 0.0))), 1.0)
    for _ in range(40):
        off = size * (beta**4 - beta / 1.5) + 4.0 * c * pull * (beta**6 - beta**3) - u
        step = off / (size * (4.0 * beta**3 - 1.0 / 1.5) + 12.0 * c * pull * (2.0 * beta**5 - beta**2))
        new = max(beta - step, edge) if step == step else edge
        moved, beta = np.abs(new - beta), new
        if moved <= 1e-5 * beta:
            break
    force = 4.0 * pull * (beta**6 - beta**3)
    steep, wide = 12.0 * pull * (2.0 * beta**5 - beta**2), size * (4.0 * beta**3 - 1.0 / 1.5)
    rise = wide + c * steep
    if beta <= edge * (1.0 + 1e-9) or rise <= 0.0:
        return force, 0.0, 0.0, force, beta, 0.0
    by_size = -steep * size * (beta**4 - beta / 1.5) / rise
    return force, steep / rise, -by_size / 1.5, force * wide / rise + by_size / 1.5, beta, 1.0 / rise


@compile_part_in_order
def measure(kind: int, u: float, c: float, law: float, pull: float) -> Any:
    """Return indentation, and stiffness by it, of one place."""
    if kind == JKR:
        size, edge = find_edge(c, law, pull)
        beta = push_jkr(u, c, size, edge, pull, 2.0)[4]
        far = size * (beta**4 - beta / 1.5)
        return far, 12.0 * pull * (2.0 * beta**5 - beta**2) / (size * (4.0 * beta**3 - 1.0 / 1.5))
    force, _, _, _ = push_power(kind, u, c, law, 0.0)
    far = u - c * force
    far = (force / law) ** (0.5 if kind == CONE else 1.0 / 1.5) if far < 0.1 * u else far
    return far, (2.0 if kind == CONE else 1.5) * force / far
