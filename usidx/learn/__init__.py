"""Decomposition and clustering of samples x features."""
