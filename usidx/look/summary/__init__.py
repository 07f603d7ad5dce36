"""What an array, a result or a file is, at a glance: as text and as HTML."""
