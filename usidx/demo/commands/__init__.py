"""What each command does and how it says it; what the commands are given is in `usidx/cli.py`."""
