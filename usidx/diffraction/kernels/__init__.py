"""Blocks of patterns -> what is summed over them, in machine code."""
