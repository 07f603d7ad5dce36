"""Pictures, the explorer and the report."""
