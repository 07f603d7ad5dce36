"""What a result is, and the steps that made it."""
