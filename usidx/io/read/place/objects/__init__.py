"""Objects behind URLs: requests, pages, and ranges of bytes."""
