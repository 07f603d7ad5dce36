"""Formats of scanning probe instruments, by a small parser or by a library -> channels."""
