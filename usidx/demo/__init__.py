"""The main job from end to end, as ``usidx demo`` does it."""

from usidx.demo.run import DemoReport, run_demo

__all__ = ["DemoReport", "run_demo"]
