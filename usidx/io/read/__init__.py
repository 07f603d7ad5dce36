"""File to layout and lazy array."""
