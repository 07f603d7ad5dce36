"""Cores that this process may use, and what it needs where it is forked."""
