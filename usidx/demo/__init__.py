"""What the command ``usidx`` does: the main job from end to end, reports, and all the other commands."""
