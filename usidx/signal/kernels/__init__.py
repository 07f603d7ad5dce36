"""Loops over samples in machine code, and what is solved for many spectra at once."""
