"""The browser app of `usidx view`."""
