"""Spectra of a block -> their figures: compiled or in NumPy, with a second try from the neighbours."""
