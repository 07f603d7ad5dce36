"""Blocks of an array -> rows and columns of a dataset, contiguous or in chunks, compressed in threads."""
