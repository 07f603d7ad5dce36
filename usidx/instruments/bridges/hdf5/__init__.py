"""Formats within HDF5 -> channels, read by ranges as USID is."""
