"""Fits that take another form: the same ones written otherwise, nearer to the data, or none at all."""
