"""Contact potentials: from what a cantilever did under a bias."""
