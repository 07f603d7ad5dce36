"""Files to what can be looked at, and to parts of it, in threads that can be ended."""
