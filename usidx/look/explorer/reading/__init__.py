"""What is looked at, and parts of it, read block by block in threads that can be ended."""
