"""Data with known truth, for docs, demo and tests."""
