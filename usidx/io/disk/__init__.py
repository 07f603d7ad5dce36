"""A file as bytes on a disk: raw access, locks, the undo journal, recovery."""
