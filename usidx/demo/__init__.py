"""The main job from end to end, as ``usidx demo`` does it."""
