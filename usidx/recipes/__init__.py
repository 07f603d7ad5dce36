"""Recorded steps run again, and recipes of steps for many files."""
