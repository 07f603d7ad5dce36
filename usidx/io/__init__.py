"""Files: read, write, and the disk below both."""
