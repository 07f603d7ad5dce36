"""Where the bytes of a file come from: the disk, a URL, a cache of pages."""
