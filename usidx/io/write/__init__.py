"""Labelled arrays and results into a file."""
