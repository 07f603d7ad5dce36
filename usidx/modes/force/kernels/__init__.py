"""NumPy force curves -> their parts, contact and pull-off, curve by curve in machine code."""
