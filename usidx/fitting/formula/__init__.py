"""Formulas as graphs: nodes, complex numbers as pairs, Python functions followed to their formula."""
